package charttest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// A real API server takes every manifest, field by field, and warns of none.
func TestServerAcceptsEveryManifest(t *testing.T) {
	c := needsAPIServer(t)
	in := c.newNamespace(t)
	inEveryScenario(t, func(t *testing.T, s scenario, r *release) {
		require.Len(t, r.manifests, len(r.objects)+len(r.foreign))
		for _, manifest := range r.manifests {
			o := parsed(t, manifest)
			assert.NoError(t, c.tryCreate(t.Context(), in, o), "values %s: %s", s.name, titleOf(o))
		}
	})
}

// Every pod that a workload makes is admitted under the restricted Pod Security Standard:
// without root, capabilities, host paths and the like.
func TestServerAdmitsEveryPodUnderRestricted(t *testing.T) {
	c := needsAPIServer(t)
	in := c.newNamespace(t)
	inEveryScenario(t, func(t *testing.T, s scenario, r *release) {
		require.NotEmpty(t, r.workloads())
		for _, w := range r.workloads() {
			o := podOf(t, c, w)
			assert.NoError(t, c.tryCreate(t.Context(), in, o), "values %s: the pods of %s", s.name, keyOf(w))
		}
	})
}

// podOf returns the first pod of a workload, as its controller would make it.
func podOf(t *testing.T, c *apiCluster, w workload) map[string]any {
	t.Helper()
	if class := w.template.Spec.PriorityClassName; class != "" {
		c.addPriority(t, class)
	}
	spec := *w.template.Spec.DeepCopy()
	for _, claim := range w.claims {
		source := corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name + "-" + w.GetName() + "-0"}}
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: claim.Name, VolumeSource: source})
	}
	p := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: w.GetName() + "-0", Labels: w.template.Labels, Annotations: w.template.Annotations},
		Spec:       spec,
	}
	o, err := runtime.DefaultUnstructuredConverter.ToUnstructured(p)
	require.NoError(t, err)
	return o
}

// What the server would refuse it does refuse, or the tests above show nothing.
func TestServerRefusesWhatIsWrong(t *testing.T) {
	c := needsAPIServer(t)
	in := c.newNamespace(t)
	r := mustRender(t, `{serviceMonitor: {enabled: true}}`)
	refused := func(kind, old, new, because string) {
		t.Helper()
		manifest := manifestOf(t, r, kind)
		require.Contains(t, manifest, old)
		err := c.tryCreate(t.Context(), in, parsed(t, strings.Replace(manifest, old, new, 1)))
		assert.ErrorContains(t, err, because, "%s with %q instead of %q", kind, new, old)
	}
	refused("StatefulSet", "serviceName:", "servicename:", `unknown field "spec.servicename"`)
	refused("StatefulSet", "replicas: 1", "replicas: -1", "spec.replicas: Invalid value: -1")
	refused("StatefulSet", "app.kubernetes.io/component: edgehub\n  template", "app.kubernetes.io/component: other\n  template", "`selector` does not match template `labels`")
	refused("StatefulSet", "runAsNonRoot: true", "runAsNonRoot: false", `would violate PodSecurity "restricted:latest"`)
	refused("ServiceMonitor", "endpoints:", "endpoint:", `unknown field "spec.endpoint"`)
	refused("ServiceMonitor", "interval: 30s", "interval: often", "spec.endpoints[0].interval")

	w := r.workloads()[0]
	w.template.Spec.SecurityContext.RunAsNonRoot = new(bool)
	assert.ErrorContains(t, c.tryCreate(t.Context(), in, podOf(t, c, w)), `violates PodSecurity "restricted:latest": runAsNonRoot != true`)
}

// manifestOf returns the first manifest of a kind.
func manifestOf(t *testing.T, r *release, kind string) string {
	t.Helper()
	for _, manifest := range r.manifests {
		if parsed(t, manifest)["kind"] == kind {
			return manifest
		}
	}
	require.Fail(t, "no such manifest", kind)
	return ""
}

func parsed(t *testing.T, manifest string) map[string]any {
	t.Helper()
	var o map[string]any
	require.NoError(t, yaml.UnmarshalStrict([]byte(manifest), &o))
	return o
}

// titleOf names an object as keyOf does.
func titleOf(o map[string]any) string {
	metadata, _ := o["metadata"].(map[string]any) // the server says that there is none
	return fmt.Sprintf("%v/%v", o["kind"], metadata["name"])
}
