package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/fleet"
	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/stack"
)

const (
	failoverLimit = 15 * time.Second // from the kill to whole reports elsewhere
	homeLimit     = 30 * time.Second // from the restart to whole reports at home
	lossWindow    = 10 * time.Second // how old what dies with a hub may be: several scrapes
)

// A hub is killed under load and comes back. Its gateways, and no others, move
// to both survivors and return; the querier counts each series once all the
// time; and what is missing in the end is only what the hub held when it died.
func TestKillHub(t *testing.T) {
	s := globalStack(t)
	f := startFleet(t, s, hubs(s), fleetConfig{name: "kill", gateways: 20, controllers: 2, interval: 500 * time.Millisecond})
	homes := awaitHomes(t, s, f)
	victim := busiest(homes, len(s.Shards))
	moving := func(id string) bool { return homes[id] == victim }
	hub := s.Shards[victim].Hub
	t.Cleanup(func() { revive(t, hub) })

	watch := startWatch(t, s, f)
	watch.await(t, 5)
	awaitPending(t, hub)
	killed := hub.Kill()
	after := awaitMoved(t, s, f, failoverLimit, victim, moving, killed)
	t.Logf("%s killed: the reports of its %d gateways were whole on other shards after %s",
		hub.Name, len(after), time.Since(killed).Round(time.Millisecond))
	heirs := map[int]int{}
	for _, heir := range after {
		heirs[heir]++
	}
	require.Len(t, heirs, len(s.Shards)-1, "all gateways of %s moved to one other hub: %v", hub.Name, heirs)
	watch.await(t, 5)

	require.NoError(t, hub.Restart(t.Context()))
	restarted := time.Now()
	awaitWhole(t, f, homeLimit, shardClients(s)[victim:victim+1], moving, restarted)
	t.Logf("%s restarted: their reports were whole at home after %s", hub.Name, time.Since(restarted).Round(time.Millisecond))
	watch.await(t, 5)

	require.NoError(t, f.stop())
	died, twice := settle(t, s, f, func(id string, at time.Time) bool {
		age := killed.Sub(at)
		return moving(id) && age >= 0 && age < lossWindow
	})
	t.Logf("%d samples died with the hub, %d are in two shards", died, twice)
	watch.await(t, 5)
	watch.stop(t)

	perShard, err := countPerShard(t.Context(), s, "gatewayID", `count by (gatewayID) (`+f.selector("")+`)`)
	require.NoError(t, err)
	for _, id := range f.gateways {
		if !moving(id) {
			require.Equal(t, []int{homes[id]}, homesOf(perShard, id), "%s moved, although its hub lived", id)
		}
	}
	require.Positive(t, f.total(t, "hubring_exporter_samples_rerouted_total"))
	require.Equal(t, f.total(t, "hubring_exporter_samples_submitted_total"), f.total(t, "hubring_exporter_samples_delivered_total"))
}

// awaitHomes waits until every gateway's series are in one shard as reported,
// and the querier sees them; it returns the shards' numbers.
func awaitHomes(t *testing.T, s *stack.Stack, f *testFleet) map[string]int {
	t.Helper()
	f.awaitReports(t, 2)
	homes := map[string]int{}
	eventually(t, patience, func(ctx context.Context) error {
		want := f.seriesByGateway() // may grow while the shards are asked
		perShard, err := countPerShard(ctx, s, "gatewayID", `count by (gatewayID) (`+f.selector("")+`)`)
		if err != nil {
			return err
		}
		for _, id := range f.gateways {
			at := homesOf(perShard, id)
			if len(at) != 1 || perShard[at[0]][id] < want[id] {
				return fmt.Errorf("%s has %v series in shards %v", id, want[id], at)
			}
			homes[id] = at[0]
		}
		return nil
	})
	return homes
}

// busiest returns the shard with most gateways.
func busiest(homes map[string]int, shards int) int {
	counts := make([]int, shards)
	for _, home := range homes {
		counts[home]++
	}
	return slices.Index(counts, slices.Max(counts))
}

