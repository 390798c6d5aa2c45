package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// ownOf is a family of the hub's own, such as first{gatewayID="a"}.
var ownOf = &series.Own{Name: "first", Kind: "gauge", Help: "Help.", Text: func(gateway string) ([]byte, uint32, bool) {
	return []byte(ownName(gateway)), uint32(len(gateway)), false
}}

func ownName(gateway string) string { return fmt.Sprintf("first{gatewayID=%q}", gateway) }

// Pushes, ends and scrapes in any order, some of which break off, against a plain model: each scraper gets each sample that
// was taken, once, and the markers and the times of first samples that the model says, whoever comes back, is late, or is
// forgotten meanwhile.
func TestEndsAgainstAModel(t *testing.T) {
	seeds := uint64(1500)
	if testing.Short() {
		seeds = 100
	}
	ends, late := 0, 0
	for seed := range seeds {
		m := newEndModel(t, seed)
		for range 120 {
			m.step()
		}
		m.finish()
		ends, late = ends+m.ends, late+m.late
	}
	assert.NotZero(t, ends)
	assert.NotZero(t, late)
	t.Logf("%d ends, %d late samples of gateways that are not here", ends, late)
}

// endModel is what is known of a store from outside.
type endModel struct {
	t        *testing.T
	seed     uint64
	rnd      *rand.Rand
	h        *hub
	clock    int64 // samples are of about this time
	gateways map[string]*endGateway
	want     map[string]int // each sample as it is read, and how often; a forgotten gateway may come again at the same time
	got      []map[string]int
	ends     int
	late     int
	values   int64
}

type endGateway struct {
	first, ended int64
	series       map[string]*endSeries
}

type endSeries struct{ last, marker int64 } // since it ended, and then

func newEndModel(t *testing.T, seed uint64) *endModel {
	m := &endModel{t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 2)), clock: 1000, gateways: map[string]*endGateway{}, want: map[string]int{}}
	scrapers := []string{"a", "b"}[:1+m.rnd.IntN(2)]
	m.h = newHub(t, Config{Scrapers: scrapers, Own: ownOf})
	for range scrapers {
		m.got = append(m.got, map[string]int{})
	}
	return m
}

func (m *endModel) step() {
	switch m.rnd.IntN(12) {
	case 0, 1:
		m.end(1 + m.rnd.IntN(3))
	case 2, 3, 4:
		m.scrape(m.rnd.IntN(len(m.got)), m.rnd.IntN(3) > 0)
	case 5:
		if m.rnd.IntN(3) == 0 {
			m.expire()
		}
	default:
		m.push(1 + m.rnd.IntN(8))
		m.clock += m.rnd.Int64N(30)
	}
}

func (m *endModel) push(n int) {
	type sample struct {
		gateway, name string
		time          int64
	}
	var all []sample
	var body strings.Builder
	gateways := 1 + m.rnd.IntN(4)
	for range n {
		g := strconv.Itoa(m.rnd.IntN(gateways))
		s := sample{g, fmt.Sprintf("x{gatewayID=%q,n=\"%d\"}", g, m.rnd.IntN(3)), m.clock - m.rnd.Int64N(1+m.rnd.Int64N(60))}
		all = append(all, s)
		m.values++
		body.WriteString(at(s.name, m.values, s.time))
		m.expect(s.name, strconv.FormatInt(m.values, 10), s.time)
	}
	m.h.push(body.String())
	begun := map[string]int64{}
	for _, s := range all {
		g := m.gateways[s.gateway]
		if g == nil {
			g = &endGateway{series: map[string]*endSeries{}}
			m.gateways[s.gateway] = g
		}
		is := g.series[s.name]
		if is == nil {
			is = &endSeries{}
			g.series[s.name] = is
		}
		if g.first == 0 && is.last == 0 {
			until := is.marker
			if until == 0 {
				until = g.ended
			}
			if s.time <= until {
				m.late++
				continue
			}
		}
		is.last = max(is.last, s.time)
		if g.first == 0 {
			if was, ok := begun[s.gateway]; !ok || s.time < was {
				begun[s.gateway] = s.time
			}
		}
	}
	for name, first := range begun {
		g := m.gateways[name]
		own := g.series[ownName(name)]
		if own == nil {
			own = &endSeries{}
			g.series[ownName(name)] = own
		}
		g.first, g.ended = first, 0
		own.last = max(first, own.marker+1)
		m.expect(ownName(name), strconv.FormatFloat(float64(first)/1000, 'g', -1, 64), own.last)
	}
}

func (m *endModel) expect(name, value string, ms int64) {
	m.want[fmt.Sprintf("%s %s %d", name, value, ms)]++
}

// end says that some gateways went elsewhere, also such as have not, twice, or long ago.
func (m *endModel) end(n int) {
	var ends []End
	for range n {
		ends = append(ends, End{Gateway: strconv.Itoa(m.rnd.IntN(5)), First: m.clock + 20 - m.rnd.Int64N(1+m.rnd.Int64N(200))})
	}
	e, err := m.h.End(ends, m.h.now)
	require.NoError(m.t, err)
	markers, gone := 0, 0
	for name, g := range m.gateways {
		first := int64(0)
		for _, end := range ends {
			if end.Gateway == name && g.first != 0 && end.First >= g.first && (first == 0 || end.First < first) {
				first = end.First
			}
		}
		if first == 0 {
			continue
		}
		gone++
		own, newest := g.series[ownName(name)], int64(0)
		for text, s := range g.series {
			if s.last == 0 {
				continue
			}
			markers++
			if s == own {
				continue
			}
			s.last, s.marker = 0, max(first-1, s.last+1)
			newest = max(newest, s.marker)
			m.expect(text, "NaN", s.marker)
		}
		own.marker = max(newest, first-1, own.last+1)
		own.last = 0
		m.expect(ownName(name), "NaN", own.marker)
		g.first, g.ended = 0, own.marker
	}
	require.Len(m.t, e.Gateways, gone, "seed %d", m.seed)
	require.Equal(m.t, markers, e.Markers, "seed %d", m.seed)
	m.ends += gone
}

