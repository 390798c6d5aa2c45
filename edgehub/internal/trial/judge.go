package trial

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// judge draws the consequence of a refusal.
func (t *Trial[P]) judge(g *group[P], hit *refusal, now time.Time) {
	g.refused = max(g.refused, hit.samples)
	in, rest := newSet(hit.listed).part(g.ids)
	if len(in) == 0 {
		return
	}
	if passed, _ := newSet(g.stored).part(in); g.tested && g.cause.Kind == Unknown && hit.samples > 1 && len(passed) == len(in) {
		// All of them were stored in smaller responses.
		t.size.tooMany(hit.samples, g.trouble.largest)
		return
	}
	suspects := t.suspectsOf(g, in)
	k, condemned := t.condemned(g.trouble, in)
	switch {
	case len(in) == 1 && len(rest) == 0:
		t.alone(g, hit.samples, now)
	case len(in) == 1:
		t.split(g, in, in)
	case len(suspects) > 0:
		t.split(g, suspects, in)
	case condemned:
		g.trouble.by = k.by
		if len(rest) > 0 {
			g, _ = t.split(g, in, in)
		}
		w := t.giveUp(g, g.cause.word(), now)
		if !slices.Contains(w.kin, k) {
			w.kin = append(w.kin, k)
		}
	case len(in) > probeFrom && t.mayAllBeBad(g.trouble, in):
		// If all are bad, it takes fewer responses to try some alone and to condemn the rest than to
		// halve and halve.
		t.probe(g, in)
	default:
		t.split(g, t.halve(in, g.trouble.by), in)
	}
}

// suspectsOf returns some of the series in a group's refused response that are more likely
// than the others: those that the server names, those that never were stored, those of a
// gateway or metric that is bad. It returns nothing if there is no difference.
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
	c := g.trouble
	kin, others := divide(in, func(id series.ID) bool {
		return slices.ContainsFunc([]dimension{byGateway, byFamily}, func(by dimension) bool { return c.condemns(t.keyOf(id, by)) })
	})
	if len(others) > 0 {
		return kin
	}
	return nil
}

// split makes two groups of one: the series of a part, and the others. in are those that
// were in the response that was refused.
func (t *Trial[P]) split(g *group[P], part, in []series.ID) (first, second *group[P]) {
	p := &pair[P]{sure: true}
	listed, taken := newSet(in), newSet(part)
	a, b := taken.part(g.ids)
	for i, ids := range [][]series.ID{a, b} {
		h := &group[P]{ids: ids, trouble: g.trouble, cause: g.cause, parent: g, pair: p, left: new(atomic.Bool)}
		h.left.Store(true)
		h.seen, _ = listed.part(ids)
		h.stored, _ = newSet(ids).part(g.stored)
		p.halves[i] = h
	}
	first, second = p.halves[0], p.halves[1]
	first.place, second.place = g.place, t.cfg.Fork(g.place)
	i := slices.Index(t.groups, g)
	t.remove(g, divided)
	g.parts = 2
	t.groups = slices.Insert(t.groups, i, first, second)
	return first, second
}

// mayAllBeBad says whether series have something in common of which nothing was ever stored.
func (t *Trial[P]) mayAllBeBad(c *incident, ids []series.ID) bool {
	return slices.ContainsFunc(t.alike(ids), func(k key) bool { return !c.good[k] })
}

// probe splits off one series of those that were refused, another one each time that they are
// tried again.
func (t *Trial[P]) probe(g *group[P], in []series.ID) *pair[P] {
	i := len(in) / 2
	if w := g.trouble.retry; w != nil {
		i = (i + 31*w.tries) % len(in)
	}
	first, _ := t.split(g, in[i:i+1], in)
	return first.pair
}

// probeOn goes on with the others after the one that was tried alone was bad. Nothing is
// known of them yet.
func (t *Trial[P]) probeOn(g *group[P]) {
	if g == nil || g.fate != onTrial || g.tested || len(g.seen) < 2 || !t.mayAllBeBad(g.trouble, g.seen) || t.areCondemned(g.trouble, g.seen) {
		return
	}
	t.probe(g, g.seen).sure = false
}

// alone is judge for a series that is alone.
func (t *Trial[P]) alone(g *group[P], samples int, now time.Time) {
	g.strikes++
	again := g.trouble.retry != nil // then it was alone before
	switch {
	case samples > 1 && g.passed:
		g.strikes, g.most = 0, samples/2
	case samples > 1 && !again:
		g.most = 1
	case g.strikes < 2 && !again:
	default:
		t.convicted(g.trouble, g.ids[0])
		t.giveUp(g, g.cause.word(), now)
		t.probeOn(g.other())
	}
}
