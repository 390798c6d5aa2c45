package render

import (
	"encoding/binary"
	"io"
	"math"
	"runtime"
	"unsafe"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/words"
	"github.com/hubring/hubring/internal/exposition"
)

// Proto writes an arrangement as delimited protobuf messages, each an
// io.prometheus.client.MetricFamily, and a gauge of the hub's own behind it, unless that is
// nil. Names that are not classic are escaped as the scraper wants them.
//
// A Prometheus makes the same series and values of it as of the text. A sample of a series
// is a Metric, so a series with several has several, by ascending time. A large family comes in
// several messages of the same name, so that what is written needs no memory for all of it.
// The zero time, which to Prometheus is none, is left out.
func Proto(out io.Writer, a *arrange.Arrangement, escaping exposition.Escaping, own *Own) error {
	pooled := buffers.Get().(*[]byte)
	defer buffers.Put(pooled)
	w := protoWriter{
		messages: messages{out: out, buf: (*pooled)[:0]}, a: a,
		escaping: escaping, escapes: escaping != exposition.AllowUTF8 && a.Rank.Quoted,
	}
	current := -1
	a.LeftOut = arrange.LeftOut{}
	for s := range eachSeries(a) {
		if s.family != current {
			if err := w.finishFamily(); err != nil {
				return err
			}
			w.beginFamily(&a.Rank.Families[s.family])
			current = s.family
		}
		if err := w.series(s.id, s.spelling); err != nil {
			return err
		}
	}
	if err := w.finishFamily(); err != nil {
		return err
	}
	if own != nil {
		w.own(own)
	}
	return w.flush()
}

// ProtoBytes is how many bytes an arrangement makes.
func ProtoBytes(a *arrange.Arrangement, escaping exposition.Escaping) (bytes int64) {
	var n counted
	_ = Proto(&n, a, escaping, nil) // a count does not fail
	return int64(n)
}

// counted counts what is written to it.
type counted int64

func (n *counted) Write(b []byte) (int, error) {
	*n += counted(len(b))
	return len(b), nil
}

// protoWriter writes the families of a response.
type protoWriter struct {
	messages
	a        *arrange.Arrangement
	escapes  bool // there are names that are not classic, and they are escaped
	escaping exposition.Escaping

	// The family whose series are written.
	name   string // escaped
	help   string
	kind   kind
	mixed  bool // its series have names of their own, and are written one by one
	run    run
	loose  leftovers
	labels []byte // scratch space
	// written is the text of the series that is written.
	written []byte
	set     labelSet
	sample  words.Sample // scratch space
	inner   []byte       // likewise
	part    []byte       // likewise
}

// beginFamily begins a family. What is to be assembled are histograms and summaries; their
// type is not shown where some of their bounds are no numbers. The names of their series do
// not end as usual where they are escaped.
func (w *protoWriter) beginFamily(f *series.Family) {
	w.name, w.help, w.kind, w.mixed = f.Name, f.Help, kindOf(f.Type), f.Compound && f.Type == ""
	if w.escapes && !exposition.ValidMetricName(f.Name) {
		w.name = string(w.escaping.AppendName(nil, f.Name))
		w.mixed = f.Compound
	}
	if !w.mixed {
		w.enter(w.name, w.help, w.kind)
	}
}

// finishFamily writes what had to wait for the family's end.
func (w *protoWriter) finishFamily() error {
	if err := w.finishRun(); err != nil {
		return err
	}
	return w.writeLoose()
}

// series writes a series of the family, or keeps it until the others of its histogram
// or summary are there.
func (w *protoWriter) series(id series.ID, sp *series.Spelling) error {
	switch {
	case w.mixed:
		return w.apart(id, w.text(sp), w.a.Of(id))
	case w.kind == histogram || w.kind == summary:
		return w.collect(id, sp)
	}
	_, labels := split(w.text(sp))
	w.set.set(labels)
	return w.points(id, w.kind, w.set.bytes, w.a.Of(id))
}

// text is the text of a series with its names escaped. It is valid until the next one is asked for.
func (w *protoWriter) text(sp *series.Spelling) string {
	w.written = w.a.Rank.AppendText(w.written[:0], sp)
	if w.escapes {
		w.written = w.escaping.AppendSeries(nil, w.written)
	}
	return unsafe.String(unsafe.SliceData(w.written), len(w.written))
}

// textOf is likewise the text of the series with a number.
func (w *protoWriter) textOf(id series.ID) string { return w.text(w.a.Rank.Spelling(id)) }

