package charttest

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestContainersAreConfined(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		for _, w := range r.workloads() {
			for _, c := range w.containers() {
				assertConfined(t, fmt.Sprintf("%s, container %s", keyOf(w), c.Name), w.template.Spec, c)
			}
			automount := w.template.Spec.AutomountServiceAccountToken
			require.NotNil(t, automount, "%s: automountServiceAccountToken", keyOf(w))
			assert.Equal(t, w.container("hubctl") != nil, *automount, "%s: nothing else asks the API server", keyOf(w))
		}
	})
}

func assertConfined(t *testing.T, what string, spec corev1.PodSpec, c corev1.Container) {
	t.Helper()
	if assert.NotNil(t, c.SecurityContext, what) {
		s := c.SecurityContext
		assert.Equal(t, new(true), s.ReadOnlyRootFilesystem, "%s: readOnlyRootFilesystem", what)
		assert.Equal(t, new(false), s.AllowPrivilegeEscalation, "%s: allowPrivilegeEscalation", what)
		assert.True(t, s.Capabilities != nil && slices.Contains(s.Capabilities.Drop, "ALL"), "%s: capabilities", what)
		pod := spec.SecurityContext
		assert.True(t, isTrue(s.RunAsNonRoot) || pod != nil && isTrue(pod.RunAsNonRoot), "%s: runAsNonRoot", what)
		assert.True(t, isRuntimeDefault(s.SeccompProfile) || pod != nil && isRuntimeDefault(pod.SeccompProfile), "%s: seccompProfile", what)
	}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		assert.Contains(t, c.Resources.Requests, name, "%s: requests", what)
	}
	assert.Contains(t, c.Resources.Limits, corev1.ResourceMemory, "%s: limits", what)
	_, tag, tagged := strings.Cut(path.Base(c.Image), ":")
	assert.True(t, tagged && tag != "" && tag != "latest", "%s: image %q names no version", what, c.Image)
}

func isTrue(b *bool) bool { return b != nil && *b }

func isRuntimeDefault(p *corev1.SeccompProfile) bool {
	return p != nil && p.Type == corev1.SeccompProfileTypeRuntimeDefault
}

func TestProbesAskPortsThatAreThere(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		for _, w := range r.workloads() {
			for _, c := range w.template.Spec.Containers {
				what := fmt.Sprintf("%s, container %s", keyOf(w), c.Name)
				assertPorts(t, what, c)
				if w.claims == nil && len(c.Ports) == 0 {
					continue // a helper that serves nothing
				}
				require.NotNil(t, c.ReadinessProbe, "%s: readinessProbe", what)
				require.NotNil(t, c.LivenessProbe, "%s: livenessProbe", what)
				for _, probe := range []*corev1.Probe{c.ReadinessProbe, c.LivenessProbe, c.StartupProbe} {
					if probe != nil && probe.HTTPGet != nil {
						assert.True(t, hasPort(c, probe.HTTPGet.Port), "%s: no port %s for a probe", what, &probe.HTTPGet.Port)
					}
				}
			}
		}
	})
}

// A probe asks with the scheme that is served, and where a password is needed it does without one. A hub needs none for
// its probes.
func TestProbesGetIn(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, s scenario, r *release) {
		scheme, password := corev1.URISchemeHTTP, strings.Contains(s.values, "\nweb:") && strings.Contains(s.values, "username:")
		certificate := strings.Contains(s.values, "clientCertificate: true")
		if strings.Contains(s.values, "tls: true") {
			scheme = corev1.URISchemeHTTPS
		}
		for _, w := range r.workloads() {
			for _, c := range w.template.Spec.Containers {
				if len(c.Ports) == 0 {
					continue // nobody asks it
				}
				locked := certificate || password && c.Name != "edgehub"
				for _, probe := range []*corev1.Probe{c.ReadinessProbe, c.LivenessProbe} {
					require.Equal(t, locked, probe.HTTPGet == nil, "%s, container %s", keyOf(w), c.Name)
					if !locked {
						assert.Equal(t, scheme, probe.HTTPGet.Scheme, "%s, container %s", keyOf(w), c.Name)
					}
				}
				if locked && c.Name == "prometheus" { // it listens long before it has read its log
					assert.NotNil(t, c.ReadinessProbe.Exec, "%s, container %s", keyOf(w), c.Name)
				}
			}
		}
	})
}

func assertPorts(t *testing.T, what string, c corev1.Container) {
	t.Helper()
	seen := map[string]bool{}
	for _, port := range c.Ports {
		assert.LessOrEqual(t, len(port.Name), 15, "%s: a port's name", what)
		assert.False(t, seen[port.Name], "%s: port %s is there twice", what, port.Name)
		seen[port.Name] = true
	}
}

