//go:build linux

package charttest

import (
	"context"
	"fmt"
	"regexp"
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

// modes are the ways in which one query over all servers is answered.
var modes = map[string]string{"shards": `{}`, "thanos": withQuerier}

// inEachMode runs a test in a cluster of each mode, with what answers for all servers.
func inEachMode(t *testing.T, values []string, test func(t *testing.T, r *liveRelease, values []string, global queries)) {
	t.Parallel()
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			all := join(values, mode)
			inCluster(t, all, func(t *testing.T, r *liveRelease) { test(t, r, all, queriesTo(t, r.queryAddress(), "")) })
		})
	}
}

// fleetSize is how many gateways there are.
const fleetSize = 200

// soon is when what is promised after a change must be so, on a slow machine.
const soon = 45 * time.Second

// One hub and one Prometheus, as they are without any values: exporters find the hub by the name
// in the notes, queries count the fleet, and the server evaluates the rules.
func TestRunOneServer(t *testing.T) {
	inCluster(t, []string{quick, fleetRules}, func(t *testing.T, r *liveRelease) {
		fleet := startFleet(t, r, fleetSize)
		server := queriesTo(t, r.address("prometheus/0", 9090), "")
		eventually(t, soon, func(ctx context.Context) error { return server.countsAll(ctx, fleetSize) })
		fleet.raise(gatewayID(7))
		eventually(t, soon, func(ctx context.Context) error { return server.alertsOf(ctx, gatewayID(7)) })
		receiptsArrive(t, server, 1)
		fleet.stop()
		eventually(t, soon, func(ctx context.Context) error { return server.hasAll(ctx, fleet) })
	})
}

// Each server of a pair has every sample; together they count once, and alert once.
func TestRunPair(t *testing.T) {
	values := []string{quick, fleetRules, toldAlertmanager, `{create_thanos: true, prometheus_replicas: 2, thanos: {ruler: {replicas: 2}}}`}
	inEachMode(t, values, func(t *testing.T, r *liveRelease, _ []string, global queries) {
		alerts := openInbox(t)
		fleet := startFleet(t, r, fleetSize)
		eventually(t, soon, func(ctx context.Context) error { return global.countsAll(ctx, fleetSize) })
		observer := observe(t, global)
		fleet.raise(gatewayID(3))
		eventually(t, soon, func(context.Context) error { return alerts.has(gatewayID(3)) })
		receiptsArrive(t, global, 2)
		fleet.stop()
		for _, replica := range []string{"a", "b"} {
			eventually(t, soon, func(ctx context.Context) error { return everything(t, r).of(replica).hasAll(ctx, fleet) })
		}
		assertComplete(t, observer.take(), fleetSize)
		require.NoError(t, alerts.has(gatewayID(3)))
		require.NoError(t, alertmanagerHas(t.Context(), r.address("alertmanager/0", 9093), gatewayID(3)))
	})
}

// From 3 servers to 5 and back: gateways spread over all hubs, who answers counts each of them once
// all the while, or says that a server is missing when some stop, each alert reaches
// Alertmanager once, and nothing that a hub has taken is lost.
func TestRunRescale(t *testing.T) {
	inEachMode(t, []string{quick, fleetRules, toldAlertmanager, threeServers}, func(t *testing.T, r *liveRelease, three []string, global queries) {
		five := join(three, `{prometheus_servers_count: 5}`)
		alerts := openInbox(t)
		fleet := startFleet(t, r, fleetSize)
		eventually(t, soon, func(ctx context.Context) error { return global.countsAll(ctx, fleetSize) })
		everyHubTakesPart(t, r, 3)
		observer := observe(t, global)
		fleet.raise(gatewayID(0))
		eventually(t, soon, func(context.Context) error { return alerts.has(gatewayID(0)) })

		r.upgrade(t, five...)
		everyHubTakesPart(t, r, 5)
		receiptsArrive(t, global, 5)
		assertComplete(t, observer.take(), fleetSize)
		fleet.raise(gatewayID(1))
		eventually(t, soon, func(context.Context) error { return alerts.has(gatewayID(0), gatewayID(1)) })

		r.upgrade(t, three...)
		everyHubTakesPart(t, r, 3)
		eventually(t, soon, func(ctx context.Context) error { return global.countsAll(ctx, fleetSize) })
		assertHonest(t, observer.take(), fleetSize)
		fleet.raise(gatewayID(2))
		eventually(t, soon, func(context.Context) error { return alerts.has(gatewayID(0), gatewayID(1), gatewayID(2)) })
		require.NoError(t, alertmanagerHas(t.Context(), r.address("alertmanager/0", 9093), gatewayID(0), gatewayID(1), gatewayID(2)))

		// What the servers with the highest numbers had is on their volumes.
		fleet.stop()
		r.upgrade(t, five...)
		eventually(t, soon, func(ctx context.Context) error { return everything(t, r).hasAll(ctx, fleet) })
	})
}

