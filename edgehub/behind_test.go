package edgehub

import (
	"bytes"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var pair = []string{"a", "b"}

// take reads with a cursor all that a scrape of one part would, and returns its lines.
func take(h *Hub, cursor string) []string {
	s := h.scrapers[cursor]
	return drainPart(h, h.started, s, s.parts[0], request{parts: 1})
}

// lines are those of a series with the values from one to another.
func lines(series string, from, to int64) []string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, line(series, i))
	}
	return all
}

// One server of a pair that is dead stops nobody, whatever the policy: nothing is
// refused, the other one gets everything, and the dead one, when it is back, the
// latest that the hub has room for, in bites.
func TestDeadServerOfAPair(t *testing.T) {
	const limit, pushes = 20, 100
	for _, policy := range []Policy{Refuse, Newest} {
		h := newHub(t, Config{Cursors: pair, MaxSamples: limit, MaxScrapeSamples: 8, Policy: policy})
		var got []string
		for i := range int64(pushes) {
			ingestAt(t, h, []byte(at("x", i, i)))
			got = append(got, take(h, "a")...)
		}
		assert.Equal(t, lines("x", 0, pushes), got)
		assert.Equal(t, Stats{Scraped: pushes, Series: 1, LeftBehind: pushes - limit, Behind: limit}, h.Stats(), string(policy))

		for _, want := range [][2]int64{{80, 88}, {88, 96}, {96, 100}} {
			assert.Equal(t, lines("x", want[0], want[1]), take(h, "b"))
		}
		ingestAt(t, h, []byte(at("x", pushes, pushes)))
		assert.Equal(t, lines("x", pushes, pushes+1), take(h, "b"))
		assert.EqualValues(t, pushes-limit, h.Stats().LeftBehind)
	}
}

// The metrics and the page say which server lacks how much, and that the hub is not full.
func TestMetricsOfADeadServer(t *testing.T) {
	s := serve(t, Config{Cursors: pair, MaxSamples: 20})
	for i := range int64(50) {
		s.push(at("x", i, i))
		s.get("/metrics?cursor=a&drain=1")
	}
	internal := s.get("/internal")
	for _, want := range []string{
		`edgehub_samples_left_behind_total{cursor="a"} 0`, `edgehub_samples_left_behind_total{cursor="b"} 30`,
		`edgehub_cursor_lag_samples{cursor="b",part=""} 20`, "edgehub_pending_samples 0", "edgehub_oldest_pending_seconds 0",
		`edgehub_samples_dropped_total{reason="let_go"} 0`,
	} {
		assert.Contains(t, internal, want+"\n")
	}
	assert.Regexp(t, `cursor "b" +part 1 of 1: 20 samples, \d+ s behind; all parts were left 30 samples behind\n`, s.get("/debug"))
}

// With both dead it is as with one alone: what nobody has is refused, or let go and
// counted once, and what only one of them lacks makes room before.
func TestBothOfAPairAreDead(t *testing.T) {
	const limit = 20
	for _, policy := range []Policy{Refuse, Newest} {
		h := newHub(t, Config{Cursors: pair, MaxSamples: limit, Policy: policy})
		next := int64(0)
		push := func() error {
			_, err := h.ingest([]byte(at("x", next, next)), h.started)
			if err == nil {
				next++
			}
			return err
		}
		for range limit {
			require.NoError(t, push())
		}
		require.Len(t, take(h, "a"), limit)
		for range limit {
			require.NoError(t, push())
		}
		assert.Equal(t, limit, h.Stats().Pending)
		assert.EqualValues(t, limit, h.Stats().LeftBehind)
		err := push()
		if policy == Refuse {
			assert.ErrorContains(t, err, "the hub holds 20 samples that wait to be scraped, this push has 1, and the limit is 20")
			assert.Zero(t, h.Stats().LetGo)
		} else {
			require.NoError(t, err)
			assert.EqualValues(t, 1, h.Stats().LetGo)
		}
		assert.EqualValues(t, limit, h.Stats().LeftBehind, string(policy))
		assert.Equal(t, lines("x", next-limit, next), take(h, "a"))
		assert.Equal(t, lines("x", next-limit, next), take(h, "b"))
	}
}

