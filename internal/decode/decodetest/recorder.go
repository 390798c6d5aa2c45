// Package decodetest has a sink that remembers, for the tests of decoders.
package decodetest

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/exposition"
)

// Recorder is a decode.Sink that writes down what it is brought, a line each. It refuses series that are none, as all sinks do.
type Recorder struct {
	Lines []string
	Most  int // samples, beyond which it is full; 0 for no bound

	samples int
	parser  *exposition.SeriesParser
}

// ErrFull is what a full Recorder says.
var ErrFull = &decode.BrokenError{Err: fmt.Errorf("no more samples")}

// Sample implements decode.Sink.
func (r *Recorder) Sample(series []byte, ms int64, value float64) error {
	text := strconv.FormatFloat(value, 'g', -1, 64)
	if bits := math.Float64bits(value); math.IsNaN(value) && bits != 0x7ff8000000000001 {
		text = strconv.FormatUint(bits, 16)
	}
	return r.add(series, ms, text)
}

// Histogram implements decode.Sink.
func (r *Recorder) Histogram(series []byte, ms int64, message []byte) error {
	text, err := inJSON(message, &dto.Histogram{})
	if err != nil {
		return err
	}
	return r.add(series, ms, text)
}

func (r *Recorder) add(series []byte, ms int64, value string) error {
	if r.parser == nil {
		r.parser = exposition.NewSeriesParser(exposition.Limits{})
	}
	s, err := r.parser.Parse(series)
	if err != nil {
		return err
	}
	if r.samples++; r.Most > 0 && r.samples > r.Most {
		return ErrFull
	}
	at := ""
	if ms != decode.NoTime {
		at = fmt.Sprintf(" %d", ms)
	}
	r.Lines = append(r.Lines, fmt.Sprintf("%s %s%s", s.Text, value, at))
	return nil
}

// Exemplar implements decode.Sink.
func (r *Recorder) Exemplar(message []byte) error {
	text, err := inJSON(message, &dto.Exemplar{})
	r.Lines = append(r.Lines, "  exemplar "+text)
	return err
}

// Start implements decode.Sink.
func (r *Recorder) Start(ms int64) error {
	r.Lines = append(r.Lines, fmt.Sprintf("  start %d", ms))
	return nil
}

// Type implements decode.Sink.
func (r *Recorder) Type(family, kind []byte) error {
	r.Lines = append(r.Lines, fmt.Sprintf("# TYPE %s %s", family, kind))
	return nil
}

// Help implements decode.Sink.
func (r *Recorder) Help(family, text []byte) error {
	r.Lines = append(r.Lines, fmt.Sprintf("# HELP %s %q", family, text))
	return nil
}

func inJSON(message []byte, m proto.Message) (string, error) {
	if err := proto.Unmarshal(message, m); err != nil {
		return "", err
	}
	text, err := protojson.Marshal(m)
	return string(bytes.ReplaceAll(text, []byte(" "), nil)), err // which puts blanks in as it likes
}

// Counter is a sink that counts.
type Counter struct{ Samples, Others int }

// Sample implements decode.Sink.
func (c *Counter) Sample([]byte, int64, float64) error { c.Samples++; return nil }

// Histogram implements decode.Sink.
func (c *Counter) Histogram([]byte, int64, []byte) error { c.Samples++; return nil }

// Exemplar implements decode.Sink.
func (c *Counter) Exemplar([]byte) error { c.Others++; return nil }

// Start implements decode.Sink.
func (c *Counter) Start(int64) error { c.Others++; return nil }

// Type implements decode.Sink.
func (c *Counter) Type(_, _ []byte) error { c.Others++; return nil }

// Help implements decode.Sink.
func (c *Counter) Help(_, _ []byte) error { c.Others++; return nil }
