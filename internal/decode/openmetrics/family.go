package openmetrics

import (
	"bytes"
	"math"
)

// family is what the lines in front of samples say of them.
type family struct {
	name, help []byte // the help with its escapes
	kind       kind
	said       bool
}

// kind is a type.
type kind uint8

const (
	unsaid kind = iota
	counter
	gauge
	histogram
	summary
	info
	untyped
)

// words are those of the text format.
var words = [...][]byte{
	counter: []byte("counter"), gauge: []byte("gauge"), histogram: []byte("histogram"), summary: []byte("summary"), info: []byte("gauge"), untyped: []byte("untyped"),
}

// kindOf is the type that a word means. As in the text format a word that is none is one sender's mistake, and no reason to refuse a whole report.
func kindOf(word []byte) kind {
	switch string(bytes.ToLower(bytes.TrimSpace(word))) {
	case "counter":
		return counter
	case "gauge", "stateset", "gaugehistogram":
		return gauge
	case "histogram":
		return histogram
	case "summary":
		return summary
	case "info":
		return info
	}
	return untyped
}

// suffixes are what the names of series have that the family's has not, of the types that have one name for all series.
var suffixes = [untyped + 1]string{counter: "_total", info: "_info"}

// counted are the suffixes of the series behind which a start is told.
var counted = [untyped + 1]string{counter: "_total", histogram: "_count", summary: "_count"}

// start is the time since which what came before counts, in milliseconds, if that is what a sample says.
func (f *family) start(s, before sample, value float64) (ms int64, is bool) {
	base, created := bytes.CutSuffix(s.name, []byte("_created"))
	if !created || !bytes.Equal(base, f.name) || !bytes.Equal(s.labels, before.labels) {
		return 0, false
	}
	suffix := counted[f.kind]
	rest, isOf := bytes.CutPrefix(before.name, base)
	if suffix == "" || !isOf || string(rest) != suffix || !(value > 0 && value < math.MaxInt64/10_000) {
		return 0, false
	}
	return inMilliseconds(value), true
}
