package spool

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/framing"
	"github.com/hubring/hubring/internal/framing/faulty"
)

func openFaulty(t *testing.T, cfg Config) (*Store, *faulty.Disk) {
	t.Helper()
	fs := &faulty.Disk{Room: -1}
	s, err := open(cfg, fs)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s, fs
}

// A disk that is full after any number of bytes harms only the record that did not fit.
func TestDiskFull(t *testing.T) {
	for _, noCut := range []bool{false, true} {
		whole := framing.SegmentHeader + int64(len(framing.AppendRecord(nil, []byte("meta"), []byte("body"))))
		for room := range whole {
			cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
			s, fs := openFaulty(t, cfg)
			fs.Room, fs.NoCut = room, noCut
			_, err := s.Append([]byte("meta"), []byte("body"))
			require.ErrorIs(t, err, faulty.Err)
			assert.Equal(t, 0, s.Records())
			require.Equal(t, diskBytes(t, cfg.Dir), s.Bytes())

			fs.Room, fs.NoCut = -1, false
			records := mustAppend(t, s, 3, 50)
			require.Equal(t, diskBytes(t, cfg.Dir), s.Bytes())
			crash(s)
			again := mustOpen(t, cfg)
			assert.Equal(t, records, recovered(t, again))
			require.NoError(t, again.Damage(), "room %d: a torn record alone in its segment goes with it", room)
		}
	}
}

// As above, behind a record that was good, which keeps the torn one's segment.
func TestDiskFullBehindARecord(t *testing.T) {
	for _, noCut := range []bool{false, true} {
		for room := range int64(framing.RecordHeader + 8) {
			cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
			s, fs := openFaulty(t, cfg)
			first := mustAppend(t, s, 1, 20)
			fs.Room, fs.NoCut = room, noCut
			_, err := s.Append([]byte("meta"), []byte("body"))
			require.ErrorIs(t, err, faulty.Err)

			fs.Room, fs.NoCut = -1, false
			records := slices.Concat(first, mustAppend(t, s, 3, 50))
			require.Equal(t, diskBytes(t, cfg.Dir), s.Bytes())
			crash(s)
			again := mustOpen(t, cfg)
			assert.Equal(t, records, recovered(t, again))
			lost, bytes := again.Lost()
			if noCut && room > 0 {
				assert.Equal(t, 1, lost)
				assert.Equal(t, room, bytes)
			} else {
				require.NoError(t, again.Damage())
			}
		}
	}
}

func TestMarkThatFails(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
	s, fs := openFaulty(t, cfg)
	r := mustAppend(t, s, 1, 20)[0]
	fs.Room = 0
	require.ErrorIs(t, s.Done(r.ref), faulty.Err)
	fs.Room, fs.NoRead = -1, true
	require.ErrorIs(t, s.Done(r.ref), faulty.Err)
	fs.NoRead = false
	assert.Equal(t, 1, s.Records())
	_, err := s.Body(r.ref, nil)
	require.NoError(t, err)
	require.NoError(t, s.Done(r.ref))
	assert.Equal(t, 0, s.Records())
}

func TestRemoveThatFails(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 300, SegmentBytes: 1}
	s, fs := openFaulty(t, cfg)
	records := mustAppend(t, s, 2, 80)
	fs.NoRemove = true
	require.ErrorIs(t, s.Done(records[0].ref), faulty.Err)
	assert.Equal(t, 1, s.Records(), "it is done all the same")
	_, err := s.Body(records[0].ref, nil)
	require.ErrorIs(t, err, ErrDone)
	_, err = s.Append(nil, make([]byte, 80))
	require.ErrorIs(t, err, ErrFull)
	require.ErrorIs(t, err, faulty.Err, "which is why")

	fs.NoRemove = false
	_, err = s.Append(nil, make([]byte, 80))
	require.NoError(t, err)
	assert.Equal(t, diskBytes(t, cfg.Dir), s.Bytes())
}

// What can't be removed at Open is done, and goes when it can.
func TestRemoveThatFailsAtOpen(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
	s := mustOpen(t, cfg)
	require.NoError(t, s.Done(mustAppend(t, s, 1, 10)[0].ref))
	crash(s)

	s, err := open(cfg, &faulty.Disk{Room: -1, NoRemove: true})
	require.NoError(t, err)
	require.ErrorIs(t, s.Damage(), faulty.Err)
	assert.Empty(t, recovered(t, s))
	assert.Equal(t, diskBytes(t, cfg.Dir), s.Bytes())
	crash(s)
	require.NoError(t, mustOpen(t, cfg).Damage())
	assert.Empty(t, segmentFiles(t, cfg.Dir))
}

