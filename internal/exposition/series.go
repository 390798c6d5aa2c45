package exposition

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

var (
	errQuote = errors.New("a label value has no closing quote")
	errBrace = errors.New("the labels have no closing brace")
)

// Limits bound a series. A zero field means no bound.
type Limits struct {
	SeriesBytes int // length of a series as it was written
	Labels      int // number of labels
}

// DefaultLimits are those of a hub that is not told otherwise, and what an
// exporter keeps to: a hub refuses the whole push for one series beyond.
var DefaultLimits = Limits{SeriesBytes: 8 << 10, Labels: 64}

// Series is a series that was checked in full.
type Series struct {
	// Name is the metric name.
	Name string
	// Text is the canonical spelling: labels sorted by name, those of empty
	// value left out (to Prometheus they are the same), one way of escaping.
	// Two spellings mean one series when their texts are equal.
	Text string
	// OddBound says that a le or quantile label is no number, so that the
	// family can't be read as a histogram or summary.
	OddBound bool
}

type label struct{ name, value string }

// seriesLen is the length of the series at the start of a line: through the
// closing brace, or to the end of the name where there are no labels.
func seriesLen(b []byte) (int, error) {
	n := nameLen(b, inMetric)
	if n == 0 {
		line := b[:lineEnd(b, 0)]
		if b[0] == '{' {
			return 0, errors.New("the line begins with labels; a name in quotes is not supported")
		}
		return 0, fmt.Errorf("%.100q does not begin with a metric name", line)
	}
	i := n
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	if i == len(b) || b[i] != '{' {
		if n < len(b) && b[n] > ' ' {
			return 0, fmt.Errorf("metric name %.100q is followed by %q", b[:n], b[n])
		}
		return n, nil
	}
	for i++; i < len(b); i++ {
		switch b[i] {
		case '}':
			return i + 1, nil
		case '\n':
			return 0, errBrace
		case '"':
			end := quoteEnd(b[i+1:])
			if end < 0 {
				return 0, errQuote
			}
			i += end + 1
		}
	}
	return 0, errBrace
}

// quoteEnd is the position of the quote that closes a label value, or -1 when
// the line ends first.
func quoteEnd(b []byte) int {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i
		case '\n':
			return -1
		case '\\':
			i++
			if i < len(b) && b[i] == '\n' {
				return -1
			}
		}
	}
	return -1
}

// ParseSeries checks a spelling that a Scanner returned for a Sample.
func ParseSeries(spelling []byte, limits Limits) (Series, error) {
	if limits.SeriesBytes > 0 && len(spelling) > limits.SeriesBytes {
		return Series{}, fmt.Errorf("series %.60q… has %d bytes, the limit is %d", spelling, len(spelling), limits.SeriesBytes)
	}
	n := nameLen(spelling, inMetric)
	s := Series{Name: string(spelling[:n])}
	labels, err := parseLabels(bytes.TrimLeft(spelling[n:], " \t"), limits.Labels)
	if err != nil {
		return Series{}, fmt.Errorf("series %.100q: %w", spelling, err)
	}
	text := append(make([]byte, 0, len(spelling)), s.Name...)
	separator := byte('{')
	for _, l := range labels {
		if l.value == "" {
			continue
		}
		text = append(text, separator)
		text = append(text, l.name...)
		text = append(text, '=', '"')
		text = AppendLabelValue(text, l.value)
		text = append(text, '"')
		separator = ','
		if l.name == "le" || l.name == "quantile" {
			_, err := strconv.ParseFloat(l.value, 64)
			s.OddBound = s.OddBound || err != nil
		}
	}
	if separator == ',' {
		text = append(text, '}')
	}
	s.Text = string(text)
	return s, nil
}

// parseLabels reads `{a="b",c="d"}`, sorted by name.
func parseLabels(b []byte, most int) ([]label, error) {
	if len(b) == 0 {
		return nil, nil
	}
	var labels []label
	b = bytes.TrimLeft(b[1:], " \t")
	for len(b) > 0 && b[0] != '}' {
		l, rest, err := parseLabel(b)
		if err != nil {
			return nil, err
		}
		labels = append(labels, l)
		if most > 0 && len(labels) > most {
			return nil, fmt.Errorf("more than %d labels", most)
		}
		b = bytes.TrimLeft(rest, " \t")
		switch {
		case len(b) > 0 && b[0] == ',':
			b = bytes.TrimLeft(b[1:], " \t")
		case len(b) == 0 || b[0] != '}':
			return nil, fmt.Errorf("no comma after label %q", l.name)
		}
	}
	slices.SortFunc(labels, func(a, b label) int { return strings.Compare(a.name, b.name) })
	for i := 1; i < len(labels); i++ {
		if labels[i].name == labels[i-1].name {
			return nil, fmt.Errorf("label %q is there twice", labels[i].name)
		}
	}
	return labels, nil
}

// parseLabel reads `name="value"`; seriesLen has seen that the quotes match.
func parseLabel(b []byte) (l label, rest []byte, err error) {
	n := nameLen(b, inLabel)
	if n == 0 {
		return l, nil, fmt.Errorf("%.40q does not begin with a label name", b)
	}
	l.name = string(b[:n])
	if l.name == "__name__" {
		return l, nil, errors.New("the label __name__ is reserved")
	}
	b = bytes.TrimLeft(b[n:], " \t")
	if len(b) == 0 || b[0] != '=' {
		return l, nil, fmt.Errorf("no = after label name %q", l.name)
	}
	b = bytes.TrimLeft(b[1:], " \t")
	if len(b) == 0 || b[0] != '"' {
		return l, nil, fmt.Errorf("the value of label %q is not in quotes", l.name)
	}
	end := quoteEnd(b[1:])
	if end < 0 {
		return l, nil, errQuote
	}
	raw := b[1 : end+1]
	if err := checkText(raw); err != nil {
		return l, nil, fmt.Errorf("value of label %q: %w", l.name, err)
	}
	l.value = Unescape(raw)
	return l, b[end+2:], nil
}

// Unescape undoes AppendLabelValue and AppendHelp. A backslash before any other
// letter stands for itself, as it does for Prometheus.
func Unescape(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b)
	}
	var out strings.Builder
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) {
			switch b[i+1] {
			case '\\', '"':
				i++
			case 'n':
				out.WriteByte('\n')
				i++
				continue
			}
		}
		out.WriteByte(b[i])
	}
	return out.String()
}
