package framing

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// The bounds of a record and of a segment, in bytes. A length beyond them in a
// file is damage, and nothing is allocated for it.
const (
	MaxMetaBytes    = 1 << 20
	MaxBodyBytes    = 256 << 20
	MaxSegmentBytes = 1 << 30
)

// Ref says where a record is. It is comparable and has 24 bytes.
type Ref struct {
	Segment uint64
	Offset  uint32
	Meta    uint32 // its length in bytes
	Body    uint32 // likewise
}

// BodyBytes is the length of the record's body.
func (r Ref) BodyBytes() int { return int(r.Body) }

// String names the place, for logs.
func (r Ref) String() string {
	return fmt.Sprintf("record at byte %d of %s", r.Offset, SegmentName(r.Segment))
}

// Size is what the record takes in its segment, in bytes.
func (r Ref) Size() int64 { return RecordHeader + int64(r.Meta) + int64(r.Body) }

// End is the offset after the record.
func (r Ref) End() int64 { return int64(r.Offset) + r.Size() }

const (
	// RecordHeader is the length of what stands before a record, in bytes.
	RecordHeader = 36
	// RecordMagic stands behind the mark.
	RecordMagic = "rec"

	// MarkPending is the mark of a record that is wanted still.
	MarkPending byte = 0xa5
	// MarkDone differs in all bits. A mark that lost one is not done, so that the record comes
	// again rather than not at all.
	MarkDone byte = 0x5a
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sum is the checksum of bytes, CRC-32C.
func Sum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

func updateSum(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }

// Header is what stands before a record.
type Header struct {
	Ref              Ref
	Done             bool
	MetaSum, BodySum uint32
}

// AppendRecord appends a record that has no place yet: see Place.
func AppendRecord(dst, meta, body []byte) []byte {
	from := len(dst)
	dst = append(Begin(dst), meta...)
	dst = append(dst, body...)
	Finish(dst[from:], len(meta))
	return dst
}

// Begin appends the room for a record's header. Whoever writes meta and body behind it
// calls Finish then.
func Begin(dst []byte) []byte {
	var header [RecordHeader]byte
	return append(dst, header[:]...)
}

// Finish writes the header of a record, which has no place yet, from its meta, of so many bytes, and body.
func Finish(record []byte, meta int) {
	record[0] = MarkPending
	copy(record[1:], RecordMagic)
	body := record[RecordHeader+meta:]
	binary.LittleEndian.PutUint32(record[16:], uint32(meta))
	binary.LittleEndian.PutUint32(record[20:], uint32(len(body)))
	binary.LittleEndian.PutUint32(record[24:], Sum(record[RecordHeader:RecordHeader+meta]))
	binary.LittleEndian.PutUint32(record[28:], Sum(body))
}

// Place writes into a record where it will stand.
func Place(record []byte, segment uint64, offset uint32) {
	binary.LittleEndian.PutUint32(record[4:], offset)
	binary.LittleEndian.PutUint64(record[8:], segment)
	binary.LittleEndian.PutUint32(record[32:], Sum(record[1:32]))
}

// ParseHeader reads the header of a record that should stand at that place. It reports
// false if there is none, or its lengths are out of bounds. b has at least
// RecordHeader bytes.
func ParseHeader(b []byte, segment uint64, offset int64) (Header, bool) {
	h := Header{
		Ref: Ref{
			Segment: binary.LittleEndian.Uint64(b[8:]),
			Offset:  binary.LittleEndian.Uint32(b[4:]),
			Meta:    binary.LittleEndian.Uint32(b[16:]),
			Body:    binary.LittleEndian.Uint32(b[20:]),
		},
		Done:    b[0] == MarkDone,
		MetaSum: binary.LittleEndian.Uint32(b[24:]),
		BodySum: binary.LittleEndian.Uint32(b[28:]),
	}
	ok := string(b[1:4]) == RecordMagic &&
		h.Ref.Segment == segment && int64(h.Ref.Offset) == offset &&
		h.Ref.Meta <= MaxMetaBytes && h.Ref.Body <= MaxBodyBytes &&
		Sum(b[1:32]) == binary.LittleEndian.Uint32(b[32:])
	return h, ok
}
