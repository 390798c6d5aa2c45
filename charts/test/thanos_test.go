package charttest

import (
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// component returns the first pod that runs "thanos name", its container and command line.
func (r *release) component(name string) (pod, *corev1.Container, []string) {
	for _, w := range r.workloads() {
		p := pod{w.GetName() + "-0", w}
		for i := range w.template.Spec.Containers {
			c := &w.template.Spec.Containers[i]
			if args := p.commandLine(c); slices.Contains(args, name) && strings.Contains(c.Image, "thanos") {
				return p, c, args
			}
		}
	}
	return pod{}, nil, nil
}

// inEveryGlobalScenario runs a check for each scenario that has one query over all servers. Those whose shards answer
// themselves come a second time, with a querier over them.
func inEveryGlobalScenario(t *testing.T, check func(*testing.T, *release)) {
	var checked int
	for _, s := range scenarios(t) {
		r := mustRender(t, s.values)
		if len(r.pods("thanos-rule")) == 0 {
			continue
		}
		checked++
		t.Run(s.name, func(t *testing.T) { check(t, r) })
		if len(r.pods("hubquery")) > 0 && len(r.pods("victoriametrics")) == 0 {
			t.Run(s.name+" with a querier", func(t *testing.T) { check(t, mustRender(t, s.values, withQuerier)) })
		}
	}
	require.Positive(t, checked, "scenarios with a query over all servers")
}

// inEveryThanosScenario runs a check for each of those where Thanos queriers answer.
func inEveryThanosScenario(t *testing.T, check func(*testing.T, *release)) {
	inEveryGlobalScenario(t, func(t *testing.T, r *release) {
		if len(r.pods("thanos-query")) > 0 {
			check(t, r)
		}
	})
}

// A gateway that moved, or is on both servers of a pair, is counted once: without the
// querier's replica labels the servers have the same external labels.
func TestQuerierTakesServersForReplicas(t *testing.T) {
	inEveryThanosScenario(t, func(t *testing.T, r *release) {
		_, _, args := r.component("query")
		if isDistributed(args) {
			return // see distributed_test.go
		}
		replicaLabels := flagValues(args, "query.replica-label")
		assert.Subset(t, replicaLabels, []string{"shard", "prometheus_replica"})
		var rest []map[string]string
		for _, s := range r.servers(t) {
			labels := maps.Clone(s.Global.ExternalLabels)
			for _, label := range replicaLabels {
				delete(labels, label)
			}
			rest = append(rest, labels)
			assert.Equal(t, rest[0], labels, "%s: what is left of its external labels", s.name)
		}
	})
}

// What tells rulers apart is not counted twice, and is not in alerts, of which two rulers send the same.
func TestRulersAreReplicas(t *testing.T) {
	inEveryGlobalScenario(t, func(t *testing.T, r *release) {
		_, _, ruler := r.component("rule")
		var apart []string
		for _, label := range flagValues(ruler, "label") {
			name, _, _ := strings.Cut(label, "=")
			apart = append(apart, name)
		}
		require.NotEmpty(t, apart)
		assert.Equal(t, apart, flagValues(ruler, "alert.label-drop"))
		for name, p := range r.queriers() {
			if name != "thanos-query-shard" { // which asks no ruler
				assert.Subset(t, flagValues(p.commandLine(p.container(name)), "query.replica-label"), apart, name)
			}
		}
	})
}

// How long a server may be silent holds for all queriers, and whether a part will do is the first one's to say.
func TestQueriersWaitAsTheyAreTold(t *testing.T) {
	const patient = `{thanos: {query: {responseTimeout: 77s}}}`
	for _, mode := range []string{withQuerier, `{thanos: {query: {distributed: {enabled: true}}}}`} {
		for name, p := range mustRender(t, fiveShards, mode, patient).queriers() {
			assert.Equal(t, []string{"77s"}, flagValues(p.commandLine(p.container(name)), "store.response-timeout"), name)
		}
		_, _, args := mustRender(t, fiveShards, mode).component("query")
		assert.Contains(t, args, "--query.partial-response")
		for _, whole := range []string{`{thanos: {query: {partialResponse: false}}}`, `{query: {partialResponse: false}}`} {
			_, _, args = mustRender(t, fiveShards, mode, whole).component("query")
			assert.Contains(t, args, "--no-query.partial-response")
			assert.NotContains(t, args, "--query.partial-response")
		}
	}
}

// A sidecar is there where a querier asks it, or a bucket is written. It reads the folder that its Prometheus writes, and asks
// the port that it listens on.
func TestSidecarsBelongToTheirServer(t *testing.T) {
	inEveryGlobalScenario(t, func(t *testing.T, r *release) {
		for _, s := range r.servers(t) {
			sidecar := s.sidecar()
			if len(r.pods("thanos-query"))+len(r.pods("thanos-store")) == 0 {
				assert.Nil(t, sidecar, "%s: nobody asks its sidecar", s.name)
				continue
			}
			require.NotNil(t, sidecar, "%s has no sidecar", s.name)
			args := s.commandLine(sidecar)
			assert.Equal(t, "5s", flagValue(t, args, "prometheus.get_config_interval", ""), "both start at once: Thanos' own 30 s pass before it asks again")
			folder := flagValue(t, s.args, "storage.tsdb.path", "data/")
			assert.Equal(t, folder, flagValue(t, args, "tsdb.path", ""), "%s: --tsdb.path", s.name)
			own, its := volumeAt(s.container("prometheus"), folder), volumeAt(sidecar, folder)
			assert.NotEmpty(t, own, "%s: what is mounted on %s", s.name, folder)
			assert.Equal(t, own, its, "%s: what is mounted on %s in both containers", s.name, folder)
			asks, err := url.Parse(flagValue(t, args, "prometheus.url", ""))
			require.NoError(t, err)
			assert.Equal(t, "localhost", asks.Hostname(), "%s: --prometheus.url=%s", s.name, asks)
			assert.True(t, hasPort(*s.container("prometheus"), intOrString(asks.Port())), "%s: --prometheus.url=%s", s.name, asks)
		}
	})
}

func (s server) sidecar() *corev1.Container {
	for i, c := range s.template.Spec.Containers {
		if slices.Contains(s.commandLine(&s.template.Spec.Containers[i]), "sidecar") {
			return s.container(c.Name)
		}
	}
	return nil
}

// volumeAt returns the volume that a path of a container lies in.
func volumeAt(c *corev1.Container, path string) string {
	for _, mount := range c.VolumeMounts {
		if path == mount.MountPath || strings.HasPrefix(path, mount.MountPath+"/") {
			return mount.Name
		}
	}
	return ""
}

func intOrString(s string) intstr.IntOrString { return intstr.Parse(strings.TrimSuffix(s, "/")) }

// Every Alertmanager gets every alert, with and without Thanos, and they know of each other.
func TestEveryAlertmanagerIsTold(t *testing.T) {
	own := `{alertmanager: {enabled: true, replicas: 3}}`
	for _, thanos := range []string{`{}`, fiveShards} {
		r := mustRender(t, own, thanos)
		pods := r.pods("alertmanager")
		require.Len(t, pods, 3)
		var want, peers []string
		for _, p := range pods {
			want = append(want, "http://"+r.host(p)+":9093")
			peers = append(peers, r.host(p)+":9094")
		}
		for _, p := range pods {
			assert.Equal(t, peers, flagValues(p.commandLine(p.container("alertmanager")), "cluster.peer"))
		}
		if _, c, args := r.component("rule"); c != nil {
			assert.Equal(t, want, flagValues(args, "alertmanagers.url"))
			continue
		}
		for _, s := range r.servers(t) {
			assert.Equal(t, want, s.alertmanagers(), s.name)
		}
	}
}

// Rules are evaluated once: by the ruler or by the servers. With a ruler the first server, or pair, has those
// about the ruler.
func TestRulesHaveOnePlace(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		_, _, ruler := r.component("rule")
		for _, s := range r.servers(t) {
			switch {
			case s.victoria: // see TestRulerWatchesItselfWhereNobodyElseCan
				assert.Empty(t, s.RuleFiles, s.name)
				assert.Empty(t, s.alertmanagers(), s.name)
			case ruler == nil:
				assert.NotEmpty(t, s.RuleFiles, "%s evaluates nothing", s.name)
			case s.number(t) == 0:
				watches := slices.Collect(maps.Keys(ruleGroups(t, s.rules(t, r))))
				if _, builtin := ruleGroups(t, r.rulersFiles(t))["hubring-hubs"]; builtin {
					assert.Equal(t, []string{"hubring-ruler"}, watches, s.name)
				} else {
					assert.Empty(t, watches, s.name)
				}
			default:
				assert.Empty(t, s.RuleFiles, "%s evaluates what others do", s.name)
				assert.Empty(t, s.alertmanagers(), "%s has no alerts", s.name)
			}
		}
		if len(r.pods("hubquery"))+len(r.pods("thanos-query")) > 0 {
			assert.NotNil(t, ruler, "a query over all servers without a ruler evaluates no rules")
		}
	})
}

