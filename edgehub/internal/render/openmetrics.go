package render

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"unsafe"

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
// what cannot be put together comes without a type. Markers, which letters cannot say, are left out.
//
// A series has the same name in each format. In version 1.0 a counter's name ends in _total, so the type of
// others is left unknown; in version 2.0 a counter's value is a number, so the type of samples that have none is.
type openMetrics struct {
	out    io.Writer
	second bool // version 2.0
	buf    []byte
	rest   []byte // of a message that goes on with what is written next

	// The family of the message.
	name, help []byte
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

// end writes the line by which a reader knows that nothing is missing.
func (w *openMetrics) end() error {
	w.buf = append(w.buf, "# EOF\n"...)
	return w.flush()
}

func (w *openMetrics) flush() error {
	_, err := w.out.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// message writes the metrics of a family, whose name, help and type come before.
func (w *openMetrics) message(b []byte) error {
	w.name, w.help, w.kind = nil, nil, untyped
	w.begin, w.raw = w.begin[:0], w.raw[:0]
	for len(b) > 0 {
		var f field
		var err error
		if f, b, err = nextField(b); err != nil {
			return err
		}
		switch f.tag {
		case familyName:
			w.name = f.bytes
		case familyHelp:
			w.help = f.bytes
		case familyType:
			w.kind = kind(f.number)
		case familyMetric:
			if err := w.metric(f.bytes); err != nil {
				return err
			}
			if len(w.buf) >= flushBytes {
				if err := w.flush(); err != nil {
					return err
				}
				runtime.Gosched() // pushes first
			}
		}
	}
	return nil
}

// sample is a metric of the message.
type sample struct {
	labels, value []byte // as they stand there
	time          int64
	timed         bool
}

func (w *openMetrics) metric(b []byte) error {
	var s sample
	for all := b; len(b) > 0; {
		f, rest, err := nextField(b)
		if err != nil {
			return err
		}
		switch f.tag {
		case metricLabel: // they come first
			s.labels = all[:len(all)-len(rest)]
		case metricGauge, metricCounter, metricSummary, metricUntyped, metricHistogram:
			s.value = f.bytes
		case metricTime:
			s.time, s.timed = int64(f.number), true
		}
		b = rest
	}
	if len(w.begin) == 0 || !bytes.Equal(s.labels, w.raw) {
		if err := w.setLabels(s.labels); err != nil {
			return err
		}
	}
	switch w.kind {
	case counter, gauge, untyped:
		return w.scalar(&s)
	default:
		return w.compound(&s)
	}
}

// setLabels makes the begin of the lines that follow.
func (w *openMetrics) setLabels(raw []byte) error {
	w.raw, w.labels = append(w.raw[:0], raw...), w.labels[:0]
	for len(raw) > 0 {
		pair, rest, err := nextField(raw)
		if err != nil {
			return err
		}
		var name, value []byte
		for b := pair.bytes; len(b) > 0; {
			var f field
			if f, b, err = nextField(b); err != nil {
				return err
			}
			if f.tag == labelName {
				name = f.bytes
			} else {
				value = f.bytes
			}
		}
		if len(w.labels) > 0 {
			w.labels = append(w.labels, ',')
		}
		w.labels = append(exposition.AppendLabelName(w.labels, view(name)), `="`...)
		w.labels = append(exposition.AppendLabelValue(w.labels, view(value)), '"')
		raw = rest
	}
	w.begin = append(w.series(w.begin[:0], "", "", nil), ' ')
	return nil
}

// series appends the family's name with an end, and the labels with one more, unless that has no name.
func (w *openMetrics) series(dst []byte, suffix, label string, value []byte) []byte {
	separator := byte('{')
	if exposition.ValidMetricName(view(w.name)) {
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
func (w *openMetrics) scalar(s *sample) error {
	var bits uint64 // nothing is 0
	for b := s.value; len(b) > 0; {
		var f field
		var err error
		if f, b, err = nextField(b); err != nil {
			return err
		}
		if f.tag == number {
			bits = f.number
		}
	}
	v := math.Float64frombits(bits)
	if samples.IsMarker(v) {
		return nil
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
	w.endLine(s)
	return nil
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
func (w *openMetrics) compound(s *sample) error {
	c, err := w.read(s.value)
	if err != nil || c.native {
		return err
	}
	word := w.wordOf(c.members)
	w.describe(word)
	if w.second && word != "unknown" {
		w.composite(&c)
		w.endLine(s)
		return nil
	}
	suffix, label := "_bucket", boundName(histogram)
	if w.kind == summary {
		suffix, label = "", boundName(summary)
	}
	for i, m := range c.members {
		w.buf = append(w.series(w.buf, suffix, label, w.spell(i, m.bound)), ' ')
		w.buf = exposition.AppendFloat(w.buf, m.value)
		w.endLine(s)
	}
	for _, other := range [...]struct {
		suffix string
		value  float64
	}{{"_sum", c.sum}, {"_count", c.count}} {
		w.buf = append(w.series(w.buf, other.suffix, "", nil), ' ')
		w.buf = exposition.AppendFloat(w.buf, other.value)
		w.endLine(s)
	}
	return nil
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
	buf := append(append(w.buf, w.begin...), "{count:"...)
	buf = append(exposition.AppendFloat(buf, c.count), ",sum:"...)
	buf = append(exposition.AppendFloat(buf, c.sum), members...)
	for i, m := range c.members {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = append(append(buf, w.spell(i, m.bound)...), ':')
		buf = exposition.AppendFloat(buf, m.value)
	}
	w.buf = append(buf, "]}"...)
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
func (w *openMetrics) read(b []byte) (c composed, err error) {
	w.parts = w.parts[:0]
	var part float64 // a count that may be no whole number
	for len(b) > 0 {
		var f field
		if f, b, err = nextField(b); err != nil {
			return c, err
		}
		switch f.tag {
		case compoundCount:
			c.count = float64(f.number)
		case histogramCountPart:
			part = math.Float64frombits(f.number)
		case compoundSum:
			c.sum = math.Float64frombits(f.number)
		case histogramSchema:
			c.native = true
		case compoundMember:
			m, err := w.readMember(f.bytes)
			if err != nil {
				return c, err
			}
			w.parts = append(w.parts, m)
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
	return c, nil
}

// readMember reads a bucket or quantile.
func (w *openMetrics) readMember(b []byte) (m partOf, err error) {
	var part float64
	for len(b) > 0 {
		var f field
		if f, b, err = nextField(b); err != nil {
			return m, err
		}
		v := math.Float64frombits(f.number)
		switch {
		case w.kind == summary && f.tag == quantileBound, w.kind != summary && f.tag == bucketBound:
			m.bound = v
		case w.kind == summary && f.tag == quantileValue:
			m.value = v
		case w.kind != summary && f.tag == bucketCount:
			m.value = float64(f.number)
		case w.kind != summary && f.tag == bucketCountPart:
			part = v
		}
	}
	if part > 0 {
		m.value = part
	}
	return m, nil
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
func (w *openMetrics) endLine(s *sample) {
	if s.timed {
		w.buf = appendSeconds(append(w.buf, ' '), s.time)
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

// field is one of a message.
type field struct {
	tag    uint64 // its number and how its length is told
	number uint64 // or the bits of a float64
	bytes  []byte
}

// nextField cuts the first field off a message that is not empty.
func nextField(b []byte) (f field, rest []byte, err error) {
	tag, n := binary.Uvarint(b)
	if n <= 0 {
		return f, nil, errMessage
	}
	f.tag, b = tag, b[n:]
	switch tag & 7 {
	case variable:
		if f.number, n = binary.Uvarint(b); n <= 0 {
			return f, nil, errMessage
		}
		return f, b[n:], nil
	case eightBytes:
		if len(b) < 8 {
			return f, nil, errMessage
		}
		f.number = binary.LittleEndian.Uint64(b)
		return f, b[8:], nil
	case lengthFirst:
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return f, nil, errMessage
		}
		f.bytes = b[n : n+int(size)]
		return f, b[n+int(size):], nil
	}
	return f, nil, errMessage
}

// view is b as a string that lives as long as b does not change.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// SaidByOpenMetrics says whether version 1.0 says all that is known of families of these names and types: a counter whose
// name does not end in _total loses its type, and one that has the name of another family but for this end takes
// that one's.
func SaidByOpenMetrics(families func(yield func(name, kind string) bool)) bool {
	names := map[string]bool{}
	for name := range families {
		names[name] = true
	}
	for name, kind := range families {
		base, ends := strings.CutSuffix(name, "_total")
		if kind == "counter" && (!ends || base == "" || names[base]) {
			return false
		}
	}
	return true
}
