package trial

import (
	"slices"
	"time"

	"github.com/hubring/hubring/edgehub/internal/series"
)

const (
	firstBreak = 10 * time.Minute
	lastBreak  = 2 * time.Hour

	fewWards = 16 // so many are told apart when they are tried again
	maxWards = 64
)

// ward are series that are set aside, and tried again together.
type ward struct {
	ids    []series.ID // ascending
	reason string
	tries  int // how often they were tried again
	again  time.Time
	from   *incident
	key    key // of the gateway of the first
}

// pause is how long a ward is left alone.
func (w *ward) pause() time.Duration { return min(firstBreak<<min(w.tries, 10), lastBreak) }

// confine adds series to those that are set aside.
func (t *Trial[P]) confine(ids []series.ID, reason string, from *incident, now time.Time) *ward {
	t.states.setAll(ids, aside)
	tries := 0
	if from.retry != nil {
		tries = from.retry.tries + 1
	}
	k := t.keyOf(ids[0], byGateway)
	w := t.wardFor(k, from)
	if w == nil {
		w = &ward{from: from, key: k}
		t.wards = append(t.wards, w)
	}
	w.ids = slices.Concat(w.ids, ids)
	slices.Sort(w.ids)
	w.reason, w.tries = reason, tries
	w.again = now.Add(w.pause())
	return w
}

// wardFor finds the ward that series go to that were set aside just now, nil for a
// new one. Those of one gateway and one trouble go together; the halves of one that was
// tried again do not, so that those that are still bad are told from the others in
// the end, as long as there are not too many.
func (t *Trial[P]) wardFor(k key, from *incident) *ward {
	for _, w := range t.wards {
		if w.from == from && (from.retry == nil && w.key == k || from.retry != nil && len(t.wards) >= fewWards) {
			return w
		}
	}
	if len(t.wards) < maxWards {
		return nil
	}
	return t.wards[len(t.wards)-1]
}

// due takes out the ward that is to be tried again, if there is one.
func (t *Trial[P]) due(now time.Time) *ward {
	var next *ward
	for _, w := range t.wards {
		if !w.again.After(now) && (next == nil || w.again.Before(next.again)) {
			next = w
		}
	}
	if next != nil {
		t.wards = slices.DeleteFunc(t.wards, func(w *ward) bool { return w == next })
	}
	return next
}
