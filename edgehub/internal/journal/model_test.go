package journal

import (
	"cmp"
	"context"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/internal/framing/faulty"
)

// model is a Journal beside what it should have: a plain list.
type model struct {
	t        *testing.T
	cfg      Config
	disk     *faulty.Disk
	j        *Journal
	life     int
	next     float64
	sure     []sample         // was committed, from position on
	position uint64           // of the log
	refused  map[float64]bool // by value
	back     map[float64]bool // was refused, and came back after a crash: nobody was promised that
	scraped  float64          // the value of the first sample that the scraper has not got
	saved    float64          // what of that was written down
	damaged  bool
	flushed  float64 // the value up to which a loss of power leaves everything
	power    bool    // was lost
}

// TestModel: whatever fails and whenever, what was committed comes back in its order, nothing else does but
// what was refused at the very end, and what is missing because bytes were changed is counted.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		require.NoError(rt, err)
		m := &model{t: t, disk: &faulty.Disk{Room: -1}, refused: map[float64]bool{}, back: map[float64]bool{}}
		m.cfg = Config{
			Dir: dir, Disk: m.disk,
			SegmentBytes: rapid.Int64Range(1, 3000).Draw(rt, "SegmentBytes"),
			Sync:         rapid.SampledFrom([]Sync{{}, {Always: true}, {Every: time.Second}}).Draw(rt, "Sync"),
		}
		m.open(rt)
		defer func() { crash(m.j) }()
		rt.Repeat(map[string]func(*rapid.T){
			"commit":  m.commit,
			"Commit":  m.commit, // more often than the others
			"forget":  m.forget,
			"scrape":  m.scrape,
			"keep":    m.keep,
			"restart": m.restart,
			"crash":   m.crash,
			"tear":    m.tear,
			"rot":     m.rot,
			"power":   m.losePower,
			"pack":    m.pack,
		})
	})
}

func (m *model) open(t *rapid.T) {
	var err error
	m.j, err = Open(m.cfg)
	require.NoError(t, err)
	all, places, report := replayed(m.t, m.j)
	require.EqualValues(t, len(all), report.Samples)
	got := map[float64]bool{}
	last := -1.0
	for _, s := range all {
		require.Greater(t, s.value, last, "in order, and once")
		last = s.value
		got[s.value] = true
	}
	var sure []sample
	missing := 0
	for _, s := range m.sure {
		switch {
		case got[s.value]:
			sure = append(sure, s)
		case m.power && (s.value > m.flushed || m.back[s.value]): // was not promised
			continue
		case len(all) > 0 && s.value > all[0].value:
			missing++
		}
		require.True(t, m.damaged || got[s.value] || s.value < m.scraped, "what is gone was scraped")
	}
	for _, s := range all {
		if m.refused[s.value] {
			require.True(t, m.damaged || len(sure) == 0 || s.value > sure[len(sure)-1].value, "what was refused before something else was committed came back")
			sure = append(sure, s)
		}
	}
	slices.SortFunc(sure, func(a, b sample) int { return cmp.Compare(a.value, b.value) })
	require.Equal(t, sure, all, "what came has its name, time and value")
	if m.power {
		require.Zero(t, missing)
		m.startAnew(t)
		return
	}
	if m.damaged {
		require.True(t, report.Torn || missing == 0 || len(report.Damage) > 0)
		require.True(t, report.Torn || report.Lost >= uint64(missing))
		m.startAnew(t)
		return
	}
	require.Zero(t, missing)
	require.Empty(t, report.Damage)
	require.Zero(t, report.Lost)
	refused := m.refused
	m.sure, m.refused = all, maps.Clone(m.refused)
	for _, s := range all { // it counts as committed from here on
		m.back[s.value] = m.back[s.value] || m.refused[s.value]
		delete(m.refused, s.value)
	}
	m.position = m.j.toLog(m.j.written) - uint64(len(all))
	was := m.scraped
	m.scraped = 0
	if len(places) > 0 {
		m.scraped = m.valueAt(min(places[0].Floor, m.end()))
		for _, s := range all {
			again := s.value >= m.scraped
			require.True(t, refused[s.value] || again || s.value < was, "%v is lost: the scraper was at %v, and is at %v", s, was, m.scraped)
			require.True(t, refused[s.value] || !again || s.value >= m.saved, "%v comes again: the scraper was at %v, and is at %v", s, m.saved, m.scraped)
		}
	}
	m.saved = m.scraped
	if m.cfg.Sync != (Sync{}) {
		m.flushed = m.next
	}
}

