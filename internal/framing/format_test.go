package framing

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"
)

// What is on disks stays what it is: these bytes were written by the first version.
func TestFormat(t *testing.T) {
	segment := NewSegmentHeader("hubspool", 1, 7)
	record := AppendRecord(nil, []byte("me"), []byte("body"))
	Place(record, 7, SegmentHeader)
	assert.Equal(t, golden, hex.EncodeToString(append(segment, record...)))
}

const golden = "68756273706f6f6c0100000007000000000000009386f944" +
	"a57265631800000007000000000000000200000004000000b9eff6e550c93f26268b52f16d65626f6479"
