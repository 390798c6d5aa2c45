package otlp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strconv"

	"github.com/hubring/hubring/internal/decode"
)

// stale is the number that Prometheus ends a series with.
var stale = math.Float64frombits(0x7ff0000000000002)

// noValue is the flag of a point whose series has ended.
const noValue = 1

// times are a point's, in nanoseconds; 0 for none.
type times struct{ start, at uint64 }

// ms is a time in milliseconds. Who does not say it gets the arrival's.
func ms(ns uint64) int64 {
	if ns == 0 {
		return decode.NoTime
	}
	return int64(ns / 1e6)
}

// bring brings a sample of the point that is read.
func (r *reader) bring(t times, suffix, more string, value float64) error {
	return r.to.Sample(r.name(r.metric.family, suffix, more), ms(t.at), value)
}

// bringCount brings how many a histogram or summary has counted, and since when.
func (r *reader) bringCount(t times, value float64) error {
	if err := r.bring(t, "_count", "", value); err != nil {
		return err
	}
	return r.start(t)
}

// start says since when it counts.
func (r *reader) start(t times) error {
	if t.start == 0 || !r.metric.counts {
		return nil
	}
	return r.to.Start(ms(t.start))
}

// number reads a NumberDataPoint.
func (r *reader) number(b []byte) error {
	var t times
	var value float64
	r.beginPoint("")
	ended := false
	m := message{rest: b}
	for from := m.rest; m.next(); from = m.rest {
		switch m.tag {
		case 7<<3 | block:
			if err := r.attribute(&m, from); err != nil {
				return err
			}
		case 2<<3 | fixed64:
			t.start = m.value
		case 3<<3 | fixed64:
			t.at = m.value
		case 4<<3 | fixed64:
			value = m.double()
		case 6<<3 | fixed64:
			value = float64(int64(m.value))
		case 5<<3 | block:
			if err := r.addExemplar(m.bytes); err != nil {
				return err
			}
		case 8<<3 | varint:
			ended = m.value&noValue != 0
		}
	}
	if m.broken {
		return errWire
	}
	if err := r.label(); err != nil {
		return err
	}
	if ended {
		value = stale
	}
	if err := r.bring(t, "", "", value); err != nil {
		return err
	}
	r.target.saw(t.at)
	if err := r.start(t); err != nil {
		return err
	}
	if !r.metric.counts { // Prometheus has none of gauges
		return nil
	}
	return r.bringExemplars(r.exemplars)
}

var errBounds = errors.New("the bounds of its buckets are not in order")

// classic reads a HistogramDataPoint.
func (r *reader) classic(b []byte) error {
	var t times
	var sum float64
	var count uint64
	var bounds []byte
	var err error
	r.beginPoint("le")
	r.counts = r.counts[:0]
	summed, ended := false, false
	m := message{rest: b}
	for from := m.rest; m.next(); from = m.rest {
		switch m.tag {
		case 9<<3 | block:
			err = r.attribute(&m, from)
		case 2<<3 | fixed64:
			t.start = m.value
		case 3<<3 | fixed64:
			t.at = m.value
		case 4<<3 | fixed64:
			count = m.value
		case 5<<3 | fixed64:
			sum, summed = m.double(), true
		case 6<<3 | block:
			r.counts, err = appendFixed(r.counts, m.bytes)
		case 6<<3 | fixed64:
			r.counts = append(r.counts, m.value)
		case 7<<3 | block:
			if bounds == nil {
				bounds = m.bytes
			} else {
				bounds = append(bounds[:len(bounds):len(bounds)], m.bytes...)
			}
		case 7<<3 | fixed64:
			bounds = binary.LittleEndian.AppendUint64(bounds[:len(bounds):len(bounds)], m.value)
		case 8<<3 | block:
			err = r.addExemplar(m.bytes)
		case 10<<3 | varint:
			ended = m.value&noValue != 0
		}
		if err != nil {
			return err
		}
	}
	if m.broken || len(bounds)%8 != 0 {
		return errWire
	}
	if err := r.cut(bounds); err != nil {
		return err
	}
	if err := r.label(); err != nil {
		return err
	}
	total, whole := float64(count), uint64(0)
	if ended {
		sum, total = stale, stale
	}
	if summed {
		if err := r.bring(t, "_sum", "", sum); err != nil {
			return err
		}
	}
	if err := r.bringCount(t, total); err != nil {
		return err
	}
	exemplars := r.exemplars
	for i, edge := range r.edges[:min(len(r.edges), len(r.counts))] {
		whole += r.counts[i]
		value := float64(whole)
		if ended {
			value = stale
		}
		if err := r.bring(t, "_bucket", edge, value); err != nil {
			return err
		}
		n := 0
		for bound := boundAt(bounds, i); n < len(exemplars) && exemplars[n].value <= bound; n++ {
		}
		if err := r.bringExemplars(exemplars[:n]); err != nil {
			return err
		}
		exemplars = exemplars[n:]
	}
	if err := r.bring(t, "_bucket", `le="+Inf",`, total); err != nil {
		return err
	}
	r.target.saw(t.at)
	return r.bringExemplars(exemplars)
}

