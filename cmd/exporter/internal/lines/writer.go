package lines

import (
	"fmt"
	"math"
	"strings"

	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/exposition"
)

// What lines of text cannot say, and is left out.
const (
	NativeHistogram = "native_histogram"
	Exemplar        = "exemplar"
	StartTime       = "start_time"
	StaleMarker     = "stale_marker"
)

// Reasons are those for which something is left out.
var Reasons = []string{NativeHistogram, Exemplar, StartTime, StaleMarker}

// staleMarker is the value by which Prometheus says that a series ends.
const staleMarker = 0x7ff0000000000002

// Writer is a decode.Sink that writes lines. It is for one push, and for one goroutine.
type Writer struct {
	types   *Types
	most    int // samples
	samples int
	text    []byte
	said    map[string]bool // families of which a line is written, and names of series that were looked up
	parser  *exposition.SeriesParser
	last    []byte // the name of the last series
	// LeftOut is how often something was left out, by reason.
	LeftOut map[string]int
}

// NewWriter returns a writer for a push of so many samples at most.
func NewWriter(types *Types, most int) *Writer {
	return &Writer{types: types, most: most, said: map[string]bool{}, parser: exposition.NewSeriesParser(exposition.DefaultLimits), LeftOut: map[string]int{}}
}

// Text is what was written.
func (w *Writer) Text() []byte { return w.text }

// Samples is how many samples that has.
func (w *Writer) Samples() int { return w.samples }

// Reset forgets what was written, for the same push again.
func (w *Writer) Reset() {
	w.text, w.samples, w.last = w.text[:0], 0, w.last[:0]
	clear(w.said)
	clear(w.LeftOut)
}

// Sample implements decode.Sink.
func (w *Writer) Sample(series []byte, ms int64, value float64) error {
	if math.Float64bits(value) == staleMarker {
		w.LeftOut[StaleMarker]++
		return nil
	}
	s, err := w.parser.Parse(series)
	if err != nil {
		return err
	}
	if w.samples >= w.most {
		return &decode.BrokenError{Err: &TooManyError{w.most}}
	}
	if string(s.Name) != string(w.last) {
		w.last = append(w.last[:0], s.Name...)
		w.describe(s.Name)
	}
	w.samples++
	w.text = append(append(w.text, s.Text...), ' ')
	w.text = exposition.AppendFloat(w.text, value)
	if ms != decode.NoTime {
		w.text = exposition.AppendTimestamp(append(w.text, ' '), ms)
	}
	w.text = append(w.text, '\n')
	return nil
}

// TooManyError says that a push has more samples than the limit.
type TooManyError struct{ Limit int }

func (e *TooManyError) Error() string {
	return fmt.Sprintf("the push has more than %d samples, which is the limit; send it in parts", e.Limit)
}

// describe writes what is known of the family of a name, once.
func (w *Writer) describe(name []byte) {
	if w.said[string(name)] {
		return
	}
	w.said[string(name)] = true
	as, f, ok := w.types.of(name)
	if !ok || as != string(name) && w.said[as] {
		return
	}
	w.said[as] = true
	if f.help != "" {
		w.text = exposition.AppendName(append(w.text, "# HELP "...), as)
		w.text = append(exposition.AppendHelp(append(w.text, ' '), f.help), '\n')
	}
	if f.kind != "" {
		w.text = exposition.AppendName(append(w.text, "# TYPE "...), as)
		w.text = append(append(append(w.text, ' '), f.kind...), '\n')
	}
}

// Histogram implements decode.Sink.
func (w *Writer) Histogram([]byte, int64, []byte) error {
	w.LeftOut[NativeHistogram]++
	return &NativeError{}
}

// NativeError says that a native histogram cannot go on.
type NativeError struct{}

func (*NativeError) Error() string {
	return "a native histogram cannot go to hubs by the exporter, which sends text; push it to a hub, or have classic buckets as well"
}

// Exemplar implements decode.Sink.
func (w *Writer) Exemplar([]byte) error {
	w.LeftOut[Exemplar]++
	return nil
}

// Start implements decode.Sink.
func (w *Writer) Start(int64) error {
	w.LeftOut[StartTime]++
	return nil
}

// Type implements decode.Sink. What is no type is not one to remember.
func (w *Writer) Type(name, kind []byte) error {
	switch word := string(kind); word {
	case "counter", "gauge", "histogram", "summary", "untyped":
		w.types.learn(string(name), func(f *family) { f.kind = word })
	}
	return nil
}

// Help implements decode.Sink.
func (w *Writer) Help(name, text []byte) error {
	help := strings.ReplaceAll(strings.ToValidUTF8(string(text), "\uFFFD"), "\x00", "\uFFFD") // a NUL byte is none of a text
	w.types.learn(string(name), func(f *family) { f.help = help })
	return nil
}
