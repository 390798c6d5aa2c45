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
	b := m.rest
	if len(b) == 0 || m.err != nil {
		return false
	}
	tag, size := uvarint(b)
	if size == 0 || tag>>3 == 0 {
		return m.fail(errCut)
	}
	m.number, m.wire = tag>>3, byte(tag&7)
	b = b[size:]
	switch m.wire {
	case variable:
		m.n, size = uvarint(b)
		if size == 0 {
			return m.fail(errCut)
		}
		m.rest = b[size:]
	case eightBytes:
		if len(b) < 8 {
			return m.fail(errCut)
		}
		m.n, m.rest = binary.LittleEndian.Uint64(b), b[8:]
	case lengthFirst:
		n, head := uvarint(b)
		if head == 0 || n > uint64(len(b)-head) {
			return m.fail(errCut)
		}
		end := head + int(n)
		m.data, m.rest = b[head:end:end], b[end:]
	case fourBytes:
		if len(b) < 4 {
			return m.fail(errCut)
		}
		m.rest = b[4:]
	default:
		return m.fail(errField)
	}
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

// uvarint reads a number and says how many bytes it has, none if it is broken. Most have one byte or two.
func uvarint(b []byte) (uint64, int) {
	switch {
	case len(b) > 0 && b[0] < 0x80:
		return uint64(b[0]), 1
	case len(b) > 1 && b[1] < 0x80:
		return uint64(b[0]&0x7f) | uint64(b[1])<<7, 2
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
