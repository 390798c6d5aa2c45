package groups

import (
	"io"
	"math"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"

	"github.com/hubring/hubring/internal/exposition"
)

// Beside is what stands before a text of groups in the same response: whether there are series
// of a family of that name, and whether it says that the family is a histogram or summary. Nil says that nothing does.
type Beside func(name string) (there, compound bool)

// flushBytes is how much is written at once.
const flushBytes = 128 << 10

// Text writes the families in the text format, to be appended to what stands beside. A family that is there already
// gets no HELP and TYPE a second time, which a parser would refuse. Left is how many metrics could
// not be written for what stands beside: as parts of a histogram or summary their labels make no sense.
func (v *View) Text(out io.Writer, beside Beside) (left int, err error) {
	w := textWriter{out: out}
	for _, f := range v.families {
		there, compound := f.beside(beside)
		w.bare = there
		if !there {
			w.describe(f.Family)
		}
		for _, part := range f.parts {
			for _, m := range part.Metrics {
				if compound && !boundsAreNumbers(m) {
					left++
					continue
				}
				w.metric(f.Family, m)
				if err := w.flush(flushBytes); err != nil {
					return left, err
				}
			}
		}
	}
	return left, w.flush(0)
}

// beside says whether a parser takes the family's series for those of one that stands beside.
func (f *Family) beside(beside Beside) (there, compound bool) {
	if beside == nil {
		return false, false
	}
	there, compound = beside(f.Name)
	for _, suffix := range suffixes(dto.MetricType_HISTOGRAM) {
		if base, cut := strings.CutSuffix(f.Name, suffix); cut {
			if _, is := beside(base); is {
				return true, true
			}
		}
	}
	return there, compound
}

// boundsAreNumbers says whether a metric could be a part of a histogram or summary.
func boundsAreNumbers(m *dto.Metric) bool {
	for _, l := range m.Label {
		if name := l.GetName(); name == bucketLabel || name == quantileLabel {
			if _, err := strconv.ParseFloat(l.GetValue(), 64); err != nil {
				return false
			}
		}
	}
	return true
}

type textWriter struct {
	out  io.Writer
	buf  []byte
	bare bool // the family has no TYPE line
}

// flush writes what there is, if that is so much.
func (w *textWriter) flush(least int) error {
	if len(w.buf) < max(least, 1) {
		return nil
	}
	_, err := w.out.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// describe writes the HELP and TYPE lines of a family. Gauge histograms have none: to Prometheus
// there is no such word in the text format, and it refuses the whole text.
func (w *textWriter) describe(f *Family) {
	if f.Type == dto.MetricType_GAUGE_HISTOGRAM {
		w.bare = true
		return
	}
	if f.Help != "" {
		w.buf = append(append(append(w.buf, "# HELP "...), f.Name...), ' ')
		w.buf = append(exposition.AppendHelp(w.buf, f.Help), '\n')
	}
	w.buf = append(append(append(w.buf, "# TYPE "...), f.Name...), ' ')
	w.buf = append(append(w.buf, typeName(f.Type)...), '\n')
}

func (w *textWriter) metric(f *Family, m *dto.Metric) {
	switch f.Type {
	case dto.MetricType_COUNTER:
		w.line(f.Name, "", m, "", 0, m.Counter.GetValue())
	case dto.MetricType_GAUGE:
		w.line(f.Name, "", m, "", 0, m.Gauge.GetValue())
	case dto.MetricType_UNTYPED:
		w.line(f.Name, "", m, "", 0, m.Untyped.GetValue())
	case dto.MetricType_SUMMARY:
		for _, q := range m.Summary.Quantile {
			w.line(f.Name, "", m, quantileLabel, q.GetQuantile(), q.GetValue())
		}
		w.line(f.Name, "_sum", m, "", 0, m.Summary.GetSampleSum())
		w.line(f.Name, "_count", m, "", 0, float64(m.Summary.GetSampleCount()))
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		eachPart(m.Histogram, func(suffix string, bound, value float64) {
			label := ""
			if suffix == "_bucket" {
				label = bucketLabel
			}
			w.line(f.Name, suffix, m, label, bound, value)
		})
	}
}

// eachPart yields the series of a classic histogram. It has a bucket for all that it observed.
func eachPart(h *dto.Histogram, yield func(suffix string, bound, value float64)) {
	infinite := false
	for _, b := range h.Bucket {
		infinite = infinite || math.IsInf(b.GetUpperBound(), 1)
		yield("_bucket", b.GetUpperBound(), countOf(b.GetCumulativeCount(), b.GetCumulativeCountFloat()))
	}
	count := countOf(h.GetSampleCount(), h.GetSampleCountFloat())
	if !infinite {
		yield("_bucket", math.Inf(1), count)
	}
	yield("_sum", 0, h.GetSampleSum())
	yield("_count", 0, count)
}

// countOf is a count that may be no whole number.
func countOf(whole uint64, float float64) float64 {
	if float > 0 {
		return float
	}
	return float64(whole)
}

// line writes one series and its value; name and bound are of the label that its part has besides, if any.
func (w *textWriter) line(name, suffix string, m *dto.Metric, label string, bound, value float64) {
	b := append(append(w.buf, name...), suffix...)
	separator := byte('{')
	pair := func(name string) {
		b = append(append(append(b, separator), name...), `="`...)
		separator = ','
	}
	for _, l := range m.Label {
		pair(l.GetName())
		b = append(exposition.AppendLabelValue(b, l.GetValue()), '"')
	}
	if label != "" {
		pair(label)
		b = append(w.bound(b, bound), '"')
	}
	if separator == ',' {
		b = append(b, '}')
	}
	w.buf = append(exposition.AppendFloat(append(b, ' '), value), '\n')
}

// bound writes the bound of a part. Behind a TYPE line Prometheus 3 reads 1 as 1.0; without one it is
// written so, as the series would have another name otherwise.
func (w *textWriter) bound(dst []byte, v float64) []byte {
	if w.bare {
		return append(dst, spelled(v)...)
	}
	return append(dst, shortest(v)...)
}
