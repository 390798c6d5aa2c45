package encode

import (
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/internal/exposition"
)

const (
	// bodyBytes is the size at which a body is cut and the next begins. A
	// metric is never cut in two: receivers put its lines together again.
	bodyBytes = 512 << 10
	// suffixRoom is what a line may need beside name and labels: a suffix, the
	// bound label, braces and commas.
	suffixRoom = 64
	// maxHelpBytes is the longest help text that is sent; the rest is cut off.
	maxHelpBytes = 1024
	// maxPooledBytes is the largest buffer that is kept for the next Submit.
	maxPooledBytes = 4 << 20
)

// Encoder turns the families of one Submit into bodies. It holds the scratch
// that makes this free of allocations per sample; get one from New and give it
// back with Release. It is one goroutine's.
type Encoder struct {
	// Labels are set on all metrics that have none of their names. Set them before Encode.
	Labels Labels
	// Bodies are what was written. Whoever takes them over releases them.
	Bodies []*wire.Body
	// LeftOut is what could not be written, the first MaxLeftOut entries at most.
	LeftOut []LeftOut
	// Dropped is all that could not be written, by reason.
	Dropped [reason.NumEncoding]Dropped

	now      int64 // in ms: the timestamp of what has none
	asGauges bool  // every family becomes gauges

	order []int // the items, those of one key together

	doubts     doubts // of the key's families
	looked     bool   // ofBefore is known
	ofBefore   doubts
	kinds      map[string]wire.Kind // scratch of doubtNames
	collisions collisions

	// The body that is being written.
	buf       []byte
	families  []wire.Header
	ends      []int // where in buf each ends, but for one that is open
	samples   int
	oldest    int64 // timestamp of a sample, in ms
	composite bool

	// Which families fit into it. As long as they are those of the body
	// before, they do.
	before *wire.Shape
	alike  bool
	claims wire.Claims // when no longer alike

	// Where the families come from.
	src       source
	srcFault  reason.Reason // not Taken: nothing of it can be written
	srcLabel  string        // the label at fault
	planBound string        // what plan was made for, with src
	plan      labelPlan

	// The metric that is being written.
	text   []byte // its labels
	split  int    // where in text the bound label belongs
	tail   []byte // " timestamp\n"
	tailOf int64  // the timestamp in tail
	bounds []boundText
}

// MaxLeftOut is how much of what was left out is described one by one.
const MaxLeftOut = 100

// LeftOut says what was left out, a metric or a family, and why.
type LeftOut struct {
	Network, Gateway string // where it comes from; empty if that was not said
	Metric           string // the family's name, sanitised
	Label            string // the name of the label at fault, if there is one
	Samples          int
	Reason           reason.Reason
}

// Dropped is what was left out for one reason.
type Dropped struct {
	Samples int
	First   LeftOut // that had samples
}

var encoders = sync.Pool{New: func() any { return &Encoder{before: &wire.Shape{}, alike: true, oldest: math.MaxInt64} }}

// New returns an encoder for one Submit. What has no timestamp gets now; with asGauges
// every family becomes gauges.
func New(now time.Time, asGauges bool) *Encoder {
	e := encoders.Get().(*Encoder)
	e.now, e.asGauges = now.UnixMilli(), asGauges
	return e
}

// Release gives the scratch back. The bodies that were taken over stay as they
// are; e.Bodies and all else of the encoder may not be used any more.
func (e *Encoder) Release() {
	if cap(e.buf) > maxPooledBytes || cap(e.text) > maxPooledBytes {
		return
	}
	e.forget()
	encoders.Put(e)
}

// forget makes ready for the next Submit. Nothing of the caller's is kept.
func (e *Encoder) forget() {
	e.reset()
	clear(e.Bodies)
	e.Bodies = e.Bodies[:0]
	clear(e.LeftOut)
	e.LeftOut = e.LeftOut[:0]
	e.Dropped = [reason.NumEncoding]Dropped{}
	e.Labels = nil
	e.src, e.srcFault, e.srcLabel = source{}, reason.Taken, ""
	e.collisions = collisions{}
	e.plan.reset()
}