// valueAt is the value of the sample at a position, or the next one.
func (m *model) valueAt(position uint64) float64 {
	if i := int(position) - int(m.position); i < len(m.sure) {
		return m.sure[max(i, 0)].value
	}
	return m.next + 1
}

func (m *model) positionOf(value float64) uint64 {
	i, _ := slices.BinarySearchFunc(m.sure, value, func(s sample, v float64) int { return cmp.Compare(s.value, v) })
	return m.position + uint64(i)
}

// startAnew goes on in an empty directory, so that no damage is left.
func (m *model) startAnew(t *rapid.T) {
	crash(m.j)
	var err error
	m.cfg.Dir, err = os.MkdirTemp(m.t.TempDir(), "")
	require.NoError(t, err)
	m.damaged, m.power = false, false
	m.sure, m.position, m.scraped, m.saved = nil, 0, 0, 0
	m.open(t)
}

func (m *model) end() uint64 { return m.position + uint64(len(m.sure)) }

func (m *model) places() []Place { return []Place{{Scraper: "a", Floor: m.positionOf(m.scraped)}} }

// commit writes a group, and may meet a disk that fails in the middle.
func (m *model) commit(t *rapid.T) {
	turned, err := m.j.Start(time.Now(), m.places)
	require.NoError(t, err)
	var added []sample
	for range rapid.IntRange(1, 3).Draw(t, "pushes") {
		var ids []series.ID
		var values []float64
		first := rapid.IntRange(0, 20).Draw(t, "first")
		for i := range rapid.IntRange(1, 30).Draw(t, "samples") {
			ids = append(ids, series.ID(first+i%7))
			m.next++
			values = append(values, m.next)
		}
		added = append(added, push(m.j, m.life, ids, values)...)
	}
	if rapid.IntRange(0, 3).Draw(t, "fails") == 0 {
		m.disk.Room = rapid.Int64Range(0, int64(m.j.Buffered())-1).Draw(t, "room")
		m.disk.NoCut = rapid.Bool().Draw(t, "noCut")
		m.disk.NoRemove = m.disk.NoCut
	} else if m.cfg.Sync.Always && rapid.IntRange(0, 5).Draw(t, "no sync") == 0 {
		m.disk.NoSync = true
		m.disk.NoCut = rapid.Bool().Draw(t, "noCut")
		m.disk.NoRemove = m.disk.NoCut
	}
	failing := m.disk.Room >= 0 || m.disk.NoSync
	err = m.j.Commit()
	if !failing {
		require.NoError(t, err)
		m.sure = append(m.sure, added...)
		if m.cfg.Sync.Always {
			m.flushed = m.next
		}
		if turned {
			m.saved = m.scraped
		}
		return
	}
	require.ErrorIs(t, err, faulty.Err)
	for _, s := range added {
		m.refused[s.value] = true
	}
	_, err = m.j.Start(time.Now(), m.places)
	require.ErrorIs(t, err, faulty.Err)
	require.ErrorIs(t, m.j.Probe(), faulty.Err)
	m.disk.Room, m.disk.NoCut, m.disk.NoRemove, m.disk.NoSync = -1, false, false, false
	require.NoError(t, m.j.Probe())
}

// flush flushes, which may fail; then what was to be flushed is once the disk is well.
func (m *model) flush(t *rapid.T) {
	if m.cfg.Sync.Every == 0 {
		return
	}
	m.disk.NoSync = rapid.IntRange(0, 2).Draw(t, "no sync") == 0
	err := m.j.Sync()
	if m.disk.NoSync && err != nil {
		require.ErrorIs(t, err, faulty.Err)
		_, err = m.j.Start(time.Now(), m.places)
		require.ErrorIs(t, err, faulty.Err)
		m.disk.NoSync = false
		err = m.j.Probe()
		if rapid.Bool().Draw(t, "flush again") {
			require.NoError(t, m.j.Sync())
		}
	}
	m.disk.NoSync = false
	require.NoError(t, err)
	m.flushed = m.next
}

