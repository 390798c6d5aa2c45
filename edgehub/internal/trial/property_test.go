package trial

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// eachSeed runs a property with random numbers, and names the seed that breaks it.
func eachSeed(t *testing.T, seeds uint64, property func(t require.TestingT, rnd *rand.Rand)) {
	t.Helper()
	if testing.Short() {
		seeds /= 10
	}
	for seed := range seeds {
		property(&seeded{t, seed}, rand.New(rand.NewPCG(seed, 1)))
	}
}

type seeded struct {
	*testing.T
	seed uint64
}

func (s *seeded) Errorf(format string, args ...any) {
	s.Helper()
	s.T.Errorf("seed %d: %s", s.seed, fmt.Sprintf(format, args...))
}

// Whatever the server refuses, and however its limits change in between: each sample of a series that it
// takes is stored once, and in the end just the series that it refuses are set aside.
func TestPropertyExactlyTheBadAreSetAside(t *testing.T) {
	eachSeed(t, 30, func(t require.TestingT, rnd *rand.Rand) {
		var w *world
		families, gateways := 1+rnd.IntN(8), 1+rnd.IntN(12)
		w = newWorld(t, families, named(&w))
		w.tells, w.names = rnd.IntN(2) == 0, rnd.IntN(2) == 0
		ever := make(map[series.ID]string)
		down := 0
		for range 1 + rnd.IntN(4) {
			w.bad = someBad(rnd, gateways, families)
			maps.Copy(ever, w.bad)
			w.limit = []int{0, 0, 2, 10, 50}[rnd.IntN(5)]
			for range rnd.IntN(60) {
				if down == 0 && rnd.IntN(10) == 0 {
					down = 2 + rnd.IntN(30)
				}
				w.down = down > 0
				down = max(0, down-1)
				w.pushSome(rnd, gateways)
				w.scrape()
				w.requireOnce()
			}
		}
		for ; down > 0; down-- {
			w.scrape()
		}
		w.down, w.limit = false, 0
		w.settleDown(gateways)
		require.Zero(t, w.lostGood(ever), "samples of series that were never bad")
		for range 5 { // what was mended is found by trying again
			w.now = w.now.Add(lastBreak)
			w.settleDown(gateways)
		}
		require.Equal(t, w.badOnes(), w.aside(), "%s", w)
		w.bad = nil
		for range 3 {
			w.now = w.now.Add(lastBreak)
			w.settleDown(gateways)
		}
		require.Empty(t, w.aside(), "%s", w)
		require.Nil(t, w.trial.Next(w.now).Admit)
		w.requireFullSize(gateways)
	})
}

// someBad are series that a server refuses: whole gateways, a metric, single series.
func someBad(rnd *rand.Rand, gateways, families int) map[series.ID]string {
	bad := make(map[series.ID]string)
	for range rnd.IntN(3) {
		g := rnd.IntN(gateways)
		for f := range families {
			bad[series.ID(g*families+f)] = "label_limit"
		}
	}
	if rnd.IntN(4) == 0 {
		f := rnd.IntN(families)
		for g := range gateways {
			bad[series.ID(g*families+f)] = "label_value_length_limit"
		}
	}
	for range rnd.IntN(4) {
		bad[series.ID(rnd.IntN(gateways*families))] = "no_name"
	}
	return bad
}

// pushSome pushes samples of some series, of some several.
func (w *world) pushSome(rnd *rand.Rand, gateways int) {
	for range rnd.IntN(3) {
		from := rnd.IntN(gateways)
		to := from + rnd.IntN(gateways-from)
		for id := from * w.families; id < (to+1)*w.families; id++ {
			w.push(series.ID(id))
		}
	}
}

// settleDown pushes and scrapes until nothing is on trial.
func (w *world) settleDown(gateways int) {
	for i, quiet := 0, 0; quiet < 5; i++ {
		w.trial.paid = w.trial.owed // as if there had been more scrapes
		w.pushAll(gateways)
		w.scrape()
		w.requireOnce()
		due := slices.ContainsFunc(w.trial.wards, func(a *ward) bool { return !a.again.After(w.now) })
		if quiet++; due || w.busy() || w.main.at < uint64(len(w.log)) {
			quiet = 0
		}
		require.Less(w.t, i, 2000, "it does not settle: %s", w)
	}
}

