package trial

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// Stored notes that the server has the response of a turn. If it returns true, the
// turn's place is to be moved to where the response was read to, before the next turn.
// It returns false where series went to other places since the turn began, which only
// happens when turns overlap: then the samples come again.
func (t *Trial[P]) Stored(turn *Turn[P], r Response, _ time.Time) (move bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard(turn, true)
	t.size.stored(r.Samples)
	for _, g := range t.groups {
		g.trouble.largest = max(g.trouble.largest, r.Samples)
	}
	if turn.group != nil {
		return t.storedGroup(turn, r)
	}
	t.paid++
	if turn.at.names == t.at.names {
		for _, id := range r.Listed {
			if t.states.of(id) == fresh {
				t.states.set(id, proven)
			}
		}
	}
	return turn.at.shares == t.at.shares
}

func (t *Trial[P]) storedGroup(turn *Turn[P], r Response) (move bool) {
	g := turn.group
	if g.fate != onTrial || turn.at.shares != g.version {
		return false
	}
	g.tested, g.clean, g.strikes = true, true, 0
	if r.Samples == 0 {
		return true
	}
	g.passed = true
	g.most = min(2*g.most, t.cfg.Most)
	if turn.at.names != t.at.names {
		return true
	}
	g.stored = union(g.stored, r.Listed)
	for _, id := range r.Listed {
		t.exonerated(g.trouble, id)
	}
	return true
}

// Refused notes that a response arrived and was not stored. The turn's place stays.
func (t *Trial[P]) Refused(turn *Turn[P], r Response, c Cause, _ time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	worked := t.works
	t.heard(turn, false)
	if r.Samples == 0 || turn.at.names != t.at.names {
		return // the receipt alone was refused: no series' fault
	}
	if c.Kind == Size && r.Samples > 1 {
		t.size.refused(r.Samples, true)
		return
	}
	if turn.group != nil {
		t.refusedGroup(turn, r, c, worked)
		return
	}
	t.refusedMain(r, c)
}

// heard notes an outcome.
func (t *Trial[P]) heard(turn *Turn[P], stored bool) {
	if d := t.doubted; d != nil && turn.group != d {
		if stored {
			d.hit = d.pending
		}
		d.pending, t.doubted = nil, nil
	}
	t.works = stored
}

// refusedGroup takes a refusal for the group's fault only if the server stored something
// right before and, as heard will tell, right after; or if it says so itself.
func (t *Trial[P]) refusedGroup(turn *Turn[P], r Response, c Cause, worked bool) {
	g := turn.group
	if g.fate != onTrial || turn.at.shares != g.version {
		return
	}
	g.tested, g.clean, g.cause = true, false, c
	if !worked && c.Kind == Unknown {
		return
	}
	if g.trouble.retry != nil {
		t.owed += retryCost
	}
	g.pending = &refusal{listed: slices.Clone(r.Listed), samples: r.Samples}
	t.doubted = g
}

// refusedMain finds out who or what to suspect.
func (t *Trial[P]) refusedMain(r Response, c Cause) {
	var suspects []series.ID
	for _, id := range r.Listed {
		if t.states.of(id) == fresh {
			suspects = append(suspects, id)
		}
	}
	if c.Metric != "" && t.cfg.Named != nil {
		if named := t.named(c.Metric, suspects); len(named) > 0 {
			t.suspect(named, c)
			return
		}
	}
	switch {
	case len(suspects) > 0:
		t.suspect(suspects, c)
	case c.Kind == Content:
		// Something that was stored before is not any more. What that is comes out when all are
		// tried anew.
		t.states.unprove()
	case r.Samples > 1:
		t.size.refused(r.Samples, false)
	default:
		known := slices.DeleteFunc(slices.Clone(r.Listed), func(id series.ID) bool { return t.states.of(id) != proven })
		t.states.unprove()
		t.size = newSize(t.cfg.Most)
		if len(known) > 0 {
			t.suspect(known, c)
		}
	}
}

// named returns the series that the server complained of: of the new ones in the
// response, or else of those that were stored before.
func (t *Trial[P]) named(metric string, suspects []series.ID) (named []series.ID) {
	for _, id := range suspects {
		if t.cfg.Named(id, metric) {
			named = append(named, id)
		}
	}
	if len(named) > 0 {
		return named
	}
	for id := range t.states.all(proven) {
		if t.cfg.Named(id, metric) {
			named = append(named, id)
		}
	}
	return named
}

// suspect makes a group of series that were main's.
func (t *Trial[P]) suspect(ids []series.ID, c Cause) {
	slices.Sort(ids)
	t.states.setAll(ids, grouped)
	t.at.shares++
	main := t.cfg.At(t.main)
	for _, g := range t.groups {
		if !g.tested && g.trouble.retry == nil && g.pair == nil && t.cfg.At(g.place) == main {
			g.ids, g.cause = union(g.ids, ids), c
			g.version++
			return
		}
	}
	t.groups = append(t.groups, &group[P]{
		place: t.cfg.Fork(t.main), ids: ids, trouble: t.newIncident(nil), cause: c, left: new(atomic.Bool),
	})
}
