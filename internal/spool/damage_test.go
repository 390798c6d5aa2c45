package spool

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/framing"
)

// damaged appends three records and closes, changes the file of one segment, and opens it again.
func damaged(t *testing.T, change func(b []byte, records []record) []byte) (*Store, []record) {
	t.Helper()
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
	s := mustOpen(t, cfg)
	records := mustAppend(t, s, 3, 100)
	require.NoError(t, s.Close())
	edit(t, segmentFiles(t, cfg.Dir)[0], func(b []byte) []byte { return change(b, records) })
	return mustOpen(t, cfg), records
}

func flip(offset int64) func([]byte, []record) []byte {
	return func(b []byte, records []record) []byte {
		b[int64(records[1].ref.Offset)+offset] ^= 0x10
		return b
	}
}

func TestDamage(t *testing.T) {
	cut := func(n int) func([]byte, []record) []byte {
		return func(b []byte, _ []record) []byte { return b[:len(b)-n] }
	}
	rec := numbered(0, 100)
	n := Ref{Meta: uint32(len(rec.meta)), Body: uint32(len(rec.body))}.Size()
	for _, c := range []struct {
		name      string
		change    func(b []byte, records []record) []byte
		left      []int
		lost      int
		lostBytes int64
	}{
		{"nothing", cut(0), []int{0, 1, 2}, 0, 0},
		{"torn in the body", cut(1), []int{0, 1}, 1, n - 1},
		{"torn in the header", cut(int(n) - 1), []int{0, 1}, 1, 1},
		{"torn between records", cut(int(n)), []int{0, 1}, 0, 0},
		{"torn in the second", cut(int(n) + 7), []int{0}, 1, n - 7},
		{"the mark, one bit", flip(0), []int{0, 1, 2}, 0, 0},
		{"magic", flip(2), []int{0, 2}, 1, n},
		{"offset", flip(5), []int{0, 2}, 1, n},
		{"segment", flip(9), []int{0, 2}, 1, n},
		{"length of the meta, small", flip(16), []int{0, 2}, 1, n},
		{"length of the meta, huge", flip(19), []int{0, 2}, 1, n},
		{"length of the body, huge", flip(23), []int{0, 2}, 1, n},
		{"checksum of the meta", flip(24), []int{0, 2}, 1, n},
		{"checksum of the body", flip(28), []int{0, 2}, 1, n},
		{"checksum of the header", flip(32), []int{0, 2}, 1, n},
		{"meta", flip(framing.RecordHeader), []int{0, 2}, 1, n},
		{"body, last byte", flip(n - 1), []int{0, 2}, 1, n},
		{"zeros at the end", func(b []byte, _ []record) []byte {
			return append(b, make([]byte, 5000)...)
		}, []int{0, 1, 2}, 1, 5000},
		{"zeros over the first", func(b []byte, r []record) []byte {
			clear(b[framing.SegmentHeader:r[1].ref.Offset])
			return b
		}, []int{1, 2}, 1, n},
		{"text before the last", func(b []byte, r []record) []byte {
			return slices.Insert(b, int(r[2].ref.Offset), []byte("text")...)
		}, []int{0, 1}, 1, n + 4}, // it is not where it says it is
		{"a record twice", func(b []byte, r []record) []byte {
			return append(b, b[r[2].ref.Offset:]...)
		}, []int{0, 1, 2}, 1, n},
		{"magic of the segment", func(b []byte, _ []record) []byte { b[0]++; return b }, []int{0, 1, 2}, 0, framing.SegmentHeader},
		{"version of the segment, unsealed", func(b []byte, _ []record) []byte { b[8]++; return b }, []int{0, 1, 2}, 0, framing.SegmentHeader},
		{"number of the segment", func(b []byte, _ []record) []byte { b[12]++; return b }, []int{0, 1, 2}, 0, framing.SegmentHeader},
		{"header of the segment and a record", func(b []byte, r []record) []byte {
			b[3]++
			return flip(3)(b, r)
		}, []int{0, 2}, 1, n + framing.SegmentHeader},
		{"a length beyond the bound, sealed", func(b []byte, r []record) []byte {
			record := b[r[1].ref.Offset:]
			binary.LittleEndian.PutUint32(record[20:], MaxBodyBytes+1)
			framing.Place(record, 1, r[1].ref.Offset)
			return b
		}, []int{0, 2}, 1, n},
		{"a length beyond the file, sealed", func(b []byte, r []record) []byte {
			record := b[r[1].ref.Offset:]
			binary.LittleEndian.PutUint32(record[20:], MaxBodyBytes)
			framing.Place(record, 1, r[1].ref.Offset)
			return b
		}, []int{0}, 1, 2 * n},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, records := damaged(t, c.change)
			var want []record
			for _, i := range c.left {
				want = append(want, records[i])
			}
			assert.Equal(t, want, recovered(t, s))
			assert.Equal(t, len(want), s.Records())
			lost, lostBytes := s.Lost()
			assert.Equal(t, c.lost, lost)
			assert.Equal(t, c.lostBytes, lostBytes)
			if c.lostBytes > 0 {
				require.ErrorIs(t, s.Damage(), ErrCorrupt)
			} else {
				require.NoError(t, s.Damage())
			}

			for _, r := range mustAppend(t, s, 2, 50) {
				require.NoError(t, s.Done(r.ref))
			}
			for _, r := range want {
				require.NoError(t, s.Done(r.ref))
			}
			require.NoError(t, s.Close())
			assert.Empty(t, segmentFiles(t, s.cfg.Dir), "nothing is stuck")
		})
	}
}

