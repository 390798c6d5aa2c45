package charttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/hubring/hubring/exporter"
)

// The first server of each letter scrapes every pod of Thanos, Alertmanager and the rule keeper, each where it serves its
// metrics, and tells the ruler's Alertmanagers.
func TestFirstServerWatchesThanos(t *testing.T) {
	inEveryGlobalScenario(t, func(t *testing.T, r *release) {
		want := map[string]bool{"rulekeeper": true}
		for _, w := range r.workloads() {
			for _, c := range w.containers() {
				if program := programOf(c); program == "alertmanager" || program == "hubquery" || program == "thanos" && c.Name != "thanos-sidecar" {
					want[c.Name] = true
				}
			}
		}
		_, _, ruler := r.component("rule")
		for _, s := range r.servers(t) {
			watched := map[string]bool{}
			for _, job := range s.ScrapeConfigs {
				if !slices.Contains([]string{"edgehub", "edgehub-internal", "edgehub-gateways", "prometheus", "victoriametrics", "thanos-sidecar"}, strings.TrimSuffix(job.JobName, "-peer")) {
					watched[job.JobName] = true
					assertFindsEveryPod(t, r, job)
				}
			}
			if s.number(t) > 0 {
				assert.Empty(t, watched, "%s watches what others do", s.name)
				continue
			}
			assert.Equal(t, want, watched, "jobs of %s", s.name)
			if !s.victoria { // which has no rules
				assert.Equal(t, told(t, ruler), s.alertmanagers(), s.name)
			}
		}
	})
}