// pack packs a segment, or meets a disk that fails anywhere, or is broken off.
func (m *model) pack(t *rapid.T) {
	ctx, cancel := context.WithCancel(m.t.Context())
	defer cancel()
	fails := rapid.SampledFrom([]string{"", "", "", "full", "no sync", "no rename", "no sync of names", "a crash", "broken off"}).Draw(t, "fails")
	m.disk.Change(func(d *faulty.Disk) {
		switch fails {
		case "full":
			d.Room = rapid.Int64Range(0, 300).Draw(t, "room")
		case "no sync":
			d.NoSync = true
		case "no sync of names":
			d.NoSyncDir = true
		case "no rename":
			d.NoRename = true
		case "a crash":
			d.NoRename, d.NoRemove = true, true
		case "broken off":
			cancel()
		}
	})
	_, before := m.j.Size()
	did, err := m.j.Pack(ctx, time.Now().Add(time.Hour), at(m.positionOf(m.scraped)))
	_, after := m.j.Size()
	m.disk.Change(func(d *faulty.Disk) {
		d.Room, d.NoSync, d.NoSyncDir, d.NoRename, d.NoRemove = -1, false, false, false, false
	})
	if err != nil {
		require.NotEmpty(t, fails, err)
		require.False(t, did)
	}
	require.LessOrEqual(t, after, before)
	require.NoError(t, m.j.Broken())
	if fails == "a crash" {
		m.crash(t)
	}
}

// losePower leaves what was flushed.
func (m *model) losePower(t *rapid.T) {
	if m.cfg.Sync == (Sync{}) {
		t.Skip("nothing is promised")
	}
	crash(m.j)
	require.NoError(t, m.disk.LosePower())
	m.power = true
	m.open(t)
}

// forget makes all numbers mean other series.
func (m *model) forget(*rapid.T) {
	m.life++
	m.j.Forget(make([]bool, 100))
}

func (m *model) scrape(t *rapid.T) {
	from := m.positionOf(m.scraped)
	m.scraped = m.valueAt(from + rapid.Uint64Range(0, m.end()-from).Draw(t, "scraped"))
}

func (m *model) keep(t *rapid.T) {
	m.flush(t)
	require.NoError(t, m.j.SaveCursors(m.places()))
	m.saved = m.scraped
	require.NoError(t, m.j.Release(m.positionOf(m.scraped)))
	n, bytes := m.j.Size()
	require.Len(t, segmentFiles(m.t, m.cfg.Dir), n)
	require.Less(t, bytes, int64(1<<20))
	if m.positionOf(m.scraped) == m.end() {
		require.LessOrEqual(t, n, kept, "what is scraped goes")
	}
}

func (m *model) restart(t *rapid.T) {
	require.NoError(t, m.j.SaveCursors(m.places()))
	m.saved = m.scraped
	require.NoError(t, m.j.Close())
	m.open(t)
}

func (m *model) crash(t *rapid.T) {
	crash(m.j)
	m.open(t)
}

// tear kills the process in the middle of a group: what it wrote stands at the end of a segment.
func (m *model) tear(t *rapid.T) {
	paths := segmentFiles(m.t, m.cfg.Dir)
	if len(paths) == 0 {
		t.Skip("no segment")
	}
	path := paths[len(paths)-1]
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	if turned, err := m.j.Start(time.Now(), m.places); err != nil || turned {
		t.Skip("another segment")
	}
	m.next++
	push(m.j, m.life, []series.ID{1, 2, 3}, []float64{m.next, m.next + 1, m.next + 2})
	m.next += 2
	require.NoError(t, m.j.Commit())
	from, to := int(m.j.offset), int(m.j.active.size)
	crash(m.j)
	edit(m.t, path, func(b []byte) []byte {
		// The samples are torn, the entries before them may not be.
		at := rapid.IntRange(from, to-1).Draw(t, "torn")
		return append(b[:at], before[min(at, len(before)):]...)
	})
	m.disk.Settle()
	m.open(t)
}

// rot flips a bit anywhere.
func (m *model) rot(t *rapid.T) {
	crash(m.j)
	paths := segmentFiles(m.t, m.cfg.Dir)
	if len(paths) > 0 {
		edit(m.t, rapid.SampledFrom(paths).Draw(t, "segment"), func(b []byte) []byte {
			if len(b) > 0 {
				b[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			}
			return b
		})
		m.disk.Settle()
		m.damaged = true
	}
	m.open(t)
}
