package native

import (
	"errors"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of a Histogram.
const (
	fieldCount        = 1
	fieldSum          = 2
	fieldCountPart    = 4
	fieldSchema       = 5
	fieldThreshold    = 6
	fieldZeroCount    = 7
	fieldZeroPart     = 8
	fieldNegativeSpan = 9 // deltas and counts have the next numbers
	fieldPositiveSpan = 12
	fieldStart        = 15

	spanOffset = 1
	spanLength = 2
)

// NoSpan is an empty span, as a field of a Histogram. Behind a message it says that the histogram is a native one, and nothing else.
var NoSpan = []byte{fieldPositiveSpan<<3 | byte(protowire.BytesType), 0}

var (
	errMessage = errors.New("is no message of a native histogram")
	errBeside  = errors.New("has something beside what makes a native histogram")
)

// Read reads the message of an io.prometheus.client.Histogram that has native buckets and nothing else. It keeps its memory from one Read
// to the next. Its error goes behind a name, as a Fault.
func (h *Histogram) Read(message []byte) error {
	*h = Histogram{Positive: h.Positive.emptied(), Negative: h.Negative.emptied()}
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return errMessage
		}
		message = message[n:]
		var ok bool
		switch {
		case number == fieldCount && kind == protowire.VarintType:
			h.Count, message, ok = varint(message)
		case number == fieldZeroCount && kind == protowire.VarintType:
			h.ZeroCount, message, ok = varint(message)
		case number == fieldSchema && kind == protowire.VarintType:
			var v uint64
			v, message, ok = varint(message)
			h.Schema = int32(protowire.DecodeZigZag(v & math.MaxUint32))
		case number == fieldSum && kind == protowire.Fixed64Type:
			h.Sum, message, ok = double(message)
		case number == fieldCountPart && kind == protowire.Fixed64Type:
			h.CountPart, message, ok = double(message)
		case number == fieldThreshold && kind == protowire.Fixed64Type:
			h.ZeroThreshold, message, ok = double(message)
		case number == fieldZeroPart && kind == protowire.Fixed64Type:
			h.ZeroPart, message, ok = double(message)
		case number >= fieldNegativeSpan && number < fieldPositiveSpan:
			message, ok = h.Negative.read(number-fieldNegativeSpan, kind, message)
		case number >= fieldPositiveSpan && number < fieldStart:
			message, ok = h.Positive.read(number-fieldPositiveSpan, kind, message)
		default:
			return errBeside
		}
		if !ok {
			return errMessage
		}
	}
	return nil
}

func (s Side) emptied() Side { return Side{s.Spans[:0], s.Deltas[:0], s.Counts[:0]} }

// read reads one field of a side: spans, deltas or counts, the latter one by one or packed.
func (s *Side) read(field protowire.Number, kind protowire.Type, message []byte) (rest []byte, ok bool) {
	some := message
	if kind == protowire.BytesType {
		var n int
		if some, n = protowire.ConsumeBytes(message); n < 0 {
			return nil, false
		}
		rest = message[n:]
	}
	switch {
	case field == 0 && kind == protowire.BytesType:
		return rest, s.span(some)
	case field == 1 && kind == protowire.VarintType:
		some, ok = s.delta(some)
		return some, ok
	case field == 1 && kind == protowire.BytesType:
		for ok = true; ok && len(some) > 0; {
			some, ok = s.delta(some)
		}
		return rest, ok
	case field == 2 && kind == protowire.Fixed64Type:
		some, ok = s.count(some)
		return some, ok
	case field == 2 && kind == protowire.BytesType:
		for ok = true; ok && len(some) > 0; {
			some, ok = s.count(some)
		}
		return rest, ok
	}
	return nil, false
}

func (s *Side) delta(message []byte) (rest []byte, ok bool) {
	v, rest, ok := varint(message)
	if ok {
		s.Deltas = append(s.Deltas, protowire.DecodeZigZag(v))
	}
	return rest, ok
}

func (s *Side) count(message []byte) (rest []byte, ok bool) {
	v, rest, ok := double(message)
	if ok {
		s.Counts = append(s.Counts, v)
	}
	return rest, ok
}

func (s *Side) span(message []byte) (ok bool) {
	var span Span
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 || kind != protowire.VarintType {
			return false
		}
		var v uint64
		if v, message, ok = varint(message[n:]); !ok {
			return false
		}
		switch number {
		case spanOffset:
			span.Offset = int32(protowire.DecodeZigZag(v & math.MaxUint32))
		case spanLength:
			span.Length = uint32(v)
		default:
			return false
		}
	}
	s.Spans = append(s.Spans, span)
	return true
}

func varint(message []byte) (v uint64, rest []byte, ok bool) {
	v, n := protowire.ConsumeVarint(message)
	if n < 0 {
		return 0, nil, false
	}
	return v, message[n:], true
}

func double(message []byte) (v float64, rest []byte, ok bool) {
	bits, n := protowire.ConsumeFixed64(message)
	if n < 0 {
		return 0, nil, false
	}
	return math.Float64frombits(bits), message[n:], true
}

// maxExemplarRunes is how long the names and values of an exemplar's labels may be together, as OpenMetrics has it.
const maxExemplarRunes = 128

// The fields of an Exemplar, of its labels and its time.
const (
	exemplarLabel = 1
	exemplarValue = 2
	exemplarTime  = 3

	labelName  = 1
	labelValue = 2
)

// IsExemplar says whether a message is an io.prometheus.client.Exemplar that may be passed on.
func IsExemplar(message []byte) bool {
	runes := 0
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return false
		}
		message = message[n:]
		switch {
		case number == exemplarValue && kind == protowire.Fixed64Type:
			n = protowire.ConsumeFieldValue(number, kind, message)
		case number == exemplarTime && kind == protowire.BytesType:
			var time []byte
			if time, n = protowire.ConsumeBytes(message); !isTime(time) {
				return false
			}
		case number == exemplarLabel && kind == protowire.BytesType:
			var label []byte
			label, n = protowire.ConsumeBytes(message)
			long, ok := runesOf(label)
			if runes += long; !ok {
				return false
			}
		default:
			return false
		}
		if n < 0 {
			return false
		}
		message = message[n:]
	}
	return runes <= maxExemplarRunes
}

// runesOf is how long a label's name and value are together.
func runesOf(label []byte) (runes int, ok bool) {
	for len(label) > 0 {
		number, kind, n := protowire.ConsumeTag(label)
		if n < 0 || kind != protowire.BytesType || number != labelName && number != labelValue {
			return 0, false
		}
		text, m := protowire.ConsumeBytes(label[n:])
		if m < 0 || !utf8.Valid(text) {
			return 0, false
		}
		runes += utf8.RuneCount(text)
		label = label[n+m:]
	}
	return runes, true
}

func isTime(message []byte) bool {
	for len(message) > 0 {
		_, kind, n := protowire.ConsumeTag(message)
		if n < 0 || kind != protowire.VarintType {
			return false
		}
		_, m := protowire.ConsumeVarint(message[n:])
		if m < 0 {
			return false
		}
		message = message[n+m:]
	}
	return true
}
