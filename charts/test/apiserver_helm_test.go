package charttest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// Helm installs one server, makes five of it with Thanos, pairs, and one again. The
// server takes every change, so none touches a field that a StatefulSet may not change.
func TestHelmScalesARelease(t *testing.T) {
	c := needsAPIServer(t)
	h := newHelm(t, c)

	h.install(`{}`)
	alone := h.workloads()
	assert.Equal(t, map[string]int32{"StatefulSet/edge-hubring-edgehub": 1, "StatefulSet/edge-hubring-prometheus": 1}, alone)

	h.upgrade(`{prometheus_servers_count: 5, create_thanos: true, alertmanager: {enabled: true, replicas: 3}}`)
	assert.Equal(t, map[string]int32{
		"StatefulSet/edge-hubring-edgehub": 5, "StatefulSet/edge-hubring-prometheus": 5,
		"StatefulSet/edge-hubring-thanos-rule": 1, "StatefulSet/edge-hubring-alertmanager": 3,
		"Deployment/edge-hubring-query": 1,
	}, h.workloads())

	h.upgrade(`{prometheus_servers_count: 5, query: {enabled: true, mode: thanos}}`)
	assert.Equal(t, map[string]int32{
		"StatefulSet/edge-hubring-edgehub": 5, "StatefulSet/edge-hubring-prometheus": 5,
		"StatefulSet/edge-hubring-thanos-rule": 1, "Deployment/edge-hubring-thanos-query": 1,
	}, h.workloads())

	h.upgrade(`{prometheus_servers_count: 5, create_thanos: true, prometheus_replicas: 2}`)
	assert.Equal(t, int32(5), h.workloads()["StatefulSet/edge-hubring-prometheus-b"])

	h.upgrade(`{}`)
	assert.Equal(t, alone, h.workloads())
}

// Helm goes from the defaults to each scenario, as far as Kubernetes lets it: a volume
// of a StatefulSet cannot change, and nothing else may stand in the way.
func TestHelmUpgradesToEveryScenario(t *testing.T) {
	t.Parallel()
	c := needsAPIServer(t)
	for _, s := range scenarios(t) {
		t.Run(s.name, func(t *testing.T) {
			h := newHelm(t, c)
			h.install(sameVolumes(t, s))
			h.upgrade(s.values)
			h.upgrade(sameVolumes(t, s))
		})
	}
}

// sameVolumes returns the values of a scenario that say what its volumes are, and no others.
func sameVolumes(t *testing.T, s scenario) string {
	t.Helper()
	var all map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(s.values), &all))
	volumes := map[string]any{}
	for component, values := range all {
		if values, ok := values.(map[string]any); ok && values["persistence"] != nil {
			volumes[component] = map[string]any{"persistence": values["persistence"]}
		}
	}
	text, err := yaml.Marshal(volumes)
	require.NoError(t, err)
	return string(text)
}

// helm is Helm, with one release in a namespace of its own.
type helm struct {
	t         *testing.T
	cluster   *apiCluster
	namespace string
	action    *action.Configuration
	warnings  *warnings
}

func newHelm(t *testing.T, c *apiCluster) *helm {
	t.Helper()
	client, err := helmClient()
	require.NoError(t, err)
	h := &helm{t: t, cluster: c, namespace: c.newNamespace(t), warnings: client.warnings}
	releases := driver.NewSecrets(c.typed.CoreV1().Secrets(h.namespace))
	releases.Log = t.Logf
	h.action = &action.Configuration{
		RESTClientGetter: client.getter,
		KubeClient:       &kube.Client{Factory: client.factory, Log: t.Logf, Namespace: h.namespace},
		Releases:         storage.Init(releases),
		Log:              t.Logf,
		HookOutputFunc:   func(_, _, _ string) io.Writer { return t.Output() },
	}
	return h
}

// sharedClient is what all releases share: it asks the server once for all that it knows. It is for one test at a time.
type sharedClient struct {
	getter   genericclioptions.RESTClientGetter
	factory  kube.Factory
	warnings *warnings
}

var helmClient = sync.OnceValues(func() (*sharedClient, error) {
	c, err := apiServer()
	if err != nil {
		return nil, err
	}
	said := &warnings{}
	config := rest.CopyConfig(c.config)
	config.WarningHandler, config.WarningHandlerWithContext = said, nil
	nobodys, cache := os.DevNull, filepath.Join(ownFolder, "discovery")
	flags := genericclioptions.NewConfigFlags(true)
	flags.KubeConfig, flags.CacheDir, flags.APIServer = &nobodys, &cache, &config.Host
	flags.WrapConfigFn = func(*rest.Config) *rest.Config { return config }
	return &sharedClient{flags, kube.New(flags).Factory, said}, nil
})

// noFields has Helm not ask whether the server can check fields, which takes a second. It
// has checked them all in TestServerAcceptsEveryManifest.
const noFields = true

func (h *helm) install(values string) {
	h.t.Helper()
	loaded, err := loadChart()
	require.NoError(h.t, err)
	install := action.NewInstall(h.action)
	install.ReleaseName, install.Namespace, install.DisableOpenAPIValidation = releaseName, h.namespace, noFields
	_, err = install.RunWithContext(h.t.Context(), loaded, h.values(values))
	require.NoError(h.t, err, "install with %s", values)
	require.NoError(h.t, h.warnings.err(), "install with %s", values)
}

func (h *helm) upgrade(values string) {
	h.t.Helper()
	loaded, err := loadChart()
	require.NoError(h.t, err)
	upgrade := action.NewUpgrade(h.action)
	upgrade.Namespace, upgrade.ResetValues, upgrade.DisableOpenAPIValidation = h.namespace, true, noFields
	_, err = upgrade.RunWithContext(h.t.Context(), releaseName, loaded, h.values(values))
	require.NoError(h.t, err, "upgrade to %s", values)
	require.NoError(h.t, h.warnings.err(), "upgrade to %s", values)
}

func (h *helm) values(text string) map[string]any {
	h.t.Helper()
	var values map[string]any
	require.NoError(h.t, yaml.UnmarshalStrict([]byte(text), &values))
	return values
}

// workloads returns how many pods each workload in the namespace is to have.
func (h *helm) workloads() map[string]int32 {
	h.t.Helper()
	apps := h.cluster.typed.AppsV1()
	sets, err := apps.StatefulSets(h.namespace).List(h.t.Context(), metav1.ListOptions{})
	require.NoError(h.t, err)
	deployments, err := apps.Deployments(h.namespace).List(h.t.Context(), metav1.ListOptions{})
	require.NoError(h.t, err)
	all := map[string]int32{}
	for _, o := range sets.Items {
		all[fmt.Sprintf("StatefulSet/%s", o.Name)] = *o.Spec.Replicas
	}
	for _, o := range deployments.Items {
		all[fmt.Sprintf("Deployment/%s", o.Name)] = *o.Spec.Replicas
	}
	return all
}
