//go:build linux

package charttest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// quick are values that make waiting short. Nothing else differs from what a user has.
const quick = `
edgehub: {minReadySeconds: 6}
prometheus:
  scrapeInterval: 1s
  scrapeTimeout: 1s
  evaluationInterval: 1s
  extraArgs: [--scrape.discovery-reload-interval=200ms, --config.auto-reload-interval=1s]
thanos:
  ruler: {evaluationInterval: 1s, extraArgs: [--query.sd-dns-interval=1s]}
`

const threeServers = `{prometheus_servers_count: 3, create_thanos: true}`

// fleetSize is how many gateways there are.
const fleetSize = 200

// soon is when what is promised after a change must be so, on a slow machine.
const soon = 45 * time.Second

// One hub and one Prometheus, as they are without any values: exporters find the hub by the name
// in the notes, queries count the fleet, and the server evaluates the rules.
func TestRunOneServer(t *testing.T) {
	inCluster(t, []string{quick, fleetRules}, func(t *testing.T, r *liveRelease) {
		fleet := startFleet(t, r, fleetSize)
		server := ask(t, r.address("prometheus/0", 9090), "")
		eventually(t, soon, func(ctx context.Context) error { return server.countsAll(ctx, fleetSize) })
		fleet.raise(gatewayID(7))
		eventually(t, soon, func(ctx context.Context) error { return server.alertsOf(ctx, gatewayID(7)) })
		fleet.stop()
		eventually(t, soon, func(ctx context.Context) error { return server.hasAll(ctx, fleet) })
	})
}

// From 3 servers to 5 and back: gateways spread over all hubs, the querier never counts
// one twice, each alert reaches Alertmanager once, and nothing that a hub has taken is lost.
func TestRunRescale(t *testing.T) {
	values := []string{quick, fleetRules, toldAlertmanager, threeServers}
	five := join(values, `{prometheus_servers_count: 5}`)
	inCluster(t, values, func(t *testing.T, r *liveRelease) {
		alerts := openInbox(t)
		fleet := startFleet(t, r, fleetSize)
		global := ask(t, r.address("thanos-query", 10902), "")
		eventually(t, soon, func(ctx context.Context) error { return global.countsAll(ctx, fleetSize) })
		everyHubTakesPart(t, r, 3)
		fleet.raise(gatewayID(0))
		eventually(t, soon, func(context.Context) error { return alerts.has(gatewayID(0)) })

		observer := observe(t, global)
		r.upgrade(t, five...)
		everyHubTakesPart(t, r, 5)
		assert.Empty(t, assertNeverMore(t, observer.take(), fleetSize), "incomplete answers while the number grew")
		fleet.raise(gatewayID(1))
		eventually(t, soon, func(context.Context) error { return alerts.has(gatewayID(0), gatewayID(1)) })

		r.upgrade(t, values...)
		everyHubTakesPart(t, r, 3)
		eventually(t, soon, func(ctx context.Context) error { return global.countsAll(ctx, fleetSize) })
		incomplete := assertNeverMore(t, observer.take(), fleetSize)
		t.Logf("%d incomplete answers while the number shrank: %v", len(incomplete), incomplete)
		fleet.raise(gatewayID(2))
		eventually(t, soon, func(context.Context) error { return alerts.has(gatewayID(0), gatewayID(1), gatewayID(2)) })
		require.NoError(t, alertmanagerHas(t.Context(), r.address("alertmanager/0", 9093), gatewayID(0), gatewayID(1), gatewayID(2)))

		// What the servers with the highest numbers had is on their volumes.
		fleet.stop()
		r.upgrade(t, five...)
		everything := ask(t, r.address("thanos-query", 10902), "&dedup=false")
		eventually(t, soon, func(ctx context.Context) error { return everything.hasAll(ctx, fleet) })
	})
}

// everyHubTakesPart waits until each shard has its gateways, and all of them together the fleet.
func everyHubTakesPart(t *testing.T, r *liveRelease, hubs int) {
	t.Helper()
	shards := ask(t, r.address("thanos-query", 10902), "&dedup=false")
	eventually(t, soon, func(ctx context.Context) error {
		by, err := shards.by(ctx, "shard", "count by (shard) (last_over_time(gateway_up[4s]))")
		if err != nil {
			return err
		}
		total := 0.0
		for _, n := range by {
			total += n
			if n < fleetSize/float64(2*hubs) {
				return fmt.Errorf("gateways by shard: %v", by)
			}
		}
		if len(by) != hubs || total != fleetSize {
			return fmt.Errorf("gateways by shard: %v, want %d shards with %d", by, hubs, fleetSize)
		}
		return nil
	})
}