// reset makes ready for the next body.
func (e *Encoder) reset() {
	clear(e.families) // the pool must not keep the caller's strings
	e.buf, e.families, e.ends, e.samples, e.composite, e.oldest = e.buf[:0], e.families[:0], e.ends[:0], 0, false, math.MaxInt64
	if !e.alike {
		e.alike = true
		e.claims.Reset()
	}
}

// Encode writes all items, the families of each key in the order in which they
// came. A sample that a family has twice is written twice: which one counts is the
// receiver's rule, and it must have one for senders that repeat a request. Of two families that
// have one series the second is left out.
func (e *Encoder) Encode(items []magma.MetricAndContext) {
	e.order = e.order[:0]
	for i := range items {
		e.order = append(e.order, i)
	}
	key := func(at int) string { return keyOf(items[at].Context.AdditionalContext) }
	byKey := func(a, b int) int { return strings.Compare(key(a), key(b)) }
	if !slices.IsSortedFunc(e.order, byKey) { // of one gateway, as a rule
		slices.SortStableFunc(e.order, byKey)
	}
	for rest := e.order; len(rest) > 0; {
		n := 1
		for n < len(rest) && key(rest[n]) == key(rest[0]) {
			n++
		}
		e.gateway(items, rest[:n])
		rest = rest[n:]
	}
}

// from sets the source of the families to come.
func (e *Encoder) from(src source) {
	if src == e.src {
		return
	}
	e.src = src
	e.srcFault, e.srcLabel = validSource(&e.src)
	e.plan.made = false
}

// family writes one family, or as much of it as is valid.
func (e *Encoder) family(item *magma.MetricAndContext) {
	f := item.Family
	w := writer{submittedName(item), kindOf(f.GetType())}
	name, k := sanitised(w.name), w.kind
	e.collisions.writer = w
	e.doubts.renamed = e.doubts.renamed || name != w.name
	fault, at := e.srcFault, e.srcLabel
	switch {
	case f == nil:
		fault, at = reason.MissingMetric, ""
	case name == "":
		fault, at = reason.EmptyName, ""
	case k == wire.NoKind:
		fault, at = reason.UnknownType, ""
	}
	if fault != reason.Taken {
		e.drop(fault, name, at, familySamples(f))
		return
	}
	if bound := boundLabel(k); bound != e.planBound {
		e.plan.made, e.planBound = false, bound
	}
	if !e.asGauges {
		e.group(name, "", k, k, allLines, f)
		return
	}
	e.group(name, valueSuffix(k), wire.Gauge, k, valueLines, f)
	if k.Suffixes() != nil {
		e.group(name, "_sum", wire.Gauge, k, sumLines, f)
		e.group(name, "_count", wire.Gauge, k, countLines, f)
	}
}

// group writes a family, or the part of it that which says, as one of the kind
// as. What can't be written is noted with the first part.
func (e *Encoder) group(name, suffix string, as, k wire.Kind, which lines, f *dto.MetricFamily) {
	h := wire.Header{Name: name + suffix, Kind: as, Help: helpOf(f)}
	if e.asGauges {
		h.From = k
	}
	open := false
	for _, m := range f.Metric {
		if !open {
			e.open(h)
			open = true
		}
		if why, at := e.metric(name, k, which, m); why != reason.Taken {
			if which&valueLines != 0 {
				e.drop(why, name, at, sampleCount(k, m))
			}
			continue
		}
		if len(e.buf) >= bodyBytes {
			e.doubts.cut = true
			e.finish(e.src.key)
			open = false
		}
	}
	if open {
		e.closeFamily()
	}
}

// helpOf returns the family's help text as it can be sent.
func helpOf(f *dto.MetricFamily) string { return sendableHelp(f.GetHelp()) }

