package render

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/intake"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/store"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/exposition"
)

// world is a hub without doors.
type world struct {
	t     testing.TB
	store *store.Store
	*intake.Intake
}

func newWorld(t testing.TB) *world {
	s := store.New(store.Config{
		Series:  series.Limits{Series: 1 << 20, GatewaySeries: 1 << 20, TableBytes: 1 << 30},
		Samples: 1 << 24, IdleSeries: time.Hour, Scrapers: []string{""},
	})
	cfg := intake.Config{Limits: exposition.DefaultLimits, GatewayLabel: "gatewayID", MaxSamples: 1 << 24, Reserved: []string{"reserved"}}
	return &world{t, s, intake.New(cfg, s, body.NewRoom(1<<30))}
}

func (w *world) push(text string) {
	w.t.Helper()
	_, _, err := w.Text([]byte(text), time.Now())
	require.NoError(w.t, err)
}

// mark adds a marker to each of some series that are known.
func (w *world) mark(ms int64, texts ...string) {
	w.t.Helper()
	table := w.store.Table()
	var b store.Batch
	for _, text := range texts {
		number := table.Index.Find(series.Text, table.Index.Hash(series.Text, []byte(text)), []byte(text))
		require.NotZero(w.t, number, text)
		sp := table.Index.At(number)
		b.AddRun(sp.Gateway(), 1)
		b.Add(sp.ID, ms, samples.Marker())
	}
	_, err := w.store.Commit(table, &b, time.Now())
	require.NoError(w.t, err)
}

func (w *world) arranged() *arrange.Arrangement {
	v, rank := w.store.ReadWaiting()
	return arrange.Arrange(v, rank, arrange.Everything)
}

func (w *world) families(escaping exposition.Escaping, own *Own) []*dto.MetricFamily {
	w.t.Helper()
	var out bytes.Buffer
	require.NoError(w.t, Proto(&out, w.arranged(), escaping, own))
	require.EqualValues(w.t, out.Len(), ProtoBytes(w.arranged(), escaping)+ownBytes(w.t, own))
	return decoded(w.t, out.Bytes())
}

func ownBytes(t testing.TB, own *Own) int64 {
	var out bytes.Buffer
	require.NoError(t, Proto(&out, newWorld(t).arranged(), exposition.Values, own))
	return int64(out.Len())
}

// decoded reads messages with the library that all clients have.
func decoded(t testing.TB, b []byte) (families []*dto.MetricFamily) {
	t.Helper()
	for in := bytes.NewReader(b); ; {
		f := &dto.MetricFamily{}
		err := protodelim.UnmarshalFrom(in, f)
		if errors.Is(err, io.EOF) {
			return families
		}
		require.NoError(t, err)
		require.NotEmpty(t, f.GetName())
		require.NotEmpty(t, f.GetMetric())
		families = append(families, f)
	}
}

// shown writes families a line each.
func shown(families []*dto.MetricFamily) (lines []string) {
	for _, f := range families {
		var line strings.Builder
		fmt.Fprintf(&line, "%s %s", strings.ToLower(f.GetType().String()), f.GetName())
		if f.Help != nil {
			fmt.Fprintf(&line, " %q", f.GetHelp())
		}
		for _, m := range f.GetMetric() {
			line.WriteString("; ")
			for _, l := range m.GetLabel() {
				fmt.Fprintf(&line, "%s=%s ", l.GetName(), l.GetValue())
			}
			line.WriteString(shownValue(m))
			if m.TimestampMs != nil {
				fmt.Fprintf(&line, " @%d", m.GetTimestampMs())
			}
		}
		lines = append(lines, line.String())
	}
	return lines
}

func shownValue(m *dto.Metric) string {
	var all strings.Builder
	switch {
	case m.Gauge != nil:
		return number64(m.Gauge.GetValue())
	case m.Counter != nil:
		return number64(m.Counter.GetValue())
	case m.Untyped != nil:
		return number64(m.Untyped.GetValue())
	case m.Summary != nil:
		for _, q := range m.Summary.GetQuantile() {
			fmt.Fprintf(&all, "%s:%s ", number64(q.GetQuantile()), number64(q.GetValue()))
		}
		fmt.Fprintf(&all, "%s/%d", number64(m.Summary.GetSampleSum()), m.Summary.GetSampleCount())
	case m.Histogram != nil:
		h := m.Histogram
		for _, b := range h.GetBucket() {
			fmt.Fprintf(&all, "%s:%s ", number64(b.GetUpperBound()), number64(countOf(b.CumulativeCount, b.CumulativeCountFloat)))
		}
		fmt.Fprintf(&all, "%s/%s", number64(h.GetSampleSum()), number64(countOf(h.SampleCount, h.SampleCountFloat)))
	}
	return all.String()
}

func number64(v float64) string {
	if samples.IsMarker(v) {
		return "end"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// countOf is a count, as Prometheus reads its two fields.
func countOf(whole *uint64, part *float64) float64 {
	if part != nil && *part != 0 {
		return *part
	}
	if whole != nil {
		return float64(*whole)
	}
	return 0
}

// stored is what Prometheus makes of families: by series, the bits of its points in the
// order of their coming.
func stored(families []*dto.MetricFamily) map[string][]point {
	all := map[string][]point{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			add := func(suffix, label, value string, v float64) {
				labels := []string{"__name__=" + f.GetName() + suffix}
				for _, l := range m.GetLabel() {
					labels = append(labels, l.GetName()+"="+l.GetValue())
				}
				if label != "" {
					labels = append(labels, label+"="+value)
				}
				slices.Sort(labels)
				key := strings.Join(labels, "\xff")
				all[key] = append(all[key], point{m.GetTimestampMs(), math.Float64bits(v)})
			}
			switch {
			case m.Summary != nil:
				add("_count", "", "", float64(m.Summary.GetSampleCount()))
				add("_sum", "", "", m.Summary.GetSampleSum())
				for _, q := range m.Summary.GetQuantile() {
					add("", "quantile", theirs(q.GetQuantile()), q.GetValue())
				}
			case m.Histogram != nil:
				h, last := m.Histogram, false
				add("_count", "", "", countOf(h.SampleCount, h.SampleCountFloat))
				add("_sum", "", "", h.GetSampleSum())
				for _, b := range h.GetBucket() {
					last = math.IsInf(b.GetUpperBound(), 1)
					add("_bucket", "le", theirs(b.GetUpperBound()), countOf(b.CumulativeCount, b.CumulativeCountFloat))
				}
				if !last {
					add("_bucket", "le", "+Inf", countOf(h.SampleCount, h.SampleCountFloat))
				}
			case m.Gauge != nil:
				add("", "", "", m.Gauge.GetValue())
			case m.Counter != nil:
				add("", "", "", m.Counter.GetValue())
			default:
				add("", "", "", m.Untyped.GetValue())
			}
		}
	}
	return all
}

type point struct {
	ms   int64
	bits uint64
}

// theirs is Prometheus' spelling of a bound.
func theirs(v float64) string {
	switch {
	case v == 0:
		return "0.0"
	case math.IsNaN(v), math.IsInf(v, 0):
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	s := strconv.FormatFloat(v, 'g', -1, 64)
	if !strings.ContainsAny(s, "e.") {
		s += ".0"
	}
	return s
}