// awaitPending waits until the hub holds samples that no scrape has taken.
func awaitPending(t *testing.T, hub *stack.Hub) {
	t.Helper()
	eventually(t, patience, func(ctx context.Context) error {
		body, err := fetch(ctx, hub.URL()+"/metrics")
		if err != nil {
			return err
		}
		if len(body) == 0 {
			return fmt.Errorf("%s holds no samples", hub.Name)
		}
		return nil
	})
}

// awaitMoved waits until every moving gateway has a whole report from after a
// moment on a shard other than the victim's, and returns which.
func awaitMoved(t *testing.T, s *stack.Stack, f *testFleet, limit time.Duration, victim int, moving func(string) bool, after time.Time) map[string]int {
	t.Helper()
	var survivors []*promapi.Client
	for i, c := range shardClients(s) {
		if i != victim {
			survivors = append(survivors, c)
		}
	}
	return awaitWhole(t, f, limit, survivors, moving, after)
}

// awaitWhole waits until one of the servers holds a whole report of each moving
// gateway from after a moment, and returns the number of that server.
func awaitWhole(t *testing.T, f *testFleet, limit time.Duration, clients []*promapi.Client, moving func(string) bool, after time.Time) map[string]int {
	t.Helper()
	place := map[string]int{}
	eventually(t, limit, func(ctx context.Context) error {
		// The server's now is a little later, so nothing older is counted.
		query := fmt.Sprintf(`count by (gatewayID) (last_over_time(%s[%dms]))`, f.selector(""), max(1, time.Since(after).Milliseconds()))
		var perServer []map[string]float64
		for _, c := range clients {
			counts, err := c.By(ctx, "gatewayID", query)
			if err != nil {
				return err
			}
			perServer = append(perServer, counts)
		}
		for _, id := range f.gateways {
			if !moving(id) {
				continue
			}
			reports := f.Ledger.Reports(id, after.UnixMilli())
			if len(reports) == 0 {
				return fmt.Errorf("%s has not reported yet", id)
			}
			at := slices.IndexFunc(perServer, func(counts map[string]float64) bool {
				return counts[id] >= float64(reports[0].Samples)
			})
			if at < 0 {
				return fmt.Errorf("%s: a report of %d samples is not whole on any shard", id, reports[0].Samples)
			}
			place[id] = at
		}
		return nil
	})
	return place
}

// settle waits until every sample is stored but for those that may be lost,
// and returns how many those are and how many samples are in two shards. It
// fails at a sample that nobody submitted. The fleet must have stopped.
func settle(t *testing.T, s *stack.Stack, f *testFleet, mayBeLost func(gateway string, at time.Time) bool) (lost, twice int) {
	t.Helper()
	for _, id := range f.gateways {
		var d fleet.Difference
		eventually(t, patience, func(ctx context.Context) error {
			matrices, err := stored(ctx, shardClients(s), fmt.Sprintf(`{networkID=%q,gatewayID=%q}`, fleet.Network, id))
			if err != nil {
				return err
			}
			d = f.Ledger.Compare(id, matrices...)
			if len(d.Foreign) > 0 {
				return nil // waiting does not mend a wrong value
			}
			for _, m := range d.Missing {
				if !mayBeLost(id, time.UnixMilli(m.At)) {
					return fmt.Errorf("%s: lost %v and %d more", id, m, len(d.Missing)-1)
				}
			}
			return nil
		})
		requireNone(t, d.Foreign, "%s: stored, though nobody submitted it", id)
		lost += len(d.Missing)
		twice += len(d.Twice)
	}
	return lost, twice
}

// revive starts a hub again that a failed test left dead.
func revive(t *testing.T, hub *stack.Hub) {
	select {
	case <-hub.Process.Done():
		require.NoError(t, hub.Restart(context.Background()))
	default:
	}
}
