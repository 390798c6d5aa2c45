package otlp

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/prometheus/otlptranslator"

	"github.com/hubring/hubring/internal/decode"
)

// Config says how metrics become series, with the words of the section otlp of Prometheus' configuration.
type Config struct {
	// Strategy is one of Strategies, how names are translated.
	Strategy string
	// Promote names attributes of resources that become labels of all their series.
	Promote []string
	// Gateway is a label, and one more attribute to promote: the one of this name, or whose name becomes this one.
	Gateway string
	// ScopeMetadata gives each series its scope's name, version, schema URL and attributes as labels.
	ScopeMetadata bool
}

// Translator reads requests. It may be used from any goroutine.
type Translator struct {
	cfg     Config
	readers sync.Pool // of *reader
}

// New returns a translator, or what is wrong with its config.
func New(cfg Config) (*Translator, error) {
	if !slices.Contains(Strategies, cfg.Strategy) {
		return nil, fmt.Errorf("the translation strategy is %q, it must be one of %s", cfg.Strategy, strategies())
	}
	t := &Translator{cfg: cfg}
	names := newNames(&t.cfg)
	for _, name := range cfg.Promote {
		if l := names.labelOf([]byte(name)); l.err != nil {
			return nil, fmt.Errorf("the resource attribute %q cannot be promoted: %w", name, l.err)
		}
	}
	t.readers.New = func() any { return newReader(&t.cfg) }
	return t, nil
}

// Refuse is told of data points that are not taken, how many of a metric and why. A *TemporalityError is about the metric, an error
// of the sink is the sink's, and others are about what the points say.
type Refuse func(metric string, points int, err error)

// TemporalityError says that a metric's points are no totals.
type TemporalityError struct{ Delta bool }

func (e *TemporalityError) Error() string {
	if e.Delta {
		return "its temporality is delta, and only cumulative is taken; set OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative for the SDK, or use the Collector's processor deltatocumulative"
	}
	return "it has no temporality, which must be cumulative"
}

// Protobuf reads a request and brings it to a sink. Points that cannot be taken are told to refuse, and left out. With an error
// nothing of the request is to be kept: it is a *decode.BrokenError of the sink, or the body is no such message.
func (t *Translator) Protobuf(body []byte, to decode.Sink, refuse Refuse) error {
	r := t.readers.Get().(*reader)
	defer func() {
		r.end()
		t.readers.Put(r)
	}()
	r.begin(to, refuse)
	m := message{rest: body}
	for m.next() {
		if m.tag != 1<<3|block {
			continue
		}
		if err := r.resourceMetrics(m.bytes); err != nil {
			return err
		}
	}
	return m.end()
}

// reader reads one request at a time.
type reader struct {
	*names
	to     decode.Sink
	refuse Refuse

	attributes []attribute // of what is read now
	scratch    []byte      // for values that are no strings
	point      uint64      // what is read now, or was last
	generation uint64      // of fixed labels

	// Of the point that is read, see sets.go.
	except string // the label that is left out
	set    *set   // of the last point at its place, if it is remembered
	raw    []byte // its attributes, while they are one behind the other
	behind int    // bytes behind these in the point
	known  bool   // they are the set's, and were not read
	place  int    // of the next point
	places int    // that have a set
	sets   [maxSets]set

	job, instance []byte // of the resource
	fixed         []byte // labels of resource and scope that no attribute changes, as text
	promote       []promotion
	promise       []byte // the text of the promotions
	target        target

	base   []byte // a point's labels as text, each with a comma behind it
	series []byte
	metric metric

	bounds    []byte   // packed, whose text is in edges
	edges     []string // le="0.5",
	counts    []uint64
	exemplars []exemplar
	message   []byte // that is written
	native    native
}

// promotion is a resource's attribute that its points get as a label, if they have no other.
type promotion struct {
	label    *label
	from, to int // of reader.promise
}

// metric is what all points of a metric share.
type metric struct {
	name        []byte // of OpenTelemetry
	description []byte
	family      *family
	counts      bool // it has start times
}

func newReader(cfg *Config) *reader {
	r := &reader{names: newNames(cfg)}
	r.target.seen = map[targetKey]struct{}{}
	return r
}

func (r *reader) begin(to decode.Sink, refuse Refuse) {
	r.names.begin()
	r.to, r.refuse = to, refuse
}

// end forgets the request, and scratch space that one of a usual size does not need.
func (r *reader) end() {
	r.to, r.refuse, r.metric = nil, nil, metric{}
	clear(r.attributes[:cap(r.attributes)])
	clear(r.exemplars[:cap(r.exemplars)])
	r.target.end()
	r.forgetSets()
	if cap(r.counts) > maxKept {
		r.counts, r.bounds, r.edges = nil, nil, nil
	}
	if cap(r.message) > maxKept {
		r.message = nil
	}
	if cap(r.base)+cap(r.series)+cap(r.fixed)+cap(r.promise)+cap(r.scratch) > 8*maxKept {
		r.base, r.series, r.fixed, r.promise, r.scratch = nil, nil, nil, nil, nil
	}
}

// maxKept is how much of each scratch space is kept from one request to the next.
const maxKept = 16 << 10

