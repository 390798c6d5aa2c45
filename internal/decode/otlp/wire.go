package otlp

import (
	"encoding/binary"
	"errors"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// errWire is about a body that is no message.
var errWire = errors.New("the body is no ExportMetricsServiceRequest in protobuf: a field breaks off, or is of no kind that there is")

// The wire types, as the low bits of a tag.
const (
	varint  = uint64(protowire.VarintType)
	fixed64 = uint64(protowire.Fixed64Type)
	block   = uint64(protowire.BytesType)
	fixed32 = uint64(protowire.Fixed32Type)
)

// message reads the fields of a message one by one. A field of an unexpected wire type has another tag and is passed over like one that is
// not known.
type message struct {
	rest   []byte
	tag    uint64 // number<<3 | wire type, of the field that was read last
	value  uint64 // of a varint, or of four or eight bytes
	bytes  []byte // of a field with a length
	broken bool
}

// next reads a field. It returns false at the end, and where the message is broken.
func (m *message) next() bool {
	b := m.rest
	if len(b) == 0 {
		return false
	}
	tag, n := uvarint(b)
	if n < 0 || tag>>3 == 0 {
		return m.fail()
	}
	m.tag, b = tag, b[n:]
	switch tag & 7 {
	case varint:
		if m.value, n = uvarint(b); n < 0 {
			return m.fail()
		}
		m.rest = b[n:]
	case fixed64:
		if len(b) < 8 {
			return m.fail()
		}
		m.value, m.rest = binary.LittleEndian.Uint64(b), b[8:]
	case block:
		size, n := uvarint(b)
		if n < 0 || size > uint64(len(b)-n) {
			return m.fail()
		}
		end := n + int(size)
		m.bytes, m.rest = b[n:end:end], b[end:]
	case fixed32:
		if len(b) < 4 {
			return m.fail()
		}
		m.value, m.rest = uint64(binary.LittleEndian.Uint32(b)), b[4:]
	default:
		return m.fail()
	}
	return true
}

func (m *message) fail() bool {
	m.broken, m.rest = true, nil
	return false
}

// varint reads a number that has no field around it.
func (m *message) varint() uint64 {
	v, n := uvarint(m.rest)
	if n < 0 {
		m.fail()
		return 0
	}
	m.rest = m.rest[n:]
	return v
}

// uvarint is protowire.ConsumeVarint, quick for the many that have one byte or two.
func uvarint(b []byte) (uint64, int) {
	switch {
	case len(b) > 0 && b[0] < 0x80:
		return uint64(b[0]), 1
	case len(b) > 1 && b[1] < 0x80:
		return uint64(b[0]&0x7f) | uint64(b[1])<<7, 2
	}
	return protowire.ConsumeVarint(b)
}

// end is the error of a message that was read to its end.
func (m *message) end() error {
	if m.broken {
		return errWire
	}
	return nil
}

// double is the value of a field of eight bytes as a number.
func (m *message) double() float64 { return math.Float64frombits(m.value) }

// sint32 is the value of a varint that has its sign in its lowest bit.
func (m *message) sint32() int32 { return int32(protowire.DecodeZigZag(m.value & math.MaxUint32)) }

// appendFixed appends packed numbers of eight bytes.
func appendFixed(dst []uint64, packed []byte) ([]uint64, error) {
	if len(packed)%8 != 0 {
		return dst, errWire
	}
	for ; len(packed) > 0; packed = packed[8:] {
		dst = append(dst, binary.LittleEndian.Uint64(packed))
	}
	return dst, nil
}
