package charttest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// The second server of a pair keeps away from the first with its number, and from no other pod. That is a wish:
// a cluster of one node runs both.
func TestServersOfAPairKeepApart(t *testing.T) {
	r := mustRender(t, fiveShards, `{prometheus_replicas: 2}`)
	for _, s := range r.servers(t) {
		if s.template.Labels["prometheus-replica"] == "a" {
			assert.Nil(t, s.template.Spec.Affinity, s.name)
			continue
		}
		require.NotNil(t, s.template.Spec.Affinity, s.name)
		require.NotNil(t, s.template.Spec.Affinity.PodAntiAffinity, s.name)
		assert.Empty(t, s.template.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
		wishes := s.template.Spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution
		require.Len(t, wishes, 1, s.name)
		term := wishes[0].PodAffinityTerm
		assert.Equal(t, corev1.LabelHostname, term.TopologyKey)
		assert.Equal(t, []string{"apps.kubernetes.io/pod-index"}, term.MatchLabelKeys)
		selector, err := metav1.LabelSelectorAsSelector(term.LabelSelector)
		require.NoError(t, err)
		for _, w := range r.workloads() {
			assert.Equal(t, w.template.Labels["prometheus-replica"] == "a", selector.Matches(labels.Set(w.template.Labels)), keyOf(w))
		}
	}
}

// Who says where servers run is heard, and what is not said stays.
func TestPairsAffinityLeavesTheUsers(t *testing.T) {
	const nodes = `{prometheus_replicas: 2, prometheus: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution:
		{nodeSelectorTerms: [{matchExpressions: [{key: disk, operator: In, values: [ssd]}]}]}}}}}`
	for _, s := range mustRender(t, nodes).servers(t) {
		affinity := s.template.Spec.Affinity
		require.NotNil(t, affinity, s.name)
		assert.NotNil(t, affinity.NodeAffinity, s.name)
		assert.Equal(t, s.template.Labels["prometheus-replica"] == "b", affinity.PodAntiAffinity != nil, s.name)
	}
	const own = `{prometheus_replicas: 2, prometheus: {affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution:
		[{topologyKey: zone, labelSelector: {matchLabels: {noisy: "yes"}}}]}}}}`
	for _, s := range mustRender(t, own).servers(t) {
		apart := s.template.Spec.Affinity.PodAntiAffinity
		assert.Empty(t, apart.PreferredDuringSchedulingIgnoredDuringExecution, s.name)
		require.Len(t, apart.RequiredDuringSchedulingIgnoredDuringExecution, 1, s.name)
		assert.Equal(t, "zone", apart.RequiredDuringSchedulingIgnoredDuringExecution[0].TopologyKey, s.name)
	}
}
