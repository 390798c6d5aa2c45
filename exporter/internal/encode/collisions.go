package encode

import (
	"bytes"
	"maps"

	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/exporter/magma"
)

// Two families of a gateway may write the same series: cpu.load and cpu-load, which
// become one name, or a counter h_count beside a histogram h. A hub would have one of the two
// values and nobody would know. Names say whether that can be, and those of a body are looked at once
// for all bodies of its shape; only where it can, a gateway's families are written again, and
// each series is looked up.

// writer is a family as its sender knows it.
type writer struct {
	name string // as it was submitted
	kind wire.Kind
}

// collisions finds series that two writers have. It is empty but while families are
// written that share names.
type collisions struct {
	by     map[string]writer // series, as the text has them
	writer writer            // of what is being written
	on     bool
}

// doubts are what one may see of a gateway's families that could have a series in common.
type doubts struct {
	disagreed bool // names that one request cannot have
	mixed     bool // a name of which several kinds were made gauges
	repeated  bool // a name that is there twice: the same family, as a rule
	renamed   bool // a name that was sanitised
	cut       bool // more than one body
}

// mark is what an encoder had before a gateway's families.
type mark struct {
	bodies, leftOut int
	dropped         [reason.NumEncoding]Dropped
}

// gateway writes the items of one key.
func (e *Encoder) gateway(items []magma.MetricAndContext, order []int) {
	e.doubts = doubts{}
	before := mark{len(e.Bodies), len(e.LeftOut), e.Dropped}
	e.write(items, order)
	d := &e.doubts
	doubtful := d.disagreed || d.mixed || (d.cut || d.repeated && d.renamed) && namesAreShared(items, order)
	if !doubtful {
		return
	}
	e.backTo(&before)
	e.collisions = collisions{on: true, by: map[string]writer{}}
	e.write(items, order)
	e.collisions = collisions{}
}

// write writes the items of one key.
func (e *Encoder) write(items []magma.MetricAndContext, order []int) {
	for _, at := range order {
		e.from(sourceOf(items[at].Context.AdditionalContext))
		e.family(&items[at])
	}
	e.finish(e.src.key)
}

// doubtNames looks at the names of the body that is finished, unless one of its shape has been
// looked at.
func (e *Encoder) doubtNames() {
	if !e.looked {
		if e.kinds == nil {
			e.kinds = map[string]wire.Kind{}
		}
		e.ofBefore, e.looked = doubts{}, true
		for _, f := range e.families {
			from, ok := e.kinds[f.Name]
			e.ofBefore.repeated = e.ofBefore.repeated || ok
			e.ofBefore.mixed = e.ofBefore.mixed || ok && from != f.From
			e.kinds[f.Name] = f.From
		}
		clear(e.kinds) // the pool must not keep the caller's strings
	}
	e.doubts.repeated = e.doubts.repeated || e.ofBefore.repeated
	e.doubts.mixed = e.doubts.mixed || e.ofBefore.mixed
}

// namesAreShared reports whether two families have lines of one name.
func namesAreShared(items []magma.MetricAndContext, order []int) bool {
	by := make(map[string]writer, len(order))
	shared := false
	note := func(name string, w writer) {
		before, ok := by[name]
		shared = shared || ok && before != w
		by[name] = w
	}
	for _, at := range order {
		w := writer{submittedName(&items[at]), kindOf(items[at].Family.GetType())}
		name := sanitised(w.name)
		note(name, w)
		for _, suffix := range w.kind.Suffixes() {
			note(name+suffix, w)
		}
	}
	return shared
}

// backTo forgets what was written and left out since.
func (e *Encoder) backTo(m *mark) {
	for _, b := range e.Bodies[m.bodies:] {
		b.Release()
	}
	clear(e.Bodies[m.bodies:])
	clear(e.LeftOut[m.leftOut:])
	e.Bodies, e.LeftOut, e.Dropped = e.Bodies[:m.bodies], e.LeftOut[:m.leftOut], m.dropped
}

// takeSeries takes the series of lines for the family that is being written. It reports whether
// all of them were free, or the family's own, and takes none otherwise: a family that says something twice
// is left to the hub.
func (c *collisions) takeSeries(lines []byte) bool {
	taken := map[string]writer{}
	for line := range bytes.Lines(lines) {
		series := line[:bytes.LastIndexByte(line, ' ')]    // without the timestamp
		series = series[:bytes.LastIndexByte(series, ' ')] // and the value
		if w, ok := c.by[string(series)]; ok && w != c.writer {
			return false
		}
		taken[string(series)] = c.writer
	}
	maps.Copy(c.by, taken)
	return true
}
