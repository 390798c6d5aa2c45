package render

import (
	"strconv"
	"strings"

	"github.com/hubring/hubring/internal/exposition"
)

// split takes the canonical text of a series apart: its name, and its labels without the
// braces.
func split(text string) (name, labels string) {
	i := strings.IndexByte(text, '{')
	switch {
	case i < 0:
		return text, ""
	case i > 0:
		return text[:i], text[i+1 : len(text)-1]
	}
	end := len(`{"`) + closing(text[len(`{"`):])
	return plain(text[len(`{"`):end]), strings.TrimPrefix(text[end+1:len(text)-1], ",")
}

// label is one of a canonical text. Its value is as it stands between the quotes.
type label struct{ name, value string }

// next cuts the first label off labels that are not empty.
func next(labels string) (l label, rest string) {
	if labels[0] == '"' {
		end := 1 + closing(labels[1:])
		l.name, labels = plain(labels[1:end]), labels[end+1:]
	} else {
		end := strings.IndexByte(labels, '=')
		l.name, labels = labels[:end], labels[end:]
	}
	labels = labels[len(`="`):]
	end := closing(labels)
	l.value, labels = labels[:end], labels[end+1:]
	if labels != "" {
		labels = labels[len(`,`):]
	}
	return l, labels
}

// closing returns where the quote is that ends a text in quotes.
func closing(s string) int {
	for i := 0; ; i++ {
		i += strings.IndexByte(s[i:], '"')
		before := i
		for before > 0 && s[before-1] == '\\' {
			before--
		}
		if (i-before)%2 == 0 {
			return i
		}
	}
}

// plain is a text without its escapes.
func plain(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	return exposition.UnescapeLabelValue(s)
}

// labelSet is the labels of a series as a metric has them. Series that follow each other mostly
// have labels of the same names, and values of the same length: what differs is overwritten.
type labelSet struct {
	bytes  []byte
	text   []byte  // that it was made from; empty where that has escapes, too
	values []value // in the text; none has escapes
}

// value is where a label's value is, in the text and in the bytes.
type value struct{ from, to, at int }

// set makes it the set of other labels.
func (s *labelSet) set(labels string) {
	if len(s.text) == 0 || len(labels) != len(s.text) || !s.overwrite(labels) {
		s.read(labels)
	}
}

// overwrite returns false where the labels are not as long as those before, each. Then the set
// has to be made anew.
func (s *labelSet) overwrite(labels string) bool {
	done := 0
	for _, v := range s.values {
		if labels[done:v.from] != string(s.text[done:v.from]) {
			return false
		}
		done = v.to
		now := labels[v.from:v.to]
		if now == string(s.text[v.from:v.to]) {
			continue
		}
		if strings.IndexByte(now, '"') >= 0 || strings.IndexByte(now, '\\') >= 0 {
			return false
		}
		copy(s.bytes[v.at:], now)
		copy(s.text[v.from:], now)
	}
	return labels[done:] == string(s.text[done:])
}

func (s *labelSet) read(labels string) {
	s.bytes, s.text, s.values = s.bytes[:0], s.text[:0], s.values[:0]
	if strings.IndexByte(labels, '\\') >= 0 {
		s.bytes = appendLabels(s.bytes, labels)
		return
	}
	for rest := labels; rest != ""; {
		var l label
		l, rest = next(rest)
		s.bytes = appendLabel(s.bytes, l.name, l.value)
		to := len(labels) - len(rest) - len(`"`)
		if rest != "" {
			to -= len(`,`)
		}
		s.values = append(s.values, value{to - len(l.value), to, len(s.bytes) - len(l.value)})
	}
	s.text = append(s.text, labels...)
}

// appendLabels appends all labels of a metric.
func appendLabels(dst []byte, labels string) []byte {
	for labels != "" {
		var l label
		l, labels = next(labels)
		dst = appendLabel(dst, l.name, plain(l.value))
	}
	return dst
}

// appendBound appends a bound as Prometheus spells it, whoever sends it in whichever way.
func appendBound(dst []byte, v float64) []byte {
	if v == 0 {
		return append(dst, "0.0"...) // also -0
	}
	from := len(dst)
	dst = strconv.AppendFloat(dst, v, 'g', -1, 64)
	if !strings.ContainsAny(string(dst[from:]), "e.IN") {
		dst = append(dst, ".0"...)
	}
	return dst
}

// boundName is the label that tells the series of a histogram or summary apart.
func boundName(k kind) string {
	if k == histogram {
		return "le"
	}
	if k == summary {
		return "quantile"
	}
	return ""
}
