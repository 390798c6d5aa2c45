package trial

import (
	"slices"
	"sync/atomic"

	"github.com/hubring/hubring/edgehub/internal/series"
)

const (
	// enough series of one gateway or metric that were set aside one by one condemn
	// others of it that are refused together, where none of them was ever stored.
	enough = 4
	// plenty condemn them in any case: the search has to end.
	plenty = 16
	// probeFrom is from how many series on some are tried alone first.
	probeFrom = 8
)

// incident is what was learned since some series were suspected.
type incident struct {
	retry *ward        // it is about series that had been set aside
	by    dimension    // what divides the bad from the good best
	bad   map[key]int  // set aside one by one
	good  map[key]bool // stored
	taken map[key]bool // taken out of all groups to be tried together
	cells []series.ID  // set aside one by one

	largest int // samples of the largest response that was stored since
}

// newIncident begins one, of series that were set aside or, without a ward, of others. Then
// it knows which gateways and metrics are bad.
func (t *Trial[P]) newIncident(retry *ward) *incident {
	c := &incident{
		retry: retry,
		bad:   make(map[key]int), good: make(map[key]bool), taken: make(map[key]bool),
	}
	if retry == nil {
		for _, w := range t.wards {
			for _, k := range w.kin {
				c.bad[k] = enough
			}
		}
	}
	return c
}

// condemns says whether series that were refused need not be tried singly, since they are
// of this gateway or metric.
func (c *incident) condemns(k key) bool {
	return c.bad[k] >= plenty || c.bad[k] >= enough && !c.good[k]
}

// condemned returns what series have in common that were refused together, if they need not be
// tried singly for it.
func (t *Trial[P]) condemned(c *incident, ids []series.ID) (k key, ok bool) {
	for _, k := range t.alike(ids) {
		if c.condemns(k) {
			return k, true
		}
	}
	return key{}, false
}

// convicted notes that a series was set aside alone, exonerated that it was stored.
func (t *Trial[P]) convicted(c *incident, id series.ID) {
	c.cells = append(c.cells, id)
	t.blame(c, id)
}

func (t *Trial[P]) blame(c *incident, id series.ID) {
	c.bad[t.keyOf(id, byGateway)]++
	c.bad[t.keyOf(id, byFamily)]++
}

func (t *Trial[P]) exonerated(c *incident, id series.ID) {
	c.good[t.keyOf(id, byGateway)] = true
	c.good[t.keyOf(id, byFamily)] = true
}

// generalize looks whether a series was set aside alone for what others share with it:
// where its gateway is good, perhaps its metric is bad, and the other way round. Those
// others are then tried together, before anything else.
func (t *Trial[P]) generalize(c *incident) {
	for _, id := range c.cells {
		for _, by := range []dimension{byGateway, byFamily} {
			k, across := t.keyOf(id, by), t.keyOf(id, 1-by)
			if c.good[across] && !c.good[k] && !c.taken[k] {
				c.taken[k] = true
				t.takeOut(c, k)
			}
		}
	}
}

// takeOut makes one group of all series of a key that are in untried groups of an
// incident.
func (t *Trial[P]) takeOut(c *incident, k key) {
	isOf := func(id series.ID) bool { return t.keyOf(id, k.by) == k }
	var from []*group[P]
	n := 0
	for _, g := range t.groups {
		if g.trouble != c || g.tested || len(from) > 0 && t.cfg.At(g.place) != t.cfg.At(from[0].place) {
			continue
		}
		if of := count(g.ids, isOf); of > 0 && of < len(g.ids) {
			from = append(from, g)
			n += of
		}
	}
	if n < 2 {
		return
	}
	out := &group[P]{
		place: t.cfg.Fork(from[0].place), trouble: c, cause: from[0].cause, left: new(atomic.Bool),
	}
	out.left.Store(true)
	for _, g := range from {
		g.guilty = true // who knows
		var of []series.ID
		of, g.ids = divide(g.ids, isOf)
		out.ids = append(out.ids, of...)
		of, g.seen = divide(g.seen, isOf)
		out.seen = append(out.seen, of...)
		if g.pair != nil {
			g.pair.sure = false
		}
		g.version++
	}
	slices.Sort(out.ids)
	slices.Sort(out.seen)
	t.at.shares++
	t.groups = slices.Insert(t.groups, slices.Index(t.groups, from[0]), out)
}

func count(ids []series.ID, is func(series.ID) bool) (n int) {
	for _, id := range ids {
		if is(id) {
			n++
		}
	}
	return n
}

// divide returns the series for which is holds, and the others.
func divide(ids []series.ID, is func(series.ID) bool) (in, out []series.ID) {
	for _, id := range ids {
		if is(id) {
			in = append(in, id)
		} else {
			out = append(out, id)
		}
	}
	return in, out
}

func (t *Trial[P]) areCondemned(c *incident, ids []series.ID) bool {
	_, yes := t.condemned(c, ids)
	return yes
}
