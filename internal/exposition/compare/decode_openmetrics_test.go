package compare

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/decode/openmetrics"
)

// brought is a sample that a decoder brings, and what belongs to it.
type brought struct {
	sample
	native    string // histogram
	exemplars []string
	start     int64
}

// sink takes what a decoder brings.
type sink struct{ all []brought }

func (s *sink) Sample(series []byte, ms int64, value float64) error {
	return s.add(series, ms, brought{sample: sample{value: math.Float64bits(value)}})
}

func (s *sink) add(series []byte, ms int64, b brought) (err error) {
	if b.labels, err = labelsOf(string(series)); err != nil {
		return err
	}
	if b.timed = ms != decode.NoTime; b.timed {
		b.ms = ms
	}
	s.all = append(s.all, b)
	return nil
}

func (s *sink) Histogram(series []byte, ms int64, message []byte) error {
	native, err := nativeOf(message)
	if err != nil {
		return err
	}
	return s.add(series, ms, brought{native: native})
}

func (s *sink) Exemplar(message []byte) error {
	var e dto.Exemplar
	if err := proto.Unmarshal(message, &e); err != nil {
		return err
	}
	var b labels.ScratchBuilder
	for _, l := range e.Label {
		b.Add(l.GetName(), l.GetValue())
	}
	b.Sort()
	one := exemplar.Exemplar{Labels: b.Labels(), Value: e.GetValue(), HasTs: e.Timestamp != nil}
	if one.HasTs {
		one.Ts = e.Timestamp.GetSeconds()*1000 + int64(e.Timestamp.GetNanos())/1e6
	}
	last := &s.all[len(s.all)-1]
	last.exemplars = append(last.exemplars, exampleText(one))
	return nil
}

// exampleText is an exemplar as text. Times are compared to the second, since Prometheus cuts floats off where we round.
func exampleText(e exemplar.Exemplar) string {
	return fmt.Sprint(e.Labels, math.Float64bits(e.Value), e.HasTs, math.Round(float64(e.Ts)/1e4))
}

func (s *sink) Start(ms int64) error {
	s.all[len(s.all)-1].start = ms
	return nil
}

func (s *sink) Type(_, _ []byte) error { return nil }
func (s *sink) Help(_, _ []byte) error { return nil }

// theirOpenMetrics reads a body as Prometheus does. A series _created is one.
func theirOpenMetrics(body []byte) (all []brought, err error) {
	p := textparse.NewOpenMetricsParser(slices.Clone(body), labels.NewSymbolTable())
	for {
		entry, err := p.Next()
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		case entry != textparse.EntrySeries:
			continue
		}
		text, at, value := p.Series()
		var b brought
		if b.labels, err = labelsOf(string(text)); err != nil { // once more by itself, without its type, by which numbers are written anew
			return nil, err
		}
		if b.value, b.timed = math.Float64bits(value), at != nil; b.timed {
			b.ms = *at
		}
		for e := (exemplar.Exemplar{}); p.Exemplar(&e); {
			b.exemplars = append(b.exemplars, exampleText(e))
		}
		all = append(all, b)
	}
}

// requireOpenMetricsRead checks that what Prometheus takes we take, too, with the same samples: but for what is refused on purpose, as in the text format. We take
// more: blank lines, comments, blanks.
func requireOpenMetricsRead(t require.TestingT, body []byte) (read bool) {
	want, theirErr := theirOpenMetrics(body)
	var got sink
	ourErr := openmetrics.Read(body, true, &got)
	if theirErr != nil || bytes.IndexByte(body, 0) >= 0 {
		return false
	}
	for _, refused := range []string{"no closing quote", " is followed by ", " is not a metric name", "line: metric name ", "not a time in seconds", "is not in quotes", "not begin with a label name", "it is not UTF-8"} {
		if says(ourErr, refused) {
			return false
		}
	}
	require.NoError(t, ourErr, "%q", body)
	next := func() (b brought) {
		require.NotEmpty(t, got.all, "%q", body)
		b, got.all = got.all[0], got.all[1:]
		return b
	}
	last := brought{}
	for _, w := range want {
		if last.start != 0 && strings.Contains(w.labels, "_created\"") {
			require.InDelta(t, math.Float64frombits(w.value)*1000, last.start, 1)
			last.start = 0
			continue
		}
		b := next()
		last = b
		require.InDelta(t, float64(w.ms), float64(b.ms), 1+math.Abs(float64(w.ms))*1e-15, "%q", body)
		if b.ms, b.start = w.ms, 0; bytes.IndexByte(body, '\\') >= 0 { // Prometheus leaves escapes in exemplars as they are
			b.exemplars, w.exemplars = nil, nil
		}
		require.Equal(t, w, b, "%q", body)
	}
	require.Empty(t, got.all, "%q", body)
	return true
}

var pushedOpenMetrics = []string{
	"# HELP x What.\n# TYPE x counter\n# UNIT x \nx_total{a=\"b\"} 1 1700000000.123 # {id=\"1\",c=\"d\"} 0.5 1700000000.5\nx_created{a=\"b\"} 1700000000.5\n# EOF\n",
	"# TYPE h_seconds histogram\n# UNIT h_seconds seconds\nh_seconds_bucket{le=\"1.0\"} 1 # {} 1\nh_seconds_bucket{le=\"+Inf\"} 2\nh_seconds_count 2\nh_seconds_created 5\nh_seconds_sum 3\n# EOF\n",
	"# TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum 1\ns_count 2\ns_created 1.5\n# EOF\n",
	"# TYPE i info\ni_info{v=\"1\"} 1\n# TYPE t stateset\nt{t=\"a\"} 1\n# TYPE g gaugehistogram\ng_bucket{le=\"+Inf\"} 1\ng_gcount 1\ng_gsum -1\n# TYPE u unknown\nu -Inf 0\n# EOF\n",
	"# TYPE \"a.b\" gauge\n{\"a.b\",\"c.d\"=\"e\\\"\\n\"} 1 -1.5\n# EOF",
	"x 1 1e3 # {a=\"b\"} 1\nx 1\n# EOF\n", "x{} 1\n# EOF\n", "x{a=\"b\",} 1\n# EOF\n", "x 1\n", "x 1\n# EOF\n\n",
}

func TestOpenMetricsIsReadAsByPrometheus(t *testing.T) {
	for i, body := range pushedOpenMetrics {
		require.Equal(t, i < 8, requireOpenMetricsRead(t, []byte(body)), "%q", body)
	}
}

// What Prometheus reads of a scrape we read of a push.
func FuzzReadOpenMetrics(f *testing.F) {
	for _, body := range pushedOpenMetrics {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) { requireOpenMetricsRead(t, body) })
}
