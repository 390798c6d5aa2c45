package store

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/journal"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/internal/framing/faulty"
)

// A store on disk against a plain list: pushes, disks that fail in the middle, scrapes, ends, series that expire and whose numbers go to
// others, restarts and crashes. Whatever happens, what was acknowledged and not scraped is there
// after it, under its name, and nothing is that was not pushed.
func TestDiskAgainstAList(t *testing.T) {
	seeds := uint64(150)
	if testing.Short() {
		seeds = 15
	}
	failed, crashed := 0, 0
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			m := newDiskModel(t, seed)
			defer func() { m.h.Close() }()
			for range 60 {
				m.step()
			}
			m.restart()
			failed, crashed = failed+m.failed, crashed+m.crashed
		})
	}
	require.NotZero(t, failed)
	require.NotZero(t, crashed)
}

// diskModel is what is known of a store on disk from outside. Sample i has the value i.
type diskModel struct {
	t       *testing.T
	seed    uint64
	rnd     *rand.Rand
	cfg     journal.Config
	disk    *faulty.Disk
	h       *hub
	names   []string // of the samples that were pushed
	acked   map[int]bool
	taken   map[int]bool
	failed  int
	crashed int
	expired bool
}

func newDiskModel(t *testing.T, seed uint64) *diskModel {
	rnd := rand.New(rand.NewPCG(seed, 3))
	m := &diskModel{t: t, seed: seed, rnd: rnd, disk: &faulty.Disk{Room: -1}, acked: map[int]bool{}, taken: map[int]bool{}}
	m.cfg = journal.Config{Dir: t.TempDir(), Disk: m.disk, SegmentBytes: []int64{1, 2000, 20_000, 0}[rnd.IntN(4)]}
	m.cfg.PackAfter = []time.Duration{0, time.Millisecond}[rnd.IntN(2)]
	m.cfg.Sync = []journal.Sync{{}, {Always: true}, {Every: 100 * time.Millisecond}}[rnd.IntN(3)]
	m.open()
	return m
}

// keeping is a store on disk, once it is ready.
func keeping(t *testing.T, cfg Config, disk journal.Config) *hub {
	h := newHub(t, cfg)
	h.Keep(DiskConfig{Journal: disk, Logger: slog.New(slog.DiscardHandler), Read: readText})
	h.Open()
	synctest.Wait()
	require.NoError(t, h.Refuses())
	return h
}

// readText reads the text of a series as the pushes of these tests have it.
func readText(t *series.Table, names *series.Newcomers, text []byte) error {
	name, labels, _ := strings.Cut(string(text), "{")
	_, gateway, _ := strings.Cut(labels, `gatewayID="`)
	gateway, _, _ = strings.Cut(gateway, `"`)
	names.List = append(names.List, series.Newcomer{
		Raw: text, Hash: t.Index.Hash(series.Text, text), Text: series.Whole(text),
		Name: names.Keep([]byte(name)), Gateway: names.Keep([]byte(gateway)),
	})
	return nil
}

func (m *diskModel) open() {
	m.h = keeping(m.t, Config{Own: ownOf}, m.cfg)
}

func (m *diskModel) step() {
	m.h.now = time.Now()
	switch m.rnd.IntN(16) {
	case 0:
		m.restart()
	case 1:
		m.crash()
	case 2:
		m.h.Expire(m.h.now.Add(time.Hour), nothing)
		m.expired = true // before its time, so that it is known again after a restart
	case 3:
		_, err := m.h.End([]End{{Gateway: strconv.Itoa(m.rnd.IntN(4)), First: m.h.now.UnixMilli()}}, m.h.now)
		require.NoError(m.t, err)
	case 4, 5, 6, 7:
		m.scrape()
	case 8: // segments are packed, or that ends before they take the others' place
		ends := m.rnd.IntN(3) == 0
		m.disk.Change(func(d *faulty.Disk) { d.NoRename, d.NoRemove = ends, ends })
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		m.disk.Change(func(d *faulty.Disk) { d.NoRename, d.NoRemove = false, false })
	default:
		m.push()
	}
}

