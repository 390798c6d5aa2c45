package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/fleet"
	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// promtool accepts what a scraper is given, and what a browser is shown: as
// good style where the pushed metrics are, and else as the format it is.
func TestPromtoolAcceptsEveryScrape(t *testing.T) {
	s := ownStack(t, stack.Config{Shards: 1, HubsOnly: true, NodeExporters: 1})
	hub := s.Shards[0].Hub
	node, err := fetch(t.Context(), "http://"+s.NodeExporters[0]+"/metrics")
	require.NoError(t, err)

	cases := []struct {
		name   string
		pushes []string
		lint   bool
	}{
		{name: "conventional", pushes: []string{conventional}, lint: true},
		{name: "conventional with timestamps", pushes: []string{stamped(t, conventional, 0)}, lint: true},
		{name: "several samples a series", pushes: []string{stamped(t, conventional, 2000), stamped(t, conventional, 1000)}},
		{name: "a node exporter", pushes: []string{string(node)}},
		{name: "conflicting types", pushes: conflicting},
		{name: "nothing"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, body := range c.pushes {
				mustPush(t, hub, body)
			}
			looked, err := fetch(t.Context(), hub.URL()+"/metrics")
			require.NoError(t, err)
			drained := takeAndLeave(t, hub)
			require.Equal(t, string(looked), string(drained), "a look took something, or showed something else")
			eventually(t, patience, func(ctx context.Context) error {
				left, err := fetch(ctx, hub.URL()+"/metrics")
				if len(left) > 0 {
					return fmt.Errorf("still there after a scrape: %.200s", left)
				}
				return err
			})
			checkMetrics(t, drained, c.lint)
		})
	}
}

// takeAndLeave scrapes a hub over a connection whose end says that the response arrived.
func takeAndLeave(t *testing.T, hub *stack.Hub) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, hub.URL()+"/metrics?drain=1", nil)
	require.NoError(t, err)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return body
}

// checkMetrics has promtool read a body. Without lint it only needs to be the
// text format.
func checkMetrics(t *testing.T, body []byte, lint bool) {
	t.Helper()
	args := []string{"check", "metrics"}
	if !lint {
		args = append(args, "--lint=none", "--extended")
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(built(t).programs, realbin.Promtool), args...)
	cmd.Stdin = bytes.NewReader(body)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "promtool %s: %s\nof:\n%.3000s", strings.Join(args, " "), out, body)
}

// conventional has a metric of each type, as promtool's linter likes them.
const conventional = `# HELP gateway_requests_total Requests that the gateway has served.
# TYPE gateway_requests_total counter
gateway_requests_total{code="200",path="C:\\a \"b\"\nc"} 1027
gateway_requests_total{code="503",path="/"} 3
# HELP gateway_temperature_celsius Temperature inside, with a \\ in its help.
# TYPE gateway_temperature_celsius gauge
gateway_temperature_celsius -0.25
# HELP gateway_attach_duration_seconds Time until a device is attached.
# TYPE gateway_attach_duration_seconds histogram
gateway_attach_duration_seconds_bucket{le="0.1"} 12
gateway_attach_duration_seconds_bucket{le="1"} 30
gateway_attach_duration_seconds_bucket{le="+Inf"} 31
gateway_attach_duration_seconds_sum 9.5
gateway_attach_duration_seconds_count 31
# HELP gateway_rtt_seconds Round trip to the controller.
# TYPE gateway_rtt_seconds summary
gateway_rtt_seconds{quantile="0.5"} 0.02
gateway_rtt_seconds{quantile="0.99"} NaN
gateway_rtt_seconds_sum 17
gateway_rtt_seconds_count 800
`

// stamped adds a timestamp of some milliseconds ago to every sample.
func stamped(t *testing.T, body string, ago int64) string {
	t.Helper()
	at := time.Now().UnixMilli() - ago
	var out strings.Builder
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, "#") {
			line = fmt.Sprintf("%s %d\n", strings.TrimSuffix(line, "\n"), at)
		}
		out.WriteString(line)
	}
	return out.String()
}

// The bodies that Prometheus itself is given are checked, too: the same
// request as its own, from a hub that real gateways report to.
func TestPromtoolReadsAFleetsScrape(t *testing.T) {
	s := ownStack(t, stack.Config{Shards: 1, NodeExporters: 1})
	idle := ownStack(t, stack.Config{Shards: 1, HubsOnly: true})
	f := startFleet(t, s, hubs(idle), fleetConfig{name: "promtool", gateways: 2, clouds: 1, controllers: 1})
	f.awaitReports(t, 2)
	require.NoError(t, f.stop())

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, idle.Shards[0].Hub.URL()+"/metrics", nil)
	require.NoError(t, err)
	req.Header.Set("User-Agent", "Prometheus/3.15.0")
	req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1")
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "1")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Contains(t, resp.Header.Get("Content-Type"), "text/plain")
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), fmt.Sprintf(`networkID=%q`, fleet.Network))
	checkMetrics(t, body, false)
}
