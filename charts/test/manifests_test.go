package charttest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"
)

// maxStatefulSetName leaves room for the "-" and the hash of ten characters in the label
// controller-revision-hash of its pods, which may have 63.
const maxStatefulSetName = 52

func TestNamesAndLabels(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		assertNamesAndLabels(t, r)
	})
	t.Run("the longest name of a release", func(t *testing.T) {
		r, err := render("a"+strings.Repeat("b", 52), fiveShards)
		require.NoError(t, err)
		assertNamesAndLabels(t, r)
	})
}

// fiveShards is the chart with all that belongs to several servers.
const fiveShards = `{prometheus_servers_count: 5, create_thanos: true}`

// withQuerier has a Thanos querier answer over all servers, and not hubquery.
const withQuerier = `{query: {mode: thanos, archiveAfter: ""}}`

func assertNamesAndLabels(t *testing.T, r *release) {
	t.Helper()
	seen := map[string]bool{}
	for _, o := range r.objects {
		key := keyOf(o)
		assert.False(t, seen[key], "%s is there twice", key)
		seen[key] = true
		assert.Empty(t, validation.IsDNS1123Subdomain(o.GetName()), key)
		assert.Contains(t, []string{"", namespace}, o.GetNamespace(), key)
		for _, label := range []string{"name", "instance", "version", "managed-by", "component"} {
			if label == "component" && kindOf(o) == "ServiceAccount" {
				continue // several components may share one
			}
			assert.NotEmpty(t, o.GetLabels()["app.kubernetes.io/"+label], "%s: label app.kubernetes.io/%s", key, label)
		}
		assert.NotEmpty(t, o.GetLabels()["helm.sh/chart"], "%s: label helm.sh/chart", key)
		assertLabels(t, key, o.GetLabels())
	}
	for _, service := range every[*corev1.Service](r) {
		assert.Empty(t, validation.IsDNS1035Label(service.Name), "Service %s", service.Name)
	}
	for _, w := range r.workloads() {
		assertLabels(t, keyOf(w), w.template.Labels)
		assert.Empty(t, validation.IsDNS1123Label(fmt.Sprintf("%s-%d", w.GetName(), w.replicas)), keyOf(w))
		if kindOf(w) == "StatefulSet" {
			assert.LessOrEqual(t, len(w.GetName()), maxStatefulSetName, keyOf(w))
		}
	}
}

func assertLabels(t *testing.T, what string, set map[string]string) {
	t.Helper()
	for name, value := range set {
		assert.Empty(t, validation.IsQualifiedName(name), "%s: label %s", what, name)
		assert.Empty(t, validation.IsValidLabelValue(value), "%s: label %s: %q", what, name, value)
	}
}

// A workload selects its own pods, and no other workload's.
func TestWorkloadsSelectTheirOwnPods(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		require.NotEmpty(t, r.workloads())
		for _, w := range r.workloads() {
			if kindOf(w) == "Job" || kindOf(w) == "CronJob" {
				continue // Kubernetes gives jobs a selector
			}
			selected := r.selected(t, w.selector)
			require.Len(t, selected, 1, "%s selects the pods of %v", keyOf(w), selected)
			assert.Equal(t, keyOf(w), selected[0])
			for _, constraint := range w.template.Spec.TopologySpreadConstraints {
				assert.Contains(t, r.selected(t, constraint.LabelSelector), keyOf(w), "topologySpreadConstraints of %s", keyOf(w))
			}
			assert.NotContains(t, w.selector.MatchLabels, "helm.sh/chart", "%s: a selector cannot change, the chart's version does", keyOf(w))
			assert.NotContains(t, w.selector.MatchLabels, "app.kubernetes.io/version", "%s: a selector cannot change, the version does", keyOf(w))
		}
	})
}

// selected returns the keys of the workloads whose pods a selector means.
func (r *release) selected(t *testing.T, by *metav1.LabelSelector) []string {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(by)
	require.NoError(t, err)
	var keys []string
	for _, w := range r.workloads() {
		if selector.Matches(labels.Set(w.template.Labels)) {
			keys = append(keys, keyOf(w))
		}
	}
	return keys
}

func TestServicesLeadToPods(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		for _, service := range every[*corev1.Service](r) {
			behind := r.behind(service)
			require.NotEmpty(t, behind, "Service %s selects no pods", service.Name)
			for _, port := range service.Spec.Ports {
				for _, w := range behind {
					assert.True(t, w.hasPort(port.TargetPort, port.Port), "Service %s: port %s leads to none of %s", service.Name, port.Name, keyOf(w))
				}
			}
		}
		for _, w := range r.workloads() {
			if kindOf(w) != "StatefulSet" {
				continue
			}
			service := find[*corev1.Service](r, w.service)
			require.NotNil(t, service, "serviceName of %s: %q", keyOf(w), w.service)
			assert.Equal(t, corev1.ClusterIPNone, service.Spec.ClusterIP, "Service %s gives the pods of %s their names", service.Name, keyOf(w))
			assert.Contains(t, keysOf(r.behind(service)), keyOf(w), "Service %s", service.Name)
		}
	})
}

func keysOf(workloads []workload) []string {
	var keys []string
	for _, w := range workloads {
		keys = append(keys, keyOf(w))
	}
	return keys
}

// behind returns the workloads whose pods a Service leads to.
func (r *release) behind(s *corev1.Service) []workload {
	var found []workload
	for _, w := range r.workloads() {
		if len(w.podsBehind(s)) > 0 {
			found = append(found, w)
		}
	}
	return found
}

