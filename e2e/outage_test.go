package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// A server that was down catches up in bites, the oldest samples first, and
// none is missing in the end.
func TestCatchUp(t *testing.T) {
	t.Parallel()
	const bite = 1500
	s, hub := oneHub(t, fmt.Sprintf("--scrape.max-samples=%d", bite))
	server := startServer(t, s, stack.ServerConfig{Name: "catch-up"}, wholeScrape)
	f := startFleet(t, s, hubs(s), fleetConfig{name: "catchup", gateways: 4, controllers: 1})
	eventually(t, patience, func(ctx context.Context) error {
		_, err := storedReports(ctx, promapi.New(server.Address), f)
		return err
	})

	server.Kill()
	awaitOwn(t, hub, "edgehub_pending_samples", nil, func(n int) bool { return n >= 5*bite })
	require.NoError(t, f.stop())
	require.NoError(t, server.Restart(t.Context()))
	client := promapi.New(server.Address)
	steps := awaitOldestFirst(t, client, f)
	require.Greater(t, steps, 2, "it had everything at once")
	samples := requireFleet(t, f, server)

	largest, err := client.Vector(t.Context(), `max_over_time(scrape_samples_scraped[10m])`)
	require.NoError(t, err)
	require.Len(t, largest, 1)
	require.LessOrEqual(t, int(largest[0].Value), bite)
	awaitScraped(t, hub, "", samples)
	requireUp(t, client)
}

// storedReports returns the times of the reports that a server has of each
// gateway of a fleet of node exporters. Without any of one it is an error.
func storedReports(ctx context.Context, client *promapi.Client, f *testFleet) (map[string][]int64, error) {
	matrix, err := client.Matrix(ctx, f.selector(`__name__="node_uname_info"`)+"[10m]")
	if err != nil {
		return nil, err
	}
	times := map[string][]int64{}
	for _, stream := range matrix {
		id := string(stream.Metric["gatewayID"])
		for _, pair := range stream.Values {
			times[id] = append(times[id], int64(pair.Timestamp))
		}
	}
	if len(times) < len(f.gateways) {
		return nil, fmt.Errorf("reports of %d gateways are stored, not of %d", len(times), len(f.gateways))
	}
	return times, nil
}

// awaitOldestFirst waits until a server has every report of a fleet that has
// stopped. Each time that it looks those must be there that are older than the
// ones that are missing. It returns how many different states it saw.
func awaitOldestFirst(t *testing.T, client *promapi.Client, f *testFleet) int {
	t.Helper()
	reported, whole := map[string][]int64{}, 0
	for _, id := range f.gateways {
		for _, r := range f.Ledger.Reports(id, 0) {
			reported[id] = append(reported[id], r.At)
			whole++
		}
	}
	seen := map[int]bool{}
	eventually(t, patience, func(ctx context.Context) error {
		times, err := storedReports(ctx, client, f)
		if err != nil {
			return err
		}
		n := 0
		for id, stored := range times {
			require.Equal(t, reported[id][:len(stored)], stored, "%s: a newer report is there before an older one", id)
			n += len(stored)
		}
		seen[n] = true
		if n < whole {
			return fmt.Errorf("%d of %d reports are stored", n, whole)
		}
		return nil
	})
	return len(seen)
}

// A full hub that prefers the newest samples lets the oldest go, counts them,
// and nothing else is missing.
func TestOutageNewest(t *testing.T) {
	t.Parallel()
	const limit, size, outage = 20_000, 1000, 33_000
	s, hub := oneHub(t, "--limit.policy=newest", fmt.Sprintf("--limit.samples=%d", limit))
	server := startServer(t, s, stack.ServerConfig{Name: "newest"}, wholeScrape)
	p := newPushes(hub, "newest")
	for i := range 4 {
		require.True(t, p.push(t, i, size))
	}
	// Nobody is asked what is stored, and a connection ends in order when its process is killed.
	require.Empty(t, p.awaitStored(t, server, 0))

	server.Kill()
	before := len(p.taken)
	for i := range outage / size {
		require.True(t, p.push(t, i%4, size))
	}
	letGo := ownMetricNow(t, hub, "edgehub_samples_dropped_total", map[string]string{"reason": "let_go"})
	require.Equal(t, outage-limit, letGo)
	require.NoError(t, server.Restart(t.Context()))
	missing := p.awaitStored(t, server, letGo)
	require.Equal(t, p.taken[before:before+letGo], missing, "those that are missing are not the oldest")
	require.Equal(t, letGo, ownMetricNow(t, hub, "edgehub_samples_dropped_total", nil))
	requireUp(t, promapi.New(server.Address))
}

// A full hub that refuses has everything that it said it took; and since the
// exporter keeps what was refused, nothing at all is missing in the end.
func TestOutageRefuse(t *testing.T) {
	t.Parallel()
	s, hub := oneHub(t, "--limit.samples=6000")
	server := startServer(t, s, stack.ServerConfig{Name: "refuse"}, wholeScrape)
	f := startFleet(t, s, hubs(s), fleetConfig{name: "refuse", gateways: 3, controllers: 1})
	f.awaitReports(t, 2)

	server.Kill()
	p := newPushes(hub, "direct")
	awaitOwn(t, hub, "edgehub_pushes_rejected_total", nil, func(n int) bool { return n > 0 })
	for i := 0; p.push(t, i%4, 100); i++ {
	}
	require.Positive(t, p.refused)
	require.Zero(t, ownMetricNow(t, hub, "edgehub_samples_dropped_total", nil))

	delivered := f.total(t, "hubring_exporter_samples_delivered_total")
	require.NoError(t, server.Restart(t.Context()))
	eventually(t, patience, func(context.Context) error {
		if now := f.total(t, "hubring_exporter_samples_delivered_total"); now == delivered {
			return fmt.Errorf("the exporter has delivered nothing since %d samples", now)
		}
		return nil
	})
	require.NoError(t, f.stop())
	requireFleet(t, f, server)
	require.Empty(t, p.awaitStored(t, server, 0))
	require.Zero(t, ownMetricNow(t, hub, "edgehub_samples_dropped_total", nil))
	requireUp(t, promapi.New(server.Address))
}

// During an outage a gateway that sends a hundred times as much as the others
// is refused before they are, whatever the policy: all of theirs is there
// afterwards.
func TestFloodDuringOutage(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"refuse", "newest"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			const gateways, size, rounds = 10, 50, 20
			s, hub := oneHub(t, "--limit.policy="+policy, "--limit.samples=52000")
			server := startServer(t, s, stack.ServerConfig{Name: "flood"}, wholeScrape)
			others, flood := newPushes(hub, "other"), newPushes(hub, "flood")
			require.True(t, others.push(t, 0, size))
			require.Empty(t, others.awaitStored(t, server, 0))

			server.Kill()
			for range rounds {
				for g := range gateways {
					require.True(t, others.push(t, g, size), "a gateway that does not flood is refused")
				}
				flood.push(t, 0, 100*size)
			}
			require.Greater(t, len(flood.taken), 30_000, "the hub was far from full")
			require.Positive(t, flood.refused)
			require.Equal(t, flood.refused, ownMetricNow(t, hub, "edgehub_pushes_rejected_total", map[string]string{"reason": "gateway_share"}))

			require.NoError(t, server.Restart(t.Context()))
			require.Empty(t, others.awaitStored(t, server, 0))
			require.Empty(t, flood.awaitStored(t, server, 0))
			require.Zero(t, ownMetricNow(t, hub, "edgehub_samples_dropped_total", nil))
		})
	}
}
