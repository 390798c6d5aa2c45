package trial

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"
)

// settle draws the consequences of what became known.
func (t *Trial[P]) settle(now time.Time) {
	if len(t.groups) > 0 {
		t.settleGroups(now)
	}
	if len(t.wards) > 0 && t.paid >= t.owed && len(t.groups) < maxGroups &&
		!slices.ContainsFunc(t.groups, func(g *group[P]) bool { return g.left.Load() }) {
		if w := t.due(now); w != nil {
			t.paid, t.owed = 0, 0
			t.retry(w)
		}
	}
}

func (t *Trial[P]) settleGroups(now time.Time) {
	main := t.cfg.At(t.main)
	for _, g := range slices.Clone(t.groups) {
		switch {
		case g.fate != onTrial:
		case g.hit != nil:
			hit := g.hit
			g.hit = nil
			t.judge(g, hit, now)
		case g.clean && t.cfg.At(g.place) >= main:
			t.join(g, now)
		case !g.left.Load() && t.cfg.At(g.place) < main:
			t.catchUp(g)
		case !g.unheard() && main > t.cfg.At(g.place)+uint64(t.cfg.MaxHeld):
			t.giveUp(g, "held", now)
		}
	}
	for _, g := range slices.Clone(t.groups) {
		t.generalize(g.trouble)
	}
	for len(t.groups) > maxGroups {
		t.giveUp(t.furthest(), "held", now)
	}
}

// furthest is the group that is furthest behind.
func (t *Trial[P]) furthest() *group[P] {
	return slices.MinFunc(t.groups, func(a, b *group[P]) int { return cmp.Compare(t.cfg.At(a.place), t.cfg.At(b.place)) })
}

// retry tries again what was set aside.
func (t *Trial[P]) retry(w *ward) {
	w.from = nil // or each time that it is tried would hold on to all before
	t.states.setAll(w.ids, grouped)
	t.at.shares++
	t.groups = append(t.groups, &group[P]{
		place: t.cfg.Fork(t.main), ids: w.ids, trouble: t.newIncident(w), cause: Cause{Reason: w.reason}, left: new(atomic.Bool),
	})
}

// catchUp moves a group's place to main's, since nothing of it lies in between.
func (t *Trial[P]) catchUp(g *group[P]) {
	t.cfg.Drop(g.place)
	g.place = t.cfg.Fork(t.main)
	g.version++
}

// join lets a group go on with main: it has come up with it, and all was stored.
func (t *Trial[P]) join(g *group[P], now time.Time) {
	if g.trouble.retry != nil && !g.passed {
		// Nothing of it came. It waits for the first sample.
		g.clean = false
		g.left.Store(false)
		t.at.shares++
		return
	}
	t.remove(g, joined)
	t.cfg.Drop(g.place)
	stored, others := newSet(g.stored).part(g.ids)
	t.states.setAll(stored, proven)
	if g.trouble.retry == nil {
		t.states.setAll(others, fresh)
	} else {
		t.back = append(t.back, stored...)
		if len(others) > 0 {
			// Of these nothing came, so nothing was learned. They wait.
			rest := *g.trouble.retry
			rest.ids = others
			t.retry(&rest)
		}
	}
	if len(stored) > 0 && g.pair != nil && g.pair.sure {
		t.infer(g.other(), now)
	}
	t.over(g)
}

// infer draws a conclusion for a group whose other half was stored: the two were refused
// together, so it must be this one.
func (t *Trial[P]) infer(g *group[P], now time.Time) {
	if g.fate == onTrial && !g.tested && len(g.seen) > 1 && !t.areCondemned(g.trouble, g.seen) {
		t.judge(g, &refusal{listed: g.seen}, now)
	}
}

// over notes that a group is not on trial any more. Where that was the last part of a
// group that was refused, and none of it was set aside, there was too much of it.
func (t *Trial[P]) over(g *group[P]) {
	for p := g.parent; p != nil; g, p = p, p.parent {
		p.guilty = p.guilty || g.guilty
		if p.parts--; p.parts > 0 {
			return
		}
		if !p.guilty && p.cause.Kind == Unknown && p.refused > p.trouble.largest {
			t.size.tooMany(p.refused, p.trouble.largest)
		}
	}
}

// giveUp sets a group aside.
func (t *Trial[P]) giveUp(g *group[P], reason string, now time.Time) *ward {
	t.remove(g, outcast)
	g.guilty = true
	t.over(g)
	w := t.setAside(g.ids, reason, g.trouble, now)
	t.news = append(t.news, Aside[P]{
		IDs: g.ids, Reason: reason, From: g.place, Until: t.cfg.At(t.main), Again: w.again,
	})
	return w
}

// remove takes a group out of those on trial, and makes open turns of main out of date.
func (t *Trial[P]) remove(g *group[P], f fate) {
	t.at.shares++
	t.takeOff(g, f)
}

func (t *Trial[P]) takeOff(g *group[P], f fate) {
	g.fate = f
	t.groups = slices.DeleteFunc(t.groups, func(x *group[P]) bool { return x == g })
	if t.doubted == g {
		t.doubted = nil
	}
}
