package charttest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// From 1 server to 5 and back, the pods that stay are not touched: their
// templates and their servers' configurations are the same, so nothing restarts.
func TestScalingTouchesNoShardThatStays(t *testing.T) {
	for name, mode := range map[string]string{"shards": `{}`, "a querier": withQuerier, "VictoriaMetrics": victoria} {
		for _, replicas := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, %d servers a hub", name, replicas), func(t *testing.T) {
				common := fmt.Sprintf("{create_thanos: true, prometheus_replicas: %d}", replicas)
				one := mustRender(t, mode, common, `{prometheus_servers_count: 1}`)
				five := mustRender(t, mode, common, `{prometheus_servers_count: 5}`)
				assertSamePods(t, one, five)
				assertSameConfigurations(t, one, five)
				assertOnlyCountsDiffer(t, one, five)
			})
		}
	}
}

func assertSamePods(t *testing.T, one, five *release) {
	t.Helper()
	grown := map[string]workload{}
	for _, w := range five.workloads() {
		grown[keyOf(w)] = w
	}
	for _, w := range one.workloads() {
		other, there := grown[keyOf(w)]
		require.True(t, there, "%s is gone", keyOf(w))
		assert.Equal(t, w.template, other.template, "%s: the pods would all restart", keyOf(w))
		assert.Equal(t, w.claims, other.claims, "%s: volumeClaimTemplates cannot change", keyOf(w))
		assert.Equal(t, w.service, other.service, "%s: serviceName cannot change", keyOf(w))
		assert.Equal(t, w.selector, other.selector, "%s: the selector cannot change", keyOf(w))
		scaled := w.container("edgehub") != nil || w.server() != nil
		if scaled {
			assert.Equal(t, []int{1, 5}, []int{w.replicas, other.replicas}, keyOf(w))
		} else {
			assert.Equal(t, w.replicas, other.replicas, keyOf(w))
		}
	}
	assert.Len(t, grown, len(one.workloads()), "workloads")
}

func assertSameConfigurations(t *testing.T, one, five *release) {
	t.Helper()
	of := map[string]string{}
	for _, s := range five.servers(t) {
		of[s.name] = s.text
	}
	for _, s := range one.servers(t) {
		assert.Equal(t, s.text, of[s.name], "configuration of %s", s.name)
	}
}

// assertOnlyCountsDiffer checks that what differs is what counts or lists shards. A budget
// for disruptions may come with the second pod.
func assertOnlyCountsDiffer(t *testing.T, one, five *release) {
	t.Helper()
	before, after := byKey(one), byKey(five)
	for key, o := range before {
		other, there := after[key]
		if !assert.True(t, there, "%s is gone", key) || assert.ObjectsAreEqual(o, other) {
			continue
		}
		list, isMap := o.(*corev1.ConfigMap)
		assert.True(t, kindOf(o) == "StatefulSet" || isMap, "%s differs", key)
		if !isMap {
			continue
		}
		for name, text := range list.Data {
			if !slices.Contains([]string{"hubs.yaml", "servers.yaml", "endpoints.yaml", "shards.yaml"}, name) {
				assert.Equal(t, text, other.(*corev1.ConfigMap).Data[name], "%s, %s", key, name)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if _, there := before[key]; !there {
			assert.True(t, strings.HasPrefix(key, "PodDisruptionBudget/"), "%s comes with the second server", key)
		}
	}
}

func byKey(r *release) map[string]object {
	all := map[string]object{}
	for _, o := range r.objects {
		all[keyOf(o)] = o
	}
	return all
}

// A server that becomes one of a pair, or is the only one again, goes on as it was: with its volume, and scraping its
// hub, be that one restarted already or not. What it said otherwise to a hub of before would be refused until the
// hub stops, which takes what it has along.
func TestASecondReplicaLeavesTheFirstAsItIs(t *testing.T) {
	for _, values := range []string{`{}`, fiveShards, join2(fiveShards, withQuerier), victoria} {
		all := strings.Split(values, "\n---\n")
		single, pair := mustRender(t, all...), mustRender(t, append(all, `{prometheus_replicas: 2}`)...)
		paired := map[string]server{}
		for _, s := range pair.servers(t) {
			paired[s.name] = s
		}
		assert.Len(t, paired, 2*len(single.servers(t)))
		for _, first := range single.servers(t) {
			s, there := paired[first.name]
			require.True(t, there, first.name)
			assert.Equal(t, first.text, withoutPeer(s), "configuration of %s", first.name)
			assert.Equal(t, first.template, s.template, "%s would restart", first.name)
			assert.Equal(t, first.claims, s.claims, first.name)
		}
		for i, h := range single.hubs(t) {
			assert.NotEmpty(t, h.cursors(), "a hub without names would refuse the name of one of a pair")
			assert.Subset(t, pair.hubs(t)[i].cursors(), h.cursors())
		}
	}
}

// withoutPeer returns a server's configuration without the job by which it knows how the other one of its pair is.
func withoutPeer(s server) string {
	before, rest, there := strings.Cut(s.text, "\n  # One of a pair is asked for both, so it knows how the other one is.\n")
	if !there {
		return s.text
	}
	_, after, more := strings.Cut(rest, "}]\n")
	if !more {
		return before
	}
	return before + "\n" + after
}

// By default there is one hub and one Prometheus, and no other pod.
func TestDefaultsAreSmall(t *testing.T) {
	r := mustRender(t)
	assert.Len(t, r.hubs(t), 1)
	assert.Len(t, r.servers(t), 1)
	assert.Len(t, r.workloads(), 2)
	assert.NotEmpty(t, strings.TrimSpace(r.notes), "NOTES.txt")
}
