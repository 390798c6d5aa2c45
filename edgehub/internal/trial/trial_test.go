package trial

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// gateway returns the series of a gateway.
func (w *world) gateway(g int) (ids []series.ID) {
	for f := range w.families {
		ids = append(ids, series.ID(g*w.families+f))
	}
	return ids
}

// spoil makes the server refuse series.
func (w *world) spoil(reason string, ids ...series.ID) {
	for _, id := range ids {
		w.bad[id] = reason
	}
}

// A gateway among many is refused, and the others do not feel it: what they push is stored in
// the same scrape or the next.
func TestOneBadGateway(t *testing.T) {
	for _, tells := range []bool{true, false} {
		w := newWorld(t, 300, func(c *Config[*place]) { c.Most = 100_000 })
		w.tells = tells
		w.pushAll(20)
		require.True(t, w.scrape().accepted)
		bad := w.gateway(20)
		w.spoil("label_limit", bad...)
		var waits []int // samples of good gateways that the last scrape did not store
		for i := 0; i < 10 || w.busy(); i++ {
			begin := len(w.log)
			w.pushAll(21)
			w.scrape()
			for _, at := range waits {
				require.Equal(t, 1, w.stored[at])
			}
			waits = waits[:0]
			for at := begin; at < len(w.log); at++ {
				if w.bad[w.log[at]] == "" && w.stored[at] == 0 {
					waits = append(waits, at)
				}
			}
			require.Less(t, i, 100)
		}
		w.requireOnce()
		assert.Equal(t, bad, w.aside())
		assert.Less(t, w.failed, 15, "scrapes that fail")
		reason := "refused"
		if tells {
			reason = "label_limit"
		}
		assert.Equal(t, reason, w.trial.Reason(bad[7]))
		assert.Empty(t, w.trial.Reason(0))
	}
}

// The search takes a bounded number of scrapes, however many series there are, and whether
// it is series, gateways or metrics that are bad: four for each of them and each doubling of
// the series, if one more is counted. Every second one is everybody else's.
func TestSearchIsBounded(t *testing.T) {
	const families, gateways, all = 12, 25, 300
	kinds := map[string]func(w *world, rnd *rand.Rand) []series.ID{
		"series":  func(_ *world, rnd *rand.Rand) []series.ID { return []series.ID{series.ID(rnd.IntN(all))} },
		"gateway": func(w *world, rnd *rand.Rand) []series.ID { return w.gateway(rnd.IntN(gateways)) },
		"metric": func(w *world, rnd *rand.Rand) (ids []series.ID) {
			f := rnd.IntN(w.families)
			for g := range gateways {
				ids = append(ids, w.gateway(g)[f])
			}
			return ids
		},
	}
	for kind, pick := range kinds {
		for _, n := range []int{1, 2, 4} {
			for seed := range uint64(4) {
				rnd := rand.New(rand.NewPCG(seed, 3))
				w := newWorld(t, families, func(c *Config[*place]) { c.Most = 100_000 })
				w.tells = seed%2 == 0
				if seed%4 < 2 { // they were stored before
					w.pushAll(gateways)
					require.True(t, w.scrape().accepted)
				}
				for range n {
					w.spoil("no_name", pick(w, rnd)...)
				}
				w.scrapes = 0
				for w.trial.Aside() < len(w.bad) {
					w.pushAll(gateways)
					w.scrape()
					require.LessOrEqual(t, w.scrapes, int(4*float64(n+1)*math.Log2(all)), "%d times %s, seed %d: %s", n, kind, seed, w)
				}
				w.requireOnce()
				require.Equal(t, w.badOnes(), w.aside())
				require.Zero(t, w.lostGood(w.bad))
			}
		}
	}
}

// A server that stores nothing, for however long, judges nobody and nothing, whatever new
// series come: when it is back all is stored, in full size at once.
func TestBrokenServerIsNobodysFault(t *testing.T) {
	w := newWorld(t, 10)
	w.pushAll(5)
	require.True(t, w.scrape().accepted)
	w.down = true
	for i := range 300 {
		if i%10 == 0 {
			w.pushAll(6 + i/10)
		}
		w.scrape()
	}
	w.down = false
	for i := 0; w.trial.upNext() != nil || w.main.at < uint64(len(w.log)); i++ {
		require.True(t, w.scrape().accepted)
		require.Less(t, i, 20)
	}
	w.requireOnce()
	assert.Zero(t, w.asides)
	assert.Equal(t, 1000, w.trial.size.now)
	w.scrape()
	assert.Nil(t, w.trial.Next(w.now).Admit)
}

