package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// Every gateway's series are in exactly one shard, although its reports went
// through several controllers that were told of the hubs in different orders;
// so are all series of no gateway; and the querier says the same.
func TestOneHome(t *testing.T) {
	s := globalStack(t)
	f := startFleet(t, s, hubs(s), fleetConfig{name: "home", gateways: 12, clouds: 2, controllers: 3})
	f.awaitReports(t, 4)
	require.NoError(t, f.stop())
	want := f.seriesByGateway()

	// Nothing more is sent: each server has what it gets after a scrape.
	byGateway := `count by (gatewayID) (` + f.selector("") + `)`
	var perShard []map[string]float64
	eventually(t, patience, func(ctx context.Context) error {
		var err error
		if perShard, err = countPerShard(ctx, s, "gatewayID", byGateway); err != nil {
			return err
		}
		if got := addUp(perShard); !maps.Equal(got, want) {
			return fmt.Errorf("the shards have %v series, reported were %v", got, want)
		}
		return nil
	})
	used := map[int]bool{}
	for _, id := range f.gateways {
		homes := homesOf(perShard, id)
		require.Len(t, homes, 1, "%s has its series in shards %v", id, homes)
		used[homes[0]] = true
	}
	require.Greater(t, len(used), 1, "all gateways are in one shard, which shows nothing")

	for _, dedup := range []bool{true, false} {
		got, err := promapi.NewThanos(s.Querier, dedup).By(t.Context(), "gatewayID", byGateway)
		require.NoError(t, err)
		require.Equal(t, want, got, "the querier with dedup=%v", dedup)
	}

	var clouds []map[string]float64
	byHost := `count by (cloudHost) ({cloudHost=~"home-cloud-.+",gatewayID=""})`
	eventually(t, patience, func(ctx context.Context) error {
		var err error
		if clouds, err = countPerShard(ctx, s, "cloudHost", byHost); err != nil {
			return err
		}
		sum := 0.0
		for _, n := range addUp(clouds) {
			sum += n
		}
		if want := float64(f.Ledger.Series("")); sum != want {
			return fmt.Errorf("the shards have %v series of no gateway, reported were %v", sum, want)
		}
		return nil
	})
	homes := slices.Concat(homesOf(clouds, "home-cloud-0"), homesOf(clouds, "home-cloud-1"))
	require.Len(t, slices.Compact(homes), 1, "series of no gateway are in shards %v", homes)
	t.Logf("%d gateways in %d shards, %d series of no gateway in shard %d", len(f.gateways), len(used), f.Ledger.Series(""), homes[0])
}

// countPerShard asks each server and returns its counts by the label.
func countPerShard(ctx context.Context, s *stack.Stack, label, query string) ([]map[string]float64, error) {
	var out []map[string]float64
	for _, c := range shardClients(s) {
		counts, err := c.By(ctx, model.LabelName(label), query)
		if err != nil {
			return nil, err
		}
		out = append(out, counts)
	}
	return out, nil
}

func addUp(perShard []map[string]float64) map[string]float64 {
	sum := map[string]float64{}
	for _, counts := range perShard {
		for k, n := range counts {
			sum[k] += n
		}
	}
	return sum
}

// homesOf returns the numbers of the shards that count anything for the key.
func homesOf(perShard []map[string]float64, key string) []int {
	var homes []int
	for i, counts := range perShard {
		if counts[key] > 0 {
			homes = append(homes, i)
		}
	}
	return homes
}
