package charttest

import (
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const distributed = `{create_thanos: true, thanos: {query: {distributed: {enabled: true}}}}`

// Distributed, the querier asks one querier for each number of a server, each of which asks the servers of that
// number and takes only a pair for one, and one more for what has no number.
func TestEachShardHasItsQuerier(t *testing.T) {
	inEveryThanosScenario(t, func(t *testing.T, r *release) {
		_, _, args := r.component("query")
		shards := r.pods("thanos-query-shard")
		if !isDistributed(args) {
			assert.Empty(t, shards)
			return
		}
		assert.NotContains(t, flagValues(args, "query.replica-label"), "shard", "it tells the queriers below apart")
		var asked []string
		for _, p := range shards {
			below := p.commandLine(p.container("thanos-query-shard"))
			assert.Equal(t, []string{"prometheus_replica"}, flagValues(below, "query.replica-label"))
			for _, endpoint := range r.endpoints(t, p, p.container("thanos-query-shard")) {
				if server := endpoint.pod(); server != "" {
					assert.Equal(t, p.number(t), pod{server, workloadOf(t, r, server)}.number(t), "%s asks %s", p.name, server)
					asked = append(asked, server)
				}
			}
		}
		var servers []string
		for _, s := range r.servers(t) {
			servers = append(servers, s.name)
		}
		assert.ElementsMatch(t, servers, asked)
	})
}

// workloadOf returns the workload that makes a pod.
func workloadOf(t *testing.T, r *release, podName string) workload {
	t.Helper()
	for _, w := range r.workloads() {
		if slices.Contains(podNames([]workload{w}), podName) {
			return w
		}
	}
	require.Fail(t, "no such pod", podName)
	return workload{}
}

// Sums are worked out by the queriers below, over servers, what is only in the bucket, the ruler's blocks and those
// of shards that are no more, and are the same as those of a querier that works everything out itself. What
// distributed queries give up shows, too: a gateway on two shards counts twice.
func TestSumsAreWorkedOutBelow(t *testing.T) {
	t.Parallel()
	needsPrograms(t)
	fleet := []string{withBucket, `{prometheus_servers_count: 2, prometheus_replicas: 2}`}
	c := newCluster(t, mustRender(t, append(fleet, distributed)...))
	name := c.r.name + "-hubring-"
	now := time.Now().Truncate(2 * time.Hour)
	recent, old := now.Add(-8*time.Hour), now.Add(-80*time.Hour).Truncate(8*time.Hour)
	running := map[string]*process{}
	for server, gateways := range map[string][]string{"prometheus-0": {"gw-a", "gw-moved"}, "prometheus-b-0": {"gw-a", "gw-moved"}, "prometheus-1": {"gw-b", "gw-moved"}} {
		for _, gateway := range gateways {
			c.put(name+server, gateway, recent, time.Minute)
		}
		c.startReady(name+server, "prometheus")
		running[server] = c.startReady(name+server, "thanos-sidecar")
	}
	c.upload("gw-a", old, `shard="edgehub-0"`)
	store := c.startReady(name+"thanos-store-0", "thanos-store")
	for _, querier := range []string{"thanos-query-shard-0", "thanos-query-shard-1", "thanos-query-global-0", "thanos-query-0"} {
		running[querier] = c.startReady(name+querier, querier[:len(querier)-2])
	}
	inRecent, inOld := instant(recent.Add(3*time.Hour)), instant(old.Add(3*time.Hour))
	root := c.address(name+"thanos-query-0", 10902)
	c.awaitValues(root, "sum(put)", inOld, map[string]string{"": "1"}) // that the servers have less of the past is no matter
	store.end(t)
	c.upload("gw-gone", old, `shard="edgehub-7"`)
	c.upload("gw-rule", old, `ruler_replica="edge-hubring-thanos-rule-0"`)
	c.startReady(name+"thanos-store-0", "thanos-store")

	local := newCluster(t, mustRender(t, append(fleet, withQuerier)...))
	local.portsOf(c, name+"thanos-query-0")
	local.startReady(name+"thanos-query-0", "thanos-query")
	itself := local.address(name+"thanos-query-0", 10902)
	for _, one := range []struct {
		expr string
		at   url.Values
		want map[string]string
	}{
		{`sum(put{gatewayID!="gw-moved"})`, inRecent, map[string]string{"": "2"}},
		{`count(put{gatewayID!="gw-moved"})`, inRecent, map[string]string{"": "2"}},
		{`avg(put)`, inRecent, map[string]string{"": "1"}},
		{`sum by (gatewayID) (count_over_time(put{gatewayID!="gw-moved"}[1h]))`, inRecent, map[string]string{"gw-a": "60", "gw-b": "60"}},
		{`max(put) - (count(put{gatewayID!="gw-moved"} == 1) or vector(0)) < 0`, inRecent, map[string]string{"": "-1"}}, // as HubringServerMissing
		{`sum by (gatewayID) (put)`, inOld, map[string]string{"gw-a": "1", "gw-gone": "1", "gw-rule": "1"}},
		{`sum(put)`, inOld, map[string]string{"": "3"}},
	} {
		c.awaitValues(itself, one.expr, one.at, one.want)
		c.awaitValues(root, one.expr, one.at, one.want)
	}
	c.awaitValues(itself, `count(put{gatewayID="gw-moved"})`, inRecent, map[string]string{"": "1"})
	c.awaitValues(root, `count(put{gatewayID="gw-moved"})`, inRecent, map[string]string{"": "2"})

	for _, expr := range alertExpressions(t) {
		for _, address := range []string{itself, root} {
			_, err := query(t.Context(), address, expr, inRecent)
			assert.NoError(t, err, "an alert's expression")
		}
	}

	assert.Zero(t, c.calls(root, "client", "Series"), "series that the querier which is asked fetched")
	assert.Positive(t, c.calls(root, "client", "Query"))
	for below, own := range map[string]map[string]string{
		"thanos-query-shard-0":  {"gw-a": "1"},
		"thanos-query-shard-1":  {},
		"thanos-query-global-0": {"gw-gone": "1", "gw-rule": "1"},
	} {
		address := c.address(name+below, 10902)
		assert.Positive(t, c.calls(address, "server", "Query"), "queries that %s worked out", below)
		c.awaitValues(address, "put", inOld, own)
	}

	// The shard's server is down, then its querier, too: answers tell, or fail where that is asked for.
	for _, down := range []struct{ what, asks string }{{"prometheus-1", "thanos-query-shard-1"}, {"thanos-query-shard-1", "thanos-query-0"}} {
		running[down.what].end(t)
		await(t, down.what+" is down", func() error {
			return isDown(t.Context(), c.address(name+down.asks, 10902), c.address(name+down.what, 10901))
		})
		a, err := query(t.Context(), root, `sum(put{gatewayID!="gw-moved"})`, inRecent)
		require.NoError(t, err, down.what)
		assert.NotEmpty(t, a.Warnings, "without %s", down.what)
		whole := maps.Clone(inRecent)
		whole.Set("partial_response", "false")
		_, err = query(t.Context(), root, `sum(put{gatewayID!="gw-moved"})`, whole)
		assert.Error(t, err, "without %s", down.what)
	}
}

// instant is the time of a query.
func instant(at time.Time) url.Values {
	return url.Values{"time": {strconv.FormatInt(at.Unix(), 10)}}
}

// portsOf lets a cluster reach the pods of another one, but for one that it has itself.
func (c *cluster) portsOf(other *cluster, but string) {
	for key, port := range other.ports {
		if !strings.HasPrefix(key, but+":") {
			c.ports[key] = port
		}
	}
}

// calls returns how often a Thanos called a gRPC method, as client, or answered it, as server.
func (c *cluster) calls(address, as, method string) int {
	c.t.Helper()
	metrics, err := get(c.t.Context(), "http://"+address+"/metrics")
	require.NoError(c.t, err)
	sum := 0
	for _, match := range regexp.MustCompile(`(?m)^grpc_`+as+`_handled_total\{[^}]*grpc_method="`+method+`"[^}]*\} (\d+)$`).FindAllStringSubmatch(metrics, -1) {
		n, err := strconv.Atoi(match[1])
		require.NoError(c.t, err)
		sum += n
	}
	return sum
}

// upload puts blocks into the bucket as if a server with that external label had.
func (c *cluster) upload(gateway string, from time.Time, label string) {
	c.t.Helper()
	blocks := filepath.Join(c.t.TempDir(), "blocks")
	c.blocks(blocks, gateway, from, time.Minute)
	mustRun(c.t, filepath.Join(c.programs, "thanos"), "tools", "bucket", "upload-blocks", "--path="+blocks, "--label="+label, "--objstore.config-file="+c.bucketFile())
}

// awaitValues waits until a query has those values, by the gateway.
func (c *cluster) awaitValues(address, expr string, more url.Values, want map[string]string) {
	c.t.Helper()
	await(c.t, expr, func() error {
		a, err := query(c.t.Context(), address, expr, more)
		if err != nil {
			return err
		}
		if got := a.values("gatewayID"); len(a.Data.Result) != len(want) || !maps.Equal(got, want) {
			return fmt.Errorf("%v, not %v: %v", got, want, a)
		}
		return nil
	})
}
