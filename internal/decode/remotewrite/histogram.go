package remotewrite

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The fields of io.prometheus.client.Histogram, as the byte that stands before each.
const (
	histogramCount         = 1<<3 | variable
	histogramSum           = 2<<3 | eightBytes
	histogramCountFloat    = 4<<3 | eightBytes
	histogramSchema        = 5<<3 | variable
	histogramThreshold     = 6<<3 | eightBytes
	histogramZero          = 7<<3 | variable
	histogramZeroFloat     = 8<<3 | eightBytes
	histogramNegativeSpan  = 9<<3 | lengthFirst
	histogramNegativeDelta = 10<<3 | variable
	histogramNegativeCount = 11<<3 | eightBytes
	histogramPositiveSpan  = 12<<3 | lengthFirst
	histogramPositiveDelta = 13<<3 | variable
	histogramPositiveCount = 14<<3 | eightBytes
)

const (
	leastSchema, mostSchema = -4, 8
	customBuckets           = -53
	gaugeHint               = 3 // the reset hint of a gauge histogram
)

var (
	errCustomBuckets = errors.New("a native histogram has custom buckets, which a scrape by protobuf cannot carry")
	errGauge         = errors.New("a native histogram is a gauge, which a scrape would make a counter of")
)

// histogram makes an io.prometheus.client.Histogram in d.message. It returns its time, since when it counts, why it cannot be said in that
// message, and what is broken.
func (d *Decoder) histogram(b []byte) (ms, start int64, refused, broken error) {
	dst := d.message[:0]
	native := false // it shows as a native one
	m := message{rest: b}
	for m.next() {
		switch {
		case m.is(1, variable):
			dst = appendNumber(dst, histogramCount, m.n)
		case m.is(2, eightBytes):
			dst = appendDouble(dst, histogramCountFloat, m.n)
		case m.is(3, eightBytes):
			dst = appendDouble(dst, histogramSum, m.n)
		case m.is(4, variable):
			if refused == nil {
				refused = schema(zigzag(m.n))
			}
			dst = appendNumber(dst, histogramSchema, m.n)
		case m.is(5, eightBytes):
			dst, native = appendDouble(dst, histogramThreshold, m.n), native || m.n != 0
		case m.is(6, variable):
			dst, native = appendNumber(dst, histogramZero, m.n), native || m.n != 0
		case m.is(7, eightBytes):
			dst, native = appendDouble(dst, histogramZeroFloat, m.n), native || m.n != 0
		case m.is(8, lengthFirst):
			dst, native = appendSpan(dst, histogramNegativeSpan, &m), true
		case m.number == 9:
			dst = appendNumbers(dst, histogramNegativeDelta, &m)
		case m.number == 10:
			dst = appendDoubles(dst, histogramNegativeCount, &m)
		case m.is(11, lengthFirst):
			dst, native = appendSpan(dst, histogramPositiveSpan, &m), true
		case m.number == 12:
			dst = appendNumbers(dst, histogramPositiveDelta, &m)
		case m.number == 13:
			dst = appendDoubles(dst, histogramPositiveCount, &m)
		case m.is(14, variable):
			if m.n == gaugeHint && refused == nil {
				refused = errGauge
			}
		case m.is(15, variable):
			ms = int64(m.n)
		case m.number == 17 && m.wire == variable: // which only 2.0 has
			start = int64(m.n)
		}
	}
	if !native { // a span of nothing tells it from a classic one
		dst = append(dst, histogramPositiveSpan, 0)
	}
	d.message = dst
	if refused == nil {
		refused = timed(ms)
	}
	return ms, start, refused, m.err
}

// schema says why a schema is refused.
func schema(n int64) error {
	switch {
	case n == customBuckets:
		return errCustomBuckets
	case n < leastSchema || n > mostSchema:
		return fmt.Errorf("a native histogram has the schema %d; %d to %d are known", n, leastSchema, mostSchema)
	}
	return nil
}

// appendSpan appends a BucketSpan, which is the same message in both.
func appendSpan(dst []byte, field byte, m *message) []byte {
	span := message{rest: m.data}
	for span.next() && (span.is(1, variable) || span.is(2, variable) || span.err == nil) {
	}
	if span.err != nil {
		m.fail(span.err)
	}
	return appendBytes(dst, field, m.data)
}

func appendNumber(dst []byte, field byte, n uint64) []byte {
	return binary.AppendUvarint(append(dst, field), n)
}

func appendDouble(dst []byte, field byte, bits uint64) []byte {
	return binary.LittleEndian.AppendUint64(append(dst, field), bits)
}

// appendNumbers appends a repeated number, which is packed here and not there.
func appendNumbers(dst []byte, field byte, m *message) []byte {
	switch m.wire {
	case variable:
		return appendNumber(dst, field, m.n)
	case lengthFirst:
		for packed := m.data; len(packed) > 0; {
			n, size := uvarint(packed)
			if size == 0 {
				m.fail(errCut)
				return dst
			}
			dst, packed = appendNumber(dst, field, n), packed[size:]
		}
		return dst
	}
	m.fail(errField)
	return dst
}

// appendDoubles does so for doubles.
func appendDoubles(dst []byte, field byte, m *message) []byte {
	switch {
	case m.wire == eightBytes:
		return appendDouble(dst, field, m.n)
	case m.wire == lengthFirst && len(m.data)%8 == 0:
		for packed := m.data; len(packed) > 0; packed = packed[8:] {
			dst = appendDouble(dst, field, binary.LittleEndian.Uint64(packed))
		}
		return dst
	}
	m.fail(errField)
	return dst
}
