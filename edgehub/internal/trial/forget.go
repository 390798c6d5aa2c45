package trial

import (
	"slices"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// Forget makes the trial forget all series that are not kept: their numbers may be
// given to others. Those beyond the end of keep are kept.
func (t *Trial[P]) Forget(keep []bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at.names++
	gone := func(id series.ID) bool { return int(id) < len(keep) && !keep[id] }
	for _, in := range []state{proven, grouped, aside} {
		for id := range t.states.all(in) {
			if gone(id) {
				t.states.set(id, fresh)
			}
		}
	}
	without := func(ids []series.ID) []series.ID { return slices.DeleteFunc(slices.Clone(ids), gone) }
	for _, w := range t.wards {
		if ids := without(w.ids); len(ids) < len(w.ids) {
			w.ids, w.kin = ids, nil // what they had in common may be others' now
		}
	}
	t.wards = slices.DeleteFunc(t.wards, func(w *ward) bool { return len(w.ids) == 0 })
	for _, g := range slices.Clone(t.groups) {
		t.forgetIn(g, without)
	}
	t.back = without(t.back)
}

func (t *Trial[P]) forgetIn(g *group[P], without func([]series.ID) []series.ID) {
	c := g.trouble
	c.cells = without(c.cells)
	clear(c.bad)
	for _, id := range c.cells {
		t.blame(c, id)
	}
	g.ids, g.stored, g.seen = without(g.ids), without(g.stored), without(g.seen)
	for _, r := range []*refusal{g.pending, g.hit} {
		if r != nil {
			r.listed = without(r.listed)
		}
	}
	if len(g.ids) == 0 {
		t.takeOff(g, divided)
		t.over(g)
		t.cfg.Drop(g.place)
	}
}