// A scraper of which one part is dead has not got everything, so it leaves nobody behind.
func TestDeadPartIsNobodysLead(t *testing.T) {
	h := newHub(t, Config{Cursors: pair, MaxSamples: 1000})
	for i := range int64(10) {
		ingestAt(t, h, fleet(100, 1, base+i))
		s := h.scrapers["a"]
		c, _ := h.log.cursor(s, 0, 2, h.cfg.MaxScrapeSamples)
		drainPart(h, h.started, s, c, request{parts: 2})
	}
	_, err := h.ingest(fleet(1, 1, base), h.started)
	assert.ErrorContains(t, err, "the hub holds 1000 samples")
	assert.Len(t, take(h, "b"), 2+1000)
	assert.NoError(t, h.entered(fleet(1, 1, base)))
}

func (h *Hub) entered(body []byte) error {
	_, err := h.ingest(body, h.started)
	return err
}

// All parts of a dead scraper are left behind together, and what that costs is counted once.
func TestPartsOfADeadServer(t *testing.T) {
	const limit, gateways, rounds = 1000, 100, 50
	h := newHub(t, Config{Cursors: pair, MaxSamples: limit})
	b := h.scrapers["b"]
	for part := range 4 {
		h.log.cursor(b, part, 4, h.cfg.MaxScrapeSamples)
	}
	for i := range int64(rounds) {
		ingestAt(t, h, fleet(gateways, 1, base+i))
		take(h, "a")
	}
	assert.EqualValues(t, rounds*gateways-limit, h.Stats().LeftBehind)
	got := 0
	for part, c := range b.parts {
		for _, line := range drainPart(h, h.started, b, c, request{part: part, parts: 4}) {
			if !strings.HasPrefix(line, "#") {
				got++
			}
		}
	}
	assert.Equal(t, limit, got)
}

// A scrape that was under way when its scraper was left behind moves the cursor no less
// far, and the samples count once.
func TestLeftBehindDuringAScrape(t *testing.T) {
	h := newHub(t, Config{Cursors: pair, MaxSamples: 10})
	push := func(from, to int64) {
		for i := from; i < to; i++ {
			ingestAt(t, h, []byte(at("x", i, i)))
			take(h, "a")
		}
	}
	push(0, 10)
	b := h.scrapers["b"]
	short, long := reading(h, b.parts[0], 0, 1), reading(h, b.parts[0], 0, 1)
	push(10, 15)
	h.handedOver(b, b.parts[0], long)
	assert.EqualValues(t, 15+5, h.Stats().Scraped)
	push(15, 30)
	h.handedOver(b, b.parts[0], short)
	assert.Equal(t, lines("x", 20, 30), take(h, "b"))
	assert.EqualValues(t, 30+15, h.Stats().Scraped)
	assert.EqualValues(t, 15, h.Stats().LeftBehind)
}

// So it is where samples are held for it.
func TestLeftBehindDuringAScrapeOfTheFirstOnes(t *testing.T) {
	h := newHub(t, Config{Cursors: pair, MaxSamples: 10})
	c := h.scrapers["b"].parts[0]
	ingestAt(t, h, []byte(strings.Join(lines("x", 0, 5), "\n")))
	pass(h, "a")
	v, table, most := h.log.read(c)
	what := everything
	what.most, what.onlyFirst = most, true
	slow := arrange(v, table.ranked(), what)
	require.Len(t, pointsOf(slow), 1)
	for i := range int64(20) {
		ingestAt(t, h, []byte(at("x", 5+i, 5+i)))
		pass(h, "a")
	}
	require.EqualValues(t, 15, c.position)
	h.handedOver(h.scrapers["b"], c, slow)
	assert.EqualValues(t, 15, c.position)
}

// While one server is dead a gateway that floods is refused as ever, and what the other
// server has is held against nobody.
func TestFloodBesideADeadServer(t *testing.T) {
	const limit, gateways = 100_000, 9
	for _, policy := range []Policy{Refuse, Newest} {
		h := newHub(t, Config{Cursors: pair, MaxSamples: limit, MaxScrapeSamples: limit, Policy: policy})
		push := func(gateway string, samples int) error {
			return h.entered([]byte(gatewayBody(gateway, 10, samples/10)))
		}
		for range 6 { // so that the log is full of what b lacks
			require.NoError(t, push("flood", limit/4))
			pass(h, "a")
		}
		require.Positive(t, h.Stats().LeftBehind)
		for g := range gateways {
			require.NoError(t, push(strconv.Itoa(g), 250))
		}
		flooded := 0
		var err error
		for ; err == nil && flooded < 3*limit; flooded += 2500 {
			err = push("flood", 2500)
		}
		require.ErrorContains(t, err, `gateway "flood" holds `, string(policy))
		assert.InDelta(t, limit-limit/reserved, flooded, 2*2500, "room that b's samples take is room")
		for g := range gateways {
			assert.NoError(t, push(strconv.Itoa(g), 1000), "%s: gateway %d", policy, g)
		}
		assert.Error(t, push("flood", 2500), string(policy))
		assert.Zero(t, h.Stats().LetGo)
	}
}

