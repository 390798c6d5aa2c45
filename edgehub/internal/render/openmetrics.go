package render

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"runtime"
	"unsafe"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/internal/exposition"
)

// Version is one of OpenMetrics' text format.
type Version uint8

// The versions.
const (
	NoOpenMetrics Version = iota
	// OpenMetrics1 is 1.0.0, and 0.0.1, which is no more than a draft of it.
	OpenMetrics1
	// OpenMetrics2 is 2.0.0 as Prometheus 3.15 reads it, which is a draft.
	OpenMetrics2
)

// openMetrics writes messages of the protobuf format, which it is given, in letters. So what is put together
// to a histogram or summary there is so here: its points come one after the other, each with all its series, and
// what cannot be put together comes without a type. Series of other families need no messages. Markers, which
// letters cannot say, are left out.
//
// A series has the same name in each format. In version 1.0 a counter's name ends in _total, so the type of
// others is left unknown; in version 2.0 a counter's value is a number, so the type of samples that have none is.
type openMetrics struct {
	out    io.Writer
	second bool // version 2.0
	log    bool // what is written comes from the log, where native histograms are left out as in text; others' become their sum and count
	buf    []byte
	rest   []byte // of a message that goes on with what is written next

	// The family of the message.
	name, help []byte
	classic    bool // the name is a classic one
	kind       kind
	// What was described last. Where no type was shown yet the word is empty, which is unknown as well.
	described []byte
	word      string

	labels []byte // of a metric, in letters
	raw    []byte // that they were written from
	begin  []byte // of a line: the family's name, these labels and a blank; empty until it is written
	bounds []spelling
	parts  []partOf // of a histogram or summary
}

// spelling is a bound and how it is written, for the next histograms.
type spelling struct {
	value float64
	text  []byte
}

// partOf is a bucket or quantile.
type partOf struct{ bound, value float64 }

var errMessage = errors.New("BUG: no message of a metric family")

// Write takes messages, each behind its length, in whichever pieces.
func (w *openMetrics) Write(b []byte) (int, error) {
	taken := len(b)
	if len(w.rest) > 0 {
		w.rest = append(w.rest, b...)
		b = w.rest
	}
	for {
		n, size := binary.Uvarint(b)
		if size < 0 {
			return 0, errMessage
		}
		if size == 0 || n > uint64(len(b)-size) {
			break
		}
		if err := w.message(b[size : size+int(n)]); err != nil {
			return 0, err
		}
		b = b[size+int(n):]
	}
	w.rest = append(w.rest[:0], b...)
	return taken, nil
}

// arrangement writes an arrangement, and a gauge of the hub's own behind it, unless that is nil.
func (w *openMetrics) arrangement(a *arrange.Arrangement, escaping exposition.Escaping, own *Own) error {
	w.log = true
	defer func() { w.log = false }()
	pooled := buffers.Get().(*[]byte)
	defer buffers.Put(pooled)
	p := protoWriter{
		messages: messages{out: w, buf: (*pooled)[:0]}, a: a,
		escaping: escaping, escapes: escaping != exposition.AllowUTF8 && a.Rank.Quoted,
	}
	current := -1
	for s := range eachSeries(a) {
		if s.family != current {
			if err := errors.Join(p.finishFamily(), p.flush()); err != nil {
				return err
			}
			p.beginFamily(&a.Rank.Families[s.family])
			w.family(p.name, p.help, p.kind)
			current = s.family
		}
		var err error
		if p.mixed || p.kind == histogram || p.kind == summary {
			err = p.series(s.id, s.spelling)
		} else {
			err = w.points(p.text(s.spelling), a.Of(s.id))
		}
		if err != nil {
			return err
		}
	}
	if err := p.finishFamily(); err != nil {
		return err
	}
	if own != nil {
		p.own(own)
	}
	return p.flush()
}

// family begins a family whose series come as points.
func (w *openMetrics) family(name, help string, k kind) {
	w.name, w.help, w.kind, w.begin = []byte(name), []byte(help), k, w.begin[:0]
}