// The server may break at any moment of a search, for two responses or more.
func TestBrokenWhileSearching(t *testing.T) {
	eachSeed(t, 200, func(t require.TestingT, rnd *rand.Rand) {
		w := newWorld(t, 6)
		w.tells = rnd.IntN(2) == 0
		w.spoil("label_limit", w.gateway(3)...)
		for n := 0; n < 100 || w.busy(); n++ {
			w.pushAll(8)
			w.scrape()
			if w.down = n < 100 && rnd.IntN(3) == 0; w.down {
				for range 2 + rnd.IntN(4) {
					w.scrape()
				}
				w.down = false
			}
			require.Less(t, n, 400, "%s", w)
		}
		w.requireOnce()
		require.Equal(t, w.badOnes(), w.aside())
		require.Zero(t, w.lostGood(w.bad))
	})
}

// A limit of samples costs smaller bites and hardly a failed scrape, whether the server gives it as
// the reason or not.
func TestSampleLimit(t *testing.T) {
	for _, tells := range []bool{true, false} {
		for _, limit := range []int{2, 3, 50, 700} {
			w := newWorld(t, 10)
			w.tells = tells
			w.pushAll(10)
			require.True(t, w.scrape().accepted)
			w.limit, w.scrapes = limit, 0
			for len(w.log) < 300*limit {
				w.pushAll(10)
			}
			for w.main.at < uint64(len(w.log)) {
				w.scrape()
				require.Less(t, w.scrapes, 1000, "%s", w)
			}
			w.requireOnce()
			name := fmt.Sprintf("limit %d, told %v: %d scrapes, %d failed", limit, tells, w.scrapes, w.failed)
			assert.Zero(t, w.asides, name)
			assert.Less(t, w.scrapes, len(w.log)/(limit-1)*115/100+30, name)
			assert.Less(t, w.failed, 35, name)
		}
	}
}

// Nor does it matter that nothing was ever stored.
func TestSampleLimitFromTheStart(t *testing.T) {
	for _, tells := range []bool{true, false} {
		w := newWorld(t, 10)
		w.tells, w.limit = tells, 30
		for range 10 {
			w.pushAll(20)
		}
		for w.main.at < uint64(len(w.log)) || len(w.places) > 0 {
			w.scrape()
			require.Less(t, w.scrapes, 250, "%s", w)
		}
		w.requireOnce()
		assert.Zero(t, w.asides)
	}
}

// Where the server names the metric, no search is needed to let the others go on, also
// if all were stored before.
func TestServerNamesTheMetric(t *testing.T) {
	for _, known := range []bool{true, false} {
		var w *world
		w = newWorld(t, 10, named(&w))
		w.tells, w.names = true, true
		if known {
			w.pushAll(20)
			require.True(t, w.scrape().accepted)
		}
		for g := range 20 {
			w.spoil("label_limit", series.ID(10*g+4))
		}
		w.pushAll(20)
		require.False(t, w.scrape().accepted)
		r := w.scrape()
		require.True(t, r.accepted)
		assert.Equal(t, 180, r.Samples)
		for i := 0; i == 0 || w.busy(); i++ {
			w.pushAll(20)
			w.scrape()
			require.Less(t, i, 30)
		}
		w.requireOnce()
		assert.Equal(t, w.badOnes(), w.aside())
	}
}

// One sample of a known series is refused, and no reason is given: responses become smaller
// until it is alone.
func TestKnownSeriesTurnsBad(t *testing.T) {
	w := newWorld(t, 10)
	for range 3 {
		w.pushAll(10)
		require.True(t, w.scrape().accepted)
	}
	w.spoil("refused", 55)
	for i := 0; w.trial.Aside() == 0; i++ {
		w.pushAll(10)
		w.scrape()
		require.Less(t, i, 60, "%s", w)
	}
	w.requireOnce()
	assert.Equal(t, w.badOnes(), w.aside())
	w.settleDown(10)
	w.requireFullSize(10)
}