// The number shrinks while a server is down: its hub, whose volume goes with it, hands over what that server has not got, and nothing that hubs
// have taken is lost.
func TestRunScaleDownWithoutTheServer(t *testing.T) {
	values := []string{quick, threeServers}
	inCluster(t, values, func(t *testing.T, r *liveRelease) {
		fleet := startFleet(t, r, fleetSize)
		global := queriesTo(t, r.queryAddress(), "")
		eventually(t, soon, func(ctx context.Context) error { return global.countsAll(ctx, fleetSize) })
		everyHubTakesPart(t, r, 3)
		const last = releaseName + "-hubring-prometheus-2"
		require.NoError(t, r.Fail(last))
		before := len(fleet.acknowledged())
		eventually(t, soon, func(context.Context) error {
			if n := len(fleet.acknowledged()) - before; n < 5 {
				return fmt.Errorf("%d reports since the server is down", n)
			}
			return nil
		})
		r.become(t, join(values, `{prometheus_servers_count: 2}`)...)
		handed := regexp.MustCompile(`msg="handed over what waited" to=\S+-edgehub-0\.\S+ taken=[1-9]\d* ended=\d+ refused=0 left=0`)
		eventually(t, soon, func(context.Context) error {
			if said := r.Log(releaseName+"-hubring-edgehub-2", "edgehub"); !handed.MatchString(said) {
				return fmt.Errorf("the hub has not handed over what it had:\n%s", said)
			}
			return nil
		})
		require.NoError(t, r.Recover(last)) // Kubernetes would wait for its machine
		r.settle(t)
		fleet.stop()

		r.upgrade(t, values...) // what the last server had is on its volume
		eventually(t, soon, func(ctx context.Context) error { return everything(t, r).hasAll(ctx, fleet) })
	})
}

// An upgrade that starts every hub and every server anew loses nothing that a hub has taken.
func TestRunRollingUpgrade(t *testing.T) {
	values := []string{quick, threeServers}
	inCluster(t, values, func(t *testing.T, r *liveRelease) {
		fleet := startFleet(t, r, fleetSize)
		everyHubTakesPart(t, r, 3)
		before := r.Lives()
		r.upgrade(t, join(values, `{edgehub: {podAnnotations: {release: "2"}}, prometheus: {podAnnotations: {release: "2"}}}`)...)
		for _, component := range []string{"edgehub", "prometheus"} {
			for i := range 3 {
				name := fmt.Sprintf("%s-hubring-%s-%d", releaseName, component, i)
				assert.Equal(t, before[name]+1, r.Lives()[name], "lives of %s", name)
			}
		}
		everyHubTakesPart(t, r, 3)
		fleet.stop()
		eventually(t, soon, func(ctx context.Context) error { return everything(t, r).hasAll(ctx, fleet) })
	})
}

// When each hub gets a second server, and loses it again, hubs restart one by one while the servers read
// what is new at some moment of it. Nothing that a hub has taken is lost.
func TestRunPairsOnAndOff(t *testing.T) {
	values := []string{quick, threeServers, `{prometheus: {secondStopDelay: 5}}`}
	inCluster(t, values, func(t *testing.T, r *liveRelease) {
		fleet := startFleet(t, r, fleetSize)
		everyHubTakesPart(t, r, 3)
		r.upgrade(t, join(values, `{prometheus_replicas: 2}`)...)
		eventually(t, soon, func(ctx context.Context) error {
			for _, replica := range []string{"a", "b"} {
				on, err := everything(t, r).of(replica).each(ctx, "count(last_over_time(gateway_up[4s]))")
				if err != nil {
					return err
				}
				if total := sum(on); total != fleetSize {
					return fmt.Errorf("gateways on servers %s: %v, want %d", replica, on, fleetSize)
				}
			}
			return nil
		})
		r.upgrade(t, values...)
		everyHubTakesPart(t, r, 3)
		fleet.stop()
		eventually(t, soon, func(ctx context.Context) error {
			return everything(t, r).of("a").hasAll(ctx, fleet)
		})
	})
}

// While a server is gone alerts about the gateways of the others arrive, and every answer says that it lacks a
// part, or fails where that is asked for. When it is back alerts about its own arrive, and all that its hub has
// kept for it.
func TestRunDeadServer(t *testing.T) {
	inEachMode(t, []string{quick, fleetRules, toldAlertmanager, threeServers}, func(t *testing.T, r *liveRelease, _ []string, global queries) {
		alerts := openInbox(t)
		fleet := startFleet(t, r, fleetSize)
		eventually(t, soon, func(ctx context.Context) error { return global.countsAll(ctx, fleetSize) })
		everyHubTakesPart(t, r, 3)
		homes, err := everything(t, r).homes(t.Context())
		require.NoError(t, err)
		observer := observe(t, global)
		server := releaseName + "-hubring-prometheus-1"
		alive, dead := homes[releaseName+"-hubring-prometheus-0"][0], homes[server][0]

		require.NoError(t, r.Fail(server))
		fleet.raise(alive)
		fleet.raise(dead)
		eventually(t, soon, func(context.Context) error { return alerts.has(alive) })
		if r.release.queriers()["thanos-query"].name != "" {
			eventually(t, soon, func(ctx context.Context) error { return isDown(ctx, r.address("thanos-query", 10902), server+".") })
		}
		rest, warnings, err := global.value(t.Context(), "count(gateway_up)")
		require.NoError(t, err)
		assert.InDelta(t, fleetSize-len(homes[server]), rest, 0)
		assert.NotEmpty(t, warnings, "a part of the gateways")
		whole := queriesTo(t, r.queryAddress(), "&partial_response=false")
		_, _, err = whole.value(t.Context(), "count(gateway_up)")
		require.Error(t, err)

		require.NoError(t, r.Recover(server))
		r.settle(t)
		eventually(t, soon, func(context.Context) error { return alerts.has(alive, dead) })
		eventually(t, soon, func(ctx context.Context) error { return global.countsAll(ctx, fleetSize) })
		assertHonest(t, observer.take(), fleetSize)
		fleet.stop()
		eventually(t, soon, func(ctx context.Context) error { return everything(t, r).hasAll(ctx, fleet) })
	})
}