// Every bit of a segment is flipped, one at a time: at most one record is lost, none is
// wrong, and what is lost is told.
func TestEveryBit(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
	s := mustOpen(t, cfg)
	records := mustAppend(t, s, 3, 12)
	require.NoError(t, s.Close())
	path := segmentFiles(t, cfg.Dir)[0]
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer f.Close()
	for bit := range 8 * len(good) {
		_, err := f.WriteAt([]byte{good[bit/8] ^ 1<<(bit%8)}, int64(bit/8))
		require.NoError(t, err)
		s, err := Open(cfg)
		require.NoError(t, err)
		got := recovered(t, s)
		lost, _ := s.Lost()
		require.Equal(t, len(records), len(got)+lost, "bit %d", bit)
		require.LessOrEqual(t, lost, 1, "bit %d", bit)
		require.Subset(t, records, got, "bit %d", bit)
		crash(s)
		_, err = f.WriteAt(good[bit/8:bit/8+1], int64(bit/8))
		require.NoError(t, err)
	}
}

// The file ends at every byte.
func TestEveryLength(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
	s := mustOpen(t, cfg)
	records := mustAppend(t, s, 3, 12)
	require.NoError(t, s.Close())
	path := segmentFiles(t, cfg.Dir)[0]
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	for n := range len(good) + 1 {
		require.NoError(t, os.WriteFile(path, good[:n], 0o600))
		want := 0
		for _, r := range records {
			if r.ref.End() <= int64(n) {
				want++
			}
		}
		s := mustOpen(t, cfg)
		require.Len(t, recovered(t, s), want, "length %d", n)
		_, lostBytes := s.Lost()
		end := int64(framing.SegmentHeader)
		if want > 0 {
			end = records[want-1].ref.End()
		}
		if n < framing.SegmentHeader {
			end = 0
		}
		require.Equal(t, int64(n)-end, lostBytes, "length %d", n)
		crash(s)
	}
}

// A file that is no segment is nobody's business: it is neither read from nor removed.
func TestForeignFiles(t *testing.T) {
	name := framing.SegmentName(7)
	for _, c := range []struct {
		name, file string
		content    []byte
		told       error
		lost       int  // records
		counts     bool // in Bytes
	}{
		{"another name", "notes.txt", []byte("hello"), nil, 0, false},
		{"upper case", "000000000000000A.seg", []byte("hello"), nil, 0, false},
		{"too short a name", "7.seg", []byte("hello"), nil, 0, false},
		{"number 0", framing.SegmentName(0), []byte("hello"), nil, 0, false},
		{"number that has no successor", "8000000000000000.seg", []byte("hello"), nil, 0, false},
		{"short", name, []byte("hello"), ErrCorrupt, 1, false},
		{"long", name, bytes.Repeat([]byte("hello rec "), 100_000), ErrCorrupt, 1, false},
		{"zeros", name, make([]byte, 1000), ErrCorrupt, 1, false},
		{"another segment", name, framing.NewSegmentHeader(segmentMagic, segmentVersion, 8), ErrCorrupt, 1, false},
		{"a newer version", name, append(framing.NewSegmentHeader(segmentMagic, segmentVersion+1, 7), "whatever"...), ErrVersion, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
			path := filepath.Join(cfg.Dir, c.file)
			require.NoError(t, os.WriteFile(path, c.content, 0o600))
			for range 2 {
				s := mustOpen(t, cfg)
				assert.Empty(t, recovered(t, s))
				lost, lostBytes := s.Lost()
				var size int64
				if c.counts {
					size = int64(len(c.content))
				}
				assert.Equal(t, size, s.Bytes())
				assert.Equal(t, c.lost, lost)
				if c.lost > 0 {
					assert.EqualValues(t, len(c.content), lostBytes)
				}
				if c.told == nil {
					require.NoError(t, s.Damage())
				} else {
					require.ErrorIs(t, s.Damage(), c.told)
					require.ErrorContains(t, s.Damage(), path)
				}
				for _, r := range mustAppend(t, s, 2, 50) {
					require.NoError(t, s.Done(r.ref))
				}
				require.NoError(t, s.Close())
				b, err := os.ReadFile(path)
				require.NoError(t, err)
				assert.Equal(t, c.content, b)
			}
		})
	}
}

func TestDirectoryWithTheNameOfASegment(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
	path := filepath.Join(cfg.Dir, framing.SegmentName(1))
	require.NoError(t, os.Mkdir(path, 0o700))
	s := mustOpen(t, cfg)
	require.ErrorIs(t, s.Damage(), ErrCorrupt)
	records := mustAppend(t, s, 2, 10)
	crash(s)
	assert.Equal(t, records, recovered(t, mustOpen(t, cfg)))
	assert.DirExists(t, path)
}

