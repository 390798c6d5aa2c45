package exporter

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/exporter/internal/encode"
	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/internal/logtest"
)

// harness is an exporter that runs against a fleet.
type harness struct {
	t   testing.TB
	e   *Exporter
	reg *prometheus.Registry
	log *logtest.Buffer

	cancel context.CancelFunc
	ended  chan error
}

// start makes an exporter for the fleet and runs it. The changes are to its
// config.
func start(t testing.TB, f fleet, changes ...func(*Config)) *harness {
	t.Helper()
	h := &harness{t: t, reg: prometheus.NewRegistry(), log: &logtest.Buffer{}, ended: make(chan error, 1)}
	cfg := Config{
		Hubs: f.hubs(), Transport: f, Registerer: h.reg, EndsDelay: 1, // TestEndsWaitForTheNewHubsServer has the delay
		Logger: h.log.Logger(),
	}
	for _, change := range changes {
		change(&cfg)
	}
	var err error
	h.e, err = New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	t.Cleanup(cancel) // of a test that fails before it stops
	go func() { h.ended <- h.e.Run(ctx) }()
	return h
}

// stop ends Run and returns what it returned.
func (h *harness) stop() error {
	h.cancel()
	return <-h.ended
}

// submit submits one gauge sample of each gateway, with the value.
func (h *harness) submit(value int, gateways ...string) {
	h.t.Helper()
	require.NoError(h.t, h.e.Submit(context.Background(), reports(value, gateways...)))
}

func reports(value int, gateways ...string) []magma.MetricAndContext {
	var items []magma.MetricAndContext
	for _, g := range gateways {
		items = append(items, magma.MetricAndContext{
			Family:  gaugeFamily("load", float64(value)),
			Context: magma.MetricContext{AdditionalContext: &magma.GatewayMetricContext{NetworkID: "net", GatewayID: g}},
		})
	}
	return items
}

func gaugeFamily(name string, value float64) *dto.MetricFamily {
	return &dto.MetricFamily{
		Name: proto.String(name), Type: dto.MetricType_GAUGE.Enum(),
		Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: proto.Float64(value)}}},
	}
}

func gateways(n int) []string {
	var ids []string
	for i := range n {
		ids = append(ids, fmt.Sprintf("gw-%03d", i))
	}
	return ids
}

// count returns the sum over the metric's series that have the label value, or
// over all.
func (h *harness) count(metric string, labelValue ...string) int {
	h.t.Helper()
	families, err := h.reg.Gather()
	require.NoError(h.t, err)
	return countIn(families, metric, labelValue...)
}

func countIn(families []*dto.MetricFamily, metric string, labelValue ...string) int {
	sum := 0.0
	for _, f := range families {
		if f.GetName() != "hubring_exporter_"+metric {
			continue
		}
		for _, m := range f.Metric {
			matches := len(labelValue) == 0
			for _, l := range m.Label {
				matches = matches || slices.Contains(labelValue, l.GetValue())
			}
			if matches {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return int(sum)
}

// balanced checks that the account adds up at this moment.
func (h *harness) balanced() {
	h.t.Helper()
	families, err := h.reg.Gather()
	require.NoError(h.t, err)
	after := countIn(families, "samples_dropped_total",
		"rejected_400", "rejected_413", "rejected_422", "rejected_429", "queue_overflow", "spool_damaged", "undelivered")
	require.Equal(h.t,
		countIn(families, "samples_submitted_total")+countIn(families, "samples_restored_total"),
		countIn(families, "samples_delivered_total")+after+countIn(families, "queue_samples"),
		"submitted + restored = delivered + dropped after acceptance + queued")
}

// virtual runs a test in virtual time.
func virtual(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }

// scriptedMembers is a Membership that says what the test says.
type scriptedMembers struct {
	mu   sync.Mutex
	hubs []Hub
	err  error
}

func (m *scriptedMembers) set(hubs []Hub, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hubs, m.err = hubs, err
}

func (m *scriptedMembers) Hubs(context.Context) ([]Hub, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hubs, m.err
}

// family reads a family in protobuf's text format.
func family(t testing.TB, text string) *dto.MetricFamily {
	t.Helper()
	f := &dto.MetricFamily{}
	if err := prototext.Unmarshal([]byte(text), f); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f
}

// bodiesOf encodes.
func bodiesOf(items ...magma.MetricAndContext) []*wire.Body {
	e := encode.New(time.UnixMilli(1000), false)
	defer e.Release()
	e.Encode(items)
	return slices.Clone(e.Bodies)
}