// points writes those of a series of the family.
func (w *openMetrics) points(text string, points []arrange.Point) error {
	w.begin = append(append(w.begin[:0], text...), ' ')
	for _, p := range points {
		if !p.Native() {
			w.value(p.Value, p.Time, true)
		}
	}
	w.begin = w.begin[:0]
	return w.flushed()
}

// end writes the line by which a reader knows that nothing is missing.
func (w *openMetrics) end() error {
	w.buf = append(w.buf, "# EOF\n"...)
	return w.flush()
}

// flushed writes what there is, if it is enough.
func (w *openMetrics) flushed() error {
	if len(w.buf) < flushBytes {
		return nil
	}
	err := w.flush()
	runtime.Gosched() // pushes first
	return err
}

func (w *openMetrics) flush() error {
	_, err := w.out.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// message writes the metrics of a family, whose name, help and type come before.
func (w *openMetrics) message(b []byte) error {
	w.name, w.help, w.kind, w.begin = nil, nil, untyped, w.begin[:0]
	r := reader{b: b}
	for r.more() {
		switch tag := r.varint(); tag {
		case familyName:
			w.name = r.bytes()
			w.classic = exposition.ValidMetricName(view(w.name))
		case familyHelp:
			w.help = r.bytes()
		case familyType:
			w.kind = kind(r.varint())
		case familyMetric:
			if !w.metric(r.bytes()) {
				return errMessage
			}
			if err := w.flushed(); err != nil {
				return err
			}
		default:
			r.skip(tag)
		}
	}
	if r.broken {
		return errMessage
	}
	return nil
}

// sample is a metric of the message.
type sample struct {
	value []byte // as it stands there
	time  int64
	timed bool
}

// metric writes a metric. It returns false where it is none.
func (w *openMetrics) metric(b []byte) bool {
	r := reader{b: b}
	if n := len(w.raw); len(w.begin) == 0 || len(b) <= n || b[n] == metricLabel || string(b[:n]) != string(w.raw) {
		for r.more() && b[r.i] == metricLabel { // they come first
			r.i++
			r.bytes()
		}
		if r.broken || !w.setLabels(b[:r.i]) {
			return false
		}
	} else {
		r.i = n
	}
	var s sample
	for r.more() {
		switch tag := r.varint(); tag {
		case metricGauge, metricCounter, metricSummary, metricUntyped, metricHistogram:
			s.value = r.bytes()
		case metricTime:
			s.time, s.timed = int64(r.varint()), true
		default:
			r.skip(tag)
		}
	}
	if r.broken {
		return false
	}
	if w.kind == counter || w.kind == gauge || w.kind == untyped {
		return w.scalar(&s)
	}
	return w.compound(&s)
}

// setLabels makes the begin of the lines that follow. It returns false where there are no labels.
func (w *openMetrics) setLabels(raw []byte) bool {
	w.raw, w.labels = append(w.raw[:0], raw...), w.labels[:0]
	for all := (reader{b: raw}); all.more(); {
		all.i++ // all are labels
		pair := reader{b: all.bytes()}
		var name, value []byte
		for pair.more() {
			switch tag := pair.varint(); tag {
			case labelName:
				name = pair.bytes()
			case labelValue:
				value = pair.bytes()
			default:
				pair.skip(tag)
			}
		}
		if pair.broken {
			return false
		}
		if len(w.labels) > 0 {
			w.labels = append(w.labels, ',')
		}
		w.labels = append(exposition.AppendLabelName(w.labels, view(name)), `="`...)
		w.labels = append(exposition.AppendLabelValue(w.labels, view(value)), '"')
	}
	w.begin = append(w.series(w.begin[:0], "", "", nil), ' ')
	return true
}

// series appends the family's name with an end, and the labels with one more, unless that has no name.
func (w *openMetrics) series(dst []byte, suffix, label string, value []byte) []byte {
	separator := byte('{')
	if w.classic {
		dst = append(append(dst, w.name...), suffix...)
	} else {
		dst = exposition.AppendLabelValue(append(dst, `{"`...), view(w.name))
		dst = append(append(dst, suffix...), '"')
		separator = ','
	}
	if len(w.labels) > 0 {
		dst = append(append(dst, separator), w.labels...)
		separator = ','
	}
	if label != "" {
		dst = append(append(append(dst, separator), label...), `="`...)
		dst = append(append(dst, value...), '"')
		separator = ','
	}
	if separator == ',' {
		dst = append(dst, '}')
	}
	return dst
}

// scalar writes a metric that has one value.
func (w *openMetrics) scalar(s *sample) bool {
	v := 0.0
	r := reader{b: s.value}
	for r.more() {
		if tag := r.varint(); tag == number {
			v = r.double()
		} else {
			r.skip(tag)
		}
	}
	if r.broken {
		return false
	}
	w.value(v, s.time, s.timed)
	return true
}

// value writes a sample of the series that begin has, unless it is a marker.
func (w *openMetrics) value(v float64, ms int64, timed bool) {
	if samples.IsMarker(v) {
		return
	}
	word := "unknown"
	switch {
	case w.kind == gauge:
		word = "gauge"
	case w.kind == counter && w.second && v == v, w.kind == counter && !w.second && len(counterBase(w.name)) > 0:
		word = "counter"
	}
	w.describe(word)
	w.buf = exposition.AppendFloat(append(w.buf, w.begin...), v)
	w.endLine(ms, timed)
}

// counterBase is the name that the family of a counter has in version 1.0, or nothing.
func counterBase(name []byte) []byte {
	if base, is := bytes.CutSuffix(name, []byte("_total")); is {
		return base
	}
	return nil
}

// composed is a histogram or summary.
type composed struct {
	native     bool // it has no bucket or quantile, but those of a native histogram, which letters cannot say
	count, sum float64
	members    []partOf
}

// compound writes a histogram or summary.
func (w *openMetrics) compound(s *sample) bool {
	c, ok := w.read(s.value)
	if !ok || c.native && w.log {
		return ok
	}
	word := w.wordOf(c.members)
	w.describe(word)
	if w.second && word != "unknown" {
		w.composite(&c)
		w.endLine(s.time, s.timed)
		return true
	}
	suffix, label := "_bucket", boundName(histogram)
	if w.kind == summary {
		suffix, label = "", boundName(summary)
	}
	for i, m := range c.members {
		w.buf = append(w.series(w.buf, suffix, label, w.spell(i, m.bound)), ' ')
		w.buf = exposition.AppendFloat(w.buf, m.value)
		w.endLine(s.time, s.timed)
	}
	for _, other := range [...]struct {
		suffix string
		value  float64
	}{{"_sum", c.sum}, {"_count", c.count}} {
		w.buf = append(w.series(w.buf, other.suffix, "", nil), ' ')
		w.buf = exposition.AppendFloat(w.buf, other.value)
		w.endLine(s.time, s.timed)
	}
	return true
}

// wordOf is the type with which a histogram or summary is shown. The counts of gauge histograms have other names in
// OpenMetrics. Version 2.0 wants bounds to ascend; in 1.0 a Prometheus that reads start times takes what is named so, of
// a summary, for such.
func (w *openMetrics) wordOf(members []partOf) string {
	switch {
	case w.second && !ascends(members), !w.second && bytes.HasSuffix(w.name, []byte("_created")):
	case w.kind == histogram:
		return "histogram"
	case w.kind == summary:
		return "summary"
	}
	return "unknown"
}

// composite writes the value of a histogram or summary as version 2.0 has it, in one.
func (w *openMetrics) composite(c *composed) {
	members := ",bucket:["
	if w.kind == summary {
		members = ",quantile:["
	}
	w.buf = append(append(w.buf, w.begin...), "{count:"...)
	w.buf = append(exposition.AppendFloat(w.buf, c.count), ",sum:"...)
	w.buf = append(exposition.AppendFloat(w.buf, c.sum), members...)
	for i, m := range c.members {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.buf = append(append(w.buf, w.spell(i, m.bound)...), ':')
		w.buf = exposition.AppendFloat(w.buf, m.value)
	}
	w.buf = append(w.buf, "]}"...)
}

// ascends says whether each bound is a number and higher than the one before.
func ascends(members []partOf) bool {
	for i, m := range members {
		if m.bound != m.bound || i > 0 && m.bound <= members[i-1].bound {
			return false
		}
	}
	return true
}

// spell is a bound as Prometheus spells it.
func (w *openMetrics) spell(i int, bound float64) []byte {
	if i == len(w.bounds) {
		w.bounds = append(w.bounds, spelling{value: math.NaN()})
	}
	s := &w.bounds[i]
	if s.value != bound || len(s.text) == 0 {
		s.value, s.text = bound, appendBound(s.text[:0], bound)
	}
	return s.text
}

// read reads a histogram or summary. A histogram has a bucket for all that it observed.
func (w *openMetrics) read(b []byte) (c composed, ok bool) {
	w.parts = w.parts[:0]
	part := 0.0 // a count that may be no whole number
	r := reader{b: b}
	for r.more() {
		switch tag := r.varint(); tag {
		case compoundCount:
			c.count = float64(r.varint())
		case histogramCountPart:
			part = r.double()
		case compoundSum:
			c.sum = r.double()
		case histogramSchema:
			c.native = true
			r.skip(tag)
		case compoundMember:
			m := reader{b: r.bytes()}
			w.parts = append(w.parts, w.member(&m))
			r.broken = r.broken || m.broken
		default:
			r.skip(tag)
		}
	}
	if part > 0 {
		c.count = part
	}
	c.native = c.native && len(w.parts) == 0
	if w.kind != summary && (len(w.parts) == 0 || !math.IsInf(w.parts[len(w.parts)-1].bound, 1)) {
		w.parts = append(w.parts, partOf{math.Inf(1), c.count})
	}
	c.members = w.parts
	return c, !r.broken
}

// member reads a bucket or quantile.
func (w *openMetrics) member(r *reader) (m partOf) {
	part := 0.0
	for r.more() {
		switch tag := r.varint(); {
		case w.kind == summary && tag == quantileBound, w.kind != summary && tag == bucketBound:
			m.bound = r.double()
		case w.kind == summary && tag == quantileValue:
			m.value = r.double()
		case w.kind != summary && tag == bucketCount:
			m.value = float64(r.varint())
		case w.kind != summary && tag == bucketCountPart:
			part = r.double()
		default:
			r.skip(tag)
		}
	}
	if part > 0 {
		m.value = part
	}
	return m
}

// describe writes the HELP and TYPE lines of what follows, where that is another family or of another type. What has no
// line is of the type that was shown last, in version 1.0, to Prometheus; so unknown is shown behind others only.
func (w *openMetrics) describe(word string) {
	same := bytes.Equal(w.name, w.described)
	if same && (word == w.word || word == "unknown" && w.word == "") {
		return
	}
	name := w.name
	if word == "counter" && !w.second {
		name = counterBase(name)
	}
	if len(w.help) > 0 {
		w.buf = exposition.AppendName(append(w.buf, "# HELP "...), view(name))
		w.buf = append(exposition.AppendLabelValue(append(w.buf, ' '), view(w.help)), '\n')
	}
	if word != "unknown" || w.word != "unknown" && w.word != "" {
		w.buf = exposition.AppendName(append(w.buf, "# TYPE "...), view(name))
		w.buf = append(append(append(w.buf, ' '), word...), '\n')
		w.word = word
	}
	w.described = append(w.described[:0], w.name...)
}

// endLine ends the line of a sample.
func (w *openMetrics) endLine(ms int64, timed bool) {
	if timed {
		w.buf = appendSeconds(append(w.buf, ' '), ms)
	}
	w.buf = append(w.buf, '\n')
}

// appendSeconds appends a time in milliseconds as one in seconds. Prometheus takes it for a float64, and cuts off what is
// behind the milliseconds: where that is nearly one, a tenth of a millisecond comes behind.
func appendSeconds(dst []byte, ms int64) []byte {
	cut := int64(float64(ms) / 1000 * 1000)
	n := uint64(ms)
	if ms < 0 {
		dst, n = append(dst, '-'), -n
	}
	dst = exposition.AppendTimestamp(dst, int64(n/1000))
	n %= 1000
	dst = append(dst, '.', byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10))
	if cut != ms {
		dst = append(dst, '1')
	}
	return dst
}

// view is b as a string that lives as long as b does not change.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
