package e2e

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/fleet"
	"github.com/hubring/hubring/e2e/internal/stack"
	"github.com/hubring/hubring/exporter"
)

// One hub and one Prometheus need no Thanos, no names, nothing but a URL.
func TestSmall(t *testing.T) {
	s := ownStack(t, stack.Config{Shards: 1, NodeExporters: 1})
	one := []exporter.Hub{{URL: s.Shards[0].Hub.URL()}}
	f := startFleet(t, s, one, fleetConfig{name: "small", gateways: 3, clouds: 1, controllers: 1})
	f.awaitReports(t, 3)
	require.NoError(t, f.stop())

	requireAll(t, f, "", shardClients(s), `{cloudHost="small-cloud-0"}`)
	for _, id := range f.gateways {
		requireAll(t, f, id, shardClients(s), fmt.Sprintf(`{networkID=%q,gatewayID=%q}`, fleet.Network, id))
	}
}