// pass moves a cursor to the end of the log.
func pass(h *Hub, cursor string) {
	s := h.scrapers[cursor]
	h.handedOver(s, s.parts[0], reading(h, s.parts[0], 0, 1))
}

// A Prometheus that is given one sample of a series at a time, and falls behind, keeps
// the other server of its pair from nothing.
func TestHeldSamplesBesideAHealthyServer(t *testing.T) {
	const limit = 50
	h := newHub(t, Config{Cursors: pair, MaxSamples: limit})
	a := h.scrapers["a"]
	for i := range int64(10) {
		var body strings.Builder
		for n := range int64(10) {
			body.WriteString(at("x", 10*i+n, 10*i+n))
		}
		ingestAt(t, h, []byte(body.String()))
		assert.Equal(t, lines("x", 10*i, 10*i+10), take(h, "b"))
		assert.Len(t, drainPart(h, h.started, a, a.parts[0], request{parts: 1, onlyFirst: true}), 1)
		assert.LessOrEqual(t, a.behind(h.log.end), limit)
	}
	stats := h.Stats()
	assert.Zero(t, stats.Pending)
	assert.Equal(t, 100, int(stats.LeftBehind)+10+stats.Behind, "each is left behind, given or waits")
}

// What is held for one server may be what the other one was left behind: it is kept.
func TestHeldSamplesThatNobodyElseHas(t *testing.T) {
	const limit = 20
	h := newHub(t, Config{Cursors: pair, MaxSamples: limit})
	a, next := h.scrapers["a"], int64(0)
	var got []string
	one := func() {
		got = append(got, drainPart(h, h.started, a, a.parts[0], request{parts: 1, onlyFirst: true})...)
	}
	push := func() error {
		err := h.entered([]byte(at("x", next, next) + at("x", next+1, next+1)))
		if err == nil {
			next += 2
		}
		return err
	}
	for range 15 { // b is dead, and a gets half of what comes
		require.NoError(t, push())
		one()
	}
	held := a.holding()
	require.Equal(t, 15, held)
	require.EqualValues(t, 30-limit, h.Stats().LeftBehind)
	require.Equal(t, held, h.Stats().Pending)

	known := next
	pass(h, "b") // which is back, while a is dead
	for range 50 {
		require.NoError(t, push())
		pass(h, "b")
	}
	assert.Equal(t, held, a.holding())
	require.ErrorContains(t, h.entered([]byte(strings.Repeat("x 1\n", limit-held+1))), "the hub holds 15 samples")
	assert.EqualValues(t, 10+100-(limit-held), h.Stats().LeftBehind)
	for a.behind(h.log.end) > 0 {
		one()
	}
	assert.Equal(t, append(lines("x", 0, known), lines("x", next-(limit-int64(held)), next)...), got)
	assert.Zero(t, h.Stats().Pending)
}

// Nor is it known to be with a server that has not come so far.
func TestHeldSamplesThatTheOtherHasNotReached(t *testing.T) {
	h := newHub(t, Config{Cursors: pair, MaxSamples: 20})
	a := h.scrapers["a"]
	ingestAt(t, h, []byte(strings.Join(lines("x", 0, 10), "\n")))
	assert.Equal(t, lines("x", 0, 1), drainPart(h, h.started, a, a.parts[0], request{parts: 1, onlyFirst: true}))
	ingestAt(t, h, []byte(strings.Join(lines("x", 10, 20), "\n")))
	assert.Equal(t, 19, h.Stats().Pending)
	assert.ErrorContains(t, h.entered([]byte("x 1\nx 2\n")), "the hub holds 19 samples")
	b := h.scrapers["b"] // which keeps only the first, too
	assert.Equal(t, lines("x", 0, 1), drainPart(h, h.started, b, b.parts[0], request{parts: 1, onlyFirst: true}))
	assert.Equal(t, lines("x", 1, 2), drainPart(h, h.started, a, a.parts[0], request{parts: 1, onlyFirst: true}))
	assert.Equal(t, 19, h.Stats().Pending, "nobody is known to have what is held for both")
	pass(h, "b")
	assert.Zero(t, h.Stats().Pending, "what is held for a is with b")
}

