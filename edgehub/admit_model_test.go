package edgehub

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A hub with three scrapers against a plain model: which samples each has got, and
// which wait for it. Scrapes are lost, overlap, and come in parts; some servers
// keep only the first sample of a series; series expire. Whatever happens, under
// Refuse each sample that was taken is with somebody or waits for somebody, and what a
// scraper lacks was counted as left behind; under Newest what nobody gets was counted
// as let go.
func TestScrapersAgainstAModel(t *testing.T) {
	seeds := uint64(500)
	if testing.Short() {
		seeds = 30
	}
	leftBehind, letGo := uint64(0), uint64(0)
	for seed := range seeds {
		m := newModel(t, seed)
		for range 150 {
			m.step()
			m.check()
		}
		m.finish()
		stats := m.h.Stats()
		leftBehind, letGo = leftBehind+stats.LeftBehind, letGo+stats.LetGo
	}
	require.NotZero(t, leftBehind)
	require.NotZero(t, letGo)
}

// hubModel is what is known of a hub from outside. Sample i has the value i.
type hubModel struct {
	t     *testing.T
	seed  uint64
	rnd   *rand.Rand
	h     *Hub
	taken int
	all   []*modelScraper
	split bool // scrapers come in parts
	loose bool // scrapes overlap
	held  int  // scrapers for which samples are held
	late  []func()
}

type modelScraper struct {
	*scraper
	onlyFirst bool
	parts     int
	lazy      int // it comes once in so many times
	got       []bool
}

func newModel(t *testing.T, seed uint64) *hubModel {
	rnd := rand.New(rand.NewPCG(seed, 1))
	cfg := Config{
		Cursors:    []string{"a", "b", "c"}[:1+rnd.IntN(3)],
		MaxSamples: 20 + rnd.IntN(60),
		Policy:     []Policy{Refuse, Refuse, Newest}[rnd.IntN(3)],
	}
	cfg.MaxScrapeSamples = 5 + rnd.IntN(100)
	m := &hubModel{t: t, seed: seed, rnd: rnd, h: newHub(t, cfg), split: rnd.IntN(3) == 0, loose: rnd.IntN(2) == 0}
	for _, name := range cfg.Cursors {
		s := &modelScraper{scraper: m.h.scrapers[name], onlyFirst: rnd.IntN(3) == 0, parts: 1, lazy: 1 + rnd.IntN(1+rnd.IntN(30))}
		if s.onlyFirst {
			m.held++
		}
		m.all = append(m.all, s)
	}
	return m
}

func (m *hubModel) step() {
	switch m.rnd.IntN(20) {
	case 0:
		m.h.expire(m.h.started.Add(time.Hour))
	case 1, 2:
		for _, commit := range m.late {
			commit()
		}
		m.late = nil
	case 3, 4, 5, 6, 7, 8, 9:
		m.push(1 + m.rnd.IntN(1+m.h.cfg.MaxSamples/3))
	default:
		s := m.all[m.rnd.IntN(len(m.all))]
		if m.rnd.IntN(s.lazy) == 0 {
			m.scrape(s)
		}
	}
}

// push tries to add samples of some gateways.
func (m *hubModel) push(samples int) {
	var body strings.Builder
	gateways := 1 + m.rnd.IntN(6)
	for i := range samples {
		body.WriteString(at(fmt.Sprintf("x{gatewayID=\"%d\"}", m.rnd.IntN(gateways)), m.taken+i, int64(m.taken+i)))
	}
	before := m.h.Stats().Pending
	_, err := m.h.ingest([]byte(body.String()), m.h.started)
	if err != nil {
		require.False(m.t, m.h.cfg.Policy == Refuse && strings.Contains(err.Error(), "limit is") && before+samples <= m.h.cfg.MaxSamples-m.h.cfg.MaxSamples/reserved,
			"seed %d: refused with room: %v", m.seed, err)
		return
	}
	require.False(m.t, m.h.cfg.Policy == Refuse && before+samples > m.h.cfg.MaxSamples, "seed %d: taken without room", m.seed)
	m.taken += samples
	for _, s := range m.all {
		s.got = append(s.got, make([]bool, samples)...)
		require.LessOrEqual(m.t, s.behind(m.h.log.end), m.h.cfg.MaxSamples, "seed %d: %s", m.seed, s.name)
	}
}