// told returns the Alertmanagers that a ruler's command line names, one way or the other.
func told(t *testing.T, args []string) []string {
	t.Helper()
	urls := flagValues(args, "alertmanagers.url")
	var config struct {
		Alertmanagers []struct {
			Scheme        string   `json:"scheme"`
			StaticConfigs []string `json:"static_configs"`
		} `json:"alertmanagers"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(flagValue(t, args, "alertmanagers.config", "{}")), &config))
	for _, group := range config.Alertmanagers {
		for _, host := range group.StaticConfigs {
			urls = append(urls, group.Scheme+"://"+host)
		}
	}
	return urls
}

// assertFindsEveryPod asserts that a job has a target for each pod with a container of its name.
func assertFindsEveryPod(t *testing.T, r *release, job scrapeConfig) {
	t.Helper()
	var targets []string
	for _, static := range job.StaticConfigs {
		require.Len(t, static.Targets, 1, job.JobName)
		pod, _, _ := strings.Cut(static.Targets[0], ".")
		assert.Equal(t, pod, static.Labels["instance"], job.JobName)
		targets = append(targets, pod)
	}
	for _, dns := range job.DNSConfigs {
		assert.NotEqual(t, "StatefulSet", kindOf(r.pods(job.JobName)[0]), "%s: a pod that is not ready has no SRV record, and would not be missed", job.JobName)
		assert.Equal(t, "SRV", dns.Type, job.JobName)
		for _, name := range dns.Names {
			match := address.FindStringSubmatch(name)
			require.NotNil(t, match, "%s: %s", job.JobName, name)
			service := find[*corev1.Service](r, match[3])
			require.NotNil(t, service, "%s: %s: no such Service", job.JobName, name)
			assert.Equal(t, corev1.ClusterIPNone, service.Spec.ClusterIP, "%s: only a headless Service has each pod", job.JobName)
			targets = append(targets, podNames(r.behind(service))...)
		}
	}
	var pods []string
	for _, p := range r.pods(job.JobName) {
		pods = append(pods, p.name)
	}
	assert.Equal(t, pods, targets, "targets of %s", job.JobName)
}

// alertmanager is told alerts.
type alertmanager struct {
	*httptest.Server
	mu     sync.Mutex
	alerts map[string]map[string]string // labels by name; the last ones
}

func newAlertmanager(t *testing.T) *alertmanager {
	t.Helper()
	a := &alertmanager{alerts: map[string]map[string]string{}}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var posted []struct {
			Labels map[string]string `json:"labels"`
		}
		if err := json.NewDecoder(r.Body).Decode(&posted); err != nil || r.URL.Path != "/api/v2/alerts" {
			http.Error(w, "not alerts", http.StatusBadRequest)
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, alert := range posted {
			a.alerts[alert.Labels["alertname"]] = alert.Labels
		}
	}))
	t.Cleanup(a.Close)
	return a
}

// await waits for an alert and returns its labels.
func (a *alertmanager) await(t *testing.T, name string) map[string]string {
	t.Helper()
	var labels map[string]string
	await(t, "alert "+name, func() error {
		a.mu.Lock()
		defer a.mu.Unlock()
		if labels = a.alerts[name]; labels == nil {
			return errors.New("not yet")
		}
		return nil
	})
	return labels
}

// patient is how long alerts wait; in this test they do not.
var patient = regexp.MustCompile(`\bfor: [0-9]+[mh]`)

// A shard that hangs, or dies, silences no alert over all gateways, and is told; so is a ruler that dies, by the first
// server. Wrong rules change nothing and are told. Every metric that an alert names is one that some program has.
func TestDeathsAreTold(t *testing.T) {
	t.Parallel()
	needsPrograms(t)
	for mode, values := range map[string]string{"shards": `{query: {responseTimeout: 1s}}`, "thanos": join2(withQuerier, `{thanos: {query: {responseTimeout: 1s}}}`)} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			assertDeathsAreTold(t, strings.Split(values, "\n---\n")...)
		})
	}
}

func assertDeathsAreTold(t *testing.T, mode ...string) {
	t.Helper()
	told := newAlertmanager(t)
	c := newCluster(t, mustRender(t, append([]string{withBucket, fmt.Sprintf(`
alertmanager: {existingURLs: [%q]}
prometheus_servers_count: 2
prometheus: {scrapeInterval: 1s, scrapeTimeout: 1s, evaluationInterval: 1s, extraArgs: ["--scrape.discovery-reload-interval=200ms"]}
thanos: {ruler: {evaluationInterval: 1s}}
rules: {groups: [{name: fleet, rules: [{alert: ServersThere, expr: 'count(up{job="prometheus"}) > 0'}]}]}`, told.URL)}, mode...)...))
	c.edit = func(text string) string { return patient.ReplaceAllString(text, "for: 0s") }
	name := c.r.name + "-hubring-"
	var second []*process
	for _, server := range []string{"prometheus-0", "prometheus-1"} {
		second = []*process{c.startReady(name+server, "prometheus"), c.startReady(name+server, "thanos-sidecar")}
	}
	querier, port, shards := "thanos-query", 10902, len(c.r.pods("hubquery")) > 0
	if shards {
		querier, port = "hubquery", 9099
	}
	pod := c.r.pods(querier)[0].name
	c.startReady(pod, querier)
	c.awaitValues(c.address(pod, port), `count(up{job="prometheus"} == 1)`, nil, map[string]string{"": "2"})
	require.NoError(t, second[0].cmd.Process.Signal(syscall.SIGSTOP))
	c.runFirst(name+"thanos-rule-0", "rulekeeper-once")
	ruler := c.startReady(name+"thanos-rule-0", "thanos-rule")
	c.startReady(name+"thanos-rule-0", "rulekeeper", "--interval=1s")
	assert.Equal(t, map[string]string{"alertname": "ServersThere"}, told.await(t, "ServersThere"))
	assert.Equal(t, name+"thanos-rule-0", told.await(t, "HubringRulerPartial")["instance"])
	c.addRules(name+"thanos-rule-0", "groups: [{name: wrong, rules: [{alert: Wrong, expr: 'sum('}]}]")
	assert.Equal(t, name+"thanos-rule-0", told.await(t, "HubringRulesRefused")["instance"])
	for _, s := range second {
		s.end(t)
	}
	assert.Equal(t, map[string]string{"alertname": "HubringServerMissing", "severity": "critical"}, told.await(t, "HubringServerMissing"))
	if shards {
		c.startReady(name+"thanos-compact-0", "thanos-compact")
		assertMetricsAreThere(t, c, name)
	}

	ruler.end(t)
	assert.Equal(t, map[string]string{"alertname": "HubringRulerDown", "severity": "critical", "job": "thanos-rule", "instance": name + "thanos-rule-0"},
		told.await(t, "HubringRulerDown"))
}

// addRules writes a rule file beside those of the release.
func (c *cluster) addRules(podName, text string) {
	c.t.Helper()
	require.NoError(c.t, os.WriteFile(filepath.Join(c.folder(c.pod(podName), "rules"), "added.yaml"), []byte(text), 0o600))
}

// assertMetricsAreThere asserts that the metrics that alerts name are exposed.
func assertMetricsAreThere(t *testing.T, c *cluster, name string) {
	t.Helper()
	var exposed strings.Builder
	read := func(address, path string) {
		text, err := get(t.Context(), "http://"+address+path)
		require.NoError(t, err)
		exposed.WriteString(text)
	}
	for pod, ports := range map[string][]int{"thanos-rule-0": {10902, 10903}, "thanos-compact-0": {10902}, "prometheus-0": {9090, 10902}, "query-0": {9099}} {
		for _, port := range ports {
			read(c.address(name+pod, port), "/metrics")
		}
	}
	startHub(t, c.r.hubs(t)[0].args, func(_, scrape string) { read(scrape, "/internal") })
	exposed.WriteString(exportersMetrics(t))

	// Of a scrape, of a rule, and one of VictoriaMetrics, which has a test of its own.
	known := []string{"up", "hubring:prometheus_servers:expected", "vm_promscrape_config_last_reload_successful"}
	for metric := range namedByAlerts(t) {
		assert.True(t, slices.Contains(known, metric) || strings.Contains(exposed.String(), "\n# TYPE "+metric+" "), "%s, which an alert names, is no program's", metric)
	}
}

// exportersMetrics returns TYPE lines of what an exporter exposes.
func exportersMetrics(t *testing.T) string {
	t.Helper()
	registry := prometheus.NewRegistry()
	_, err := exporter.New(exporter.Config{Hubs: []exporter.Hub{{Name: "hub-0", URL: "http://127.0.0.1:1"}}, Registerer: registry})
	require.NoError(t, err)
	var lines strings.Builder
	described := make(chan *prometheus.Desc, 1000)
	registry.Describe(described)
	close(described)
	for desc := range described {
		metric := regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(desc.String())
		require.NotNil(t, metric)
		lines.WriteString("\n# TYPE " + metric[1] + " \n")
	}
	return lines.String()
}

// namedByAlerts returns the metrics in the expressions of the built-in alerts.
func namedByAlerts(t *testing.T) map[string]bool {
	t.Helper()
	named := map[string]bool{}
	for _, expr := range alertExpressions(t) {
		matchers := regexp.MustCompile(`\{[^}]*\}|"[^"]*"`).ReplaceAllString(expr, "")
		for _, word := range regexp.MustCompile(`[a-z][a-z0-9_:]*_[a-z0-9_:]+|\bup\b`).FindAllString(matchers, -1) {
			if word != "count_values" {
				named[word] = true
			}
		}
	}
	require.Greater(t, len(named), 20)
	return named
}

// alertExpressions returns the expressions of the built-in alerts.
func alertExpressions(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(chartDir, "files", "*alerts.yaml"))
	require.NoError(t, err)
	var all []string
	for _, path := range files {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var file struct {
			Groups []struct {
				Rules []struct {
					Expr string `json:"expr"`
				} `json:"rules"`
			} `json:"groups"`
		}
		require.NoError(t, yaml.Unmarshal(text, &file))
		for _, group := range file.Groups {
			for _, rule := range group.Rules {
				all = append(all, rule.Expr)
			}
		}
	}
	return all
}
