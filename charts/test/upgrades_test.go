package charttest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
)

// Volumes stay when their pods go, be it for good, and the files of a large one are not looked at in each start.
func TestVolumesOutliveTheirPods(t *testing.T) {
	kept := 0
	for _, set := range every[*appsv1.StatefulSet](mustRender(t, allParts)) {
		if len(set.Spec.VolumeClaimTemplates) == 0 {
			continue
		}
		kept++
		policy := set.Spec.PersistentVolumeClaimRetentionPolicy
		require.NotNil(t, policy, set.Name)
		assert.Equal(t, appsv1.RetainPersistentVolumeClaimRetentionPolicyType, policy.WhenScaled, set.Name)
		assert.Equal(t, appsv1.RetainPersistentVolumeClaimRetentionPolicyType, policy.WhenDeleted, set.Name)
		assert.Equal(t, new(corev1.FSGroupChangeOnRootMismatch), set.Spec.Template.Spec.SecurityContext.FSGroupChangePolicy, set.Name)
	}
	assert.Equal(t, 7, kept, "the hubs, both servers of a pair, Alertmanager, ruler, store gateway, compactor")
}

// Alertmanager reads its configuration once, so another one restarts it, and nobody else.
func TestAlertmanagersRestartWithTheirConfiguration(t *testing.T) {
	const before, changed = `{alertmanager: {enabled: true}}`, `{alertmanager: {config: {route: {receiver: nobody, group_wait: 1s}}}}`
	after := byKey(mustRender(t, before, changed))
	for _, w := range mustRender(t, before).workloads() {
		assert.Equal(t, w.container("alertmanager") == nil, assert.ObjectsAreEqual(w.object, after[keyOf(w)]), keyOf(w))
	}
}

// Rulers change one after the other, so that rules which stop one do not stop all. Others do not wait for each other: a pod
// that does not become ready would keep the rest of them from starting.
func TestWhoWaitsForWhom(t *testing.T) {
	for _, set := range every[*appsv1.StatefulSet](mustRender(t, allParts)) {
		ordered := set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement
		of := set.Labels["app.kubernetes.io/component"]
		assert.Equal(t, of == "thanos-rule" || of == "thanos-compact", ordered, set.Name)
	}
}

// Where there are several pods of a kind that may be evicted, one at a time goes. A single one keeps no node.
func TestBudgetsAreForSeveral(t *testing.T) {
	for values, want := range map[string][]string{
		`{}`:                       nil,
		`{prometheus_replicas: 2}`: {"edge-hubring-prometheus"},
		`{create_thanos: true, prometheus: {retired: 1}}`:                                                    {"edge-hubring-prometheus"},
		`{create_thanos: true, prometheus_servers_count: 2}`:                                                 {"edge-hubring-edgehub", "edge-hubring-prometheus"},
		`{alertmanager: {enabled: true, replicas: 3}}`:                                                       {"edge-hubring-alertmanager"},
		`{create_thanos: true, query: {mode: thanos}, thanos: {query: {replicas: 2}, ruler: {replicas: 2}}}`: {"edge-hubring-thanos-query", "edge-hubring-thanos-rule"},
		`{create_thanos: true, query: {replicas: 2}, thanos: {query: {replicas: 2}}}`:                        {"edge-hubring-query"},
		`{create_thanos: true, query: {replicas: 2, podDisruptionBudget: {enabled: false}}}`:                 nil,
		`{create_thanos: true, thanos: {queryFrontend: {enabled: true, replicas: 2}}}`:                       {"edge-hubring-thanos-query-frontend"},
		`{create_thanos: true, thanos: {store: {replicas: 2}, queryFrontend: {replicas: 2}}}`:                nil,
	} {
		var names []string
		for _, budget := range every[*policyv1.PodDisruptionBudget](mustRender(t, values)) {
			names = append(names, budget.Name)
		}
		assert.ElementsMatch(t, want, names, values)
	}
}

// An alert that two servers send, or a server and a ruler, has the same labels from both.
func TestAlertsAreTheSameFromAll(t *testing.T) {
	drops := map[string]string{
		`{prometheus_replicas: 2, alertmanager: {enabled: true}}`:                      "prometheus_replica",
		`{prometheus_replicas: 2, alertmanager: {enabled: true}, create_thanos: true}`: "shard|prometheus_replica",
	}
	for values, labels := range drops {
		for _, s := range mustRender(t, values).servers(t) {
			assert.Equal(t, []relabelConfig{{Regex: labels, Action: "labeldrop"}}, s.Alerting.AlertRelabelConfigs, s.name)
		}
	}
}

// Alertmanagers of a cluster are found by their pods' addresses, of whatever kind those are.
func TestAlertmanagersAreFound(t *testing.T) {
	p := mustRender(t, `{alertmanager: {enabled: true, replicas: 3}}`).pods("alertmanager")[0]
	c := p.container("alertmanager")
	assert.Equal(t, []string{"[$(POD_IP)]:9094"}, flagValues(c.Args, "cluster.advertise-address"))
	require.Len(t, c.Env, 1)
	assert.Equal(t, "POD_IP", c.Env[0].Name)
	assert.Equal(t, "status.podIP", c.Env[0].ValueFrom.FieldRef.FieldPath)
}

// Who logs in at the query frontend is logged in at the querier. Where nobody has to, nothing is passed on.
func TestFrontendPassesLoginsOn(t *testing.T) {
	const frontend = `{create_thanos: true, thanos: {queryFrontend: {enabled: true}}}`
	for values, want := range map[string][]string{`{}`: nil, `{web: {configSecret: served, clientSecret: asking, username: hubring}}`: {"Authorization"}} {
		p := mustRender(t, frontend, values).pods("thanos-query-frontend")[0]
		assert.Equal(t, want, flagValues(p.container("thanos-query-frontend").Args, "query-frontend.forward-header"))
	}
}
