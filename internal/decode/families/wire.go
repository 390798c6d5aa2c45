package families

import (
	"encoding/binary"
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// How the value of a field is told, in the lowest bits of its tag.
const (
	variable    = 0
	eightBytes  = 1
	lengthFirst = 2
)

// The fields that are read, as their tags. One of another wire type than here is passed over like one that is not known.
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

	labelName  = 1<<3 | lengthFirst
	labelValue = 2<<3 | lengthFirst

	number          = 1<<3 | eightBytes // of a gauge, a counter or an untyped
	counterExemplar = 2<<3 | lengthFirst
	counterStart    = 3<<3 | lengthFirst

	compoundCount  = 1<<3 | variable // of a histogram or summary
	compoundSum    = 2<<3 | eightBytes
	compoundMember = 3<<3 | lengthFirst // a bucket or quantile
	summaryStart   = 4<<3 | lengthFirst

	histogramCountPart = 4<<3 | eightBytes // a count that is not whole
	zeroThreshold      = 6<<3 | eightBytes
	zeroCount          = 7<<3 | variable
	negativeSpan       = 9<<3 | lengthFirst
	positiveSpan       = 12<<3 | lengthFirst
	histogramStart     = 15<<3 | lengthFirst
	histogramExemplar  = 16<<3 | lengthFirst

	bucketCount     = 1<<3 | variable
	bucketBound     = 2<<3 | eightBytes
	bucketExemplar  = 3<<3 | lengthFirst
	bucketCountPart = 4<<3 | eightBytes

	quantileBound = 1<<3 | eightBytes
	quantileValue = 2<<3 | eightBytes

	timeSeconds = 1<<3 | variable
	timeNanos   = 2<<3 | variable
)

var (
	errCut   = errors.New("the message ends in the middle of a field")
	errField = errors.New("a field of the message is none of protobuf")
)

// fields goes through the fields of a message, in place.
type fields struct {
	rest   []byte
	tag    uint64
	number uint64 // a varint, or the bits of eight bytes
	bytes  []byte // of a field that has a length
	err    error
}

// next reads a field, and returns false at the end or at an error.
func (f *fields) next() bool {
	b := f.rest
	if len(b) == 0 {
		return false
	}
	tag, n := uint64(b[0]), 1
	if tag >= 0x80 {
		tag, n = binary.Uvarint(b)
	}
	if n <= 0 || tag>>3 == 0 || tag>>3 > uint64(protowire.MaxValidNumber) {
		return f.fail(errField)
	}
	f.tag, b = tag, b[n:]
	switch tag & 7 {
	case variable:
		if f.number, n = uvarint(b); n <= 0 {
			return f.fail(errCut)
		}
		f.rest = b[n:]
	case eightBytes:
		if len(b) < 8 {
			return f.fail(errCut)
		}
		f.number, f.rest = binary.LittleEndian.Uint64(b), b[8:]
	case lengthFirst:
		size, n := uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return f.fail(errCut)
		}
		end := n + int(size)
		f.bytes, f.rest = b[n:end:end], b[end:]
	default:
		if n = protowire.ConsumeFieldValue(protowire.Number(tag>>3), protowire.Type(tag&7), b); n < 0 {
			return f.fail(errField)
		}
		f.rest = b[n:]
	}
	return true
}

func (f *fields) fail(err error) bool {
	f.err, f.rest = err, nil
	return false
}

// uvarint is binary.Uvarint, quick for the many that have one byte or two.
func uvarint(b []byte) (uint64, int) {
	switch {
	case len(b) > 0 && b[0] < 0x80:
		return uint64(b[0]), 1
	case len(b) > 1 && b[1] < 0x80:
		return uint64(b[0]&0x7f) | uint64(b[1])<<7, 2
	}
	return binary.Uvarint(b)
}

// join is a message of which a second part came, as protobuf has it.
func join(first, second []byte) []byte {
	if first == nil {
		return second
	}
	return append(first[:len(first):len(first)], second...)
}
