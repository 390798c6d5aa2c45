package remotewrite

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"unsafe"
)

// How protobuf says where a field ends.
const (
	variable    = 0
	eightBytes  = 1
	lengthFirst = 2
	fourBytes   = 5
)

var (
	errCut   = errors.New("the message is cut off")
	errField = errors.New("the message has a field of another kind; is it of another type?")
)

// message walks the fields of a message.
type message struct {
	rest   []byte
	number uint64 // of the field
	wire   byte
	n      uint64 // what a number is
	data   []byte // what follows a length
	err    error
}

// next reads a field.
func (m *message) next() bool {
	if len(m.rest) == 0 || m.err != nil {
		return false
	}
	tag, size := uvarint(m.rest)
	m.number, m.wire = tag>>3, byte(tag&7)
	m.rest = m.rest[size:]
	if size == 0 || m.number == 0 {
		return m.fail(errCut)
	}
	switch m.wire {
	case variable:
		m.n, size = uvarint(m.rest)
		if size == 0 {
			return m.fail(errCut)
		}
	case eightBytes:
		if size = 8; len(m.rest) < size {
			return m.fail(errCut)
		}
		m.n = binary.LittleEndian.Uint64(m.rest)
	case lengthFirst:
		n, head := uvarint(m.rest)
		if head == 0 || n > uint64(len(m.rest)-head) {
			return m.fail(errCut)
		}
		size = head + int(n)
		m.data = m.rest[head:size:size]
	case fourBytes:
		if size = 4; len(m.rest) < size {
			return m.fail(errCut)
		}
	default:
		return m.fail(errField)
	}
	m.rest = m.rest[size:]
	return true
}

func (m *message) fail(err error) bool {
	m.err = err
	return false
}

// is says whether the field is the one of a number. That it is of another kind than wanted is a mistake.
func (m *message) is(number uint64, wire byte) bool {
	if m.number != number {
		return false
	}
	if m.wire != wire {
		return m.fail(errField)
	}
	return true
}

// uvarint reads a number and says how many bytes it has, none if it is broken.
func uvarint(b []byte) (uint64, int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	n, size := binary.Uvarint(b)
	return n, max(size, 0)
}

// zigzag is a number that is written so that small ones below zero are short.
func zigzag(n uint64) int64 { return int64(n>>1) ^ -int64(n&1) }

// view is a string of the same bytes, for a callee that keeps nothing of it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// sized is how many bytes a text takes, with its field and length.
func sized(n int) int { return 1 + (bits.Len64(uint64(n)|1)+6)/7 + n }
