package charttest

import (
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// monitored are the workloads and ports that an operator would have scraped, with the path that it asks for.
type monitored map[string]string

// serviceMonitors and podMonitors return those of a release, decoded strictly by the operator's types.
func (r *release) serviceMonitors(t *testing.T) []monitoringv1.ServiceMonitor {
	return decodeForeign[monitoringv1.ServiceMonitor](t, r, monitoringv1.ServiceMonitorsKind)
}

func (r *release) podMonitors(t *testing.T) []monitoringv1.PodMonitor {
	return decodeForeign[monitoringv1.PodMonitor](t, r, monitoringv1.PodMonitorsKind)
}

func decodeForeign[T any](t *testing.T, r *release, kind string) []T {
	t.Helper()
	var all []T
	for _, manifest := range r.foreign {
		if !strings.Contains(manifest, "\nkind: "+kind+"\n") {
			continue
		}
		var decoded T
		require.NoError(t, yaml.UnmarshalStrict([]byte(manifest), &decoded), "%s", manifest)
		all = append(all, decoded)
	}
	return all
}

// monitored returns what all monitors together have scraped.
func (r *release) monitored(t *testing.T) monitored {
	t.Helper()
	found := monitored{}
	for _, m := range r.serviceMonitors(t) {
		for _, service := range every[*corev1.Service](r) {
			if !matches(t, &m.Spec.Selector, service.Labels) {
				continue
			}
			for _, endpoint := range m.Spec.Endpoints {
				require.True(t, hasServicePort(service, func(p corev1.ServicePort) bool { return p.Name == endpoint.Port }), "Service %s, port %s", service.Name, endpoint.Port)
				for _, w := range r.behind(service) {
					found[keyOf(w)+" "+endpoint.Port] = endpoint.Path
				}
			}
		}
	}
	for _, m := range r.podMonitors(t) {
		for _, endpoint := range m.Spec.PodMetricsEndpoints {
			for _, p := range r.ports() {
				if *endpoint.Port == p.name && matches(t, &m.Spec.Selector, r.labelsOf(p.workload)) {
					found[p.workload+" "+p.name] = endpoint.Path
				}
			}
		}
	}
	return found
}

func (r *release) labelsOf(workload string) labels.Set {
	for _, w := range r.workloads() {
		if keyOf(w) == workload {
			return w.template.Labels
		}
	}
	return nil
}

// withMonitors has both kinds.
const withMonitors = `{serviceMonitor: {enabled: true, labels: {release: operator}}, podMonitor: {enabled: true, labels: {release: operator}},
  networkPolicy: {monitors: [{podSelector: {}}]}, web: {serverName: NAME}}`

// An operator's Prometheus has the metrics of every container that has some, and takes no hub's samples.
func TestMonitorsFindEverything(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, s scenario, _ *release) {
		name := `""`
		if strings.Contains(s.values, "tls: true") {
			name = "hubring.example.org"
		}
		r := mustRender(t, s.values, strings.Replace(withMonitors, "NAME", name, 1))
		want := monitored{}
		for _, p := range r.ports() {
			if !strings.HasPrefix(p.name, "http") {
				continue
			}
			hub := r.hubs(t)[0]
			switch {
			case p.workload != keyOf(hub.workload):
				want[p.workload+" "+p.name] = ""
			case p.name == hub.door:
				want[p.workload+" "+p.name] = "/internal"
			}
		}
		assert.Equal(t, want, r.monitored(t))
		for _, m := range r.serviceMonitors(t) {
			assert.Equal(t, "operator", m.Labels["release"])
		}
		for _, m := range r.podMonitors(t) {
			assert.Equal(t, "operator", m.Labels["release"])
			assert.Equal(t, "app.kubernetes.io/component", m.Spec.JobLabel, "whose metrics they are")
			for _, e := range m.Spec.PodMetricsEndpoints { // a second container's, by the names that alerts and dashboards have
				job := map[string]string{"http-sidecar": "thanos-sidecar", "http-keeper": "rulekeeper"}[*e.Port]
				require.Equal(t, job != "", len(e.RelabelConfigs) == 1, *e.Port)
				if job != "" {
					assert.Equal(t, [2]string{"job", job}, [2]string{e.RelabelConfigs[0].TargetLabel, *e.RelabelConfigs[0].Replacement})
				}
			}
		}
		assertNamesAndLabels(t, r)
	})
}

// A monitor logs in and knows whom it asks, by Secrets that the release has or the values name.
func TestMonitorsLogIn(t *testing.T) {
	r := mustRender(t, fiveShards, withQuerier, `{web: {configSecret: served, tls: true, username: hubring, clientSecret: asking, clientCertificate: true, serverName: hubring.example.org},
		serviceMonitor: {enabled: true}, podMonitor: {enabled: true}}`)
	var checked int
	check := func(scheme string, auth *monitoringv1.BasicAuth, tls *monitoringv1.SafeTLSConfig) {
		checked++
		assert.Equal(t, "https", scheme)
		require.NotNil(t, tls)
		assert.Equal(t, "hubring.example.org", *tls.ServerName)
		assert.Equal(t, [2]string{"asking", "ca.crt"}, [2]string{tls.CA.Secret.Name, tls.CA.Secret.Key})
		assert.Equal(t, [2]string{"asking", "tls.crt"}, [2]string{tls.Cert.Secret.Name, tls.Cert.Secret.Key})
		assert.Equal(t, [2]string{"asking", "tls.key"}, [2]string{tls.KeySecret.Name, tls.KeySecret.Key})
		require.NotNil(t, auth)
		assert.Equal(t, [2]string{"asking", "password"}, [2]string{auth.Password.Name, auth.Password.Key})
		user := find[*corev1.Secret](r, auth.Username.Name)
		require.NotNil(t, user, "Secret %s", auth.Username.Name)
		assert.Equal(t, "hubring", user.StringData[auth.Username.Key])
	}
	for _, m := range r.serviceMonitors(t) {
		for _, e := range m.Spec.Endpoints {
			check(e.Scheme.String(), e.BasicAuth, &e.TLSConfig.SafeTLSConfig)
		}
	}
	for _, m := range r.podMonitors(t) {
		for _, e := range m.Spec.PodMetricsEndpoints {
			check(e.Scheme.String(), e.BasicAuth, e.TLSConfig)
		}
	}
	assert.Equal(t, 4, checked, "endpoints")
}
