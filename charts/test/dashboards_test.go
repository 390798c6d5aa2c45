package charttest

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/hubring/hubring/charts/test/internal/dashboard"
)

// dashboardMaps returns the ConfigMaps that Grafana's sidecar finds by its label.
func dashboardMaps(r *release, label, value string) []*corev1.ConfigMap {
	var found []*corev1.ConfigMap
	for _, m := range every[*corev1.ConfigMap](r) {
		if m.Labels[label] == value {
			found = append(found, m)
		}
	}
	return found
}

// dashboards returns the rendered dashboards by file name, each from a ConfigMap of its own.
func dashboards(t *testing.T, r *release) map[string]dashboard.Dashboard {
	t.Helper()
	all := map[string]dashboard.Dashboard{}
	for _, m := range dashboardMaps(r, "grafana_dashboard", "1") {
		require.Len(t, m.Data, 1, m.Name)
		for file, text := range m.Data {
			assert.Less(t, len(text), 200_000, file)
			var d dashboard.Dashboard
			require.NoError(t, json.Unmarshal([]byte(text), &d), file)
			all[file] = d
		}
	}
	return all
}

func TestDashboardsAreRendered(t *testing.T) {
	assert.Empty(t, dashboardMaps(mustRender(t), "grafana_dashboard", "1"), "nobody asked for them")

	r := mustRender(t, `{dashboards: {enabled: true}}`)
	got := dashboards(t, r)
	require.Equal(t, slices.Sorted(maps.Keys(dashboard.All())), slices.Sorted(maps.Keys(got)))
	for file, want := range dashboard.All() {
		text, err := want.JSON()
		require.NoError(t, err)
		rendered, err := got[file].JSON()
		require.NoError(t, err)
		assert.JSONEq(t, string(text), string(rendered), "the defaults change nothing, legends such as {{instance}} included: %s", file)
	}
	for _, m := range dashboardMaps(r, "grafana_dashboard", "1") {
		assert.Equal(t, namespace, m.Namespace, m.Name)
	}
}

func TestDashboardsGoWhereTheSidecarLooks(t *testing.T) {
	r := mustRender(t, `{dashboards: {enabled: true, namespace: grafana, labels: {dash: edge, grafana_dashboard: null}, annotations: {grafana_folder: Hubring}}}`)
	found := dashboardMaps(r, "dash", "edge")
	require.Len(t, found, 5)
	for _, m := range found {
		assert.Equal(t, "grafana", m.Namespace, m.Name)
		assert.Equal(t, map[string]string{"grafana_folder": "Hubring"}, m.Annotations, m.Name)
		assert.NotContains(t, m.Labels, "grafana_dashboard", m.Name)
	}
}

// What the chart knows is in the dashboards: the gateways' label, the data source, the time for a scrape.
func TestDashboardsFollowTheValues(t *testing.T) {
	got := dashboards(t, mustRender(t, `
edgehub: {gatewayLabel: deviceID}
prometheus: {scrapeInterval: 2m, scrapeTimeout: 1m30s, gatewaysInterval: 2m}
dashboards: {enabled: true, datasource: 'a "quoted" name'}
`))
	require.Len(t, got, 5)
	for file, want := range dashboard.All() {
		text, err := want.JSON()
		require.NoError(t, err)
		var changed dashboard.Dashboard
		require.NoError(t, json.Unmarshal([]byte(strings.ReplaceAll(string(text), "gatewayID", "deviceID")), &changed))
		for i, v := range changed.Templating.List {
			switch v.Name {
			case "datasource":
				changed.Templating.List[i].Current = &dashboard.Option{Selected: true, Text: `a "quoted" name`, Value: `a "quoted" name`}
			case "timeout":
				changed.Templating.List[i].Query = "90"
			}
		}
		assert.Equal(t, changed, got[file], file)
	}
	_, err := render(releaseName, `{edgehub: {gatewayLabel: gateway.id}, dashboards: {enabled: true}}`)
	require.ErrorContains(t, err, `edgehub.gatewayLabel is "gateway.id" and dashboards.enabled is true`)
}

// The jobs that queries name are those of the servers' configurations.
func TestDashboardsNameJobsThatThereAre(t *testing.T) {
	there := map[string]bool{}
	for _, mode := range []string{`{}`, withQuerier} {
		for _, s := range mustRender(t, fiveShards, withBucket, mode).servers(t) {
			for _, job := range s.ScrapeConfigs {
				there[job.JobName] = true
			}
		}
	}
	named := regexp.MustCompile(`job=~?"([a-z|-]+)"`)
	var checked int
	for _, d := range dashboard.All() {
		for _, p := range d.EveryPanel() {
			for _, target := range p.Targets {
				for _, found := range named.FindAllStringSubmatch(target.Expr, -1) {
					for job := range strings.SplitSeq(found[1], "|") {
						checked++
						assert.True(t, there[job], "%s: %s: no server has the job %s", d.UID, p.Title, job)
					}
				}
			}
		}
	}
	assert.Greater(t, checked, 20)
}
