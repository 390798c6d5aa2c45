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
