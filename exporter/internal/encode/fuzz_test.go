package encode

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/internal/exposition"
)

// FuzzEncode submits families made of arbitrary bytes. Whatever they are, nothing
// panics, the caller's families stay as they were, hubs and expfmt can read all
// that comes out, and every sample is either in it or was said to be rejected.
func FuzzEncode(f *testing.F) {
	f.Add([]byte{}, false)
	f.Add(bytes.Repeat([]byte{255}, 60), true)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		seed := make([]byte, 20*(1+i))
		for at := range seed {
			seed[at] = byte(random.Uint32())
		}
		f.Add(seed, i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, seed []byte, asGauges bool) {
		m := maker{seed}
		items := m.items()
		before := dump(items)
		e := New(time.UnixMilli(1000), asGauges)
		defer e.Release()
		e.Encode(items)
		require.Equal(t, before, dump(items), "the caller's families were modified")

		samples := 0
		for _, p := range e.Bodies {
			var j wire.Joiner
			body := string(j.Join(nil, []*wire.Body{p}))
			require.NoError(t, parse(body), body)
			samplesIn, oldest := readSamples(t, body)
			require.Equal(t, p.Samples, samplesIn, body)
			require.Equal(t, oldest, p.Oldest, body)
			require.LessOrEqual(t, len(body), p.Length(), "no longer than was said")
			require.Len(t, p.Ends, len(p.Shape.Families))
			samples += p.Samples
		}
		joinAll(t, e.Bodies)
		dropped := 0
		for _, d := range e.Dropped {
			dropped += d.Samples
		}
		require.Equal(t, Count(items), samples+dropped)
		leftOut := 0
		for _, l := range e.LeftOut {
			leftOut += l.Samples
		}
		require.Equal(t, dropped, leftOut)
	})
}

// joinAll makes requests of the bodies, as an outbox does, and reads them. It
// releases them.
func joinAll(t testing.TB, bodies []*wire.Body) {
	var j wire.Joiner
	for len(bodies) > 0 {
		var claimed wire.Claims
		var batch, rest []*wire.Body
		samples, composite := 0, map[string]bool{}
		for _, b := range bodies {
			if b.Composite && composite[b.Key] || !claimed.AllowAll(b.Shape) {
				rest = append(rest, b)
				continue
			}
			claimed.AddAll(b.Shape)
			composite[b.Key] = composite[b.Key] || b.Composite
			samples += b.Samples
			batch = append(batch, b)
		}
		text := string(j.Join(nil, batch))
		require.NoError(t, parse(text), text)
		read, _ := readSamples(t, text)
		require.Equal(t, samples, read, text)
		for _, b := range batch {
			b.Release()
		}
		bodies = rest
	}
}

// readSamples reads a text as a hub does. It counts the samples and returns the smallest
// of their times.
func readSamples(t testing.TB, body string) (samples int, oldest int64) {
	t.Helper()
	oldest = math.MaxInt64
	var s exposition.Scanner
	s.Reset([]byte(body))
	series := exposition.NewSeriesParser(exposition.DefaultLimits)
	for kind := s.Next(0); kind != exposition.End; kind = s.Next(0) {
		if kind != exposition.Sample {
			continue
		}
		samples++
		_, err := series.Parse(s.Spelling())
		require.NoError(t, err, body)
		at, stamped := s.Timestamp()
		require.True(t, stamped, "every sample has a timestamp")
		oldest = min(oldest, at)
	}
	require.NoError(t, s.Err(), body)
	return samples, oldest
}

