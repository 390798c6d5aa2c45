package e2e

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/fleet"
	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/stack"
	"github.com/hubring/hubring/exporter"
)

// fleetConfig says what reports in a test.
type fleetConfig struct {
	name        string // begins the gateways' IDs, so that tests do not meet
	gateways    int
	clouds      int // cloud services: samples of no gateway
	controllers int
	interval    time.Duration // between two reports; 1 s when 0
}

// testFleet is a fleet, and what a test asks about it.
type testFleet struct {
	*fleet.Fleet
	cfg      fleetConfig
	gateways []string
	metrics  []prometheus.Gatherer // of the exporters, each its own
	stopOnce sync.Once
	stopErr  error
}

// hubs are the stack's hubs as an exporter is told of them.
func hubs(s *stack.Stack) []exporter.Hub {
	out := make([]exporter.Hub, 0, len(s.Shards))
	for _, sh := range s.Shards {
		out = append(out, exporter.Hub{Name: sh.Hub.Name, URL: sh.Hub.URL()})
	}
	return out
}

// startFleet has gateways report at each interval until stop, or the test's end.
// Each gateway reports what a real exporter shows: in turn a node exporter and
// a Prometheus server of the stack, if its shards have some. Its reports go through all controllers in
// turn; each was told of the hubs in another order.
func startFleet(t *testing.T, s *stack.Stack, hubs []exporter.Hub, cfg fleetConfig) *testFleet {
	t.Helper()
	f := &testFleet{cfg: cfg}
	var members []fleet.Member
	for i := range cfg.gateways {
		id := fmt.Sprintf("%s-%02d", cfg.name, i)
		f.gateways = append(f.gateways, id)
		url := "http://" + s.NodeExporters[i/2%len(s.NodeExporters)] + "/metrics"
		if !isNode(i) && s.Shards[0].Prometheus != "" {
			url = "http://" + s.Shards[i/2%len(s.Shards)].Prometheus + "/metrics"
		}
		members = append(members, fleet.Member{Gateway: id, URL: url})
	}
	for i := range cfg.clouds {
		members = append(members, fleet.Member{
			CloudHost: fmt.Sprintf("%s-cloud-%d", cfg.name, i),
			URL:       "http://" + s.Shards[i%len(s.Shards)].Prometheus + "/metrics",
		})
	}
	var controllers []*exporter.Exporter
	for i := range cfg.controllers {
		registry := prometheus.NewRegistry()
		e, err := exporter.New(exporter.Config{
			Hubs:       append(append([]exporter.Hub(nil), hubs[i%len(hubs):]...), hubs[:i%len(hubs)]...),
			Registerer: registry,
			Logger:     slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		})
		require.NoError(t, err)
		controllers = append(controllers, e)
		f.metrics = append(f.metrics, registry)
	}
	f.Fleet = fleet.Start(fleet.Config{Members: members, Interval: cmp.Or(cfg.interval, time.Second), Controllers: controllers})
	t.Cleanup(func() { require.NoError(t, f.stop()) })
	return f
}

// isNode says whether the gateway of this number reports a node exporter, and
// not a Prometheus server.
func isNode(i int) bool { return i%2 == 0 }

// stop ends the reports; every sample was delivered when it returns nil.
func (f *testFleet) stop() error {
	f.stopOnce.Do(func() { f.stopErr = f.Stop() })
	return f.stopErr
}

// selector selects the series of all gateways of the fleet, with more matchers.
func (f *testFleet) selector(matchers string) string {
	return fmt.Sprintf(`{networkID=%q,gatewayID=~"%s-.+",%s}`, fleet.Network, f.cfg.name, matchers)
}

// awaitReports waits until each gateway has reported so many times.
func (f *testFleet) awaitReports(t *testing.T, n int) {
	t.Helper()
	eventually(t, patience, func(context.Context) error {
		for _, id := range f.gateways {
			if got := len(f.Ledger.Reports(id, 0)); got < n {
				return fmt.Errorf("%s has reported %d times, not %d", id, got, n)
			}
		}
		return nil
	})
}

// seriesByGateway is the ledger's count of series.
func (f *testFleet) seriesByGateway() map[string]float64 {
	out := map[string]float64{}
	for _, id := range f.gateways {
		out[id] = float64(f.Ledger.Series(id))
	}
	return out
}

// total adds up one of the exporters' own metrics over controllers and labels.
func (f *testFleet) total(t *testing.T, name string) int {
	t.Helper()
	sum, found := 0.0, false
	for _, g := range f.metrics {
		families, err := g.Gather()
		require.NoError(t, err)
		for _, family := range families {
			if family.GetName() != name {
				continue
			}
			found = true
			for _, m := range family.Metric {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	require.True(t, found, "the exporter has no metric %s", name)
	return int(sum)
}

// shardClients are clients of the Prometheus servers, in the order of Shards.
func shardClients(s *stack.Stack) []*promapi.Client {
	var out []*promapi.Client
	for _, sh := range s.Shards {
		out = append(out, promapi.New(sh.Prometheus))
	}
	return out
}

// stored returns what each server holds of the last ten minutes.
func stored(ctx context.Context, clients []*promapi.Client, selector string) ([]model.Matrix, error) {
	var out []model.Matrix
	for _, c := range clients {
		m, err := c.Matrix(ctx, selector+"[10m]")
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// fetch gets a URL and returns the body of a 200.
func fetch(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: answered %s: %.200s", url, resp.Status, body)
	}
	return body, nil
}