// The same rules are evaluated with and without Thanos, but for how many servers there should be.
func TestRulesAreTheSameBothWays(t *testing.T) {
	alone := mustRender(t, ownRule)
	together := mustRender(t, ownRule, fiveShards)
	inServers := ruleGroups(t, alone.servers(t)[0].rules(t, alone))
	inRuler := ruleGroups(t, together.rulersFiles(t))
	assert.Contains(t, inRuler, "hubring-expected")
	delete(inRuler, "hubring-expected")
	assert.NotEmpty(t, inServers)
	assert.Equal(t, inServers, inRuler)
}

// rulersFiles returns the files that the rule keeper takes rules from.
func (r *release) rulersFiles(t *testing.T) []string {
	t.Helper()
	p, c, _ := r.component("rule")
	require.NotNil(t, c, "ruler")
	keeper := p.container("rulekeeper")
	require.NotNil(t, keeper, "rule keeper")
	return ruleFiles(t, r, p, keeper, r.files(t, p, keeper), flagValues(p.commandLine(keeper), "rules"))
}

// ruleGroups returns the groups of rule files, by their names.
func ruleGroups(t *testing.T, paths []string) map[string]any {
	t.Helper()
	groups := map[string]any{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var file struct {
			Groups []map[string]any `json:"groups"`
		}
		require.NoError(t, yaml.Unmarshal(text, &file))
		for _, group := range file.Groups {
			groups[group["name"].(string)] = group["rules"]
		}
	}
	return groups
}

