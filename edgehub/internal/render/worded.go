package render

import (
	"encoding/binary"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/words"
)

// Native histograms, exemplars and start times lie in an arrangement as words. Few have any, so what writes them need not be fast.
//
// Each native histogram that has exemplars, or buckets that may have some, is the last of its message: to Prometheus 3.15 exemplars of the
// next one in it would begin where the ones before ended.

// countWords counts what is more than numbers in the points of a series, for a format that has no place for it.
func countWords(a *arrange.Arrangement, id series.ID, points []arrange.Point, s *words.Sample) {
	for _, p := range points {
		s.Read(p.Value, a.Words(id, p.Time))
		if s.Histogram != nil {
			a.LeftOut.Histograms++
		}
		if s.Start != 0 {
			a.LeftOut.Starts++
		}
		a.LeftOut.Exemplars += len(s.Exemplars)
		a.LeftOut.Cut += s.Cut
	}
}

// countAllWords counts them in all series, of an arrangement that was written from messages in another format.
func countAllWords(a *arrange.Arrangement) {
	a.LeftOut = arrange.LeftOut{}
	if !a.HasWords() {
		return
	}
	var sample words.Sample
	for s := range eachSeries(a) {
		countWords(a, s.id, a.Of(s.id), &sample)
	}
}

// read reads the words of a series' point.
func (w *protoWriter) read(id series.ID, p arrange.Point) *words.Sample {
	s := &w.sample
	s.Read(p.Value, w.a.Words(id, p.Time))
	w.a.LeftOut.Cut += s.Cut
	return s
}

