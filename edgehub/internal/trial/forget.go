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
	for _, g := range slices.Clone(t.groups) {
		g.ids, g.stored, g.seen = without(g.ids), without(g.stored), without(g.seen)
		for _, r := range []*refusal{g.pending, g.hit} {
			if r != nil {
				r.listed = without(r.listed)
			}
		}
		if len(g.ids) == 0 {
			t.remove(g, divided)
			t.over(g)
			t.cfg.Drop(g.place)
		}
	}
	for _, w := range t.wards {
		w.ids = without(w.ids)
	}
	t.wards = slices.DeleteFunc(t.wards, func(w *ward) bool { return len(w.ids) == 0 })
	t.back = without(t.back)
}
