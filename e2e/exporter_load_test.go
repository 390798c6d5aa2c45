package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/runqueue"
	"github.com/hubring/hubring/e2e/internal/stack"
	"github.com/hubring/hubring/e2e/internal/tap"
	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/magma"
)

// A report of a gateway of a load is families of gauges, and a histogram.
const (
	loadServices = 5 // metrics of a family
	loadBuckets  = 7 // beside +Inf
	loadFamilies = 8 // of a usual report
	loadSamples  = loadFamilies*loadServices + loadBuckets + 3
)

// maxLag is how much of a delay the load makes up for. A machine that was busy
// with others must not look like an exporter that sends in bursts.
const maxLag = 20 * time.Millisecond

// load is a fleet of gateways that report, each at an interval, evenly spread
// over it. One goroutine submits them all, so what it measures is Submit.
type load struct {
	name     string // begins the gateways' IDs
	gateways []string
	batches  [][]magma.MetricAndContext
	metrics  [][]*dto.Metric // of batches, to be stamped
	every    time.Duration
	series   int // of one gateway

	mu      sync.Mutex
	reports map[string][]int64 // the times that were submitted
	calls   []call
	failed  error

	cancel context.CancelFunc
	done   chan struct{}
}

// call is one Submit.
type call struct {
	at   time.Time
	took time.Duration // without the waits for a processor that others had
}

// newLoad returns a load of gateways that report so many families, beside a
// histogram.
func newLoad(name string, gateways, families int, every time.Duration) *load {
	l := &load{name: name, every: every, series: families*loadServices + loadBuckets + 3, reports: map[string][]int64{}}
	for i := range gateways {
		id := fmt.Sprintf("%s-%03d", name, i)
		batch, metrics := []magma.MetricAndContext{}, []*dto.Metric{}
		for _, f := range loadReport(families) {
			batch = append(batch, magma.MetricAndContext{Family: f, Context: magma.MetricContext{
				AdditionalContext: &magma.GatewayMetricContext{NetworkID: "load", GatewayID: id},
			}})
			metrics = append(metrics, f.Metric...)
		}
		l.gateways = append(l.gateways, id)
		l.batches, l.metrics = append(l.batches, batch), append(l.metrics, metrics)
	}
	return l
}

func loadReport(families int) []*dto.MetricFamily {
	var out []*dto.MetricFamily
	for i := range families {
		f := &dto.MetricFamily{Name: proto.String(fmt.Sprintf("load_gauge_%d", i)), Type: dto.MetricType_GAUGE.Enum()}
		for j := range loadServices {
			f.Metric = append(f.Metric, &dto.Metric{
				Label: []*dto.LabelPair{{Name: proto.String("service"), Value: proto.String(fmt.Sprintf("service-%d", j))}},
				Gauge: &dto.Gauge{Value: proto.Float64(float64(i*100 + j))},
			})
		}
		out = append(out, f)
	}
	h := &dto.Histogram{SampleSum: proto.Float64(1), SampleCount: proto.Uint64(10)}
	for i := range loadBuckets {
		h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: proto.Float64(float64(i + 1)), CumulativeCount: proto.Uint64(uint64(i))})
	}
	return append(out, &dto.MetricFamily{
		Name: proto.String("load_seconds"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: h}},
	})
}

// start begins to report to e. The load can be started again when it was stopped.
func (l *load) start(t *testing.T, e *exporter.Exporter) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	l.cancel, l.done = cancel, done
	go func() {
		defer close(done)
		l.run(ctx, e)
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// stop ends the reports. Every Submit must have succeeded.
func (l *load) stop(t *testing.T) {
	t.Helper()
	l.cancel()
	<-l.done
	require.NoError(t, l.failed)
}

func (l *load) run(ctx context.Context, e *exporter.Exporter) {
	clock, err := runqueue.NewClock()
	if err != nil {
		l.failed = err
		return
	}
	defer clock.Close()
	step := l.every / time.Duration(len(l.gateways))
	next := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := 0; ; i = (i + 1) % len(l.gateways) {
		timer.Reset(time.Until(next))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if err := l.report(e, i, clock); err != nil {
			l.failed = err
			return
		}
		next = next.Add(step)
		if latest := time.Now().Add(-maxLag); next.Before(latest) {
			next = latest
		}
	}
}

// report submits one report of a gateway.
func (l *load) report(e *exporter.Exporter, gateway int, clock *runqueue.Clock) error {
	now := time.Now()
	for _, m := range l.metrics[gateway] {
		m.TimestampMs = proto.Int64(now.UnixMilli())
	}
	began := time.Now()
	before, err := clock.Waited()
	if err != nil {
		return err
	}
	submitErr := e.Submit(context.Background(), l.batches[gateway])
	after, err := clock.Waited()
	took := time.Since(began)
	if err := errors.Join(submitErr, err); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, call{began, max(took-(after-before), 0)})
	id := l.gateways[gateway]
	l.reports[id] = append(l.reports[id], now.UnixMilli())
	return nil
}

