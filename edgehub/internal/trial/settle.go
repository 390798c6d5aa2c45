package trial

import (
	"slices"
	"time"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// settle draws the consequences of what became known.
func (t *Trial[P]) settle(now time.Time) {
	main := t.cfg.At(t.main)
	for _, g := range slices.Clone(t.groups) {
		switch {
		case g.dead:
		case g.hit != nil:
			t.judge(g, now)
		case g.clean && t.cfg.At(g.place) >= main:
			t.join(g, now)
		case main > t.cfg.At(g.place)+uint64(t.cfg.MaxHeld):
			t.giveUp(g, "held", now)
		}
	}
	for len(t.groups) > maxGroups {
		t.giveUp(t.groups[0], "held", now)
	}
	if len(t.groups) == 0 {
		if w := t.due(now); w != nil {
			t.retry(w)
		}
	}
}

// retry tries again what was set aside.
func (t *Trial[P]) retry(w *ward) {
	t.states.setAll(w.ids, grouped)
	t.at.shares++
	t.groups = append(t.groups, &group[P]{
		place: t.cfg.Fork(t.main), ids: w.ids, trouble: newIncident(w), cause: Cause{Reason: w.reason},
	})
}

// join lets a group go on with main: it has come up with it, and all was stored.
func (t *Trial[P]) join(g *group[P], now time.Time) {
	stored, others := newSet(g.stored).part(g.ids)
	t.remove(g)
	t.cfg.Drop(g.place)
	t.states.setAll(stored, proven)
	t.states.setAll(others, fresh)
	if g.trouble.retry != nil {
		t.back = append(t.back, stored...)
		if len(others) > 0 {
			// They sent nothing, so nothing was learned.
			t.confine(others, g.cause.word(), g.trouble, now)
		}
	}
	other := g.other()
	if other == nil || other.dead || other.hit != nil || other.tested && !other.parked || len(stored) == 0 {
		return
	}
	// The two were refused together, and this one was stored: it must be the other.
	other.parked = false
	if len(other.seen) > 1 && !t.condemns(other.trouble, other.seen) {
		other.hit = &refusal{listed: other.seen, samples: len(other.seen)}
		t.judge(other, now)
	}
}

// judge draws the consequence of a refusal.
func (t *Trial[P]) judge(g *group[P], now time.Time) {
	hit := g.hit
	g.hit = nil
	in, rest := newSet(hit.listed).part(g.ids)
	if len(in) == 0 {
		return
	}
	if g.trouble.retry != nil && t.rejudge(g, in, now) {
		return
	}
	if suspects := t.suspectsOf(g, in); len(suspects) > 0 {
		_, others := newSet(suspects).part(g.ids)
		t.split(g, suspects, others, byGateway)
		return
	}
	switch {
	case len(in) == 1 && len(rest) > 0:
		t.split(g, in, rest, byGateway)
	case len(in) == 1:
		t.alone(g, hit.samples, now)
	case t.condemns(g.trouble, in):
		if len(rest) > 0 {
			g = t.split(g, in, rest, byGateway)
		}
		t.giveUp(g, g.cause.word(), now)
	default:
		first := byGateway
		if g.pair != nil {
			first = g.pair.by
			if g.pair.refused++; g.pair.refused == 2 {
				first++ // it does not tell them apart
			}
		}
		a, b, by := t.halve(in, first)
		t.split(g, a, slices.Concat(b, rest), by)
	}
}

// suspectsOf returns some of the series in a group's refused response that are more likely
// than the others: those that the server names, those that never were stored. It
// returns nothing if there is no difference.
func (t *Trial[P]) suspectsOf(g *group[P], in []series.ID) []series.ID {
	if g.cause.Metric != "" && t.cfg.Named != nil {
		named := slices.DeleteFunc(slices.Clone(in), func(id series.ID) bool { return !t.cfg.Named(id, g.cause.Metric) })
		if len(named) > 0 && len(named) < len(in) {
			return named
		}
	}
	if passed, never := newSet(g.stored).part(in); len(passed) > 0 && len(never) > 0 {
		return never
	}
	return nil
}

// rejudge is judge for what had been set aside before. If all is as it was, three
// responses have to tell: the group, and its halves. It reports whether that was all.
func (t *Trial[P]) rejudge(g *group[P], in []series.ID, now time.Time) bool {
	if len(in) == 1 && len(g.ids) == 1 {
		t.giveUp(g, g.cause.word(), now)
		return true
	}
	other := g.other()
	switch {
	case other == nil || other.dead && !other.refusedAgain():
		return false
	case other.dead:
	case other.parked:
		t.giveUp(other, other.cause.word(), now)
	default:
		g.parked = true
		return true
	}
	t.giveUp(g, g.cause.word(), now)
	return true
}

// refusedAgain says whether a half of what was tried again was set aside again.
func (g *group[P]) refusedAgain() bool { return g.dead && !g.clean }

// split makes two groups of one and returns the first of them.
func (t *Trial[P]) split(g *group[P], a, b []series.ID, by dimension) *group[P] {
	slices.Sort(a)
	slices.Sort(b)
	p := &pair[P]{by: by}
	for i, ids := range [][]series.ID{a, b} {
		h := &group[P]{ids: ids, trouble: g.trouble, known: g.known, cause: g.cause, pair: p, seen: ids}
		h.stored, _ = newSet(ids).part(g.stored)
		p.halves[i] = h
	}
	p.halves[0].place, p.halves[1].place = g.place, t.cfg.Fork(g.place)
	i := slices.Index(t.groups, g)
	t.remove(g)
	t.groups = slices.Insert(t.groups, i, p.halves[0], p.halves[1])
	return p.halves[0]
}

// alone is judge for a series that is alone.
func (t *Trial[P]) alone(g *group[P], samples int, now time.Time) {
	g.strikes++
	switch {
	case samples > 1 && g.passed:
		g.most = samples / 2
	case samples > 1:
		g.most = 1
	case g.strikes < 2:
	case (g.known || g.passed) && g.lost == 0:
		// It was stored before, so perhaps it is only this sample.
		g.lose = true
		g.lost++
		g.strikes = 1
	default:
		t.convicted(g.trouble, g.ids[0])
		t.giveUp(g, g.cause.word(), now)
	}
}

// giveUp sets a group aside.
func (t *Trial[P]) giveUp(g *group[P], reason string, now time.Time) {
	t.remove(g)
	g.clean = false
	w := t.confine(g.ids, reason, g.trouble, now)
	t.news = append(t.news, Aside[P]{
		IDs: g.ids, Reason: reason, From: g.place, Until: t.cfg.At(t.main), Again: w.again,
	})
}

// remove takes a group out of those on trial.
func (t *Trial[P]) remove(g *group[P]) {
	g.dead = true
	t.at.shares++
	t.groups = slices.DeleteFunc(t.groups, func(x *group[P]) bool { return x == g })
	if t.doubted == g {
		t.doubted = nil
	}
}