// Shards that are VictoriaMetrics answer for all gateways, an alert arrives, and nothing that a hub has taken is lost.
func TestRunVictoriaMetrics(t *testing.T) {
	inCluster(t, []string{quick, fleetRules, toldAlertmanager, threeServers, `{shard: {kind: victoriametrics}, prometheus: {extraArgs: []}}`}, func(t *testing.T, r *liveRelease) {
		alerts := openInbox(t)
		fleet := startFleet(t, r, fleetSize)
		global := queriesTo(t, r.queryAddress(), "")
		eventually(t, soon, func(ctx context.Context) error { return global.countsAll(ctx, fleetSize) })
		everyHubTakesPart(t, r, 3)
		fleet.raise(gatewayID(5))
		eventually(t, soon, func(context.Context) error { return alerts.has(gatewayID(5)) })
		own, _, err := global.value(t.Context(), `count(gateway_up{instance!=""}) or count(gateway_up{job!=""})`)
		require.NoError(t, err)
		assert.Zero(t, own, "gateways' series with the hub's labels, which would be others after a move")
		fleet.stop()
		eventually(t, soon, func(ctx context.Context) error { return everything(t, r).hasAll(ctx, fleet) })
	})
}

// A server whose machine is cut off keeps no query for long, and after a while none at all.
func TestRunSilentServer(t *testing.T) {
	inCluster(t, []string{quick, withQuerier, `{prometheus_servers_count: 2, create_thanos: true}`}, func(t *testing.T, r *liveRelease) {
		global := queriesTo(t, r.address("thanos-query", 10902), "")
		servers := func(ctx context.Context, want float64, warned bool) error {
			n, warnings, err := global.value(ctx, `count(up{job="prometheus"})`)
			if err == nil && (n != want || (len(warnings) > 0) != warned) {
				err = fmt.Errorf("%v servers %q", n, warnings)
			}
			return err
		}
		eventually(t, soon, func(ctx context.Context) error { return servers(ctx, 2, false) })

		require.NoError(t, r.Mute(releaseName+"-hubring-prometheus-1"))
		eventually(t, soon, func(ctx context.Context) error {
			asked := time.Now()
			require.NoError(t, servers(ctx, 1, true))
			took := time.Since(asked)
			assert.Less(t, took, 30*time.Second, "thanos.query.responseTimeout")
			if took > time.Second {
				return fmt.Errorf("an answer after %s", took)
			}
			return nil
		})
	})
}

// receiptsArrive waits until so many servers have told their hubs that they stored a scrape, and none of them
// has said nothing.
func receiptsArrive(t *testing.T, q queries, servers float64) {
	t.Helper()
	eventually(t, soon, func(ctx context.Context) error {
		asked, _, err := q.value(ctx, `count(edgehub_receipt_queries_total{result="stored"} > 0)`)
		if err == nil && asked != servers {
			err = fmt.Errorf("%v servers have told their hubs what they stored, want %v", asked, servers)
		}
		return err
	})
	missing, _, err := q.value(t.Context(), "sum(edgehub_receipts_missing)")
	require.NoError(t, err)
	assert.Zero(t, missing, "hubs that go by connections")
}

// everyHubTakesPart waits until each shard has its gateways, and all of them together the fleet.
func everyHubTakesPart(t *testing.T, r *liveRelease, hubs int) {
	t.Helper()
	shards := everything(t, r).of("a")
	eventually(t, soon, func(ctx context.Context) error {
		on, err := shards.each(ctx, "count(last_over_time(gateway_up[4s]))")
		if err != nil {
			return err
		}
		for _, n := range on {
			if n < fleetSize/float64(2*hubs) {
				return fmt.Errorf("gateways by server: %v", on)
			}
		}
		if len(on) != hubs || sum(on) != fleetSize {
			return fmt.Errorf("gateways by server: %v, want %d servers with %d", on, hubs, fleetSize)
		}
		return nil
	})
}

// sum adds up values.
func sum(values map[string]float64) float64 {
	total := 0.0
	for _, value := range values {
		total += value
	}
	return total
}