func TestEmptyFile(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
	require.NoError(t, os.WriteFile(filepath.Join(cfg.Dir, framing.SegmentName(1)), nil, 0o600))
	s := mustOpen(t, cfg)
	require.NoError(t, s.Damage())
	assert.Empty(t, segmentFiles(t, cfg.Dir))
	assert.Zero(t, s.Bytes())
}

func TestLastNumber(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
	require.NoError(t, os.WriteFile(filepath.Join(cfg.Dir, framing.SegmentName(framing.MaxSegment)), nil, 0o600))
	s := mustOpen(t, cfg)
	_, err := s.Append(nil, nil)
	require.ErrorContains(t, err, "too large")
}

// Records that go bad while the spool is open.
func TestDamageWhileOpen(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(b []byte, at int) []byte
	}{
		{"header", func(b []byte, at int) []byte { b[at+20] ^= 1; return b }},
		{"body", func(b []byte, at int) []byte { b[at+framing.RecordHeader+10] ^= 1; return b }},
		{"cut in the body", func(b []byte, at int) []byte { return b[:at+framing.RecordHeader+10] }},
		{"cut before the mark", func(b []byte, at int) []byte { return b[:at] }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
			s := mustOpen(t, cfg)
			records := mustAppend(t, s, 2, 100)
			edit(t, segmentFiles(t, cfg.Dir)[0], func(b []byte) []byte { return c.change(b, int(records[1].ref.Offset)) })
			dst, err := s.Body(records[1].ref, []byte("x"))
			require.ErrorIs(t, err, ErrCorrupt)
			assert.Equal(t, "x", string(dst))
			body, err := s.Body(records[0].ref, nil)
			require.NoError(t, err)
			assert.Equal(t, records[0].body, string(body))

			for _, r := range records {
				require.NoError(t, s.Done(r.ref))
			}
			assert.Zero(t, s.Records())
			require.NoError(t, s.Close())
			assert.Empty(t, segmentFiles(t, cfg.Dir))
		})
	}
}

func TestDamageBetweenOpenAndRecover(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
	s := mustOpen(t, cfg)
	records := mustAppend(t, s, 3, 100)
	require.NoError(t, s.Close())
	s = mustOpen(t, cfg)
	edit(t, segmentFiles(t, cfg.Dir)[0], func(b []byte) []byte {
		b[records[1].ref.Offset+framing.RecordHeader]++ // the meta
		return b
	})
	assert.Equal(t, []record{records[0], records[2]}, recovered(t, s))
	lost, bytes := s.Lost()
	assert.Equal(t, 1, lost)
	assert.Equal(t, records[1].ref.Size(), bytes)
	require.ErrorIs(t, s.Damage(), ErrCorrupt)
	assert.Equal(t, 2, s.Records())
}

// A record in the body of another is not taken for one when its host is damaged.
func TestRecordWithinARecord(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
	s := mustOpen(t, cfg)
	inner := framing.AppendRecord(nil, []byte("inner"), []byte("of another place"))
	framing.Place(inner, 1, framing.SegmentHeader)
	_, err := s.Append(nil, inner)
	require.NoError(t, err)
	next := mustAppend(t, s, 1, 100)
	require.NoError(t, s.Close())
	edit(t, segmentFiles(t, cfg.Dir)[0], func(b []byte) []byte { b[framing.SegmentHeader+1]++; return b })
	assert.Equal(t, next, recovered(t, mustOpen(t, cfg)))
}

// A search over more than one window, with the next header across their border.
func TestSearchAcrossWindows(t *testing.T) {
	for _, before := range []int{-framing.RecordHeader - 5, -framing.RecordHeader, -20, -3, -2, -1, 0, 1} {
		cfg := Config{Dir: t.TempDir(), MaxBytes: 16 << 20}
		s := mustOpen(t, cfg)
		first, err := s.Append(nil, bytes.Repeat([]byte("rec "), (framing.WindowBytes+before)/4)) // many that look like one
		require.NoError(t, err)
		second, err := s.Append(nil, make([]byte, framing.WindowBytes+before))
		require.NoError(t, err)
		next := mustAppend(t, s, 1, 100)
		require.NoError(t, s.Close())
		edit(t, segmentFiles(t, cfg.Dir)[0], func(b []byte) []byte {
			b[first.Offset+1]++
			b[second.Offset+1]++
			return b
		})
		s = mustOpen(t, cfg)
		assert.Equal(t, next, recovered(t, s))
		lost, bytes := s.Lost()
		assert.Equal(t, 1, lost, "two that touch are one stretch")
		assert.EqualValues(t, next[0].ref.Offset-framing.SegmentHeader, bytes)
	}
}

func TestDirectoryThatIsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	for _, dir := range []string{path, filepath.Join(path, "spool")} {
		_, err := Open(Config{Dir: dir, MaxBytes: 1 << 20})
		require.ErrorContains(t, err, "create spool directory")
	}
}