// Of three servers the first one has what is held for the second, and that is so until
// room is made, though making it leaves the first one behind, too.
func TestTwoAreLeftBehindAtOnce(t *testing.T) {
	h := newHub(t, Config{Cursors: []string{"a", "b", "c"}, MaxSamples: 20})
	b := h.scrapers["b"]
	ingestAt(t, h, []byte(strings.Join(lines("x", 0, 10), "\n")))
	assert.Len(t, drainPart(h, h.started, b, b.parts[0], request{parts: 1, onlyFirst: true}), 1)
	pass(h, "a")
	h.scrapers["c"].gaps = true // long ago
	pass(h, "c")
	ingestAt(t, h, []byte(strings.Join(lines("x", 10, 15), "\n")))
	pass(h, "c")
	assert.Zero(t, h.Stats().Pending)

	ingestAt(t, h, []byte(strings.Join(lines("x", 15, 31), "\n")))
	assert.Zero(t, h.Stats().LetGo)
	assert.EqualValues(t, 1+10, h.Stats().LeftBehind)
	assert.Equal(t, 20, h.Stats().Behind)
}

// It is said once when a scraper is left behind, and once when it has caught up; a
// scraper that is only slow does not end it.
func TestLeavingBehindIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	h, err := New(Config{Cursors: pair, MaxSamples: 10, MaxScrapeSamples: 3, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	push := func(samples int) {
		for range samples {
			ingestAt(t, h, []byte("x 1\n"))
			pass(h, "a")
		}
	}
	said := func() (behind, back int) {
		return strings.Count(log.String(), "left there"), strings.Count(log.String(), "has caught up")
	}
	require.Equal(t, [2]int{}, both(said()))
	for episode := 1; episode <= 2; episode++ {
		push(12)
		pass(h, "b")
		push(4)
		pass(h, "b")
		assert.Equal(t, [2]int{episode, episode - 1}, both(said()))
		pass(h, "b")
		pass(h, "b")
		assert.Equal(t, [2]int{episode, episode}, both(said()))
	}
	assert.Contains(t, log.String(), "level=WARN msg=\"a scraper is too far behind")
	assert.Contains(t, log.String(), "cursor=b limit=10\n")
	assert.Contains(t, log.String(), "cursor=b samples=3\n")
}

func both(a, b int) [2]int { return [2]int{a, b} }

// A hub that drains waits for the one that is behind, too, since it may come back.
func TestDrainWaitsForTheOneBehind(t *testing.T) {
	s := serve(t, Config{Cursors: pair, MaxSamples: 2})
	for i := range int64(3) {
		s.push(at("x", i, i))
		s.get("/metrics?cursor=a&drain=1")
	}
	s.get("/-/ready") // the last one has moved its cursor
	done := s.drain()
	assert.Zero(t, s.Stats().Pending)
	still(t, done)
	answer, text := s.do("GET", "/metrics?cursor=b", "", timeoutHeader, "10")
	assert.True(t, answer.Close)
	assert.Equal(t, at("x", 1, 1)+at("x", 2, 2), text)
	require.NoError(t, <-done)
}

// A push pays for a scraper that is left behind all the time no more than for its own samples.
//
//	go test ./edgehub -run '^$' -bench BenchmarkIngestBesideADeadServer
func BenchmarkIngestBesideADeadServer(b *testing.B) {
	body := fleet(100, 100, base)
	for _, parts := range []int{1, 10} {
		b.Run(fmt.Sprintf("parts=%d", parts), func(b *testing.B) {
			h := newHub(b, Config{Cursors: pair})
			for part := range parts {
				h.log.cursor(h.scrapers["b"], part, parts, h.cfg.MaxScrapeSamples)
			}
			push := func() {
				if _, err := h.ingest(body, time.Now()); err != nil {
					b.Fatal(err)
				}
				passOne(h, "a")
			}
			for h.Stats().LeftBehind == 0 {
				push()
			}
			b.ReportAllocs()
			for b.Loop() {
				push()
			}
			perSample(b, 100*100)
		})
	}
}

// passOne moves a scraper's cursors to the end of the log without a scrape.
func passOne(h *Hub, cursor string) {
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	s := h.scrapers[cursor]
	s.giveUp(s.behind(h.log.end), s.holding())
	h.log.dropLocked()
}
