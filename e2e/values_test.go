package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/fleet"
	"github.com/hubring/hubring/e2e/internal/promapi"
)

// What the shards and the querier hold is what was submitted: every sample, to
// the millisecond and to the last bit, once.
func TestValues(t *testing.T) {
	s := globalStack(t)
	f := startFleet(t, s, hubs(s), fleetConfig{name: "values", gateways: 10, clouds: 1, controllers: 1})
	f.awaitReports(t, 5)
	require.NoError(t, f.stop())

	selectors := map[string]string{"": `{cloudHost=~"values-cloud-.+"}`}
	for _, id := range f.gateways {
		selectors[id] = fmt.Sprintf(`{networkID=%q,gatewayID=%q}`, fleet.Network, id)
	}
	querier := []*promapi.Client{promapi.NewThanos(s.Querier, true)}
	samples := 0
	for id, selector := range selectors {
		samples += requireAll(t, f, id, shardClients(s), selector)
		requireAll(t, f, id, querier, selector)
	}
	require.Equal(t, f.total(t, "hubring_exporter_samples_delivered_total"), samples)
	require.Zero(t, f.total(t, "hubring_exporter_queue_samples"))
	t.Logf("%d samples compared", samples)
}

// requireAll waits until the servers together hold every sample of a gateway,
// requires that they hold nothing else of it, and returns how many there are.
func requireAll(t *testing.T, f *testFleet, gateway string, clients []*promapi.Client, selector string) int {
	t.Helper()
	var d fleet.Difference
	eventually(t, patience, func(ctx context.Context) error {
		var matrices []model.Matrix
		matrices, err := stored(ctx, clients, selector)
		if err != nil {
			return err
		}
		d = f.Ledger.Compare(gateway, matrices...)
		if len(d.Missing) > 0 && len(d.Foreign) == 0 { // waiting does not mend a wrong value
			return fmt.Errorf("%q: %d samples are missing, such as %v", gateway, len(d.Missing), d.Missing[0])
		}
		return nil
	})
	requireNone(t, d.Foreign, "%q: stored, though nobody submitted it", gateway)
	requireNone(t, d.Twice, "%q: stored twice", gateway)
	require.NotZero(t, d.Equal)
	return d.Equal
}

// requireNone requires that there are no samples, and shows some.
func requireNone(t *testing.T, samples []fleet.Sample, format string, args ...any) {
	t.Helper()
	if len(samples) > 0 {
		t.Fatalf("%s: %d samples, such as %v", fmt.Sprintf(format, args...), len(samples), samples[:min(3, len(samples))])
	}
}
