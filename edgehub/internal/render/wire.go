package render

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// The fields of io.prometheus.client's messages, each as the byte that stands before it: its
// number and how its length is told.
const (
	familyName   = 1<<3 | lengthFirst
	familyHelp   = 2<<3 | lengthFirst
	familyType   = 3<<3 | variable
	familyMetric = 4<<3 | lengthFirst

	metricLabel     = 1<<3 | lengthFirst
	metricGauge     = 2<<3 | lengthFirst
	metricCounter   = 3<<3 | lengthFirst
	metricSummary   = 4<<3 | lengthFirst
	metricUntyped   = 5<<3 | lengthFirst
	metricTime      = 6<<3 | variable
	metricHistogram = 7<<3 | lengthFirst

	counterExemplar   = 2<<3 | lengthFirst
	counterStart      = 3<<3 | lengthFirst
	summaryStart      = 4<<3 | lengthFirst
	histogramSchema   = 5<<3 | variable
	bucketExemplar    = 3<<3 | lengthFirst
	histogramStart    = 15<<3 | lengthFirst
	histogramExemplar = 16<<3 | lengthFirst // in two bytes

	timeSeconds = 1<<3 | variable
	timeNanos   = 2<<3 | variable

	labelName  = 1<<3 | lengthFirst
	labelValue = 2<<3 | lengthFirst

	number = 1<<3 | eightBytes // of a gauge, a counter or an untyped

	compoundCount      = 1<<3 | variable // of a histogram or summary
	compoundSum        = 2<<3 | eightBytes
	compoundMember     = 3<<3 | lengthFirst // a bucket or quantile
	histogramCountPart = 4<<3 | eightBytes  // a count that is not whole

	bucketCount     = 1<<3 | variable
	bucketBound     = 2<<3 | eightBytes
	bucketCountPart = 4<<3 | eightBytes

	quantileBound = 1<<3 | eightBytes
	quantileValue = 2<<3 | eightBytes
)

const (
	variable    = 0
	eightBytes  = 1
	lengthFirst = 2
)

// kind is a family's type.
type kind uint8

const (
	counter kind = iota
	gauge
	summary
	untyped
	histogram
	gaugeHistogram
	native // a histogram, in messages of its own
)

// number is the type as the format has it.
func (k kind) number() byte {
	if k == native {
		return byte(histogram)
	}
	return byte(k)
}

// kindOf is the type that a TYPE line names, untyped for none.
func kindOf(word string) kind {
	switch word {
	case "counter":
		return counter
	case "gauge":
		return gauge
	case "summary":
		return summary
	case "histogram":
		return histogram
	}
	return untyped
}

// field is where a metric of the kind has its value.
func (k kind) field() byte {
	return [...]byte{
		counter: metricCounter, gauge: metricGauge, summary: metricSummary, untyped: metricUntyped,
		histogram: metricHistogram, gaugeHistogram: metricHistogram, native: metricHistogram,
	}[k]
}

// varintSize is how many bytes a number takes.
func varintSize(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }

// stringSize is how many bytes a text takes, with its field and length.
func stringSize(n int) int { return 1 + varintSize(uint64(n)) + n }

func appendString(dst []byte, field byte, s string) []byte {
	return append(binary.AppendUvarint(append(dst, field), uint64(len(s))), s...)
}

const doubleSize = 1 + 8

func appendDouble(dst []byte, field byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(append(dst, field), math.Float64bits(v))
}

// appendLabel appends a label of a metric.
func appendLabel(dst []byte, name, value string) []byte {
	n := stringSize(len(name)) + stringSize(len(value))
	if n < 0x80 { // so are both
		dst = append(dst, metricLabel, byte(n), labelName, byte(len(name)))
		dst = append(dst, name...)
		dst = append(dst, labelValue, byte(len(value)))
		return append(dst, value...)
	}
	dst = binary.AppendUvarint(append(dst, metricLabel), uint64(n))
	return appendString(appendString(dst, labelName, name), labelValue, value)
}

// reader reads a message. What is none is broken, and has no more.
type reader struct {
	b      []byte
	i      int
	broken bool
}

func (r *reader) more() bool { return r.i < len(r.b) }

// varint reads a number, or what stands before a field.
func (r *reader) varint() uint64 {
	if r.i < len(r.b) && r.b[r.i] < 0x80 {
		r.i++
		return uint64(r.b[r.i-1])
	}
	return r.longVarint()
}

func (r *reader) longVarint() uint64 {
	n, size := binary.Uvarint(r.b[r.i:])
	if size <= 0 {
		r.fail()
		return 0
	}
	r.i += size
	return n
}

func (r *reader) fail() { r.i, r.broken = len(r.b), true }

func (r *reader) double() float64 {
	if len(r.b)-r.i < 8 {
		r.fail()
		return 0
	}
	r.i += 8
	return math.Float64frombits(binary.LittleEndian.Uint64(r.b[r.i-8:]))
}

func (r *reader) bytes() []byte {
	n := r.varint()
	if n > uint64(len(r.b)-r.i) {
		r.fail()
		return nil
	}
	r.i += int(n)
	return r.b[r.i-int(n) : r.i]
}

// skip passes over a field that nobody asks for.
func (r *reader) skip(tag uint64) {
	switch tag & 7 {
	case variable:
		r.varint()
	case eightBytes:
		r.double()
	case lengthFirst:
		r.bytes()
	default:
		r.fail()
	}
}