// points writes the points of a series with these labels, as metrics of the family that was
// entered.
func (w *protoWriter) points(id series.ID, k kind, labels []byte, points []arrange.Point) error {
	if w.a.HasWords() {
		return w.wordedPoints(id, k, labels, points)
	}
	field := k.field()
	for _, p := range points {
		if p.Time == 0 {
			continue
		}
		buf := w.begin()
		size := len(labels) + 2 + doubleSize + 1 + varintSize(uint64(p.Time))
		buf = binary.AppendUvarint(append(buf, familyMetric), uint64(size))
		buf = append(buf, labels...)
		buf = append(buf, field, doubleSize)
		buf = appendDouble(buf, number, exact(p.Value))
		buf = binary.AppendUvarint(append(buf, metricTime), uint64(p.Time))
		if err := w.added(buf); err != nil {
			return err
		}
	}
	return nil
}

// exact is a value as it is stored: Prometheus has one NaN besides the marker.
func exact(v float64) float64 {
	if v != v && !samples.IsMarker(v) {
		return math.Float64frombits(0x7ff8000000000001)
	}
	return v
}

// apart writes the points of a series of a histogram or summary under its own name.
func (w *protoWriter) apart(id series.ID, text string, points []arrange.Point) error {
	name, labels := split(text)
	help := ""
	if name == w.name {
		help = w.help
	}
	w.enter(name, help, untyped)
	w.labels = w.labels[:0]
	for bound := boundName(w.kind); labels != ""; {
		var l label
		l, labels = next(labels)
		value := plain(l.value)
		if l.name == bound && bound != "" {
			value = spelled(value)
		}
		w.labels = appendLabel(w.labels, l.name, value)
	}
	return w.points(id, untyped, w.labels, points)
}

// own writes a gauge of the hub's own.
func (w *protoWriter) own(o *Own) {
	w.enter(o.Name, o.Help, gauge)
	w.labels = w.labels[:0]
	for _, l := range o.Labels {
		w.labels = appendLabel(w.labels, l[0], l[1])
	}
	buf := binary.AppendUvarint(append(w.begin(), familyMetric), uint64(len(w.labels)+2+doubleSize))
	buf = append(append(buf, w.labels...), metricGauge, doubleSize)
	w.buf = appendDouble(buf, number, o.Value)
}

// messages writes messages, each a family with metrics.
type messages struct {
	out    io.Writer
	buf    []byte
	header []byte // of the family that was entered
	name   []byte // likewise
	kind   kind
	from   int  // where its message begins
	begun  bool // its message has a metric
}

// sizeRoom is how much is left free for the size of a message. Most are larger than 16 KiB, and
// none than 2 MiB unless a single metric is: others are moved.
const sizeRoom = 3

// enter makes the metrics that follow those of a family. A family without any is not
// written.
func (m *messages) enter(name, help string, k kind) {
	if m.header != nil && string(m.name) == name && m.kind == k {
		return
	}
	m.close()
	m.name, m.kind = append(m.name[:0], name...), k
	m.header = appendString(m.header[:0], familyName, name)
	if help != "" {
		m.header = appendString(m.header, familyHelp, help)
	}
	m.header = append(m.header, familyType, k.number())
}

// as makes the metrics that follow those of the same family, but of another type.
func (m *messages) as(k kind) {
	if m.kind != k {
		m.close()
		m.kind = k
		m.header[len(m.header)-1] = k.number()
	}
}

// begin returns the buffer, to append a metric to it.
func (m *messages) begin() []byte {
	if !m.begun {
		m.from, m.begun = len(m.buf), true
		m.buf = append(append(m.buf, make([]byte, sizeRoom)...), m.header...)
	}
	return m.buf
}

// added takes the buffer back with a metric more.
func (m *messages) added(buf []byte) error {
	m.buf = buf
	if len(buf) < flushBytes {
		return nil
	}
	err := m.flush()
	runtime.Gosched() // pushes first
	return err
}

// close ends a message.
func (m *messages) close() {
	if !m.begun {
		return
	}
	m.begun = false
	body := m.from + sizeRoom
	n := uint64(len(m.buf) - body)
	size := varintSize(n)
	if size != sizeRoom {
		m.buf = append(m.buf, make([]byte, max(0, size-sizeRoom))...)
		copy(m.buf[m.from+size:], m.buf[body:body+int(n)])
		m.buf = m.buf[:m.from+size+int(n)]
	}
	binary.PutUvarint(m.buf[m.from:m.from+size], n)
}

// flush writes what there is. What follows of the family is a message of its own.
func (m *messages) flush() error {
	m.close()
	_, err := m.out.Write(m.buf)
	m.buf = m.buf[:0]
	return err
}