// scrape gives a scraper, or one of its parts, a response, which it may not get.
func (m *hubModel) scrape(s *modelScraper) {
	if m.split && m.rnd.IntN(10) == 0 {
		s.parts = 1 + m.rnd.IntN(4)
	}
	part := m.rnd.IntN(s.parts)
	c, _ := m.h.log.cursor(s.scraper, part, s.parts, m.h.cfg.MaxScrapeSamples)
	v, t, most := m.h.log.read(c)
	what := everything
	what.part, what.parts, what.most, what.onlyFirst = part, s.parts, most, s.onlyFirst
	a := arrange(v, t.ranked(), what)
	points := pointsOf(a)
	fate := m.rnd.IntN(10)
	if fate == 0 {
		return
	}
	for _, p := range points {
		s.got[int(p.value)] = true
	}
	commit := func() { m.h.handedOver(s.scraper, c, a) }
	if m.loose && fate < 4 {
		m.late = append(m.late, commit)
		return
	}
	commit()
}

func pointsOf(a *arrangement) (points []point) {
	for _, id := range a.rank.order {
		points = append(points, a.of(id)...)
	}
	return points
}

// knows says which samples a scraper has got or still will.
func (m *hubModel) knows(s *modelScraper) []bool {
	knows := append([]bool(nil), s.got...)
	for part, c := range s.scraper.parts {
		v, t, _ := m.h.log.read(c)
		what := everything
		what.part, what.parts, what.most = part, len(s.scraper.parts), math.MaxInt
		for _, p := range pointsOf(arrange(v, t.ranked(), what)) {
			knows[int(p.value)] = true
		}
	}
	return knows
}

func (m *hubModel) check() {
	stats := m.h.Stats()
	somebody, pending := make([]bool, m.taken), m.taken
	for _, s := range m.all {
		lacks := 0
		for i, known := range m.knows(s) {
			if known {
				somebody[i] = true
			} else {
				lacks++
			}
		}
		if m.h.cfg.Policy == Refuse && !m.split {
			if m.loose {
				require.LessOrEqual(m.t, lacks, int(s.leftBehind), "seed %d: %s", m.seed, s.name)
			} else {
				require.Equal(m.t, lacks, int(s.leftBehind), "seed %d: %s", m.seed, s.name)
			}
		}
	}
	nobody := 0
	for i, known := range somebody {
		if !known {
			nobody++
		}
		for _, s := range m.all {
			if s.got[i] {
				pending--
				break
			}
		}
	}
	if m.h.cfg.Policy == Refuse {
		require.Zero(m.t, nobody, "seed %d: samples that nobody has nor will get", m.seed)
		require.Zero(m.t, stats.LetGo, "seed %d", m.seed)
		if m.held < 2 {
			require.LessOrEqual(m.t, pending, m.h.cfg.MaxSamples, "seed %d", m.seed)
		}
	}
	if m.held < 2 && !m.split { // of what is held for two scrapers only the longer counts
		require.LessOrEqual(m.t, nobody, int(stats.LetGo), "seed %d", m.seed)
	}
	// What is held for one part may be counted a second time for another one, and a
	// scrape that overlaps may hold what was given up meanwhile.
	if m.held == 0 || !m.split && !m.loose {
		require.LessOrEqual(m.t, stats.Pending, m.h.cfg.MaxSamples, "seed %d", m.seed)
	}
}

// finish has all scrapers take what waits for them.
func (m *hubModel) finish() {
	m.loose, m.split = false, false
	for rounds := 0; m.h.log.behind() > 0; rounds++ {
		require.Less(m.t, rounds, 100_000, "seed %d: %+v", m.seed, m.h.log.lags())
		for _, s := range m.all {
			m.scrape(s)
		}
	}
	require.Zero(m.t, m.h.Stats().Pending, "seed %d", m.seed)
}