// refused tells of points that are not taken, if the request goes on.
func (r *reader) refused(points int, err error) error {
	if broken := (*decode.BrokenError)(nil); errors.As(err, &broken) || errors.Is(err, errWire) {
		return err
	}
	if points > 0 {
		r.refuse(string(r.metric.name), points, err)
	}
	return nil
}

func (r *reader) resourceMetrics(b []byte) error {
	r.begins()
	m := message{rest: b}
	for m.next() { // the resource may stand behind its metrics
		if m.tag == 1<<3|block {
			if err := r.resource(m.bytes); err != nil {
				return err
			}
		}
	}
	if err := r.settle(); err != nil {
		return err
	}
	m = message{rest: b}
	for m.next() {
		if m.tag == 2<<3|block {
			if err := r.scopeMetrics(m.bytes); err != nil {
				return err
			}
		}
	}
	if err := m.end(); err != nil {
		return err
	}
	return r.bringTarget()
}

func (r *reader) scopeMetrics(b []byte) error {
	var scope, schema []byte
	m := message{rest: b}
	for m.next() {
		switch m.tag {
		case 1<<3 | block:
			scope = m.bytes
		case 3<<3 | block:
			schema = m.bytes
		}
	}
	if err := r.fixScope(scope, schema); err != nil {
		return err
	}
	m = message{rest: b}
	for m.next() {
		if m.tag == 2<<3|block {
			if err := r.readMetric(m.bytes); err != nil {
				return err
			}
		}
	}
	return m.end()
}

// The fields of a Metric that have its points.
const (
	gauge       = 5<<3 | block
	sum         = 7<<3 | block
	histogram   = 9<<3 | block
	exponential = 10<<3 | block
	summary     = 11<<3 | block
)

// errTwice is about a metric with two of a oneof. No client sends that.
var errTwice = errors.New("a metric has its data twice")

func (r *reader) readMetric(b []byte) error {
	var unit, data []byte
	var kind uint64
	r.metric = metric{}
	m := message{rest: b}
	for m.next() {
		switch m.tag {
		case 1<<3 | block:
			r.metric.name = m.bytes
		case 2<<3 | block:
			r.metric.description = m.bytes
		case 3<<3 | block:
			unit = m.bytes
		case gauge, sum, histogram, exponential, summary:
			if kind != 0 {
				return errTwice
			}
			kind, data = m.tag, m.bytes
		}
	}
	if m.broken || kind == 0 {
		return m.end()
	}
	points, temporality, monotonic := 0, uint64(0), false
	m = message{rest: data}
	for m.next() {
		switch m.tag {
		case 1<<3 | block:
			points++
		case 2<<3 | varint:
			temporality = m.value
		case 3<<3 | varint:
			monotonic = m.value != 0
		}
	}
	if m.broken || points == 0 {
		return m.end()
	}
	if kind != gauge && kind != summary && temporality != cumulative {
		return r.refused(points, &TemporalityError{Delta: temporality == delta})
	}
	named, typed := kinds(kind, monotonic)
	f := r.family(r.metric.name, unit, named)
	if f.err != nil {
		return r.refused(points, f.err)
	}
	r.metric.family, r.metric.counts = f, !bytes.Equal(typed, gaugeWord)
	if err := r.describe(f, typed, r.metric.description); err != nil {
		return err
	}
	return r.readPoints(kind, data)
}

// The temporalities.
const (
	delta      = 1
	cumulative = 2
)

// The types.
var gaugeWord, counterWord, histogramWord, summaryWord = []byte("gauge"), []byte("counter"), []byte("histogram"), []byte("summary")

// kinds are what a metric is for its name, and for its type.
func kinds(kind uint64, monotonic bool) (named otlptranslator.MetricType, typed []byte) {
	switch {
	case kind == gauge:
		return otlptranslator.MetricTypeGauge, gaugeWord
	case kind == sum && monotonic:
		return otlptranslator.MetricTypeMonotonicCounter, counterWord
	case kind == sum:
		return otlptranslator.MetricTypeNonMonotonicCounter, gaugeWord
	case kind == histogram:
		return otlptranslator.MetricTypeHistogram, histogramWord
	case kind == exponential:
		return otlptranslator.MetricTypeExponentialHistogram, histogramWord
	}
	return otlptranslator.MetricTypeSummary, summaryWord
}

// describe says a family's type and help, unless that was said in this request.
func (r *reader) describe(f *family, kind, help []byte) error {
	first := f.said != r.request
	if first || !bytes.Equal(f.kind, kind) {
		if err := r.to.Type(f.name, kind); err != nil {
			return err
		}
	}
	if len(help) > 0 && (first || !bytes.Equal(f.help, help)) {
		if err := r.to.Help(f.name, help); err != nil {
			return err
		}
	}
	f.said, f.kind, f.help = r.request, kind, help
	return nil
}

func (r *reader) readPoints(kind uint64, data []byte) error {
	r.place = 0
	var read func(point []byte) error
	switch kind {
	case gauge, sum:
		read = r.number
	case histogram:
		read = r.classic
	case exponential:
		read = r.exponential
	case summary:
		read = r.summary
	}
	m := message{rest: data}
	for m.next() {
		if m.tag != 1<<3|block {
			continue
		}
		if err := read(m.bytes); err != nil {
			if err = r.refused(1, err); err != nil {
				return err
			}
		}
	}
	return m.end()
}