// push pushes samples of some series, of which new ones come all the time.
func (m *diskModel) push() {
	var body strings.Builder
	from := len(m.names)
	for range 1 + m.rnd.IntN(20) {
		name := `x{gatewayID="` + strconv.Itoa(m.rnd.IntN(4)) + `",n="` + strconv.Itoa(from/40+m.rnd.IntN(5)) + `"}`
		line := at(name, int64(len(m.names)), m.h.now.UnixMilli()+int64(len(m.names)))
		if bytes := wordsOf(len(m.names)); bytes > 0 {
			line = fmt.Sprintf("%s %d\n", strings.TrimSpace(line), bytes)
		}
		body.WriteString(line)
		m.names = append(m.names, name)
	}
	fails := m.rnd.IntN(6) == 0
	if fails {
		m.disk.Change(func(d *faulty.Disk) { d.Room, d.NoCut = m.rnd.Int64N(150), m.rnd.IntN(2) == 0 })
	}
	_, err := m.h.try(body.String())
	m.disk.Change(func(d *faulty.Disk) { d.Room, d.NoCut = -1, false })
	if !fails {
		require.NoError(m.t, err)
	}
	if err == nil {
		for i := from; i < len(m.names); i++ {
			m.acked[i] = true
		}
		return
	}
	m.failed++
	var storage *StorageError
	require.ErrorAs(m.t, err, &storage)
	require.Equal(m.t, Failed, storage.Reason)
	require.ErrorAs(m.t, m.h.Refuses(), &storage)
	for i := from; i < len(m.names); i++ {
		require.NotContains(m.t, m.waiting(), i)
	}
	time.Sleep(2 * time.Second)
	synctest.Wait()
	require.NoError(m.t, m.h.Refuses(), "the disk is well again")
}

func (m *diskModel) scrape() {
	for _, line := range m.h.take(0, most(1+m.rnd.IntN(40))) {
		if value, is := m.value(line); is {
			m.taken[value] = true
		}
	}
}

// wordsOf is how many bytes the exemplar of a sample has, 0 for none.
func wordsOf(value int) int { return max(0, value%7-3) * 10 }

// value is which sample a line is, which has to have its name and what follows it.
func (m *diskModel) value(line string) (value int, is bool) {
	words := strings.Fields(line)
	value, err := strconv.Atoi(words[1])
	if !strings.HasPrefix(line, "x") || err != nil {
		return 0, false // a marker, or the hub's own
	}
	require.Less(m.t, value, len(m.names), "seed %d", m.seed)
	require.Equal(m.t, m.names[value], words[0], "seed %d", m.seed)
	require.Equal(m.t, wordsOf(value) > 0, len(words) == 4, "seed %d", m.seed)
	if len(words) == 4 {
		require.Equal(m.t, strconv.Itoa(wordsOf(value)), words[3], "seed %d", m.seed)
	}
	return value, true
}

// waiting is what waits.
func (m *diskModel) waiting() map[int]bool {
	values := map[int]bool{}
	for _, line := range m.h.read(0, all).text {
		if value, is := m.value(line); is {
			values[value] = true
		}
	}
	return values
}

func (m *diskModel) here() []int64 {
	return m.h.Log.Here(m.h.Table().Numbers([]string{"0", "1", "2", "3"}))
}

func (m *diskModel) restart() {
	before, here := m.waiting(), m.here()
	m.h.Close()
	m.open()
	assert.Equal(m.t, before, m.waiting(), "seed %d", m.seed)
	if m.cfg.SegmentBytes == 0 && m.failed == 0 { // or segments have gone, with gateways that pushed nothing since
		for i, since := range m.here() {
			assert.True(m.t, here[i] == since || here[i] == 0 && m.expired, "seed %d", m.seed)
		}
	}
}

// crash goes on with what is on disk while the store runs.
func (m *diskModel) crash() {
	m.crashed++
	dir := m.t.TempDir()
	require.NoError(m.t, os.CopyFS(dir, os.DirFS(m.cfg.Dir)))
	m.h.Close()
	m.cfg.Dir = dir
	m.open()
	waiting := m.waiting()
	for value := range m.acked {
		require.True(m.t, waiting[value] || m.taken[value], "seed %d: sample %d was acknowledged and is gone", m.seed, value)
	}
}