// has says whether a gateway is of the load.
func (l *load) has(gateway string) bool { return strings.HasPrefix(gateway, l.name+"-") }

// samples is how many were submitted.
func (l *load) samples() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, times := range l.reports {
		n += len(times) * l.series
	}
	return n
}

// took returns the quantile of the time of Submit calls between two moments, and
// how many there were.
func (l *load) took(quantile float64, from, to time.Time) (time.Duration, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []time.Duration
	for _, c := range l.calls {
		if !c.at.Before(from) && c.at.Before(to) {
			all = append(all, c.took)
		}
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[min(int(quantile*float64(len(all))), len(all)-1)], len(all)
}

// pulse notes when the process got no time to run.
type pulse struct {
	mu   sync.Mutex
	late []beat
}

// beat is one that came too late.
type beat struct {
	at time.Time
	by time.Duration
}

const (
	beatEvery = 10 * time.Millisecond // between two beats
	usualLag  = 50 * time.Millisecond // of a beat; an exporter has to live with as much
)

// startPulse beats until the test's end.
func startPulse(t *testing.T) *pulse {
	p, done := &pulse{}, make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(done)
		p.run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return p
}

func (p *pulse) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		due := time.Now().Add(beatEvery)
		timer.Reset(beatEvery)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if by := time.Since(due); by > usualLag {
			p.mu.Lock()
			p.late = append(p.late, beat{time.Now(), by})
			p.mu.Unlock()
		}
	}
}

// still returns how long the process stood still before beats between two moments.
func (p *pulse) still(from, to time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	var sum time.Duration
	for _, b := range p.late {
		if !b.at.Before(from) && !b.at.After(to.Add(beatEvery)) {
			sum += b.by
		}
	}
	return sum
}

// hubBinary is the hub's program, for tests that need no other.
var hubBinary struct {
	once sync.Once
	path string
	err  error
}

// onlyHubs starts so many hubs, and nothing that scrapes them.
func onlyHubs(t *testing.T, n int, args ...string) *stack.Stack {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real programs")
	}
	hubBinary.once.Do(func() {
		checkout, err := realbin.Checkout(".")
		dir := filepath.Join(fixture.dir, "only-hubs")
		if err = errors.Join(err, os.Mkdir(dir, 0o755)); err == nil {
			hubBinary.path, err = stack.BuildHub(t.Context(), checkout, dir, raceEnabled)
		}
		hubBinary.err = err
	})
	require.NoError(t, hubBinary.err)
	s, err := stack.Start(t.Context(), stack.Config{EdgeHub: hubBinary.path, Dir: t.TempDir(), Shards: n, HubsOnly: true, HubArgs: args})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	dumpOnFailure(t, s)
	return s
}

// controller is an exporter that runs, and all that it sent.
type controller struct {
	*exporter.Exporter
	tap      *tap.Tap
	registry *prometheus.Registry
	cancel   context.CancelFunc
	ran      chan error
}

// startController runs an exporter until stop, or the test's end.
func startController(t *testing.T, cfg exporter.Config) *controller {
	t.Helper()
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.MaxIdleConnsPerHost = 4
	t.Cleanup(base.CloseIdleConnections)
	c := &controller{tap: &tap.Tap{Base: base}, registry: prometheus.NewRegistry(), ran: make(chan error, 1)}
	cfg.Transport, cfg.Registerer = c.tap, c.registry
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	var err error
	c.Exporter, err = exporter.New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	c.cancel = cancel
	go func() { c.ran <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if c.ran != nil {
			<-c.ran
		}
	})
	return c
}

// stop ends Run and returns its error.
func (c *controller) stop() error {
	c.cancel()
	err := <-c.ran
	c.ran = nil
	return err
}

// metric returns one of the exporter's own. The labels are pairs that it has to
// have; those that match are added up.
func (c *controller) metric(t *testing.T, name string, labels map[string]string) int {
	t.Helper()
	families, err := c.registry.Gather()
	require.NoError(t, err)
	sum, found := 0.0, false
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == "hubring_exporter_"+name && matches(m, labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				found = true
			}
		}
	}
	require.True(t, found, "the exporter has no metric %s%v", name, labels)
	return int(sum)
}

// awaitEmpty waits until the exporter holds nothing any more.
func (c *controller) awaitEmpty(t *testing.T) {
	t.Helper()
	eventually(t, patience, func(context.Context) error {
		if n := c.metric(t, "queue_samples", nil); n > 0 {
			return fmt.Errorf("%d samples are queued", n)
		}
		return nil
	})
}

// sleepUntil waits for a moment that nothing else tells.
func sleepUntil(t *testing.T, at time.Time) {
	t.Helper()
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		require.NoError(t, t.Context().Err())
	}
}
