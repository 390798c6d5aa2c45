package receipt

import (
	"regexp"
	"strings"
)

// complaint is what a server's words mean. The words are those of Prometheus 2.53 to 3.15 and
// of VictoriaMetrics 1.110 to 1.151.
type complaint struct {
	words  string
	kind   Kind
	reason string
}

var complaints = []complaint{
	{"sample limit exceeded", Size, "sample_limit"},
	{"exceeds sample_limit=", Size, "sample_limit"},
	{"body size limit exceeded", Size, "body_size_limit"},
	{"exceeds -promscrape.maxScrapeSize", Size, "body_size_limit"},
	{"label_limit exceeded", Content, "label_limit"},
	{"label_name_length_limit exceeded", Content, "label_name_length_limit"},
	{"label_value_length_limit exceeded", Content, "label_value_length_limit"},
	{"missing metric name", Content, "no_name"},
	{"invalid metric name or label names", Content, "bad_name"},
	{"histogram bucket limit exceeded", Content, "bucket_limit"},
	{"too old sample", Content, "too_old"},
	{"context deadline exceeded", Lost, "timeout"},
	{"Client.Timeout exceeded", Lost, "timeout"},
	{"server returned HTTP status", Lost, "status"},
	{"unexpected status code returned", Lost, "status"},
	{"connection refused", Lost, "connection"},
	{"connection reset by peer", Lost, "connection"},
	{"broken pipe", Lost, "connection"},
	{"no such host", Lost, "connection"},
	{"no route to host", Lost, "connection"},
	{"i/o timeout", Lost, "connection"},
	{"EOF", Lost, "connection"},
}

// metrics find the name of the metric that a server complains of: Prometheus gives the first
// 50 characters of it for the limits of labels, and all labels for a name that is invalid.
var metrics = []*regexp.Regexp{
	regexp.MustCompile(`_limit exceeded \(metric: (.*?), (?:number of labels|label name): `),
	regexp.MustCompile(`invalid metric name or label names: .*?__name__="([^"\\]*)`),
}

// classify tells what a server's words mean.
func classify(text string) Why {
	w := Why{Text: words(text)}
	for _, c := range complaints {
		if strings.Contains(text, c.words) {
			w.Kind, w.Reason = c.kind, c.reason
			break
		}
	}
	if w.Kind == Content {
		for _, m := range metrics {
			if found := m.FindStringSubmatch(text); found != nil {
				w.Metric = found[1]
				break
			}
		}
	}
	return w
}