// requireFullSize checks that responses become as large as they may be, where enough waits.
func (w *world) requireFullSize(gateways int) {
	for i := 0; w.trial.size.now < w.trial.cfg.Most; i++ {
		for w.main.at+uint64(w.trial.cfg.Most) > uint64(len(w.log)) {
			w.pushAll(gateways)
		}
		require.True(w.t, w.scrape().accepted)
		require.Less(w.t, i, lastWait+100)
	}
}

// Turns of one cursor may overlap, where a scraper gives a scrape up and comes again: outcomes come
// late, in any order or never. Then samples may come twice, but none is lost.
func TestPropertyOverlappingTurnsLoseNothing(t *testing.T) {
	eachSeed(t, 150, func(t require.TestingT, rnd *rand.Rand) {
		families, gateways := 1+rnd.IntN(6), 2+rnd.IntN(8)
		w := newWorld(t, families)
		w.tells = rnd.IntN(2) == 0
		w.bad = someBad(rnd, gateways, families)
		w.limit = []int{0, 0, 20}[rnd.IntN(3)]
		var open []reading
		for range 200 {
			w.now = w.now.Add(interval)
			w.pushSome(rnd, gateways)
			if len(open) < 3 {
				r := w.read(w.next())
				w.judge(&r)
				open = append(open, r)
			}
			for len(open) > 0 && rnd.IntN(2) == 0 {
				i := rnd.IntN(len(open))
				if rnd.IntN(8) > 0 { // else nothing becomes known of it
					w.tell(open[i])
				}
				open = slices.Delete(open, i, i+1)
			}
		}
		for _, r := range open {
			w.tell(r)
		}
		for i := 0; w.floor() < len(w.log); i++ {
			w.scrape()
			require.Less(t, i, 1500, "%s", w)
		}
		for at, id := range w.log {
			require.NotZero(t, w.stored[at]+w.given[at], "series %d at %d is lost", id, at)
			if w.bad[id] == "" {
				require.NotZero(t, w.stored[at], "series %d at %d is given up", id, at)
			}
		}
	})
}

// Series expire, and their numbers are given to others, whatever the trial knew of them.
func TestPropertyNumbersAreGivenToOthers(t *testing.T) {
	eachSeed(t, 100, func(t require.TestingT, rnd *rand.Rand) {
		const families, gateways = 5, 8
		w := newWorld(t, families)
		w.tells = rnd.IntN(2) == 0
		w.bad = someBad(rnd, gateways, families)
		var good []bool // by position: its series was taken when it was pushed
		for range 250 {
			w.now = w.now.Add(interval)
			w.pushSome(rnd, gateways)
			for _, id := range w.log[len(good):] {
				good = append(good, w.bad[id] == "")
			}
			r := w.read(w.next())
			w.judge(&r)
			if rnd.IntN(20) == 0 {
				w.expire(rnd, gateways)
			}
			w.tell(r)
			w.requireOnce()
		}
		w.settleDown(gateways)
		for at, is := range good {
			require.False(t, is && w.given[at] > 0, "series %d at %d is given up", w.log[at], at)
		}
		require.Equal(t, w.badOnes(), w.aside())
	})
}

// expire makes the trial forget some series that have no samples any more. Others get
// their numbers, which the server takes or not.
func (w *world) expire(rnd *rand.Rand, gateways int) {
	keep := make([]bool, gateways*w.families)
	for id := range keep {
		keep[id] = rnd.IntN(2) == 0
	}
	for _, id := range w.log[w.floor():] {
		keep[id] = true
	}
	w.trial.Forget(keep)
	for id, kept := range keep {
		if kept {
			continue
		}
		delete(w.bad, series.ID(id))
		if rnd.IntN(10) == 0 {
			w.spoil("no_name", series.ID(id))
		}
	}
}