// sendableHelp is a help text as it can be sent.
func sendableHelp(help string) string {
	if len(help) > maxHelpBytes {
		help = help[:maxHelpBytes] // a rune that is cut is replaced below
	}
	if !validText(help) {
		help = strings.ReplaceAll(strings.ToValidUTF8(help, "\uFFFD"), "\x00", "\uFFFD")
	}
	return help
}

// open begins a family. A request has one type for a name: who says another goes
// into the next.
func (e *Encoder) open(h wire.Header) {
	if !e.fits(h) {
		e.doubts.disagreed = true
		e.finish(e.src.key)
		e.fits(h)
	}
	e.families = append(e.families, h)
}

// fits reports whether the body that is being written can have the family.
func (e *Encoder) fits(h wire.Header) bool {
	if e.alike {
		if i := len(e.families); i < len(e.before.Families) && e.before.Families[i] == h {
			return true
		}
		e.alike = false
		for _, f := range e.families {
			e.claims.Add(f.Name, f.Kind)
		}
	}
	return e.claims.Allow(h.Name, h.Kind)
}

// closeFamily ends the open family, or forgets it if no sample is in it.
func (e *Encoder) closeFamily() {
	last, start := len(e.families)-1, 0
	if last > 0 {
		start = e.ends[last-1]
	}
	f := &e.families[last]
	if len(e.buf) == start {
		e.families[last] = wire.Header{} // the pool must not keep the caller's strings
		e.families = e.families[:last]
		return
	}
	e.ends = append(e.ends, len(e.buf))
	if !e.alike {
		e.claims.Add(f.Name, f.Kind)
	}
	e.composite = e.composite || f.Kind.Suffixes() != nil
}

// finish makes what was written since the last call a body, if that is
// anything. An open family is ended.
func (e *Encoder) finish(key string) {
	if len(e.families) > len(e.ends) {
		e.closeFamily()
	}
	if e.samples > 0 {
		sure := e.alike && len(e.families) == len(e.before.Families)
		if !sure && !slices.Equal(e.families, e.before.Families) {
			e.before, e.looked = wire.NewShape(e.families), false
		}
		if e.doubts.renamed || e.asGauges {
			e.doubtNames()
		}
		b := wire.NewBody(key, e.buf, e.ends, e.before)
		b.Samples, b.Composite, b.Oldest = e.samples, e.composite, e.oldest
		e.Bodies = append(e.Bodies, b)
	}
	e.reset()
}

// metric writes lines of one metric: all that are asked for or, with the reason
// and the label at fault, none.
func (e *Encoder) metric(name string, k wire.Kind, which lines, m *dto.Metric) (why reason.Reason, at string) {
	if why = checkMetric(k, m); why != reason.Taken {
		return why, ""
	}
	if !e.plan.fits(m) {
		e.plan.make(m, &e.src, e.Labels, e.planBound)
	}
	if e.text, e.split, why, at = e.plan.append(e.text[:0], m); why != reason.Taken {
		return why, at
	}
	if len(name)+len(e.text)+suffixRoom > exposition.DefaultLimits.SeriesBytes {
		return reason.TooLong, ""
	}
	e.timestamp(m)

	before := e.samples
	if e.collisions.on {
		start := len(e.buf)
		e.lines(name, k, allLines, m)
		free := e.collisions.takeSeries(e.buf[start:])
		e.buf, e.samples = e.buf[:start], before
		if !free {
			return reason.SeriesCollision, ""
		}
	}
	e.lines(name, k, which, m)
	if e.samples > before {
		e.oldest = min(e.oldest, e.tailOf)
	}
	return reason.Taken, ""
}

// drop takes note of samples that are left out.
func (e *Encoder) drop(why reason.Reason, metric, at string, samples int) {
	left := LeftOut{
		Network: e.src.network, Gateway: e.src.key, Metric: metric, Label: at, Samples: samples, Reason: why,
	}
	d := &e.Dropped[why]
	if d.Samples == 0 {
		d.First = left
	}
	d.Samples += samples
	if len(e.LeftOut) < MaxLeftOut {
		e.LeftOut = append(e.LeftOut, left)
	}
}
