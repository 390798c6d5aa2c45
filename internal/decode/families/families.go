package families

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/exposition"
)

// Read brings the families of a body to a sink. In front of each message stands its length.
func Read(body []byte, to decode.Sink) error {
	d := decoders.Get().(*decoder)
	defer d.free()
	for n := 1; len(body) > 0; n++ {
		size, prefix := uvarint(body)
		if prefix <= 0 {
			return fmt.Errorf("message %d: it has no length in front", n)
		}
		body = body[prefix:]
		if size > uint64(len(body)) {
			return fmt.Errorf("message %d: it has %d bytes by the length in front, and %d follow", n, size, len(body))
		}
		if err := d.family(body[:size], to); err != nil {
			return fmt.Errorf("message %d: %w", n, err)
		}
		body = body[size:]
	}
	return nil
}

// Family brings one family to a sink, of a message without a length in front. Bounds are spelled as a client spells them in text, le="1": who
// pushes so had a hub that made text of it, and servers before the third Prometheus go on with the series that they have.
func Family(message []byte, to decode.Sink) error {
	d := decoders.Get().(*decoder)
	defer d.free()
	d.plain = true
	return d.family(message, to)
}

const (
	maxLabels  = 1 << 10 // of a metric, that are noted; sinks take fewer
	maxScratch = 64 << 10
)

