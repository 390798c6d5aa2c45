package framing

import "encoding/binary"

// Reader takes apart what was written as numbers and texts one behind the other. Behind what makes no sense it is Bad,
// and yields zeros.
type Reader struct {
	Rest []byte
	Bad  bool
}

// Uvarint reads a number.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.Rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.Rest = r.Rest[n:]
	return v
}

// Varint reads a number that may be negative.
func (r *Reader) Varint() int64 {
	v, n := binary.Varint(r.Rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.Rest = r.Rest[n:]
	return v
}

// Text reads a uvarint of a length, and so many bytes, which are not copied.
func (r *Reader) Text() []byte {
	n := r.Uvarint()
	if n > uint64(len(r.Rest)) {
		r.fail()
		return nil
	}
	b := r.Rest[:n:n]
	r.Rest = r.Rest[n:]
	return b
}

// Byte reads one.
func (r *Reader) Byte() byte {
	if len(r.Rest) == 0 {
		r.fail()
		return 0
	}
	b := r.Rest[0]
	r.Rest = r.Rest[1:]
	return b
}

func (r *Reader) fail() { r.Rest, r.Bad = nil, true }