// hasPort tells whether a container declares a port of that name or number.
func hasPort(c corev1.Container, port intstr.IntOrString) bool {
	return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool {
		if port.Type == intstr.String {
			return p.Name == port.StrVal
		}
		return p.ContainerPort == port.IntVal
	})
}

// What a pod mounts is there: its volumes and the ConfigMaps, keys, Secrets and accounts
// behind them. What the release does not have itself must be named in the values.
func TestReferencesAreThere(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, s scenario, r *release) {
		for _, w := range r.workloads() {
			refs := references{t: t, what: keyOf(w), r: r, values: s.values}
			refs.volumes(w)
			for _, c := range w.containers() {
				refs.environment(c)
			}
			if account := w.template.Spec.ServiceAccountName; account != "" && account != "default" {
				refs.named(find[*corev1.ServiceAccount](r, account) != nil, "service account", account)
			}
		}
	})
}

// references checks what one workload refers to.
type references struct {
	t      *testing.T
	what   string
	r      *release
	values string
}

// named asserts that an object is of the release, or that the values name it.
func (f references) named(found bool, kind, name string) {
	f.t.Helper()
	require.NotEmpty(f.t, name, "%s: %s without a name", f.what, kind)
	assert.True(f.t, found || strings.Contains(f.values, name), "%s: no %s %s, and the values do not name it", f.what, kind, name)
}

func (f references) volumes(w workload) {
	f.t.Helper()
	mounted := map[string]bool{}
	var names []string
	for _, volume := range w.template.Spec.Volumes {
		names = append(names, volume.Name)
		f.volume(volume.VolumeSource)
	}
	for _, claim := range w.claims {
		names = append(names, claim.Name)
	}
	for _, c := range w.containers() {
		var paths []string
		for _, mount := range c.VolumeMounts {
			assert.Contains(f.t, names, mount.Name, "%s, container %s mounts it", f.what, c.Name)
			assert.NotContains(f.t, paths, mount.MountPath, "%s, container %s: two mounts in one place", f.what, c.Name)
			paths = append(paths, mount.MountPath)
			mounted[mount.Name] = true
		}
	}
	for _, name := range names {
		assert.True(f.t, mounted[name], "%s: nothing mounts volume %s", f.what, name)
	}
}

func (f references) volume(v corev1.VolumeSource) {
	f.t.Helper()
	if v.ConfigMap != nil {
		f.configMap(v.ConfigMap.Name, itemKeys(v.ConfigMap.Items))
	}
	if v.Secret != nil {
		f.secret(v.Secret.SecretName, itemKeys(v.Secret.Items))
	}
	if v.Projected == nil {
		return
	}
	for _, source := range v.Projected.Sources {
		if source.ConfigMap != nil {
			f.configMap(source.ConfigMap.Name, itemKeys(source.ConfigMap.Items))
		}
		if source.Secret != nil {
			f.secret(source.Secret.Name, itemKeys(source.Secret.Items))
		}
	}
}

func itemKeys(items []corev1.KeyToPath) []string {
	var keys []string
	for _, item := range items {
		keys = append(keys, item.Key)
	}
	return keys
}

func (f references) configMap(name string, keys []string) {
	f.t.Helper()
	m := find[*corev1.ConfigMap](f.r, name)
	f.named(m != nil, "ConfigMap", name)
	for _, key := range keys {
		assert.True(f.t, m == nil || m.Data[key] != "", "%s: ConfigMap %s has no %s", f.what, name, key)
	}
}

func (f references) secret(name string, keys []string) {
	f.t.Helper()
	s := find[*corev1.Secret](f.r, name)
	f.named(s != nil, "Secret", name)
	for _, key := range keys {
		assert.True(f.t, s == nil || secretText(s)[key] != "", "%s: Secret %s has no %s", f.what, name, key)
	}
}

func (f references) environment(c corev1.Container) {
	f.t.Helper()
	for _, variable := range c.Env {
		if from := variable.ValueFrom; from != nil && from.ConfigMapKeyRef != nil {
			f.configMap(from.ConfigMapKeyRef.Name, []string{from.ConfigMapKeyRef.Key})
		} else if from != nil && from.SecretKeyRef != nil {
			f.secret(from.SecretKeyRef.Name, []string{from.SecretKeyRef.Key})
		}
	}
	for _, arg := range slices.Concat(c.Command, c.Args) {
		for _, unknown := range unexpanded(c, arg) {
			assert.Fail(f.t, "a variable that is not set", "%s, container %s: %s", f.what, c.Name, unknown)
		}
	}
}

// unexpanded returns the $(NAME) of an argument that no variable stands for.
func unexpanded(c corev1.Container, arg string) []string {
	var unknown []string
	for rest := arg; ; {
		_, after, found := strings.Cut(rest, "$(")
		name, behind, closed := strings.Cut(after, ")")
		if !found || !closed {
			return unknown
		}
		if !slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name == name }) {
			unknown = append(unknown, name)
		}
		rest = behind
	}
}
