package spool

import (
	"bytes"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/framing"
)

// seal puts right checksums on whatever looks like a header, since a fuzzer does not find
// them, and what lies behind them would not be reached.
func seal(segment []byte) {
	if len(segment) >= framing.SegmentHeader {
		copy(segment[20:24], framing.NewSegmentHeader(segmentMagic, uint32(segment[8]), 1)[20:])
	}
	for at := 0; ; at++ {
		i := bytes.Index(segment[at:], []byte(framing.RecordMagic))
		if i < 0 {
			return
		}
		at += i
		if at > 0 && len(segment)-at+1 >= framing.RecordHeader {
			framing.Place(segment[at-1:], 1, uint32(at-1))
		}
	}
}

// Whatever a segment holds, opening it does no harm, what it brings has the checksums that
// stand there, every byte is accounted for, and the spool works.
func FuzzOpen(f *testing.F) {
	good := framing.NewSegmentHeader(segmentMagic, segmentVersion, 1)
	for i := range 3 {
		r := numbered(i, 20*i)
		from := len(good)
		good = framing.AppendRecord(good, []byte(r.meta), []byte(r.body))
		framing.Place(good[from:], 1, uint32(from))
	}
	f.Add(good, false)
	f.Add(good[:len(good)-5], true)
	f.Add(append([]byte("xxx"), good...), true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, segment []byte, sealed bool) {
		segment = bytes.Clone(segment)
		if sealed {
			seal(segment)
		}
		checkAccount(t, segment)
		cfg := Config{Dir: t.TempDir(), MaxBytes: int64(len(segment)) + 1000}
		require.NoError(t, os.WriteFile(filepath.Join(cfg.Dir, framing.SegmentName(1)), segment, 0o600))
		s := mustOpen(t, cfg)
		require.LessOrEqual(t, s.Bytes(), int64(len(segment)))
		found := recovered(t, s)
		require.Len(t, found, s.Records())
		for _, r := range found {
			stands := segment[r.ref.Offset:r.ref.End()]
			require.Equal(t, r.meta+r.body, string(stands[framing.RecordHeader:]))
			for at, part := range map[int]string{24: r.meta, 28: r.body} {
				require.Equal(t, le32(stands[at:]), crc32.Checksum([]byte(part), crc32.MakeTable(crc32.Castagnoli)))
			}
		}
		more := mustAppend(t, s, 3, 50)
		crash(s)
		again := mustOpen(t, cfg)
		require.Equal(t, append(found, more...), recovered(t, again))
	})
}

func le32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

// checkAccount scans with a small window: each byte is in a record that is visited or in a
// stretch that is lost.
func checkAccount(t *testing.T, segment []byte) {
	if len(segment) < framing.SegmentHeader {
		return
	}
	for _, windowSize := range []int{framing.RecordHeader, framing.RecordHeader + 1, 100, framing.WindowBytes} {
		var good int64
		sc := framing.NewScanner(bytes.NewReader(segment), int64(len(segment)), 1, make([]byte, windowSize))
		sc.Visit = func(h framing.Header) { good += h.Ref.Size() }
		require.NoError(t, sc.Run())
		require.Equal(t, int64(len(segment)), framing.SegmentHeader+good+sc.Lost.Bytes, "window of %d", windowSize)
	}
}
