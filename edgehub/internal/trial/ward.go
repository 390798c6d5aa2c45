package trial

import (
	"slices"
	"time"

	"github.com/hubring/hubring/edgehub/internal/series"
)

const (
	firstBreak = 10 * time.Minute
	lastBreak  = 2 * time.Hour

	// retryCost is how many responses of main have to be stored for each that was refused
	// while something was tried again, before the next is: so at most one in 20 is.
	retryCost = 20

	maxWards = 64
)

// ward are series that are set aside, and tried again together.
type ward struct {
	ids    []series.ID // ascending
	reason string
	tries  int // how often they were tried again
	again  time.Time
	from   *incident
	key    key   // of the gateway of the first
	kin    []key // gateways and metrics that are bad altogether
}

// pause is how long a ward is left alone.
func (w *ward) pause() time.Duration { return min(firstBreak<<min(w.tries, 10), lastBreak) }

// setAside adds series to those that are set aside.
func (t *Trial[P]) setAside(ids []series.ID, reason string, from *incident, now time.Time) *ward {
	t.states.setAll(ids, aside)
	k := t.keyOf(ids[0], byGateway)
	w := t.wardFor(k, from)
	if w == nil {
		w = &ward{from: from, key: k}
		t.wards = append(t.wards, w)
	}
	w.ids = union(w.ids, ids)
	w.reason, w.tries = reason, 0
	if from.retry != nil {
		w.tries = from.retry.tries + 1
	}
	w.again = now.Add(w.pause())
	return w
}

// wardFor finds the ward that series go to that were set aside just now, nil for a
// new one. Those of one gateway and one trouble go together.
func (t *Trial[P]) wardFor(k key, from *incident) *ward {
	for _, w := range t.wards {
		if w.from == from && w.key == k {
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
