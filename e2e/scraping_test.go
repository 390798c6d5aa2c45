package e2e

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/fleet"
	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// jobAddress and jobInterval stand in a job as an operator would write it.
const (
	jobAddress  = "edgehub-0:9091"
	jobInterval = "scrape_interval: 15s"
)

// wholeScrape is the job of a server that scrapes a hub alone and whole.
const wholeScrape = `
  - job_name: edgehub
    honor_labels: true
    honor_timestamps: true
    scrape_interval: 15s
    static_configs: [{targets: ["edgehub-0:9091"]}]
    metric_relabel_configs:
      - {source_labels: [instance], regex: "edgehub-0:9091", target_label: instance, replacement: ""}
      - {source_labels: [job], regex: edgehub, target_label: job, replacement: ""}
`

// oneHub starts a hub with such flags and a node exporter for gateways to report.
func oneHub(t *testing.T, args ...string) (*stack.Stack, *stack.Hub) {
	t.Helper()
	args = append(args, "--no-gateway.first-samples", "--gateway.ends-after=0") // what comes out is what was pushed
	s := ownStack(t, stack.Config{Shards: 1, HubsOnly: true, HubArgs: args, NodeExporters: 1})
	return s, s.Shards[0].Hub
}

// startServer starts a Prometheus server with a job, but for the hub's address
// and the interval, which is a second.
func startServer(t *testing.T, s *stack.Stack, cfg stack.ServerConfig, job string) *stack.Server {
	t.Helper()
	require.Contains(t, job, jobAddress)
	require.Contains(t, job, jobInterval)
	job = strings.ReplaceAll(job, jobAddress, s.Shards[0].Hub.Address)
	job = strings.ReplaceAll(job, jobInterval, "scrape_interval: 1s")
	cfg.Config = "storage: {tsdb: {out_of_order_time_window: 2h}}\nscrape_configs:" + job
	server, err := s.StartServer(t.Context(), cfg)
	require.NoError(t, err)
	return server
}

// requireFleet waits until a server has every sample of a fleet, and requires
// that it has nothing else of it. It returns how many there are.
func requireFleet(t *testing.T, f *testFleet, server *stack.Server) int {
	t.Helper()
	samples := 0
	for _, id := range f.gateways {
		samples += requireAll(t, f, id, []*promapi.Client{promapi.New(server.Address)}, fmt.Sprintf(`{networkID=%q,gatewayID=%q}`, fleet.Network, id))
	}
	return samples
}

// ownMetric returns one of the hub's own metrics. The labels are the pairs that
// it has to have; those that match are added up.
func ownMetric(ctx context.Context, hub *stack.Hub, name string, labels map[string]string) (int, error) {
	families, err := fleet.Collect(ctx, hub.URL()+"/internal")
	if err != nil {
		return 0, err
	}
	sum, found := 0.0, false
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.Metric {
			if matches(m, labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				found = true
			}
		}
	}
	if !found {
		return 0, fmt.Errorf("%s has no metric %s%v", hub.Name, name, labels)
	}
	return int(sum), nil
}

func matches(m *dto.Metric, labels map[string]string) bool {
	left := maps.Clone(labels)
	for _, pair := range m.Label {
		if left[pair.GetName()] == pair.GetValue() {
			delete(left, pair.GetName())
		}
	}
	return len(left) == 0
}

// ownMetricNow is ownMetric for a hub that answers.
func ownMetricNow(t *testing.T, hub *stack.Hub, name string, labels map[string]string) int {
	t.Helper()
	n, err := ownMetric(t.Context(), hub, name, labels)
	require.NoError(t, err)
	return n
}

// awaitOwn waits until one of the hub's own metrics is as wanted.
func awaitOwn(t *testing.T, hub *stack.Hub, name string, labels map[string]string, wanted func(int) bool) {
	t.Helper()
	eventually(t, patience, func(ctx context.Context) error {
		n, err := ownMetric(ctx, hub, name, labels)
		if err == nil && !wanted(n) {
			err = fmt.Errorf("%s%v of %s is %d", name, labels, hub.Name, n)
		}
		return err
	})
}

// awaitDrained waits until a scraper, one of a pair at least, has all that was pushed, or was
// handed it.
func awaitDrained(t *testing.T, hub *stack.Hub) {
	t.Helper()
	awaitOwn(t, hub, "edgehub_pending_samples", nil, func(n int) bool { return n == 0 })
}

// awaitScraped is awaitDrained, and requires that a scraper of this cursor has
// taken so many samples, each once.
func awaitScraped(t *testing.T, hub *stack.Hub, cursor string, samples int) {
	t.Helper()
	awaitDrained(t, hub)
	// It is counted a moment after the cursor has moved.
	awaitOwn(t, hub, "edgehub_samples_scraped_total", map[string]string{"cursor": cursor}, func(n int) bool { return n >= samples })
	require.Equal(t, samples, ownMetricNow(t, hub, "edgehub_samples_scraped_total", map[string]string{"cursor": cursor}))
}

// replace replaces the one place where a text has old.
func replace(t *testing.T, text, old, by string) string {
	t.Helper()
	require.Equal(t, 1, strings.Count(text, old))
	return strings.Replace(text, old, by, 1)
}