// scrape gives a scraper what waits for it, or breaks off.
func (m *endModel) scrape(scraper int, arrives bool) {
	choice := all
	if m.rnd.IntN(2) == 0 {
		choice = most(1 + m.rnd.IntN(20))
	}
	if m.rnd.IntN(4) == 0 {
		choice = one()
	}
	r := m.h.read(scraper, choice)
	o := m.h.offer(r)
	if !arrives {
		m.h.Log.Withdraw(o)
		return
	}
	m.h.Log.Take(o)
	for _, line := range r.text {
		m.got[scraper][line]++
	}
}

// expire forgets all series of which no sample waits.
func (m *endModel) expire() {
	m.h.Expire(m.h.now.Add(time.Hour), nothing)
	index := m.h.Table().Index
	knows := func(text string) bool {
		return index.Find(series.Text, index.Hash(series.Text, []byte(text)), []byte(text)) != 0
	}
	for name, g := range m.gateways {
		if !knows(ownName(name)) {
			for text := range g.series {
				require.False(m.t, knows(text), "seed %d: %s has lost the series of its first sample", m.seed, text)
			}
			delete(m.gateways, name)
			continue
		}
		maps.DeleteFunc(g.series, func(text string, _ *endSeries) bool { return !knows(text) })
	}
}

func (m *endModel) finish() {
	for scraper := range m.got {
		for rounds := 0; ; rounds++ {
			c, _ := m.h.Log.Cursor(scraper, 0, 1)
			if v, _ := m.h.Read(c, 1<<62); v.From == v.To {
				break
			}
			require.Less(m.t, rounds, 10_000)
			m.scrape(scraper, true)
		}
	}
	for _, got := range m.got {
		var wrong []string
		for line := range m.want {
			if got[line] == 0 && !m.replaced(got, line) {
				wrong = append(wrong, "-"+line)
			}
		}
		for line, n := range got {
			if n > m.want[line] {
				wrong = append(wrong, "+"+line)
			}
		}
		slices.Sort(wrong)
		require.Empty(m.t, wrong, "seed %d", m.seed)
	}
}

// replaced says whether a sample made way for a later one of the same series and time.
func (m *endModel) replaced(got map[string]int, line string) bool {
	fields := strings.Fields(line)
	for other := range got {
		if o := strings.Fields(other); o[0] == fields[0] && o[2] == fields[2] && o[1] != "NaN" {
			return true
		}
	}
	return false
}

// Gateways are pushed, ended, scraped and forgotten by many at the same time. No sample is lost, and between two
// ends of a series, in the order of the log, there is a sample. What is forgotten has no end.
func TestEndsBesidePushes(t *testing.T) {
	for _, forget := range []bool{false, true} {
		endsBesidePushes(t, forget)
	}
}

func endsBesidePushes(t *testing.T, forget bool) {
	const gateways, rounds = 4, 300
	h := newHub(t, Config{Own: ownOf})
	var pushing, others sync.WaitGroup
	done := make(chan struct{})
	var clock sync.Mutex
	now := int64(1000)
	tick := func() int64 { clock.Lock(); defer clock.Unlock(); now++; return now }
	for g := range gateways {
		pushing.Go(func() {
			for i := range rounds {
				_, err := h.try(at(fmt.Sprintf("x{gatewayID=\"%d\"}", g), int64(i), tick()) + at(fmt.Sprintf("y{gatewayID=\"%d\",n=\"%d\"}", g, i/50), int64(i), tick()))
				assert.NoError(t, err)
			}
		})
	}
	until := func(do func()) {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					do()
				}
			}
		})
	}
	until(func() {
		_, err := h.End([]End{{Gateway: strconv.Itoa(int(tick()) % gateways), First: tick()}, {Gateway: "unknown", First: 5}}, h.now)
		assert.NoError(t, err)
	})
	var got []string // in the order of the log, as far as one series goes
	read := func() {
		r := h.read(0, all)
		h.Log.Take(h.offer(r))
		got = append(got, r.text...)
	}
	until(read)
	if forget {
		until(func() { h.Expire(h.now.Add(time.Hour), nothing) })
	}
	pushing.Wait()
	close(done)
	others.Wait()
	for g := range gateways {
		_, err := h.End([]End{{Gateway: strconv.Itoa(g), First: tick()}}, h.now)
		require.NoError(t, err)
	}
	read()
	type newest struct {
		time  int
		isEnd bool
	}
	byName, newestOf, samples := map[string][]string{}, map[string]newest{}, 0
	for _, line := range got {
		fields := strings.Fields(line)
		byName[fields[0]] = append(byName[fields[0]], fields[1])
		ms, err := strconv.Atoi(fields[2])
		require.NoError(t, err)
		// A push may come behind a marker that is no older: it is over by then.
		if n, isEnd := newestOf[fields[0]], fields[1] == "NaN"; ms > n.time || ms == n.time && isEnd {
			newestOf[fields[0]] = newest{ms, isEnd}
		}
		if fields[1] != "NaN" && !strings.HasPrefix(line, "first") {
			samples++
		}
	}
	assert.Equal(t, gateways*rounds*2, samples)
	for name, values := range byName {
		assert.True(t, forget || newestOf[name].isEnd, "%s has no end", name)
		for i := range values[1:] {
			assert.False(t, values[i] == "NaN" && values[i+1] == "NaN", "%s is ended twice in a row: %v", name, values)
		}
	}
}