// ruleFiles returns the files that a container's patterns mean. Each must mean one, unless it is for
// files that are not the release's own.
func ruleFiles(t *testing.T, r *release, p pod, c *corev1.Container, root string, patterns []string) []string {
	t.Helper()
	var all []string
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		assert.True(t, len(paths) > 0 || r.isElsewhere(p, volumeAt(c, pattern)), "no rule file is %s", pattern)
		all = append(all, paths...)
	}
	return all
}

// isElsewhere tells whether what is in a volume of a pod is not of the release.
func (r *release) isElsewhere(p pod, volume string) bool {
	for _, v := range p.template.Spec.Volumes {
		if v.Name == volume {
			return v.ConfigMap == nil || find[*corev1.ConfigMap](r, v.ConfigMap.Name) == nil
		}
	}
	return false
}

// The ruler asks the querier and tells an Alertmanager; without one, NOTES.txt says that nobody is told.
func TestRulerAsksAndTells(t *testing.T) {
	inEveryGlobalScenario(t, func(t *testing.T, r *release) {
		_, c, args := r.component("rule")
		require.NotNil(t, c, "ruler")
		assert.NotEmpty(t, slices.Concat(flagValues(args, "query"), flagValues(args, "grpc-query-endpoint"), flagValues(args, "query.config")), "whom the ruler asks")
		tells := slices.Concat(flagValues(args, "alertmanagers.url"), flagValues(args, "alertmanagers.config"))
		assert.Equal(t, len(tells) == 0, strings.Contains(r.notes, "nobody is told"), "the ruler tells %q, and NOTES.txt:\n%s", tells, r.notes)
		assert.NotEmpty(t, flagValues(args, "rule-file"), "what the ruler evaluates")
		assert.NotEmpty(t, flagValues(args, "label"), "a ruler without labels of its own cannot be told from another one")
	})
}

// isDistributed tells whether a querier lets others work out what it can.
func isDistributed(query []string) bool {
	return slices.Contains(query, "--query.mode=distributed")
}

// Of what has several pods one at a time may be evicted, and one that does not work holds up nobody.
func TestEvictionsOfThanos(t *testing.T) {
	several := `{create_thanos: true, thanos: {query: {replicas: 2}, ruler: {replicas: 2}, queryFrontend: {enabled: true, replicas: 2}, store: {replicas: 2}}}`
	r := mustRender(t, withBucket, withQuerier, several)
	for _, container := range []string{"thanos-query", "thanos-query-frontend", "thanos-rule", "thanos-store", "thanos-query-archive"} {
		if container == "thanos-query-archive" { // in place of the first one
			r = mustRender(t, withBucket, several)
		}
		budget := find[*policyv1.PodDisruptionBudget](r, r.name+"-hubring-"+container)
		require.NotNil(t, budget, container)
		assert.Len(t, r.selected(t, budget.Spec.Selector), 1, container)
		assert.Equal(t, 1, budget.Spec.MaxUnavailable.IntValue(), container)
		require.NotNil(t, budget.Spec.UnhealthyPodEvictionPolicy, container)
		assert.Equal(t, policyv1.AlwaysAllow, *budget.Spec.UnhealthyPodEvictionPolicy, container)
	}
	for _, budget := range slices.Concat(every[*policyv1.PodDisruptionBudget](mustRender(t, withBucket)), every[*policyv1.PodDisruptionBudget](mustRender(t, withBucket, withQuerier))) {
		assert.NotContains(t, budget.Name, "-thanos-", "of one pod it would keep a node")
	}
}

// Links in alerts lead to who answers for all servers, or where the values say that people reach it.
func TestAlertsLinkToTheQuerier(t *testing.T) {
	for mode, want := range map[string]string{`{}`: "edge-hubring-query", withQuerier: "edge-hubring-thanos-query"} {
		_, _, inside := mustRender(t, fiveShards, mode).component("rule")
		port := map[string]string{"edge-hubring-query": ":9099", "edge-hubring-thanos-query": ":10902"}[want]
		assert.Equal(t, []string{"http://" + want + "." + namespace + ".svc.cluster.local" + port}, flagValues(inside, "alert.query-url"))
	}
	_, _, outside := mustRender(t, fiveShards, `{thanos: {ruler: {queryURL: "https://thanos.example.org"}}}`).component("rule")
	assert.Equal(t, []string{"https://thanos.example.org"}, flagValues(outside, "alert.query-url"))
}
