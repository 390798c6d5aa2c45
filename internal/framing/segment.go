package framing

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

const (
	// SegmentHeader is the length of what a segment begins with, in bytes.
	SegmentHeader = 24
	// SegmentSuffix ends the name of a segment's file.
	SegmentSuffix = ".seg"
	// MaxSegment is the largest number of a segment. Beyond, one has no successor that would be a name.
	MaxSegment = 1<<63 - 1

	segmentDigits = 16
)

// SegmentName is the name of the file of the segment with a number.
func SegmentName(number uint64) string {
	return fmt.Sprintf("%0*x%s", segmentDigits, number, SegmentSuffix)
}

// ParseSegmentName returns the number of a segment's file, or false if the name is
// not one that SegmentName makes.
func ParseSegmentName(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, SegmentSuffix)
	if !ok || len(digits) != segmentDigits {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 16, 63)
	return number, err == nil && number > 0 && SegmentName(number) == name
}

// NewSegmentHeader returns what a segment begins with. The magic has eight bytes.
func NewSegmentHeader(magic string, version uint32, number uint64) []byte {
	b := append(make([]byte, 0, SegmentHeader), magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint64(b, number)
	return binary.LittleEndian.AppendUint32(b, Sum(b))
}

// ParseSegmentHeader returns the version of the segment that b begins with, or
// false if it is not the header of that segment.
func ParseSegmentHeader(b []byte, magic string, number uint64) (version uint32, ok bool) {
	if len(b) < SegmentHeader {
		return 0, false
	}
	version = binary.LittleEndian.Uint32(b[8:])
	return version, string(b[:SegmentHeader]) == string(NewSegmentHeader(magic, version, number))
}