func boundAt(bounds []byte, i int) float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(bounds[8*i:]))
}

// cut writes the labels of a histogram's buckets, unless the last one had the same.
func (r *reader) cut(bounds []byte) error {
	if bytes.Equal(bounds, r.bounds) {
		return nil
	}
	r.bounds, r.edges = r.bounds[:0], r.edges[:0]
	last := math.Inf(-1)
	for i := range len(bounds) / 8 {
		bound := boundAt(bounds, i)
		if math.IsNaN(bound) || math.IsInf(bound, 1) || i > 0 && bound <= last {
			r.edges = r.edges[:0]
			return errBounds
		}
		r.scratch = strconv.AppendFloat(append(r.scratch[:0], `le="`...), bound, 'f', -1, 64)
		r.edges = append(r.edges, string(append(r.scratch, '"', ',')))
		last = bound
	}
	r.bounds = append(r.bounds, bounds...)
	return nil
}

// summary reads a SummaryDataPoint.
func (r *reader) summary(b []byte) error {
	var t times
	var sum float64
	var count uint64
	r.beginPoint("quantile")
	ended := false
	m := message{rest: b}
	for from := m.rest; m.next(); from = m.rest {
		switch m.tag {
		case 7<<3 | block:
			if err := r.attribute(&m, from); err != nil {
				return err
			}
		case 2<<3 | fixed64:
			t.start = m.value
		case 3<<3 | fixed64:
			t.at = m.value
		case 4<<3 | fixed64:
			count = m.value
		case 5<<3 | fixed64:
			sum = m.double()
		case 8<<3 | varint:
			ended = m.value&noValue != 0
		}
	}
	if m.broken {
		return errWire
	}
	if err := r.label(); err != nil {
		return err
	}
	total := float64(count)
	if ended {
		sum, total = stale, stale
	}
	if err := r.bring(t, "_sum", "", sum); err != nil {
		return err
	}
	if err := r.bringCount(t, total); err != nil {
		return err
	}
	m = message{rest: b}
	for m.next() {
		if m.tag == 6<<3|block {
			if err := r.quantile(t, m.bytes, ended); err != nil {
				return err
			}
		}
	}
	r.target.saw(t.at)
	return nil
}

// quantile reads a ValueAtQuantile.
func (r *reader) quantile(t times, b []byte, ended bool) error {
	var quantile, value float64
	m := message{rest: b}
	for m.next() {
		switch m.tag {
		case 1<<3 | fixed64:
			quantile = m.double()
		case 2<<3 | fixed64:
			value = m.double()
		}
	}
	if m.broken {
		return errWire
	}
	if ended {
		value = stale
	}
	r.scratch = strconv.AppendFloat(append(r.scratch[:0], `quantile="`...), quantile, 'f', -1, 64)
	r.scratch = append(r.scratch, '"', ',')
	return r.bring(t, "", view(r.scratch), value)
}