// A gateway whose series were all refused sends new ones: they need no search.
func TestNewSeriesOfABadGateway(t *testing.T) {
	w := newWorld(t, 20)
	w.pushAll(5)
	require.True(t, w.scrape().accepted)
	w.spoil("label_limit", w.gateway(5)[:15]...)
	push := func(n int) {
		w.pushAll(5)
		w.push(w.gateway(5)[:n]...)
	}
	for w.trial.Aside() < 15 {
		push(15)
		w.scrape()
		require.Less(t, w.scrapes, 60, "%s", w)
	}
	require.Len(t, w.aside(), 15)
	w.spoil("label_limit", w.gateway(5)...)
	w.scrapes = 0
	for w.trial.Aside() < 20 {
		push(20)
		w.scrape()
		require.LessOrEqual(t, w.scrapes, 5)
	}
	w.requireOnce()
}

// What is tried for too long is set aside unfinished: the log has an end.
func TestHeldTooLong(t *testing.T) {
	w := newWorld(t, 30, func(c *Config[*place]) { c.MaxHeld = 2000 })
	w.pushAll(10)
	require.True(t, w.scrape().accepted)
	for g := range 30 {
		w.spoil("no_name", series.ID(10*30+g*31%900))
	}
	for range 100 {
		w.pushAll(40)
		w.scrape()
		// It may be over by what one scrape takes.
		require.LessOrEqual(t, int(w.main.at)-w.floor(), 2000+2*1200)
	}
	w.requireOnce()
	assert.NotZero(t, w.asides)
	assert.Contains(t, w.reasons, "held")
}

// What was set aside is tried again: after ten minutes, then ever more rarely, at last every
// two hours.
func TestSetAsideIsTriedAgain(t *testing.T) {
	w := newWorld(t, 10)
	w.spoil("label_limit", 33)
	var waits []time.Duration
	last := time.Time{}
	for len(waits) < 7 {
		w.pushAll(6)
		before := len(w.trial.groups)
		w.scrape()
		switch after := len(w.trial.groups); {
		case before == 0 && after > 0 && !last.IsZero():
			waits = append(waits, w.now.Sub(last).Round(5*time.Minute))
		case before > 0 && after == 0:
			last = w.now
		}
	}
	m := time.Minute
	assert.Equal(t, []time.Duration{10 * m, 20 * m, 40 * m, 80 * m, 120 * m, 120 * m, 120 * m}, waits)
	assert.Less(t, w.failed, 25)
	w.bad = nil
	for end := w.now.Add(lastBreak + 5*m); w.now.Before(end); {
		w.pushAll(6)
		w.scrape()
	}
	w.requireOnce()
	assert.Empty(t, w.aside())
	assert.Equal(t, []series.ID{33}, w.back)
}

// However much is set aside, to try it again costs one scrape in twenty at most.
func TestTryingAgainIsCheap(t *testing.T) {
	w := newWorld(t, 10, func(c *Config[*place]) { c.Most = 100_000 })
	for g := range 5 {
		w.spoil("label_limit", w.gateway(2*g)...)
	}
	w.settleDown(10)
	require.Equal(t, w.badOnes(), w.aside())
	w.scrapes, w.failed = 0, 0
	for w.scrapes < 3000 {
		w.pushAll(10)
		w.scrape()
	}
	assert.Less(t, w.failed, 3000/20)
	w.requireOnce()
}

// Series that are tried again and send nothing wait, and cost no scrape.
func TestNothingToTryWith(t *testing.T) {
	w := newWorld(t, 4)
	w.spoil("label_limit", w.gateway(1)...)
	w.settleDown(3)
	require.Len(t, w.aside(), 4)
	w.bad = nil
	w.now = w.now.Add(time.Hour)
	for range 50 {
		w.push(w.gateway(0)...)
		r := w.scrape()
		require.Nil(t, r.turn.group)
		require.Equal(t, 4, r.Samples)
	}
	require.LessOrEqual(t, w.main.at-uint64(w.floor()), uint64(8), "it holds the log up")
	for range 3 {
		w.push(w.gateway(1)...)
		w.scrape()
	}
	w.requireOnce()
	assert.Empty(t, w.aside())
	for at := len(w.log) - 12; at < len(w.log)-4; at++ {
		assert.Equal(t, 1, w.stored[at])
	}
}
