//go:build linux

package charttest

import (
	"context"
	"testing"
	"time"
)

// quick are values that make waiting short. Nothing else differs from what a user has.
const quick = `
edgehub: {stopTimeout: 5}
prometheus:
  scrapeInterval: 1s
  scrapeTimeout: 1s
  evaluationInterval: 1s
  extraArgs: [--scrape.discovery-reload-interval=200ms, --config.auto-reload-interval=1s]
thanos:
  query: {extraArgs: [--store.sd-dns-interval=1s]}
  ruler: {evaluationInterval: 1s, extraArgs: [--query.sd-dns-interval=1s]}
`

const fleetSize = 200

func TestRunOneServer(t *testing.T) {
	inCluster(t, []string{quick, fleetRules}, func(t *testing.T, r *liveRelease) {
		fleet, _ := startFleet(t, r, fleetSize)
		server := ask(t, r.address("prometheus/0", 9090), "")
		eventually(t, time.Minute, func(ctx context.Context) error { return server.is(ctx, fleetSize, "sum(gateway_up)") })
		_ = fleet
	})
}

// fleetRules has an alert for each gateway that raises its alarm.
const fleetRules = `
rules:
  groups:
    - name: fleet
      rules:
        - alert: GatewayAlarm
          expr: gateway_alarm > 0
`
