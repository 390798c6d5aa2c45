package spool

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

const (
	segmentHeader  = 24
	segmentMagic   = "hubspool"
	segmentVersion = 1
	segmentSuffix  = ".seg"
	segmentDigits  = 16
	// Beyond, a number has no successor that would be a name.
	maxSegment = 1<<63 - 1
)

// segment is a file of records. The Store's mutex guards it.
type segment struct {
	number uint64
	path   string
	size   int64 // of the file, in bytes
	undone int   // records that are not done

	file file   // nil while it is not open
	used uint64 // when the file was wanted last: see Store.fileLocked

	dirty     bool  // written to since the last Sync
	syncError error // of a Sync that failed; what it lost, no later one can tell

	synced  int64 // what is before is safe, in bytes from the start
	unsafe  int   // records behind that are not done
	syncing int64 // the size when the latest Sync began
	newer   int   // records behind that one that are not done
}

func segmentName(number uint64) string {
	return fmt.Sprintf("%0*x%s", segmentDigits, number, segmentSuffix)
}

// parseSegmentName returns the number of a segment's file, or false if the name is
// not one that segmentName makes.
func parseSegmentName(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != segmentDigits {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 16, 63)
	return number, err == nil && number > 0 && segmentName(number) == name
}

// newSegmentHeader returns what a segment begins with.
func newSegmentHeader(version uint32, number uint64) []byte {
	b := append(make([]byte, 0, segmentHeader), segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint64(b, number)
	return binary.LittleEndian.AppendUint32(b, checksum(b))
}

// parseSegmentHeader returns the version of the segment that b begins with, or
// false if it is not the header of that segment.
func parseSegmentHeader(b []byte, number uint64) (version uint32, ok bool) {
	if len(b) < segmentHeader {
		return 0, false
	}
	version = binary.LittleEndian.Uint32(b[8:])
	return version, string(b[:segmentHeader]) == string(newSegmentHeader(version, number))
}