// podsBehind returns the numbers of the pods of a workload that a Service leads to.
func (w workload) podsBehind(s *corev1.Service) []int {
	var numbers []int
	for number := range w.replicas {
		set := labels.Set(w.template.Labels)
		if kindOf(w) == "StatefulSet" {
			set = numbered(set, number)
		}
		if len(s.Spec.Selector) > 0 && labels.SelectorFromSet(s.Spec.Selector).Matches(set) {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

// hasPort tells whether a container of the pods listens on a port, which is given as
// in a Service; the number is otherwise's if there is none.
func (w workload) hasPort(port intstr.IntOrString, otherwise int32) bool {
	if port == (intstr.IntOrString{}) {
		port = intstr.FromInt32(otherwise)
	}
	for _, c := range w.containers() {
		if hasPort(c, port) {
			return true
		}
	}
	return false
}

func TestPoliciesMeanPods(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		for _, budget := range every[*policyv1.PodDisruptionBudget](r) {
			assert.NotEmpty(t, r.selected(t, budget.Spec.Selector), "PodDisruptionBudget %s means no pods", budget.Name)
			assertDrains(t, r, budget)
		}
		for _, policy := range every[*networkingv1.NetworkPolicy](r) {
			assertPolicy(t, r, policy)
		}
	})
}

// assertDrains looks whether pods that crash keep no node from being drained.
func assertDrains(t *testing.T, r *release, budget *policyv1.PodDisruptionBudget) {
	t.Helper()
	assert.Equal(t, new(policyv1.AlwaysAllow), budget.Spec.UnhealthyPodEvictionPolicy, "PodDisruptionBudget %s of %s", budget.Name, r.name)
}

// assertPolicy looks for what a NetworkPolicy means: pods, and ports that they have.
func assertPolicy(t *testing.T, r *release, policy *networkingv1.NetworkPolicy) {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
	require.NoError(t, err)
	var meant []workload
	for _, w := range r.workloads() {
		for i := range w.replicas + len(policy.Spec.PodSelector.MatchExpressions) { // those may mean the next one, which leaves
			if selector.Matches(numbered(w.template.Labels, i)) {
				meant = append(meant, w)
				break
			}
		}
	}
	require.NotEmpty(t, meant, "NetworkPolicy %s means no pods", policy.Name)
	for _, rule := range policy.Spec.Ingress {
		for _, port := range rule.Ports {
			for _, w := range meant {
				assert.True(t, w.hasPort(*port.Port, 0), "NetworkPolicy %s: %s has no port %s", policy.Name, keyOf(w), port.Port)
			}
		}
	}
}

// address is a name of the cluster's DNS that is written anywhere, with what is before
// it and the port behind it.
var address = regexp.MustCompile(`(?:_([a-z0-9-]+)\._tcp\.)?((?:[a-z0-9-]+\.)?)([a-z0-9-]+)\.` + namespace + `\.svc(?:\.[a-z0-9-]+)*(?::(\d+))?`)

// Every address that is written into an argument or a file leads to a Service of the
// release, to one of its ports and, where it names a pod, to a pod behind it.
func TestAddressesLeadSomewhere(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		text, err := yaml.Marshal(r.objects)
		require.NoError(t, err)
		if len(r.hubs(t)) == 1 { // nobody is there to take what the only one has
			text = regexp.MustCompile(`--handover.to=\S+-edgehub-1\.\S+`).ReplaceAll(text, nil)
		}
		found := address.FindAllStringSubmatch(string(text)+r.notes, -1)
		require.NotEmpty(t, found)
		for _, match := range found {
			assertAddress(t, r, match)
		}
	})
}

func assertAddress(t *testing.T, r *release, match []string) {
	t.Helper()
	text, port, podName, serviceName, number := match[0], match[1], strings.TrimSuffix(match[2], "."), match[3], match[4]
	service := find[*corev1.Service](r, serviceName)
	require.NotNil(t, service, "%s: no such Service", text)
	behind := r.behind(service)
	if podName != "" {
		assert.Contains(t, podNames(behind), podName, "%s: no such pod behind Service %s", text, serviceName)
		assert.Equal(t, corev1.ClusterIPNone, service.Spec.ClusterIP, "%s: only a headless Service gives pods names", text)
	}
	if port != "" {
		assert.True(t, hasServicePort(service, func(p corev1.ServicePort) bool { return p.Name == port }), "%s: no such port", text)
	}
	if number == "" {
		return
	}
	n, err := strconv.ParseInt(number, 10, 32)
	require.NoError(t, err, text)
	if service.Spec.ClusterIP != corev1.ClusterIPNone {
		assert.True(t, hasServicePort(service, func(p corev1.ServicePort) bool { return p.Port == int32(n) }), "%s: no such port", text)
		return
	}
	for _, w := range behind { // a headless Service is only names: the port is the pod's
		assert.True(t, w.hasPort(intstr.FromInt(int(n)), 0), "%s: %s has no such port", text, keyOf(w))
	}
}

func hasServicePort(s *corev1.Service, is func(corev1.ServicePort) bool) bool {
	for _, port := range s.Spec.Ports {
		if is(port) {
			return true
		}
	}
	return false
}

// podNames returns the names of the pods of StatefulSets.
func podNames(workloads []workload) []string {
	var names []string
	for _, w := range workloads {
		for i := range w.replicas {
			names = append(names, fmt.Sprintf("%s-%d", w.GetName(), i))
		}
	}
	return names
}
