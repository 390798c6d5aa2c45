package receipt

import "regexp"

// complaint is what a server's words mean.
type complaint struct {
	words  *regexp.Regexp
	kind   Kind
	reason string
}

// complaints are in the words of Prometheus 2.53 to 3.15 and of VictoriaMetrics 1.110 to 1.151.
// They are looked for at the beginning where the server goes on in a sender's words, which
// must not choose the meaning. A group holds the name of the metric that is meant, of a long one the
// first 50 characters.
var complaints = []complaint{
	{regexp.MustCompile(`^sample limit exceeded|^the response from "[^"]*" exceeds sample_limit=`), Size, "sample_limit"},
	{regexp.MustCompile(`^body size limit exceeded|^the (?:uncompressed )?response from "[^"]*" exceeds -promscrape\.maxScrapeSize `), Size, "body_size_limit"},
	{regexp.MustCompile(`^label_limit exceeded(?: \(metric: (.*), number of labels: \d+, limit: \d+\))?`), Content, "label_limit"},
	{regexp.MustCompile(`^the response from "[^"]*" contains samples with a number of labels exceeding label_limit=`), Content, "label_limit"},
	{regexp.MustCompile(`^label_name_length_limit exceeded \(metric: (.*?), label name: `), Content, "label_name_length_limit"},
	{regexp.MustCompile(`^label_value_length_limit exceeded \(metric: (.*?), label name: `), Content, "label_value_length_limit"},
	{regexp.MustCompile(`^missing metric name`), Content, "no_name"},
	{regexp.MustCompile(`^invalid metric name or label names: \{(?:__name__="([^"\\]*))?`), Content, "bad_name"},
	{regexp.MustCompile(`^histogram bucket limit exceeded`), Content, "bucket_limit"},
	{regexp.MustCompile(`^too old sample`), Content, "too_old"},
	{regexp.MustCompile(`^server returned HTTP status|^unexpected status code returned`), Lost, "status"},
	{regexp.MustCompile(`^(?:Get ".*": |cannot .*)?(?:context deadline exceeded|net/http: request canceled)`), Lost, "timeout"},
	{regexp.MustCompile(`^(?:Get ".*": |cannot .*)?(?:unexpected EOF|EOF|dial |read |write |lookup )`), Lost, "connection"},
	// Something on the way has ended a response in order, in the middle.
	{regexp.MustCompile(`^data does not end with # EOF|^expected [A-Za-z ]+, got "(?:[^"\\]|\\.)*" \("EOF"\) while parsing: `), Lost, "connection"},
}

// classify tells what a server's words mean.
func classify(text string) Why {
	w := Why{Text: words(text)}
	for _, c := range complaints {
		found := c.words.FindStringSubmatch(text)
		if found == nil {
			continue
		}
		w.Kind, w.Reason = c.kind, c.reason
		if len(found) > 1 {
			w.Metric = found[1]
		}
		break
	}
	return w
}