// wordedPoints does what points does, where some may have words.
func (w *protoWriter) wordedPoints(id series.ID, k kind, labels []byte, points []arrange.Point) error {
	for _, p := range points {
		if p.Time == 0 {
			continue
		}
		s := w.read(id, p)
		var err error
		if p.Native() {
			err = w.native(k, labels, p.Time, s)
		} else {
			w.inner = appendDouble(w.inner[:0], number, exact(p.Value))
			if k == counter {
				w.inner = appendExemplar(w.inner, counterExemplar, w.one(s.Exemplars))
				w.inner = appendStart(w.inner, counterStart, s.Start)
			} else {
				w.noPlace(s)
			}
			err = w.add(k, labels, p.Time)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// native writes a native histogram, unless it was cut, beside the metrics of the family that was entered.
func (w *protoWriter) native(k kind, labels []byte, t int64, s *words.Sample) error {
	if s.Histogram == nil {
		w.noPlace(s)
		return nil
	}
	own := w.nativeKind()
	w.as(own)
	w.inner = appendStart(append(w.inner[:0], s.Histogram...), histogramStart, s.Start)
	err := w.addNative(own, labels, t, s.Exemplars, len(s.Exemplars) > 0)
	w.as(k)
	return err
}

// nativeKind is what a native histogram of the family is: one of a gauge may go down.
func (w *protoWriter) nativeKind() kind {
	if w.kind == gauge {
		return gaugeHistogram
	}
	return native
}

// addNative ends a native histogram with its exemplars and adds it, as the last of its message or not.
func (w *protoWriter) addNative(k kind, labels []byte, t int64, exemplars [][]byte, last bool) error {
	for _, e := range exemplars {
		w.inner = binary.AppendUvarint(w.inner, histogramExemplar)
		w.inner = append(binary.AppendUvarint(w.inner, uint64(len(e))), e...)
	}
	if err := w.add(k, labels, t); err != nil {
		return err
	}
	if last {
		w.close()
	}
	return nil
}

// add adds a metric with the message in the scratch space.
func (w *protoWriter) add(k kind, labels []byte, t int64) error {
	buf := w.begin()
	size := len(labels) + stringSize(len(w.inner)) + 1 + varintSize(uint64(t))
	buf = binary.AppendUvarint(append(buf, familyMetric), uint64(size))
	buf = append(buf, labels...)
	buf = binary.AppendUvarint(append(buf, k.field()), uint64(len(w.inner)))
	buf = append(buf, w.inner...)
	buf = binary.AppendUvarint(append(buf, metricTime), uint64(t))
	return w.added(buf)
}

// one is the exemplar for which there is a place, the last one; nil for none.
func (w *protoWriter) one(exemplars [][]byte) []byte {
	if len(exemplars) == 0 {
		return nil
	}
	w.a.LeftOut.Exemplars += len(exemplars) - 1
	return exemplars[len(exemplars)-1]
}

// noPlace counts what has none.
func (w *protoWriter) noPlace(s *words.Sample) {
	w.a.LeftOut.Exemplars += len(s.Exemplars)
	if s.Start != 0 {
		w.a.LeftOut.Starts++
	}
}

// wordedCompound writes the points of one time of a histogram or summary, and what the words of its parts say.
func (w *protoWriter) wordedCompound(c *compound, n int, t int64) error {
	start, k := int64(0), c.kind
	w.inner = w.inner[:0]
	if c.whole != nil { // also for its number of observations and their sum
		s := w.read(c.whole.id, c.whole.points[n])
		if s.Histogram != nil {
			w.inner, k = append(w.inner, s.Histogram...), native
			start = s.Start
		} else if w.noPlace(s); c.count == nil {
			return nil
		}
	}
	if c.count != nil {
		if k != native {
			w.inner = appendCount(w.inner, c.count.points[n].Value)
			w.inner = appendDouble(w.inner, compoundSum, exact(c.sum.points[n].Value))
		}
		for _, p := range []*part{c.count, c.sum} {
			s := w.read(p.id, p.points[n])
			w.a.LeftOut.Exemplars += len(s.Exemplars)
			start = max(start, s.Start)
		}
	}
	for i := range c.members {
		start = max(start, w.wordedMember(c.kind, &c.members[i], n))
	}
	field := byte(histogramStart)
	if k == summary {
		field = summaryStart
	}
	w.inner = appendStart(w.inner, field, start)
	w.enter(w.name, w.help, k)
	if k != native {
		return w.add(k, w.run.labels, t)
	}
	s := &w.sample // which a member's words may have taken the place of
	s.Read(c.whole.points[n].Value, w.a.Words(c.whole.id, t))
	return w.addNative(k, w.run.labels, t, s.Exemplars, len(s.Exemplars) > 0 || c.count != nil)
}

// wordedMember appends a bucket or quantile, and returns its start time.
func (w *protoWriter) wordedMember(k kind, m *part, n int) (start int64) {
	s, v := w.read(m.id, m.points[n]), m.points[n].Value
	if k == summary {
		w.part = appendDouble(appendDouble(w.part[:0], quantileBound, m.bound), quantileValue, exact(v))
		w.a.LeftOut.Exemplars += len(s.Exemplars)
	} else {
		w.part = appendDouble(appendCount(w.part[:0], v), bucketBound, m.bound)
		w.part = appendExemplar(w.part, bucketExemplar, w.one(s.Exemplars))
	}
	w.inner = binary.AppendUvarint(append(w.inner, compoundMember), uint64(len(w.part)))
	w.inner = append(w.inner, w.part...)
	return s.Start
}

func appendExemplar(dst []byte, field byte, message []byte) []byte {
	if message == nil {
		return dst
	}
	return append(binary.AppendUvarint(append(dst, field), uint64(len(message))), message...)
}

// appendStart appends a start time in milliseconds, 0 for none.
func appendStart(dst []byte, field byte, ms int64) []byte {
	if ms == 0 {
		return dst
	}
	seconds, nanos := uint64(ms/1000), uint64(ms%1000)*1e6
	size := 2 + varintSize(seconds) + varintSize(nanos)
	dst = binary.AppendUvarint(append(dst, field), uint64(size))
	dst = binary.AppendUvarint(append(dst, timeSeconds), seconds)
	return binary.AppendUvarint(append(dst, timeNanos), nanos)
}
