package charttest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
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
	assert.Equal(t, 6, kept, "both servers of a pair, Alertmanager, ruler, store gateway, compactor")
}

// What a program reads once restarts it when it changes, and no other one.
func TestWhatIsReadOnceRestartsItsReaders(t *testing.T) {
	const bucket = `{create_thanos: true, objectStorage: {enabled: true, config: {type: S3, config: {bucket: BUCKET}}}}`
	cases := []struct {
		before, after string
		restart       []string // containers
	}{
		{`{alertmanager: {enabled: true}}`, `{alertmanager: {enabled: true, config: {route: {receiver: nobody, group_wait: 1s}}}}`, []string{"alertmanager"}},
		{bucket, `{objectStorage: {config: {config: {bucket: other}}}}`, []string{"prometheus", "thanos-compact", "thanos-rule", "thanos-store"}},
	}
	for _, c := range cases {
		before, after := mustRender(t, c.before), map[string]workload{}
		for _, w := range mustRender(t, c.before, c.after).workloads() {
			after[keyOf(w)] = w
		}
		var restart []string
		for _, w := range before.workloads() {
			if !assert.ObjectsAreEqual(w.template, after[keyOf(w)].template) {
				restart = append(restart, w.template.Spec.Containers[len(w.template.Spec.Containers)-1].Name)
			}
		}
		for i, name := range restart {
			if name == "thanos-sidecar" {
				restart[i] = "prometheus"
			}
		}
		slices.Sort(restart)
		assert.Equal(t, c.restart, restart)
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
