package encode

import (
	"bytes"
	"maps"

	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/exporter/magma"
)

// Two families of a gateway may write the same series: cpu.load and cpu-load, which
// become one name, or a counter h_count beside a histogram h. A hub would have one of the two
// values and nobody would know. Whether that can be is seen by names, nearly for nothing; only where it can,
// a gateway's families are written again, and each series is looked up.

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

// mark is what an encoder had before a gateway's families.
type mark struct {
	bodies, leftOut int
	dropped         [NumReasons]Dropped
}

// gateway writes the items of one key.
func (e *Encoder) gateway(items []magma.MetricAndContext, order []int) {
	e.disagreed, e.cut = false, false
	renamed := e.nameAll(items, order)
	var before mark
	e.mark(&before)
	if e.collisions.on = (renamed || e.asGauges && e.hasParts()) && e.namesAreShared(items, order); !e.collisions.on {
		e.write(items, order)
		doubtful := e.disagreed || e.cut && e.namesAreShared(items, order)
		if !doubtful {
			return
		}
		e.backTo(&before)
		e.collisions.on = true
	}
	e.collisions.by = map[string]writer{}
	e.write(items, order)
	e.collisions = collisions{}
}

// write writes the items of one key.
func (e *Encoder) write(items []magma.MetricAndContext, order []int) {
	for i, at := range order {
		e.from(sourceOf(items[at].Context.AdditionalContext))
		e.family(e.names[i], &items[at])
	}
	e.finish(e.src.key)
}

// nameAll works the names of the items out. It reports whether one was sanitised.
func (e *Encoder) nameAll(items []magma.MetricAndContext, order []int) (renamed bool) {
	clear(e.names) // the pool must not keep the caller's strings
	e.names = e.names[:0]
	for _, at := range order {
		raw := submittedName(&items[at])
		name := sanitised(raw)
		e.names = append(e.names, name)
		renamed = renamed || name != raw
	}
	return renamed
}

// hasParts reports whether a name could be that of a part of a summary or histogram.
func (e *Encoder) hasParts() bool {
	for _, name := range e.names {
		if isPart(name) {
			return true
		}
	}
	return false
}

// isPart reports whether a name ends as those of parts do.
func isPart(name string) bool {
	for _, suffix := range wire.Histogram.Suffixes() {
		if len(name) > len(suffix) && name[len(name)-len(suffix):] == suffix {
			return true
		}
	}
	return false
}

// namesAreShared reports whether two families have lines of one name.
func (e *Encoder) namesAreShared(items []magma.MetricAndContext, order []int) bool {
	by := make(map[string]writer, len(order))
	shared := false
	note := func(name string, w writer) {
		before, ok := by[name]
		shared = shared || ok && before != w
		by[name] = w
	}
	for i, at := range order {
		w := writer{submittedName(&items[at]), kindOf(items[at].Family.GetType())}
		note(e.names[i], w)
		for _, suffix := range w.kind.Suffixes() {
			note(e.names[i]+suffix, w)
		}
	}
	return shared
}

// mark notes what there is.
func (e *Encoder) mark(m *mark) {
	m.bodies, m.leftOut, m.dropped = len(e.Bodies), len(e.LeftOut), e.Dropped
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