func TestSyncThatFails(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20, SegmentBytes: 1}
	s, fs := openFaulty(t, cfg)
	fs.NoSyncDir = true
	require.NoError(t, s.Sync(), "there is nothing to sync")
	r := mustAppend(t, s, 1, 10)[0]
	require.ErrorIs(t, s.Sync(), faulty.Err)
	fs.NoSyncDir = false
	require.NoError(t, s.Sync())

	mustAppend(t, s, 1, 10)
	require.NoError(t, s.Done(r.ref))
	fs.NoSync = true
	require.ErrorIs(t, s.Sync(), faulty.Err)
	fs.NoSync = false
	require.ErrorIs(t, s.Sync(), faulty.Err, "what was lost stays lost")
	require.ErrorIs(t, s.Close(), faulty.Err)
	mustOpen(t, cfg) // which Close gave back
}

// A file that can't be read is left for another time, and its records are missed.
func TestUnreadableAtOpen(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
	s := mustOpen(t, cfg)
	records := mustAppend(t, s, 3, 100)
	require.NoError(t, s.Close())
	size := diskBytes(t, cfg.Dir)

	for _, fs := range []*faulty.Disk{{Room: -1, NoOpen: true}, {Room: -1, NoRead: true}} {
		s, err := open(cfg, fs)
		require.NoError(t, err)
		require.ErrorIs(t, s.Damage(), faulty.Err)
		lost, bytes := s.Lost()
		assert.Equal(t, 1, lost)
		assert.Equal(t, size, bytes)
		assert.Equal(t, size, s.Bytes())
		assert.Empty(t, recovered(t, s))
		require.NoError(t, s.Close())
	}
	assert.Equal(t, records, recovered(t, mustOpen(t, cfg)))
}

// A sector that can't be read takes with it what is behind, and the segment stays as long
// as something in it is wanted.
func TestUnreadableInTheMiddle(t *testing.T) {
	for _, good := range []int{0, 1, 2} {
		cfg := Config{Dir: t.TempDir(), MaxBytes: 16 << 20}
		s := mustOpen(t, cfg)
		records := mustAppend(t, s, 3, framing.WindowBytes)
		require.NoError(t, s.Close())
		size := diskBytes(t, cfg.Dir)

		bad := &badSector{from: int64(records[good].ref.Offset) + framing.WindowBytes/2}
		s, err := open(cfg, bad)
		require.NoError(t, err)
		require.ErrorIs(t, s.Damage(), faulty.Err)
		lost, bytes := s.Lost()
		assert.Equal(t, 1, lost)
		assert.Equal(t, size-int64(records[good].ref.Offset), bytes)
		assert.Equal(t, good, s.Records())
		assert.Equal(t, size, s.Bytes())
		require.NoError(t, s.Close())
		assert.Equal(t, records, recovered(t, mustOpen(t, cfg)))
	}
}

// badSector is a disk whose files can't be read from some byte on.
type badSector struct {
	framing.OS
	from int64
}

type badFile struct {
	framing.File
	from int64
}

func (fs *badSector) Open(path string) (framing.File, error) {
	f, err := fs.OS.Open(path)
	return &badFile{f, fs.from}, err
}

func (f *badFile) ReadAt(b []byte, offset int64) (int, error) {
	if offset+int64(len(b)) <= f.from {
		return f.File.ReadAt(b, offset)
	}
	n, _ := f.File.ReadAt(b[:max(0, f.from-offset)], offset)
	return n, faulty.Err
}

func TestRecoverThatCannotRead(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
	s := mustOpen(t, cfg)
	records := mustAppend(t, s, 2, 100)
	require.NoError(t, s.Close())

	s, fs := openFaulty(t, cfg)
	fs.NoRead = true
	require.ErrorIs(t, s.Recover(func(Ref, []byte) error { return nil }), faulty.Err)
	fs.NoRead = false
	assert.Equal(t, records, recovered(t, s))
}

// A process that may open no more files can't reach old segments, until it can.
func TestNoDescriptors(t *testing.T) {
	s, fs := openFaulty(t, Config{Dir: t.TempDir(), MaxBytes: 1 << 20, SegmentBytes: 1})
	records := mustAppend(t, s, maxOpenFiles+1, 10)
	fs.NoOpen = true
	_, err := s.Body(records[0].ref, nil)
	require.ErrorIs(t, err, faulty.Err)
	require.ErrorIs(t, s.Done(records[0].ref), faulty.Err)
	require.ErrorIs(t, s.Sync(), faulty.Err)
	assert.Equal(t, len(records), s.Records())

	fs.NoOpen = false
	require.NoError(t, s.Sync(), "nothing was lost")
	body, err := s.Body(records[0].ref, nil)
	require.NoError(t, err)
	assert.Equal(t, records[0].body, string(body))
	require.NoError(t, s.Done(records[0].ref))
}

