package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/e2e/internal/stack"
	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/magma"
)

const (
	moversNetwork  = "moves"
	moversReports  = time.Second           // between two reports of a gateway
	moversPatience = 2 * time.Second       // of a push, so that a hub that hangs is left soon
	moversAt       = 31 * time.Millisecond // the first gateway's reports, into each second
)

// ring is who the hubs are. It is an exporter's Membership.
type ring struct {
	hubs atomic.Pointer[[]exporter.Hub]
}

func (r *ring) use(shards []*stack.Shard) {
	var hubs []exporter.Hub
	for _, sh := range shards {
		hubs = append(hubs, exporter.Hub{Name: sh.Hub.Name, URL: sh.Hub.URL()})
	}
	r.hubs.Store(&hubs)
}

// Hubs implements exporter.Membership.
func (r *ring) Hubs(context.Context) ([]exporter.Hub, error) { return *r.hubs.Load(), nil }

// movers is a fleet of gateways with known values: what a gateway reports depends on its number and
// on the second, and says so by whole numbers, whose sums are exact in any order. Each report goes to the
// hubs under test, by one of two controllers in turn, and to one hub that nobody disturbs.
type movers struct {
	gateways    []string
	controllers []*exporter.Exporter
	registries  []*prometheus.Registry
	reference   *exporter.Exporter

	began   time.Time
	members []*mover

	mu     sync.Mutex
	silent map[string]time.Time // the last report of those that fell silent

	stopReports, stopRun context.CancelFunc
	reported, ran        chan error
}

// mover is a gateway, or, without an ID, the cloud services of a controller.
type mover struct {
	id         string
	number     int
	phase      time.Duration // of its reports, into each second
	controller int           // that has all of its reports; any if negative
	batch      []magma.MetricAndContext
	stamp      func(second int, ms int64)
}

// startMovers has so many gateways report until stop.
func startMovers(t *testing.T, hubs *ring, reference *ring, gateways int) *movers {
	t.Helper()
	m := &movers{silent: map[string]time.Time{}, reported: make(chan error, 1), ran: make(chan error, 1)}
	controller := func(members *ring, registry prometheus.Registerer) *exporter.Exporter {
		e, err := exporter.New(exporter.Config{
			Members: members, MembersInterval: 100 * time.Millisecond, MembersHold: 200 * time.Millisecond,
			PushTimeout: moversPatience, Registerer: registry,
			Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		})
		require.NoError(t, err)
		return e
	}
	const controllers = 2
	for range controllers {
		registry := prometheus.NewRegistry()
		m.registries = append(m.registries, registry)
		m.controllers = append(m.controllers, controller(hubs, registry))
	}
	m.reference = controller(reference, nil)
	for i := range gateways {
		id := fmt.Sprintf("moves-%02d", i)
		m.gateways = append(m.gateways, id)
		m.members = append(m.members, newMover(id, i, moversAt+time.Duration(i)*moversReports/time.Duration(gateways+1), -1))
	}
	for i := range controllers {
		m.members = append(m.members, newMover("", i, moversAt+time.Duration(gateways)*moversReports/time.Duration(gateways+1)+time.Duration(i)*time.Millisecond, i))
	}
	reports, stopReports := context.WithCancel(context.Background())
	run, stopRun := context.WithCancel(context.Background())
	m.stopReports, m.stopRun = stopReports, stopRun
	m.began = time.Now().Truncate(time.Second).Add(time.Second)
	go func() { m.ran <- m.run(run) }()
	go func() { m.reported <- m.report(reports) }()
	t.Cleanup(func() { require.NoError(t, m.stop()) })
	return m
}

