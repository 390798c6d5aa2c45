package render

import (
	"bytes"
	"cmp"
	"iter"
	"math"
	"slices"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/series"
)

// leftovers are points of a family's histograms or summaries that could not be written as
// metrics when they came: something of theirs is missing, or lies elsewhere in the order, or
// they are markers.
type leftovers struct {
	series []leftover
	groups []group
}

// leftover is a series, and from which of its points on they are left over.
type leftover struct {
	id   series.ID
	from uint32
}

// group is the series of one histogram or summary. Its points from one time on and before
// another are written as metrics, those before and behind one by one.
type group struct {
	hash        uint32 // equal for series of one histogram or summary
	stray       bool   // it is a single series, which is of none
	first, last int    // of its series, where the latter is not one
	from, to    int64
}

// never is the time from which on there are no metrics.
const never = math.MaxInt64

// keep keeps what is left of a run.
func (l *leftovers) keep(rank *series.Ranking, parts []part, written int) {
	first := len(l.series)
	for i := range parts {
		if p := &parts[i]; written < len(p.points) {
			l.series = append(l.series, leftover{p.id, uint32(written)})
		}
	}
	if len(l.series) > first {
		l.groups = append(l.groups, group{
			hash: rank.Group(parts[0].id), stray: parts[0].role == stray,
			first: first, last: len(l.series),
		})
	}
}

// writeLoose writes what is left over of the family. The times of a series ascend all the
// same: first comes what precedes the metrics of each group, then those, then what is
// behind them.
func (w *protoWriter) writeLoose() error {
	if len(w.loose.groups) == 0 {
		return nil
	}
	w.join()
	for i := range w.loose.groups {
		w.span(&w.loose.groups[i])
	}
	for _, write := range []func(*group) error{w.writeBefore, w.writeMetrics, w.writeBehind} {
		for i := range w.loose.groups {
			if err := write(&w.loose.groups[i]); err != nil {
				return err
			}
		}
	}
	w.loose.series, w.loose.groups = w.loose.series[:0], w.loose.groups[:0]
	w.run.parts = w.run.parts[:0]
	return nil
}

// join makes one group of runs of the same histogram or summary, which lie apart in the
// order.
func (w *protoWriter) join() {
	runs := w.loose.groups
	slices.SortStableFunc(runs, func(a, b group) int { return cmp.Compare(a.hash, b.hash) })
	series := make([]leftover, 0, len(w.loose.series))
	var labels []byte // of the group before
	groups := runs[:0]
	for i, g := range runs {
		alone := g.stray || (i == 0 || runs[i-1].hash != g.hash) && (i+1 == len(runs) || runs[i+1].hash != g.hash)
		from := len(series)
		series = append(series, w.loose.series[g.first:g.last]...)
		if !alone {
			w.classify(w.textOf(series[from].id))
			if n := len(groups) - 1; n >= 0 && groups[n].hash == g.hash && !groups[n].stray && bytes.Equal(labels, w.labels) {
				groups[n].last = len(series)
				continue
			}
			labels = append(labels[:0], w.labels...)
		}
		g.first, g.last = from, len(series)
		groups = append(groups, g)
	}
	w.loose.series, w.loose.groups = series, groups
}

// span finds the times of a group that are written as metrics.
func (w *protoWriter) span(g *group) {
	g.from, g.to = never, never
	if g.stray {
		return
	}
	for t, c := range w.moments(g) {
		if c != nil && g.from == never {
			g.from = t
		}
		if c == nil && g.from != never {
			g.to = t
			return
		}
	}
}

// moments yields the times of a group and what is to be put together then, or nil where
// that cannot be.
func (w *protoWriter) moments(g *group) iter.Seq2[int64, *compound] {
	return func(yield func(int64, *compound) bool) {
		w.run.parts = w.run.parts[:0]
		for _, s := range w.loose.series[g.first:g.last] {
			p := part{id: s.id, points: w.a.Of(s.id)[s.from:]}
			text := w.textOf(s.id)
			var before, behind string
			p.role, before, behind = w.classify(text)
			if p.role == member {
				w.run.member(&p, text[len(before):len(text)-len(behind)])
			}
			w.run.parts = append(w.run.parts, p)
		}
		w.run.labels = append(w.run.labels[:0], w.labels...)
		parts, now := w.run.parts, make([]part, 0, len(w.run.parts))
		for {
			t := int64(never)
			for i := range parts {
				if len(parts[i].points) > 0 {
					t = min(t, parts[i].points[0].Time)
				}
			}
			if t == never {
				return
			}
			now = now[:0]
			for i := range parts {
				if p := &parts[i]; len(p.points) > 0 && p.points[0].Time == t {
					now = append(now, *p)
					p.points = p.points[1:]
				}
			}
			if !yield(t, together(w.kind, now)) {
				return
			}
		}
	}
}

// together puts the points of one time together, or returns nil where that cannot be.
func together(k kind, parts []part) *compound {
	c, ok := arrangeParts(k, parts)
	if ok {
		_, ok = c.size(0)
	}
	if !ok || c.lead().points[0].Time == 0 {
		return nil
	}
	return &c
}

func (w *protoWriter) writeMetrics(g *group) error {
	if g.from == never {
		return nil
	}
	for t, c := range w.moments(g) {
		switch {
		case t < g.from:
		case t >= g.to:
			return nil
		default:
			if _, err := w.metric(c, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *protoWriter) writeBefore(g *group) error {
	return w.writeApart(g, func(points []arrange.Point) []arrange.Point { return points[:at(points, g.from)] })
}

func (w *protoWriter) writeBehind(g *group) error {
	if g.from == never {
		return nil
	}
	return w.writeApart(g, func(points []arrange.Point) []arrange.Point { return points[at(points, g.to):] })
}

// at is how many points lie before a time.
func at(points []arrange.Point, t int64) int {
	n, _ := slices.BinarySearchFunc(points, t, func(p arrange.Point, t int64) int { return cmp.Compare(p.Time, t) })
	return n
}

// writeApart writes some points of each series of a group under its own name.
func (w *protoWriter) writeApart(g *group, some func([]arrange.Point) []arrange.Point) error {
	for _, s := range w.loose.series[g.first:g.last] {
		if points := some(w.a.Of(s.id)[s.from:]); len(points) > 0 {
			if err := w.apart(s.id, w.textOf(s.id), points); err != nil {
				return err
			}
		}
	}
	return nil
}