// The newest segment is done with and full, and can't be removed: the next one is begun
// all the same.
func TestRemoveThatFailsWhenANewSegmentBegins(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20, SegmentBytes: 1}
	s, fs := openFaulty(t, cfg)
	require.NoError(t, s.Done(mustAppend(t, s, 1, 10)[0].ref))
	fs.NoRemove = true
	_, err := s.Append(nil, nil)
	require.ErrorIs(t, err, faulty.Err)
	mustAppend(t, s, 1, 10)
	assert.Equal(t, diskBytes(t, cfg.Dir), s.Bytes())
	fs.NoRemove = false
	require.NoError(t, s.Close())
	assert.Len(t, segmentFiles(t, cfg.Dir), 1)
}

// The place that can't be read is in a header, in a damaged stretch, or in the header of
// the segment.
func TestUnreadablePlaces(t *testing.T) {
	for _, c := range []struct {
		name    string
		damaged bool  // the second record's header is
		from    int64 // after the second record's offset
		left    int
	}{
		{"before a header", false, 0, 1},
		{"in a header", false, framing.RecordHeader / 2, 1},
		{"in a damaged stretch", true, 3 * framing.WindowBytes / 2, 1},
		{"in the segment's header", false, -1 << 40, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Config{Dir: t.TempDir(), MaxBytes: 16 << 20}
			s := mustOpen(t, cfg)
			records := mustAppend(t, s, 3, 2*framing.WindowBytes)
			require.NoError(t, s.Close())
			second := int64(records[1].ref.Offset)
			path := segmentFiles(t, cfg.Dir)[0]
			if c.damaged {
				edit(t, path, func(b []byte) []byte { b[second+1]++; return b })
			}
			s, err := open(cfg, &badSector{from: max(framing.SegmentHeader/2, second+c.from)})
			require.NoError(t, err)
			require.ErrorIs(t, s.Damage(), faulty.Err)
			lost, bytes := s.Lost()
			assert.Equal(t, 1, lost)
			assert.Equal(t, c.left, s.Records())
			if c.left > 0 {
				assert.Equal(t, s.Bytes()-second, bytes)
			}
			require.NoError(t, s.Close())
			_, err = os.Stat(path)
			require.NoError(t, err, "it stays")
		})
	}
}

// What a Sync lost is done with and appended again, to another segment; what an earlier one
// made safe stays, and Sync is well again.
func TestAppendAgainAfterSyncFailed(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
	s, fs := openFaulty(t, cfg)
	records := mustAppend(t, s, 3, 20)
	require.NoError(t, s.Sync())
	lost := mustAppend(t, s, 2, 20)
	fs.NoSync = true
	require.ErrorIs(t, s.Sync(), faulty.Err)
	fs.NoSync = false
	require.NoError(t, s.Done(lost[0].ref))
	require.ErrorIs(t, s.Sync(), faulty.Err, "the other one is lost still")
	require.NoError(t, s.Done(lost[1].ref))
	require.NoError(t, s.Sync())
	again := mustAppend(t, s, 2, 20)
	assert.NotEqual(t, lost[0].ref.Segment, again[0].ref.Segment)
	require.NoError(t, s.Sync())
	crash(s)
	assert.Equal(t, slices.Concat(records, again), recovered(t, mustOpen(t, cfg)))
}

// A file that somebody has deleted is noticed by Sync, and by Gone.
func TestSegmentsThatAreTakenAway(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
	s := mustOpen(t, cfg)
	first, err := s.Append([]byte("meta"), []byte("first"))
	require.NoError(t, err)
	require.NoError(t, s.Sync())
	assert.False(t, s.Gone(first))
	require.NoError(t, os.Remove(filepath.Join(cfg.Dir, framing.SegmentName(1))))
	assert.True(t, s.Gone(first))
	second, err := s.Append([]byte("meta"), []byte("second"))
	require.NoError(t, err)
	require.ErrorIs(t, s.Sync(), framing.ErrGone)
	require.ErrorIs(t, s.Sync(), framing.ErrGone, "until it is appended again")
	require.NoError(t, s.Done(second))
	third, err := s.Append([]byte("meta"), []byte("second"))
	require.NoError(t, err)
	require.NoError(t, s.Sync())
	assert.False(t, s.Gone(third))
	require.NoError(t, s.Done(first))
	assert.True(t, s.Gone(first), "it is done")
	require.NoError(t, s.Close())
}
