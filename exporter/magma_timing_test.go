//go:build unix && !race

package exporter

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/exporter/internal/encode"
	"github.com/hubring/hubring/exporter/magma"
)

// What a sample costs a controller with this exporter and in the way that Magma's
// orchestrator exports, written anew here. A round is 100 gateways that report
// 303 samples each: one Submit a gateway, then all is sent over HTTP to sinks in
// another process. CPU is this process's, user and system, from Submit to the
// last answer, with what net/http, the sockets and the garbage collector take.
// The sinks take no part of it, and are the same for all. The ways take turns,
// each after a collection, for the machine's speed changes with time.
//
//	magma-1   to one address: as many bytes on the wire as ours
//	magma-3   to three addresses, each of which gets everything, as it really does
//	plain     what is left without conversions and checks: families that have all
//	          their labels, written into one string and sent to one address
//
// Nothing is compressed: the sinks do not say that they read gzip. What counts is
// magma-1-x-less-CPU, and ours-allocs/sample, of which there are less than 0.1.
//
//	go test ./exporter -run '^$' -bench AgainstMagma -benchtime 10x
func BenchmarkAgainstMagma(b *testing.B) {
	c := newContest(b)
	for b.Loop() {
		c.turn(10)
	}
	b.ReportMetric(0, "ns/op")
	ours := c.median(0)
	for i, w := range c.ways {
		b.ReportMetric(c.median(i), w.name+"-CPU-ns/sample")
		b.ReportMetric(w.allocs/w.samples, w.name+"-allocs/sample")
		b.ReportMetric(w.bytes/w.samples, w.name+"-alloc-B/sample")
		if i > 0 {
			b.ReportMetric(c.median(i)/ours, w.name+"-x-less-CPU")
		}
	}
}

// contest is ways to export the same reports.
type contest struct {
	ways []*way
}

// way is one of them, and what it took.
type way struct {
	name  string
	round func() (samples int)

	cpu           []float64 // ns a sample, of each turn
	samples       float64
	allocs, bytes float64
}

const magmaGateways = 100

func newContest(t testing.TB) *contest {
	urls := startSinks(t)
	var reports [][]magma.MetricAndContext
	for i := range magmaGateways {
		reports = append(reports, gatewayReport(fmt.Sprintf("gateway-%05d", i)))
	}
	client := &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	t.Cleanup(client.CloseIdleConnections)
	one := &orchestrator{t: t, client: client, addresses: urls[:1], families: map[string]*dto.MetricFamily{}}
	three := &orchestrator{t: t, client: client, addresses: urls, families: map[string]*dto.MetricFamily{}}
	samples := 0
	for _, r := range reports {
		samples += encode.Count(r)
	}
	prepared := &orchestrator{t: t, client: client, addresses: urls[:1], families: withLabels(reports)}
	c := &contest{ways: []*way{
		{name: "ours", round: oursRound(t, urls, reports)},
		{name: "magma-1", round: func() int { return one.round(reports) }},
		{name: "magma-3", round: func() int { return three.round(reports) }},
		{name: "plain", round: func() int { prepared.push(); return samples }},
	}}
	for _, w := range c.ways { // connections, pools
		require.Equal(t, samples, w.round())
	}
	return c
}

// turn lets each way do a number of rounds, every second time in the opposite
// order: a heap that the one before has grown is a gift.
func (c *contest) turn(rounds int) {
	order := slices.Clone(c.ways)
	if len(order[0].cpu)%2 == 1 {
		slices.Reverse(order)
	}
	for _, w := range order {
		w.turn(rounds)
	}
}

// median of the CPU time that the i-th way took, in ns a sample.
func (c *contest) median(i int) float64 {
	all := slices.Sorted(slices.Values(c.ways[i].cpu))
	return all[len(all)/2]
}

func (w *way) turn(rounds int) {
	runtime.GC() // the garbage of the one before
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, samples := cpuTime(), 0
	for range rounds {
		samples += w.round()
	}
	w.cpu = append(w.cpu, float64(cpuTime()-cpu)/float64(samples))
	runtime.ReadMemStats(&after)
	w.samples += float64(samples)
	w.allocs += float64(after.Mallocs - before.Mallocs)
	w.bytes += float64(after.TotalAlloc - before.TotalAlloc)
}

// oursRound returns what submits the reports and waits until the account says
// that all is delivered.
func oursRound(t testing.TB, urls []string, reports [][]magma.MetricAndContext) func() int {
	reg := prometheus.NewRegistry()
	cfg := Config{BatchWait: 20 * time.Millisecond, Registerer: reg, Logger: slog.New(slog.DiscardHandler)}
	for i, u := range urls {
		cfg.Hubs = append(cfg.Hubs, Hub{Name: "hub-" + strconv.Itoa(i), URL: u})
	}
	e, err := New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	done := 0
	return func() int {
		for _, r := range reports {
			require.NoError(t, e.Submit(ctx, r))
		}
		tick := time.NewTicker(cfg.BatchWait)
		defer tick.Stop()
		for range tick.C {
			families, err := reg.Gather()
			require.NoError(t, err)
			if countIn(families, "queue_samples") == 0 {
				before := done
				done = countIn(families, "samples_delivered_total")
				return done - before
			}
		}
		return 0
	}
}

// orchestrator exports as Magma's orchestrator does.
type orchestrator struct {
	t         testing.TB
	client    *http.Client
	addresses []string

	mu       sync.Mutex
	families map[string]*dto.MetricFamily
}

