package spool

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/hubring/hubring/internal/framing"
	"github.com/hubring/hubring/internal/framing/faulty"
)

// model is a Store beside what it should have: the records in the order of Append.
type model struct {
	t    *testing.T
	cfg  Config
	fs   *faulty.Disk
	s    *Store
	all  []record     // that are in, done or not
	done map[Ref]bool // a part of them
	n    int          // appended ever
	tail int64        // bytes that tear added ever
}

func (m *model) undone() []record {
	var records []record
	for _, r := range m.all {
		if !m.done[r.ref] {
			records = append(records, r)
		}
	}
	return records
}

func (m *model) open(t *rapid.T) {
	var err error
	m.s, err = open(m.cfg, m.fs)
	require.NoError(t, err)
	var got []record
	require.NoError(t, m.s.Recover(func(ref Ref, meta []byte) error {
		body, err := m.s.Body(ref, nil)
		got = append(got, record{ref, string(meta), string(body)})
		return err
	}))
	m.all = m.undone()
	m.done = map[Ref]bool{}
	require.Equal(t, m.all, got)
}

// append may meet a disk that fails in the middle.
func (m *model) append(t *rapid.T) {
	r := numbered(m.n, rapid.IntRange(0, 600).Draw(t, "body"))
	m.n++
	m.fs.Room = -1
	if rapid.IntRange(0, 4).Draw(t, "fails") == 0 {
		m.fs.Room = rapid.Int64Range(0, 700).Draw(t, "room")
		m.fs.NoCut = rapid.Bool().Draw(t, "noCut")
	}
	var err error
	r.ref, err = m.s.Append([]byte(r.meta), []byte(r.body))
	m.fs.Room, m.fs.NoCut = -1, false
	if err == nil {
		m.all = append(m.all, r)
	} else {
		wanted := m.s.Bytes() + framing.SegmentHeader + framing.RecordHeader + int64(len(r.meta)+len(r.body))
		require.True(t, errors.Is(err, faulty.Err) || errors.Is(err, ErrFull) && wanted > m.cfg.MaxBytes, "%v", err)
	}
}

func (m *model) pick(t *rapid.T) record {
	if len(m.all) == 0 {
		t.Skip("no record")
	}
	return rapid.SampledFrom(m.all).Draw(t, "record")
}

func (m *model) markDone(t *rapid.T) {
	r := m.pick(t)
	require.NoError(t, m.s.Done(r.ref))
	m.done[r.ref] = true
}

func (m *model) body(t *rapid.T) {
	r := m.pick(t)
	body, err := m.s.Body(r.ref, nil)
	if m.done[r.ref] {
		require.ErrorIs(t, err, ErrDone)
		return
	}
	require.NoError(t, err)
	require.Equal(t, r.body, string(body))
}

func (m *model) restart(t *rapid.T) {
	require.NoError(t, m.s.Close())
	m.open(t)
}

func (m *model) crash(t *rapid.T) {
	crash(m.s)
	m.open(t)
}

// tear kills the process in the middle of an Append: what it wrote of a record stands at the end of a
// segment.
func (m *model) tear(t *rapid.T) {
	crash(m.s)
	if paths := segmentFiles(m.t, m.cfg.Dir); len(paths) > 0 {
		path := paths[len(paths)-1]
		info, err := os.Stat(path)
		require.NoError(t, err)
		number, _ := framing.ParseSegmentName(path[len(path)-16-len(framing.SegmentSuffix):])
		whole := framing.AppendRecord(nil, []byte("torn"), make([]byte, 100))
		framing.Place(whole, number, uint32(info.Size()))
		n := rapid.IntRange(0, len(whole)-1).Draw(t, "torn at")
		m.tail += int64(n)
		edit(m.t, path, func(b []byte) []byte { return append(b, whole[:n]...) })
	}
	m.open(t)
}

// rot flips a bit of a record that is not done.
func (m *model) rot(t *rapid.T) {
	records := m.undone()
	if len(records) == 0 {
		t.Skip("no record")
	}
	bad := rapid.SampledFrom(records).Draw(t, "record")
	at := int(bad.ref.Offset) + rapid.IntRange(1, int(bad.ref.Size())-1).Draw(t, "byte")
	bit := byte(1) << rapid.IntRange(0, 7).Draw(t, "bit")
	crash(m.s)
	edit(m.t, m.cfg.Dir+"/"+framing.SegmentName(bad.ref.Segment), func(b []byte) []byte {
		b[at] ^= bit
		return b
	})
	m.done[bad.ref] = true // so it should not come again
	m.open(t)
	lost, _ := m.s.Lost()
	require.Positive(t, lost)
	require.ErrorIs(t, m.s.Damage(), ErrCorrupt)
}

func (m *model) check(t *rapid.T) {
	require.Equal(t, len(m.undone()), m.s.Records())
	onDisk := diskBytes(m.t, m.cfg.Dir)
	require.Equal(t, onDisk, m.s.Bytes())
	require.LessOrEqual(t, onDisk, m.cfg.MaxBytes+m.tail)
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		require.NoError(rt, err)
		m := &model{t: t, fs: &faulty.Disk{Room: -1}, done: map[Ref]bool{}}
		m.cfg = Config{
			Dir:          dir,
			MaxBytes:     rapid.Int64Range(1000, 20_000).Draw(rt, "MaxBytes"),
			SegmentBytes: rapid.Int64Range(0, 5000).Draw(rt, "SegmentBytes"),
		}
		m.open(rt)
		defer func() { crash(m.s) }()
		rt.Repeat(map[string]func(*rapid.T){
			"append":  m.append,
			"Append":  m.append, // more often than the others
			"done":    m.markDone,
			"body":    m.body,
			"restart": m.restart,
			"crash":   m.crash,
			"tear":    m.tear,
			"rot":     m.rot,
			"sync":    func(t *rapid.T) { require.NoError(t, m.s.Sync()) },
			"":        m.check,
		})
	})
}
