package encode

import (
	"math"

	dto "github.com/prometheus/client_model/go"

	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/internal/exposition"
)

// boundText is a bound that was written lately. Histograms of one program have
// the same ones, and the text of a fraction is costly.
type boundText struct {
	value float64
	text  []byte
}

// lines says which of a metric's samples are written. One that is no summary or
// histogram has values only.
type lines byte

const (
	valueLines lines = 1 << iota // the value, quantiles or buckets
	sumLines
	countLines
	allLines = valueLines | sumLines | countLines
)

// lines writes lines of a metric that was checked.
func (e *Encoder) lines(name string, k wire.Kind, which lines, m *dto.Metric) {
	switch k {
	case wire.Counter:
		e.line(name, "", m.Counter.GetValue())
	case wire.Gauge:
		e.line(name, "", m.Gauge.GetValue())
	case wire.Untyped:
		e.line(name, "", m.Untyped.GetValue())
	case wire.Summary:
		e.summary(name, which, m.Summary)
	case wire.Histogram:
		e.histogram(name, which, m.Histogram)
	default: // checkMetric has refused it
	}
}

func (e *Encoder) summary(name string, which lines, s *dto.Summary) {
	if which&valueLines != 0 {
		for i, q := range s.Quantile {
			e.boundLine(name, "", "quantile", e.bound(i, q.GetQuantile()), q.GetValue())
		}
	}
	e.sumAndCount(name, which, s.GetSampleSum(), float64(s.GetSampleCount()))
}

func (e *Encoder) histogram(name string, which lines, h *dto.Histogram) {
	count := countOf(h.GetSampleCountFloat(), h.GetSampleCount())
	if which&valueLines != 0 {
		inf := false
		for i, b := range h.Bucket {
			e.boundLine(name, "_bucket", "le", e.bound(i, b.GetUpperBound()), countOf(b.GetCumulativeCountFloat(), b.GetCumulativeCount()))
			inf = inf || math.IsInf(b.GetUpperBound(), +1)
		}
		if !inf {
			e.boundLine(name, "_bucket", "le", infText, count)
		}
	}
	e.sumAndCount(name, which, h.GetSampleSum(), count)
}

func (e *Encoder) sumAndCount(name string, which lines, sum, count float64) {
	if which&sumLines != 0 {
		e.line(name, "_sum", sum)
	}
	if which&countLines != 0 {
		e.line(name, "_count", count)
	}
}

// countOf is client_model's rule: the float, if positive, overrides the integer.
func countOf(f float64, i uint64) float64 {
	if f > 0 {
		return f
	}
	return float64(i)
}

var infText = []byte("+Inf")

// maxBounds is how many bounds of a metric are remembered.
const maxBounds = 256

// bound returns the text of the i-th bound of a metric. It is valid until the
// next call.
func (e *Encoder) bound(i int, v float64) []byte {
	i = min(i, maxBounds)
	for len(e.bounds) <= i {
		e.bounds = append(e.bounds, boundText{value: math.NaN()})
	}
	b := &e.bounds[i]
	if b.value != v || v == 0 { // there are two zeros
		b.value, b.text = v, exposition.AppendFloat(b.text[:0], v)
	}
	return b.text
}

// timestamp writes the end of the metric's lines. Zero counts as missing: it is
// what senders without optional fields leave behind, never a moment.
func (e *Encoder) timestamp(m *dto.Metric) {
	ts := m.GetTimestampMs()
	if ts == 0 {
		ts = e.now
	}
	if ts == e.tailOf && len(e.tail) > 0 {
		return
	}
	e.tail = exposition.AppendTimestamp(append(e.tail[:0], ' '), ts)
	e.tail, e.tailOf = append(e.tail, '\n'), ts
}

// line writes a sample without a bound label.
func (e *Encoder) line(name, suffix string, value float64) {
	b := e.buf
	b = append(b, name...)
	b = append(b, suffix...)
	if len(e.text) > 0 {
		b = append(b, '{')
		b = append(b, e.text...)
		b = append(b, '}')
	}
	e.buf = e.end(b, value)
}

// boundLine writes a sample with a bound label in its place among the others.
func (e *Encoder) boundLine(name, suffix, bound string, at []byte, value float64) {
	before, after := e.text[:e.split], e.text[e.split:]
	b := e.buf
	b = append(b, name...)
	b = append(b, suffix...)
	b = append(b, '{')
	b = append(b, before...)
	if len(before) > 0 {
		b = append(b, ',')
	}
	b = append(b, bound...)
	b = append(b, '=', '"')
	b = append(b, at...)
	b = append(b, '"')
	if len(before) == 0 && len(after) > 0 {
		b = append(b, ',')
	}
	b = append(b, after...) // it begins with a comma unless it is all of text
	b = append(b, '}')
	e.buf = e.end(b, value)
}

// end appends what follows the labels of a sample.
func (e *Encoder) end(b []byte, value float64) []byte {
	e.samples++
	b = append(b, ' ')
	b = exposition.AppendFloat(b, value)
	return append(b, e.tail...)
}