var (
	magmaUnfit = regexp.MustCompile(`[^a-zA-Z\d_]`)
	magmaName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z\d_]*$`)
	magmaLabel = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

// round submits every report and sends what came together.
func (g *orchestrator) round(reports [][]magma.MetricAndContext) (samples int) {
	for _, r := range reports {
		g.submit(r)
	}
	for _, f := range g.families {
		samples += len(f.Metric) // gauges
	}
	g.push()
	g.families = map[string]*dto.MetricFamily{}
	return samples
}

func (g *orchestrator) submit(report []magma.MetricAndContext) {
	now := time.Now().UnixMilli()
	for _, item := range report {
		name := magmaUnfit.ReplaceAllString(item.Family.GetName(), "_")
		if !magmaName.MatchString(name) {
			continue
		}
		for _, f := range magmaGauges(name, item.Family) {
			g.add(f, item.Context.AdditionalContext.(*magma.GatewayMetricContext), now)
		}
	}
}

// add checks and labels the metrics of a family and puts them to those of its
// name.
func (g *orchestrator) add(f *dto.MetricFamily, from *magma.GatewayMetricContext, now int64) {
	for _, m := range f.Metric {
		for _, l := range m.Label {
			if !magmaLabel.MatchString(l.GetName()) {
				return
			}
		}
		if m.TimestampMs == nil {
			m.TimestampMs = proto.Int64(now)
		}
		m.Label = append(m.Label, pair("networkID", from.NetworkID), pair("gatewayID", from.GatewayID))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if have, ok := g.families[f.GetName()]; ok {
		have.Metric = append(have.Metric, f.Metric...)
		return
	}
	g.families[f.GetName()] = f
}

// push sends one string to each address, one after the other.
func (g *orchestrator) push() {
	var all strings.Builder
	for _, f := range g.families {
		var buf bytes.Buffer
		if _, err := expfmt.MetricFamilyToText(&buf, f); err != nil {
			g.t.Fatal(err)
		}
		all.WriteString(buf.String())
	}
	body := all.String()
	for _, address := range g.addresses {
		resp, err := g.client.Post(address+"/metrics", "text/plain", strings.NewReader(body))
		if err != nil {
			g.t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}

func pair(name, value string) *dto.LabelPair {
	return &dto.LabelPair{Name: proto.String(name), Value: proto.String(value)}
}

// magmaGauges converts a family to families of gauges.
func magmaGauges(name string, f *dto.MetricFamily) []*dto.MetricFamily {
	switch f.GetType() {
	case dto.MetricType_HISTOGRAM:
		buckets, sums, counts := gaugesOf(name+"_bucket"), gaugesOf(name+"_sum"), gaugesOf(name+"_count")
		for _, m := range f.Metric {
			h := m.Histogram
			for _, b := range h.Bucket {
				addGauge(buckets, m, float64(b.GetCumulativeCount()), pair("le", strconv.FormatFloat(b.GetUpperBound(), 'g', -1, 64)))
			}
			addGauge(buckets, m, float64(h.GetSampleCount()), pair("le", "+Inf"))
			addGauge(sums, m, h.GetSampleSum())
			addGauge(counts, m, float64(h.GetSampleCount()))
		}
		return []*dto.MetricFamily{buckets, sums, counts}
	case dto.MetricType_SUMMARY:
		quantiles, sums, counts := gaugesOf(name), gaugesOf(name+"_sum"), gaugesOf(name+"_count")
		for _, m := range f.Metric {
			s := m.Summary
			for _, q := range s.Quantile {
				addGauge(quantiles, m, q.GetValue(), pair("quantile", strconv.FormatFloat(q.GetQuantile(), 'g', -1, 64)))
			}
			addGauge(sums, m, s.GetSampleSum())
			addGauge(counts, m, float64(s.GetSampleCount()))
		}
		return []*dto.MetricFamily{quantiles, sums, counts}
	default:
		all := gaugesOf(name)
		for _, m := range f.Metric {
			addGauge(all, m, m.GetCounter().GetValue()+m.GetGauge().GetValue()+m.GetUntyped().GetValue())
		}
		return []*dto.MetricFamily{all}
	}
}

func gaugesOf(name string) *dto.MetricFamily {
	return &dto.MetricFamily{Name: proto.String(name), Type: dto.MetricType_GAUGE.Enum()}
}

// addGauge appends a gauge with the labels of m and some more.
func addGauge(f *dto.MetricFamily, m *dto.Metric, value float64, more ...*dto.LabelPair) {
	f.Metric = append(f.Metric, &dto.Metric{
		Label: append(slices.Clip(m.Label), more...),
		Gauge: &dto.Gauge{Value: proto.Float64(value)}, TimestampMs: m.TimestampMs,
	})
}

// withLabels returns the families of all reports by name, each metric with its
// timestamp and all its labels.
func withLabels(reports [][]magma.MetricAndContext) map[string]*dto.MetricFamily {
	now := time.Now().UnixMilli()
	all := map[string]*dto.MetricFamily{}
	for _, r := range reports {
		for _, item := range r {
			from := item.Context.AdditionalContext.(*magma.GatewayMetricContext)
			f := proto.CloneOf(item.Family)
			for _, m := range f.Metric {
				m.Label = append(m.Label, pair("networkID", from.NetworkID), pair("gatewayID", from.GatewayID))
				if m.TimestampMs == nil {
					m.TimestampMs = proto.Int64(now)
				}
			}
			if have, ok := all[f.GetName()]; ok {
				have.Metric = append(have.Metric, f.Metric...)
			} else {
				all[f.GetName()] = f
			}
		}
	}
	return all
}
