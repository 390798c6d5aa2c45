package store

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/samples"
)

// A store with up to three scrapers against a plain model: which samples each has got, and
// which wait for it. Responses are lost, overlap, and come in parts; some scrapers get one
// sample of a series at a time; series expire, and their numbers go to others; what waits is sealed. Whatever
// happens, each sample bears its name; under Refuse each that was taken is with
// somebody or waits for somebody, and what a scraper lacks was counted as left behind; under
// Newest what nobody gets was counted as let go.
func TestScrapersAgainstAModel(t *testing.T) {
	seeds := uint64(500)
	if testing.Short() {
		seeds = 30
	}
	leftBehind, letGo, sealed := uint64(0), 0, 0
	for seed := range seeds {
		m := newModel(t, seed)
		for range 150 {
			m.step()
			m.check()
		}
		m.finish()
		leftBehind, letGo = leftBehind+m.h.Log.LeftBehind(), letGo+m.letGo
		sealed += m.sealed
	}
	require.Greater(t, sealed, int(seeds))
	require.NotZero(t, leftBehind)
	require.NotZero(t, letGo)
}

// model is what is known of a store from outside. Sample i has the value i.
type model struct {
	t      *testing.T
	seed   uint64
	rnd    *rand.Rand
	seals  *rand.Rand
	h      *hub
	limit  int
	newest bool
	split  bool     // scrapers come in parts
	loose  bool     // responses overlap
	pushes int      // of twenty steps
	names  []string // of the samples that were taken
	letGo  int
	sealed int // times that something was
	all    []*modelScraper
}

type modelScraper struct {
	number int
	one    bool
	parts  int
	lazy   int // it comes once in so many times
	got    []bool
	open   []open
}

// open is a response that is on its way.
type open struct {
	offer  *samples.Offer
	values []int
}

func newModel(t *testing.T, seed uint64) *model {
	rnd := rand.New(rand.NewPCG(seed, 1))
	m := &model{
		t: t, seed: seed, rnd: rnd, seals: rand.New(rand.NewPCG(seed, 2)),
		limit: 20 + rnd.IntN(60), newest: rnd.IntN(3) == 0, split: rnd.IntN(3) == 0, loose: rnd.IntN(2) == 0,
		pushes: 4 + rnd.IntN(8),
	}
	scrapers := []string{"a", "b", "c"}[:1+rnd.IntN(3)]
	m.h = newHub(t, Config{Scrapers: scrapers, Samples: m.limit, Newest: m.newest})
	for i := range scrapers {
		m.all = append(m.all, &modelScraper{number: i, one: rnd.IntN(3) == 0, parts: 1, lazy: 1 + rnd.IntN(1+rnd.IntN(30))})
	}
	return m
}

func (m *model) step() {
	if m.seals.IntN(8) == 0 {
		m.seal()
	}
	switch n := m.rnd.IntN(20); {
	case n == 0:
		m.h.Expire(m.h.now.Add(time.Hour), nothing)
	case n < 3:
		for _, s := range m.all {
			m.settle(s)
		}
	case n < 3+m.pushes:
		m.push(1 + m.rnd.IntN(1+m.limit/3))
	default:
		s := m.all[m.rnd.IntN(len(m.all))]
		if m.rnd.IntN(s.lazy) == 0 {
			m.scrape(s)
		}
	}
}

// seal seals all that makes a block.
func (m *model) seal() {
	later := m.h.now.Add(time.Hour)
	if m.h.Log.ToSeal(later) {
		m.sealed++
		m.h.Log.Seal(later)
	}
	require.False(m.t, m.h.Log.ToSeal(later))
}

// push tries to add samples of some gateways.
func (m *model) push(n int) {
	var body strings.Builder
	var names []string
	gateways := 1 + m.rnd.IntN(6)
	for i := range n {
		names = append(names, fmt.Sprintf(`x{gatewayID="%d"}`, m.rnd.IntN(gateways)))
		value := int64(len(m.names) + i)
		body.WriteString(at(names[i], value, value))
	}
	before := m.h.pending()
	made, err := m.h.try(body.String())
	if err != nil {
		require.False(m.t, !m.newest && before+n <= m.limit-m.limit/8, "seed %d: refused with room: %v", m.seed, err)
		return
	}
	require.False(m.t, !m.newest && before+n > m.limit, "seed %d: taken without room", m.seed)
	m.letGo += made.LetGo
	m.names = append(m.names, names...)
	for _, s := range m.all {
		s.got = append(s.got, make([]bool, n)...)
	}
	require.LessOrEqual(m.t, m.h.Log.Behind(), 3*m.limit, "seed %d", m.seed)
}