// decoder has the scratch space for one family after the other.
type decoder struct {
	to      decode.Sink
	plain   bool         // bounds are spelled as in text, le="1"
	name    []byte       // of the family
	classic bool         // it needs no quotes
	labels  decode.Pairs // of the metric
	metric  metric

	line   []byte // the text of a series
	native []byte // the message of a native histogram
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

func (d *decoder) free() {
	if cap(d.line)+cap(d.native) > maxScratch {
		return
	}
	d.labels.Release()
	*d = decoder{labels: d.labels, line: d.line, native: d.native}
	decoders.Put(d)
}

// kind is a family's type, by its number in protobuf.
type kind uint64

const (
	counter kind = iota
	gauge
	summary
	untyped
	histogram
	gaugeHistogram
	none // not said: each metric is what it has
)

// words are those of the text format. A gauge histogram's series are gauges.
var words = [...][]byte{
	[]byte("counter"), []byte("gauge"), []byte("summary"), []byte("untyped"), []byte("histogram"), []byte("gauge"),
}

func (k kind) String() string {
	return [...]string{"counter", "gauge", "summary", "untyped value", "histogram", "histogram"}[k]
}

// family brings one family. What is said of it may stand behind its metrics, so it is looked for before these are read.
func (d *decoder) family(message []byte, to decode.Sink) error {
	d.to, d.name = to, nil
	var help, first []byte
	is := none
	for f := (fields{rest: message}); ; {
		if !f.next() {
			if f.err != nil {
				return d.wrong(f.err)
			}
			break
		}
		switch f.tag {
		case familyName:
			d.name = f.bytes
		case familyHelp:
			help = f.bytes
		case familyType:
			if f.number < uint64(none) { // others are not known, as if they were not there
				is = kind(f.number)
			}
		case familyMetric:
			if first == nil {
				first = f.bytes
			}
		}
	}
	if first == nil {
		return nil
	}
	d.classic = exposition.ValidMetricName(string(d.name))
	if err := d.describe(is, help, first); err != nil {
		return d.wrong(err)
	}
	n := 0
	for f := (fields{rest: message}); f.next(); {
		if f.tag != familyMetric {
			continue
		}
		n++
		if err := d.bring(is, f.bytes); err != nil {
			return d.wrong(fmt.Errorf("metric %d: %w", n, err))
		}
	}
	return nil
}

func (d *decoder) wrong(err error) error {
	if d.name == nil {
		return err
	}
	return fmt.Errorf("family %.100q, %w", d.name, err)
}

// describe says what is known of the family. One that has no type, as old senders by gRPC leave it out, has that of its first metric.
func (d *decoder) describe(is kind, help, first []byte) error {
	if is == none {
		if err := d.read(none, first); err != nil {
			return fmt.Errorf("metric 1: %w", err)
		}
		if is = d.metric.kind; is == none {
			return nil // which is said of the metric
		}
	}
	if err := d.to.Type(d.name, words[is]); err != nil {
		return err
	}
	if len(help) == 0 {
		return nil
	}
	if err := exposition.CheckText(help); err != nil {
		return fmt.Errorf("its help: %w", err)
	}
	return d.to.Help(d.name, help)
}

// metric is what a metric has beside its labels.
type metric struct {
	kind  kind // none if it has no value that is wanted
	value []byte
	ms    int64
}

var errLabels = errors.New("it has too many labels")

// read reads a metric, of whose values one kind is wanted, or the first kind that it has.
func (d *decoder) read(wanted kind, message []byte) error {
	m := metric{kind: none, ms: decode.NoTime}
	more := 0
	f := fields{rest: d.labels.Read(message)}
	for f.next() {
		switch f.tag {
		case metricLabel:
			if more++; more > maxLabels {
				return fmt.Errorf("%w, more than %d", errLabels, maxLabels)
			}
			if err := d.label(f.bytes); err != nil {
				return err
			}
		case metricCounter:
			m.has(counter, wanted, f.bytes)
		case metricGauge:
			m.has(gauge, wanted, f.bytes)
		case metricSummary:
			m.has(summary, wanted, f.bytes)
		case metricUntyped:
			m.has(untyped, wanted, f.bytes)
		case metricHistogram:
			m.has(histogram, wanted, f.bytes)
		case metricTime:
			if m.ms = int64(f.number); m.ms == 0 { // to a Prometheus that is none
				m.ms = decode.NoTime
			}
		}
	}
	d.metric = m
	return f.err
}

// has notes a value, or another part of one.
func (m *metric) has(is, wanted kind, value []byte) {
	switch {
	case is != wanted && wanted != none:
	case is == m.kind:
		m.value = join(m.value, value)
	case is < m.kind:
		m.kind, m.value = is, value
	}
}

// label adds a label that is not as most are.
func (d *decoder) label(message []byte) error {
	var name, value []byte
	f := fields{rest: message}
	for f.next() {
		switch f.tag {
		case labelName:
			name = f.bytes
		case labelValue:
			value = f.bytes
		}
	}
	d.labels.Add(name, value)
	return f.err
}

// bring brings the series of a metric.
func (d *decoder) bring(is kind, message []byte) error {
	if is == gaugeHistogram {
		is = histogram
	}
	if err := d.read(is, message); err != nil {
		return err
	}
	m := &d.metric
	switch {
	case m.kind == summary:
		return d.summary(m.value)
	case m.kind == histogram:
		return d.histogram(m.value)
	case m.kind != none:
		return d.simple(m.kind, m.value)
	case is == none:
		return fmt.Errorf("%.100q has no value", d.series(""))
	}
	return fmt.Errorf("%.100q has no %v, which the family is of", d.series(""), is)
}

// series is the text of the metric's series with a suffix. It is valid until the next one is asked for.
func (d *decoder) series(suffix string) []byte {
	labels := d.labels.Text()
	if d.classic && len(labels) == 0 {
		d.line = append(append(d.line[:0], d.name...), suffix...)
		return d.line
	}
	d.line = decode.CloseSeries(append(d.head(suffix), labels...))
	return d.line
}

// open is likewise the text of a series that gets a label more, up to its value.
func (d *decoder) open(suffix, label string) []byte {
	d.line = append(append(d.head(suffix), d.labels.Text()...), label...)
	d.line = append(d.line, `="`...)
	return d.line
}

// head is the text of the metric's series up to its labels.
func (d *decoder) head(suffix string) []byte {
	if d.classic {
		return append(append(append(d.line[:0], d.name...), suffix...), '{')
	}
	return append(exposition.AppendName(append(d.line[:0], '{'), string(d.name)+suffix), ',')
}

// simple brings a counter, a gauge or an untyped value.
func (d *decoder) simple(is kind, message []byte) error {
	if len(message) == 9 && message[0] == number { // as nearly all of them are
		return d.to.Sample(d.series(""), d.metric.ms, math.Float64frombits(binary.LittleEndian.Uint64(message[1:])))
	}
	var value float64
	var exemplar, start []byte
	f := fields{rest: message}
	for f.next() {
		switch f.tag {
		case number:
			value = math.Float64frombits(f.number)
		case counterExemplar:
			exemplar = join(exemplar, f.bytes)
		case counterStart:
			start = join(start, f.bytes)
		}
	}
	if f.err != nil {
		return f.err
	}
	if err := d.to.Sample(d.series(""), d.metric.ms, value); err != nil {
		return err
	}
	if is != counter { // others have other fields of these numbers, if any
		return nil
	}
	if err := d.start(start); err != nil || exemplar == nil {
		return err
	}
	return d.to.Exemplar(exemplar)
}

// start says since when what was brought last counts.
func (d *decoder) start(message []byte) error {
	if message == nil {
		return nil
	}
	var seconds, nanos int64
	f := fields{rest: message}
	for f.next() {
		switch f.tag {
		case timeSeconds:
			seconds = int64(f.number)
		case timeNanos:
			nanos = int64(int32(f.number))
		}
	}
	if f.err != nil {
		return f.err
	}
	const beyond = math.MaxInt64 / 10_000
	if seconds == 0 && nanos == 0 || seconds <= -beyond || seconds >= beyond { // none, or none that there is
		return nil
	}
	return d.to.Start(seconds*1e3 + nanos/1e6)
}

// count is a count that may be no whole number. The part is the one that may.
func count(whole uint64, part float64) float64 {
	if part != 0 {
		return part
	}
	return float64(whole)
}

// summary brings the series of a summary.
func (d *decoder) summary(message []byte) error {
	var total uint64
	var sum float64
	var start []byte
	text := len(d.open("", "quantile"))
	f := fields{rest: message}
	for f.next() {
		switch f.tag {
		case compoundCount:
			total = f.number
		case compoundSum:
			sum = math.Float64frombits(f.number)
		case summaryStart:
			start = join(start, f.bytes)
		case compoundMember:
			bound, value, err := quantile(f.bytes)
			if err != nil {
				return err
			}
			d.line = append(appendBound(d.line[:text], bound, d.plain), `"}`...)
			if err := d.to.Sample(d.line, d.metric.ms, value); err != nil {
				return err
			}
		}
	}
	if f.err != nil {
		return f.err
	}
	return d.totals(sum, float64(total), start)
}

func quantile(message []byte) (bound, value float64, err error) {
	f := fields{rest: message}
	for f.next() {
		switch f.tag {
		case quantileBound:
			bound = math.Float64frombits(f.number)
		case quantileValue:
			value = math.Float64frombits(f.number)
		}
	}
	return bound, value, f.err
}

// totals brings the series of a histogram or summary that have no bound.
func (d *decoder) totals(sum, total float64, start []byte) error {
	if err := d.to.Sample(d.series("_sum"), d.metric.ms, sum); err != nil {
		return err
	}
	if err := d.to.Sample(d.series("_count"), d.metric.ms, total); err != nil {
		return err
	}
	return d.start(start)
}

// histogram brings a histogram: as it is where it is native, and its series where it has buckets, or is not.
func (d *decoder) histogram(message []byte) error {
	h, err := d.outline(message)
	if err != nil {
		return err
	}
	if h.native {
		if err := d.bringNative(message, h.start); err != nil || !h.classic {
			return err
		}
	}
	infinite := false
	text := len(d.open("_bucket", "le"))
	for f := (fields{rest: message}); f.next(); {
		if f.tag != compoundMember {
			continue
		}
		b, err := readBucket(f.bytes)
		if err != nil {
			return err
		}
		infinite = infinite || math.IsInf(b.bound, 1)
		d.line = append(appendBound(d.line[:text], b.bound, d.plain), `"}`...)
		if err := d.to.Sample(d.line, d.metric.ms, b.count); err != nil {
			return err
		}
		if b.exemplar != nil {
			if err := d.to.Exemplar(b.exemplar); err != nil {
				return err
			}
		}
	}
	if !infinite {
		d.line = append(d.line[:text], `+Inf"}`...)
		if err := d.to.Sample(d.line, d.metric.ms, h.total); err != nil {
			return err
		}
	}
	return d.totals(h.sum, h.total, h.start)
}

// outline is what a histogram has beside its buckets.
type outline struct {
	total, sum      float64
	start           []byte
	native, classic bool // which kinds of buckets it has
}

// outline reads all fields of a histogram once. It is native by the rule of Prometheus: with a span, or something in or about its zero bucket.
func (d *decoder) outline(message []byte) (h outline, err error) {
	var whole uint64
	var part float64
	f := fields{rest: message}
	for f.next() {
		switch f.tag {
		case compoundCount:
			whole = f.number
		case histogramCountPart:
			part = math.Float64frombits(f.number)
		case compoundSum:
			h.sum = math.Float64frombits(f.number)
		case compoundMember:
			h.classic = true
		case histogramStart:
			h.start = join(h.start, f.bytes)
		case positiveSpan, negativeSpan:
			h.native = true
		case zeroThreshold:
			h.native = h.native || math.Float64frombits(f.number) > 0
		case zeroCount:
			h.native = h.native || f.number > 0
		}
	}
	h.total = count(whole, part)
	return h, f.err
}

type bucket struct {
	bound, count float64
	exemplar     []byte
}

func readBucket(message []byte) (b bucket, err error) {
	var whole uint64
	var part float64
	f := fields{rest: message}
	for f.next() {
		switch f.tag {
		case bucketCount:
			whole = f.number
		case bucketCountPart:
			part = math.Float64frombits(f.number)
		case bucketBound:
			b.bound = math.Float64frombits(f.number)
		case bucketExemplar:
			b.exemplar = join(b.exemplar, f.bytes)
		}
	}
	b.count = count(whole, part)
	return b, f.err
}

// bringNative brings a native histogram, without what comes by itself.
func (d *decoder) bringNative(message, start []byte) error {
	d.native = d.native[:0]
	exemplars := false
	for f := (fields{rest: message}); len(f.rest) > 0; {
		before := f.rest
		if !f.next() {
			return f.err
		}
		switch f.tag {
		case compoundMember, histogramStart:
		case histogramExemplar:
			exemplars = true
		default:
			d.native = append(d.native, before[:len(before)-len(f.rest)]...)
		}
	}
	if err := d.to.Histogram(d.series(""), d.metric.ms, d.native); err != nil {
		return err
	}
	if err := d.start(start); err != nil || !exemplars {
		return err
	}
	for f := (fields{rest: message}); f.next(); {
		if f.tag == histogramExemplar {
			if err := d.to.Exemplar(f.bytes); err != nil {
				return err
			}
		}
	}
	return nil
}
