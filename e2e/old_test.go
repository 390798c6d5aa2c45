package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// Prometheus 2.53.1 does lose samples when it is served several of a series at
// once, and says nothing; 3.15 keeps them.
func TestOldPrometheusKeepsOnlyTheFirst(t *testing.T) {
	t.Parallel()
	first := time.Now().Add(-time.Minute).UnixMilli()
	unaware := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintf(w, "twice 1 %d\ntwice 2 %d\n", first, first+1000)
	}))
	t.Cleanup(unaware.Close)
	s := ownStack(t, stack.Config{})
	job := replace(t, `
  - job_name: edgehub
    scrape_interval: 1s
    static_configs: [{targets: ["ADDRESS"]}]
`, "ADDRESS", unaware.Listener.Addr().String())
	kept := map[string][]model.SampleValue{realbin.Prometheus253: {1}, realbin.Prometheus: {1, 2}}
	clients := map[string]*promapi.Client{}
	for program := range kept {
		server, err := s.StartServer(t.Context(), stack.ServerConfig{Name: program, Program: program, Config: "scrape_configs:" + job})
		require.NoError(t, err)
		clients[program] = promapi.New(server.Address)
	}
	for program, want := range kept {
		eventually(t, patience, func(ctx context.Context) error {
			scrapes, err := clients[program].Vector(ctx, `count_over_time(up[10m]) > 2`)
			if err == nil && len(scrapes) == 0 {
				err = fmt.Errorf("%s has not scraped three times yet", program)
			}
			return err
		})
		matrix, err := clients[program].Matrix(t.Context(), `twice[10m]`)
		require.NoError(t, err)
		require.Len(t, matrix, 1)
		var got []model.SampleValue
		for _, pair := range matrix[0].Values {
			got = append(got, pair.Value)
		}
		require.Equal(t, want, got, program)
		requireUp(t, clients[program])
	}
}

// From a hub it gets every sample all the same, in the scrapes that follow. The
// gateways report twice as often as it scrapes.
func TestOldPrometheusGetsAll(t *testing.T) {
	t.Parallel()
	s, hub := oneHub(t)
	server := startServer(t, s, stack.ServerConfig{Name: "old", Program: realbin.Prometheus253}, wholeScrape)
	f := startFleet(t, s, hubs(s), fleetConfig{name: "old", gateways: 2, controllers: 1, interval: 500 * time.Millisecond})
	f.awaitReports(t, 8)
	require.NoError(t, f.stop())

	samples := requireFleet(t, f, server)
	awaitScraped(t, hub, "", samples)
	require.Greater(t, ownMetricNow(t, hub, "edgehub_scrapes_one_at_a_time_total", nil), 7)
	require.Regexp(t, `level=WARN .*keeps only the first.* scraper=Prometheus/2\.53\.1\b`, hub.Process.Log())
	requireUp(t, promapi.New(server.Address))
}