// scrape gives a scraper, or one of its parts, a response, which it may not get.
func (m *model) scrape(s *modelScraper) {
	if m.split && m.rnd.IntN(10) == 0 {
		s.parts = 1 + m.rnd.IntN(4)
	}
	choice := part(m.rnd.IntN(s.parts), s.parts)
	choice.One, choice.Most = s.one, 1+m.rnd.IntN(100)
	r := m.h.read(s.number, choice)
	o := open{m.h.offer(r), m.values(r)}
	s.open = append(s.open, o)
	if !m.loose || len(s.open) > 4 {
		m.settle(s)
	}
}

// settle settles what is on its way to a scraper, in any order.
func (m *model) settle(s *modelScraper) {
	m.rnd.Shuffle(len(s.open), func(i, j int) { s.open[i], s.open[j] = s.open[j], s.open[i] })
	for _, o := range s.open {
		if m.rnd.IntN(5) == 0 {
			m.letGo += m.h.Log.Withdraw(o.offer)
			continue
		}
		m.h.Log.Take(o.offer)
		for _, value := range o.values {
			s.got[value] = true
		}
	}
	s.open = nil
}

// values are the samples of a response, each of which has to have its name.
func (m *model) values(r *response) (values []int) {
	for _, line := range r.text {
		name, rest, _ := strings.Cut(line, " ")
		rest, _, _ = strings.Cut(rest, " ")
		value, err := strconv.Atoi(rest)
		require.NoError(m.t, err)
		if name != m.names[value] {
			require.Equal(m.t, m.names[value], name, "seed %d", m.seed)
		}
		values = append(values, value)
	}
	return values
}

// knows says which samples a scraper has got, or still will.
func (m *model) knows(s *modelScraper) []bool {
	knows := append([]bool(nil), s.got...)
	for p := range s.parts {
		c, resplit := m.h.Log.Cursor(s.number, p, s.parts)
		require.False(m.t, resplit)
		choice := arrange.Everything
		choice.Part, choice.Parts = p, s.parts
		for _, value := range m.values(m.h.readAt(c, choice)) {
			knows[value] = true
		}
	}
	for _, o := range s.open {
		for _, value := range o.values {
			knows[value] = true
		}
	}
	return knows
}

func (m *model) check() {
	somebody := make([]bool, len(m.names))
	for i, lag := range m.leftBehind() {
		s, lacks := m.all[i], 0
		for value, known := range m.knows(s) {
			if known {
				somebody[value] = true
			} else {
				lacks++
			}
		}
		switch {
		case m.newest || m.split:
		case m.loose:
			require.LessOrEqual(m.t, lacks, lag, "seed %d: %d", m.seed, i)
		default:
			require.Equal(m.t, lag, lacks, "seed %d: %d", m.seed, i)
		}
	}
	nobody := 0
	for _, known := range somebody {
		if !known {
			nobody++
		}
	}
	switch {
	case !m.newest:
		require.Zero(m.t, nobody, "seed %d: samples that nobody has nor will get", m.seed)
		require.Zero(m.t, m.letGo, "seed %d", m.seed)
	case !m.split:
		require.LessOrEqual(m.t, nobody, m.letGo, "seed %d", m.seed)
	}
	most := m.limit
	if m.loose { // what was on its way and did not arrive waits again
		most *= 2
	}
	require.LessOrEqual(m.t, m.h.pending(), most, "seed %d", m.seed)
}

// leftBehind is what each scraper was left behind.
func (m *model) leftBehind() (samples []int) {
	for _, l := range m.h.Log.Lags() {
		if l.Part == 1 {
			samples = append(samples, int(l.LeftBehind))
		}
	}
	return samples
}

// finish has all scrapers take what waits for them.
func (m *model) finish() {
	m.loose, m.split = false, false
	for rounds := 0; m.h.Log.Behind() > 0; rounds++ {
		require.Less(m.t, rounds, 100_000, "seed %d: %+v", m.seed, m.h.Log.Lags())
		for _, s := range m.all {
			m.scrape(s)
		}
	}
	require.Zero(m.t, m.h.pending(), "seed %d", m.seed)
}