func newMover(id string, number int, phase time.Duration, controller int) *mover {
	m := &mover{id: id, number: number, phase: phase.Truncate(time.Millisecond), controller: controller}
	gauge := func() *dto.Metric { return &dto.Metric{Gauge: &dto.Gauge{Value: proto.Float64(0)}} }
	counter := func(labels ...*dto.LabelPair) *dto.Metric {
		return &dto.Metric{Label: labels, Counter: &dto.Counter{Value: proto.Float64(0)}}
	}
	label := func(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }
	family := func(name string, kind dto.MetricType, metrics ...*dto.Metric) {
		var of magma.AdditionalMetricContext = &magma.GatewayMetricContext{NetworkID: moversNetwork, GatewayID: id}
		if id == "" {
			of = &magma.CloudMetricContext{CloudHost: fmt.Sprintf("moves-cloud-%d", number)}
		}
		m.batch = append(m.batch, magma.MetricAndContext{
			Family: &dto.MetricFamily{Name: &name, Type: &kind, Metric: metrics}, Context: magma.MetricContext{AdditionalContext: of},
		})
	}
	all := func(ms int64) {
		for _, f := range m.batch {
			for _, metric := range f.Family.Metric {
				metric.TimestampMs = &ms
			}
		}
	}
	if id == "" {
		jobs, done := gauge(), counter()
		family("cloud_jobs", dto.MetricType_GAUGE, jobs)
		family("cloud_done_total", dto.MetricType_COUNTER, done)
		m.stamp = func(second int, ms int64) {
			jobs.Gauge.Value = proto.Float64(float64(second%7 + number))
			done.Counter.Value = proto.Float64(float64(second * (number + 1)))
			all(ms)
		}
		return m
	}
	info, load, temperature := gauge(), gauge(), gauge()
	info.Label = []*dto.LabelPair{label("version", fmt.Sprintf("1.%d", number%3))}
	good, bad := counter(label("code", "200")), counter(label("code", "500"))
	latency := &dto.Histogram{SampleCount: proto.Uint64(0), SampleSum: proto.Float64(0)}
	for _, bound := range []float64{0.1, 0.5, 1} {
		latency.Bucket = append(latency.Bucket, &dto.Bucket{UpperBound: proto.Float64(bound), CumulativeCount: proto.Uint64(0)})
	}
	family("gw_info", dto.MetricType_GAUGE, info)
	family("gw_load", dto.MetricType_GAUGE, load)
	family("gw_temperature", dto.MetricType_GAUGE, temperature)
	family("gw_requests_total", dto.MetricType_COUNTER, good, bad)
	family("gw_latency_seconds", dto.MetricType_HISTOGRAM, &dto.Metric{Histogram: latency})
	m.stamp = func(second int, ms int64) {
		info.Gauge.Value = proto.Float64(1)
		load.Gauge.Value = proto.Float64(float64((7*number + 13*second) % 101))
		temperature.Gauge.Value = proto.Float64(float64(40 + number%20))
		if number < moversHot {
			temperature.Gauge.Value = proto.Float64(90)
		}
		good.Counter.Value = proto.Float64(float64(second * (moversRate + number)))
		bad.Counter.Value = proto.Float64(float64(second / 3))
		n := uint64(second * (number + 1))
		latency.Bucket[0].CumulativeCount, latency.Bucket[1].CumulativeCount, latency.Bucket[2].CumulativeCount = &n, proto.Uint64(3*n), proto.Uint64(4*n)
		latency.SampleCount, latency.SampleSum = proto.Uint64(5*n), proto.Float64(float64(2*n))
		all(ms)
	}
	return m
}

const (
	moversHot  = 3  // gateways whose temperature is always high
	moversRate = 10 // requests a second of the first gateway, each other has one more
)

func (m *movers) run(ctx context.Context) error {
	all := append(slices.Clone(m.controllers), m.reference)
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, e := range all {
		wg.Go(func() { errs[i] = e.Run(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// report submits what is due until ctx ends. The time of a report is the one for which it
// was due, however late the process may be.
func (m *movers) report(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for second := 0; ; second++ {
		for _, member := range m.members {
			due := m.began.Add(time.Duration(second)*moversReports + member.phase)
			timer.Reset(time.Until(due))
			select {
			case <-ctx.Done():
				return nil
			case <-timer.C:
			}
			if err := m.submit(ctx, member, second, due); err != nil {
				return err
			}
		}
	}
}

func (m *movers) submit(ctx context.Context, member *mover, second int, due time.Time) error {
	m.mu.Lock()
	_, silent := m.silent[member.id]
	m.mu.Unlock()
	if silent {
		return nil
	}
	member.stamp(second, due.UnixMilli())
	by := member.controller
	if by < 0 {
		by = (second + member.number) % len(m.controllers)
	}
	for _, to := range []*exporter.Exporter{m.controllers[by], m.reference} {
		if err := to.Submit(ctx, member.batch); err != nil && ctx.Err() == nil {
			return fmt.Errorf("submit of %q: %w", member.id, err)
		}
	}
	return nil
}

// silence ends the reports of a gateway.
func (m *movers) silence(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent[id] = time.Now()
}

func (m *movers) isSilent(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, silent := m.silent[id]
	return silent
}

// stop ends the reports. All were delivered when it returns nil.
func (m *movers) stop() error {
	if m.stopReports == nil {
		return nil
	}
	m.stopReports()
	err := <-m.reported
	m.stopRun()
	m.stopReports = nil
	return errors.Join(err, <-m.ran)
}

// awaitRing waits until every controller has so many hubs.
func (m *movers) awaitRing(t *testing.T, hubs int) {
	t.Helper()
	eventually(t, patience, func(context.Context) error {
		for i := range m.registries {
			if n := m.metric(t, i, "ring_hubs"); n != hubs {
				return fmt.Errorf("controller %d has %d hubs, not %d", i, n, hubs)
			}
		}
		return nil
	})
}

// metric adds up one of a controller's own over its labels.
func (m *movers) metric(t *testing.T, controller int, name string) int {
	t.Helper()
	families, err := m.registries[controller].Gather()
	require.NoError(t, err)
	sum := 0.0
	for _, f := range families {
		for _, metric := range f.Metric {
			if f.GetName() == "hubring_exporter_"+name {
				sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
			}
		}
	}
	return int(sum)
}
