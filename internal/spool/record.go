package spool

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Ref says where a record is. It is comparable, has 24 bytes, and is good for the
// Store that returned it.
type Ref struct {
	segment uint64
	offset  uint32
	meta    uint32
	body    uint32
}

// BodyBytes is the length of the record's body.
func (r Ref) BodyBytes() int { return int(r.body) }

// String names the place, for logs.
func (r Ref) String() string {
	return fmt.Sprintf("record at byte %d of %s", r.offset, segmentName(r.segment))
}

// size is what the record takes in its segment, in bytes.
func (r Ref) size() int64 { return recordHeader + int64(r.meta) + int64(r.body) }

// end is the offset after the record.
func (r Ref) end() int64 { return int64(r.offset) + r.size() }

const (
	recordHeader = 36
	recordMagic  = "rec" // behind the mark

	// All bits differ. A mark that lost one is not done, so that the record comes
	// again rather than not at all.
	markPending byte = 0xa5
	markDone    byte = 0x5a
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

func updateSum(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }

// header is what stands before a record.
type header struct {
	ref              Ref
	done             bool
	metaSum, bodySum uint32
}

// appendRecord appends a record that has no place yet: see place.
func appendRecord(dst, meta, body []byte) []byte {
	dst = append(dst, markPending)
	dst = append(dst, recordMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = binary.LittleEndian.AppendUint64(dst, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(meta)))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(body)))
	dst = binary.LittleEndian.AppendUint32(dst, checksum(meta))
	dst = binary.LittleEndian.AppendUint32(dst, checksum(body))
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = append(dst, meta...)
	return append(dst, body...)
}

// place writes into a record where it will stand.
func place(record []byte, segment uint64, offset uint32) {
	binary.LittleEndian.PutUint32(record[4:], offset)
	binary.LittleEndian.PutUint64(record[8:], segment)
	binary.LittleEndian.PutUint32(record[32:], checksum(record[1:32]))
}

// parseHeader reads the header of a record that should stand at that place. It reports
// false if there is none, or its lengths are out of bounds. b has at least
// recordHeader bytes.
func parseHeader(b []byte, segment uint64, offset int64) (header, bool) {
	h := header{
		ref: Ref{
			segment: binary.LittleEndian.Uint64(b[8:]),
			offset:  binary.LittleEndian.Uint32(b[4:]),
			meta:    binary.LittleEndian.Uint32(b[16:]),
			body:    binary.LittleEndian.Uint32(b[20:]),
		},
		done:    b[0] == markDone,
		metaSum: binary.LittleEndian.Uint32(b[24:]),
		bodySum: binary.LittleEndian.Uint32(b[28:]),
	}
	ok := string(b[1:4]) == recordMagic &&
		h.ref.segment == segment && int64(h.ref.offset) == offset &&
		h.ref.meta <= MaxMetaBytes && h.ref.body <= MaxBodyBytes &&
		checksum(b[1:32]) == binary.LittleEndian.Uint32(b[32:])
	return h, ok
}