// dump is all that the items have.
func dump(items []magma.MetricAndContext) string {
	var b strings.Builder
	for _, item := range items {
		b.WriteString(item.Context.MetricName + ": ")
		if item.Family != nil {
			for _, m := range item.Family.Metric {
				if m == nil {
					b.WriteString("nil ")
				}
			}
			b.WriteString(item.Family.String())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// maker makes families of bytes. When they are used up all is zero.
type maker struct{ rest []byte }

func (m *maker) byte() byte {
	if len(m.rest) == 0 {
		return 0
	}
	b := m.rest[0]
	m.rest = m.rest[1:]
	return b
}

// upTo returns a number below n.
func (m *maker) upTo(n int) int { return int(m.byte()) % n }

// rarely is true for one byte of 16.
func (m *maker) rarely() bool { return m.byte()&15 == 15 }

func (m *maker) pick(from ...string) *string {
	if m.rarely() {
		return nil
	}
	if m.rarely() {
		n := min(m.upTo(9), len(m.rest))
		text := string(m.rest[:n])
		m.rest = m.rest[n:]
		return &text
	}
	return &from[m.upTo(len(from))]
}

func (m *maker) float() *float64 {
	values := []float64{0, 1, -1, 0.1, 12345.678, 1e300, math.Inf(1), math.Inf(-1), math.NaN(), math.Copysign(0, -1), float64(m.byte())}
	if m.rarely() {
		return nil
	}
	return &values[m.upTo(len(values))]
}

func (m *maker) count() *uint64 {
	if m.rarely() {
		return nil
	}
	return new(uint64(m.byte()) << m.upTo(56))
}

func (m *maker) items() (items []magma.MetricAndContext) {
	for range m.upTo(8) {
		item := magma.MetricAndContext{Family: m.family(), Context: magma.MetricContext{AdditionalContext: m.context()}}
		if m.rarely() {
			item.Context.MetricName = "renamed by-context"
		}
		items = append(items, item)
	}
	return items
}

func (m *maker) context() magma.AdditionalMetricContext {
	id := func() string {
		if id := m.pick("a", "b", "", "ü\"\\\n", "\xff"); id != nil {
			return *id
		}
		return ""
	}
	switch m.upTo(7) {
	case 0:
		return nil
	case 1:
		return &magma.CloudMetricContext{CloudHost: id()}
	case 2:
		return &magma.PushedMetricContext{NetworkID: id()}
	case 3:
		return &KeyContext{Key: id()}
	case 4:
		return (*magma.GatewayMetricContext)(nil)
	}
	return &magma.GatewayMetricContext{NetworkID: id(), GatewayID: id()}
}

func (m *maker) family() *dto.MetricFamily {
	if m.rarely() {
		return nil
	}
	f := &dto.MetricFamily{Name: m.pick("m", "m_sum", "m_count", "m_bucket", "other-name", "9", ""), Help: m.pick("", "Of m.", "a\nb\\", "\xff\x00")}
	if !m.rarely() {
		f.Type = dto.MetricType(m.upTo(7)).Enum()
	}
	for range m.upTo(6) {
		f.Metric = append(f.Metric, m.metric(f.GetType()))
	}
	return f
}

func (m *maker) metric(of dto.MetricType) *dto.Metric {
	if m.rarely() {
		return nil
	}
	metric := &dto.Metric{}
	for range m.upTo(5) {
		if m.rarely() {
			metric.Label = append(metric.Label, nil)
			continue
		}
		metric.Label = append(metric.Label, &dto.LabelPair{
			Name:  m.pick("a", "b", "c", "z", "le", "quantile", "gatewayID", "__name__", "not-valid"),
			Value: m.pick("1", "", "x\"y\\z\n", "µ", "\xff", "\x00", strings.Repeat("long", 3000)),
		})
	}
	if m.byte()&1 == 1 {
		metric.TimestampMs = new(int64(int8(m.byte())) << m.upTo(56))
	}
	if m.rarely() {
		of = dto.MetricType(m.upTo(6)) // not what the family says
	}
	m.value(metric, of)
	return metric
}

func (m *maker) value(metric *dto.Metric, of dto.MetricType) {
	switch of {
	case dto.MetricType_COUNTER:
		metric.Counter = &dto.Counter{Value: m.float()}
	case dto.MetricType_GAUGE:
		metric.Gauge = &dto.Gauge{Value: m.float()}
	case dto.MetricType_UNTYPED:
		metric.Untyped = &dto.Untyped{Value: m.float()}
	case dto.MetricType_SUMMARY:
		metric.Summary = &dto.Summary{SampleCount: m.count(), SampleSum: m.float()}
		for range m.upTo(4) {
			metric.Summary.Quantile = append(metric.Summary.Quantile, &dto.Quantile{Quantile: m.float(), Value: m.float()})
		}
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		h := &dto.Histogram{SampleCount: m.count(), SampleSum: m.float()}
		if m.rarely() {
			h.SampleCountFloat, h.Schema = m.float(), new(int32(1))
		}
		for range m.upTo(5) {
			b := &dto.Bucket{UpperBound: m.float(), CumulativeCount: m.count()}
			if m.rarely() {
				b = nil
			}
			h.Bucket = append(h.Bucket, b)
		}
		metric.Histogram = h
	}
}
