package charttest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/hubring/hubring/charts/test/internal/dashboard"
	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/exporter/members"
)

// Every panel of every dashboard shows something where the real programs run as the chart starts them: what a
// query asks for exists, names, labels and types, and hubquery, whom Grafana asks, gives an answer. A Thanos querier runs beside,
// for the panels about one.
func TestDashboardsShowWhatThereIs(t *testing.T) {
	t.Parallel()
	programs := needsPrograms(t)
	r := mustRender(t, `
create_thanos: true
prometheus_replicas: 2
edgehub: {parts: 2, stopTimeout: 4} # the second of the pair does not run
prometheus: {scrapeInterval: 1s, scrapeTimeout: 1s, gatewaysInterval: 1s}
dashboards: {enabled: true}
`)
	shown := dashboards(t, r)
	require.Len(t, shown, 5)
	l := newLive()
	startHub(t, l.hubArgs(t, r), func(push, scrape string) {
		controller, stop := startController(t, push)
		defer stop()
		l.start(t, programs, r, scrape, controller)
		checks := map[string]check{}
		for _, d := range shown {
			l.everySelectorFinds(t, d, checks)
			l.everyPanelShows(t, d, checks)
		}
		require.Greater(t, len(checks), 200)
		checks["a query over a range"] = l.ranged(t)
		l.eventually(t, checks)
	})
}

// live is a set of running programs.
type live struct {
	address    string // of the loopback, of this test alone
	prometheus string
	query      string
	said       func() string // by the programs
}

// variables are what Grafana puts into the queries. Who was silent for 3 s is silent.
var variables = map[string]string{
	"__rate_interval": "5s", "silent": "3", "timeout": "1", "queue": "67108864",
	"gateway": ".*", "metric": "temperature", "hub": ".*", "server": ".*", "job": ".*", "instance": ".*", "host": ".*",
}

// variablesOf are those of a dashboard: that of a gateway is about one.
func variablesOf(d dashboard.Dashboard) map[string]string {
	own := maps.Clone(variables)
	if d.UID == "hubring-gateway" {
		own["gateway"] = "gw-1"
	}
	return own
}

// newLive returns where the programs will be. Most of 127/8 is nobody's. The ports are below those that are given out, and
// no program's default, since a program that listens on all addresses would have those here, too.
func newLive() *live {
	l := &live{address: fmt.Sprintf("127.%d.%d.%d", 64+rand.IntN(64), rand.IntN(256), 1+rand.IntN(254))}
	l.prometheus, l.query = "http://"+l.address+":20090", "http://"+l.address+":20910"
	return l
}

// hubArgs returns the first hub's arguments. The server that it asks is the one that there is, in place of the pair.
func (l *live) hubArgs(t *testing.T, r *release) []string {
	t.Helper()
	h := r.hubs(t)[0]
	var args []string
	for _, arg := range h.args {
		for _, url := range h.asked(t) {
			arg = strings.ReplaceAll(arg, url, l.prometheus)
		}
		args = append(args, arg)
	}
	return args
}

func (l *live) start(t *testing.T, programs string, r *release, hub, controller string) {
	t.Helper()
	dir := t.TempDir()
	at := func(port int) string { return fmt.Sprintf("%s:%d", l.address, port) }
	targets := map[string][]string{
		"prometheus": {at(20090)}, "thanos-sidecar": {at(20902)}, "thanos-query": {at(20904)}, "thanos-rule": {at(20906)},
		"thanos-compact": {at(20908)}, "rulekeeper": {at(20907)}, "hubquery": {at(20910)},
		"controllers": {controller},
	}
	config := liveConfig(t, r, hub, targets)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), config, 0o600))
	rules := filepath.Join(dir, "rules")
	require.NoError(t, os.Mkdir(rules, 0o700))
	files := find[*corev1.ConfigMap](r, releaseName+"-hubring-rules").Data
	files["live.yaml"] = liveRules
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(rules, name), []byte(text), 0o600))
	}
	bucket := filepath.Join(dir, "bucket.yaml")
	require.NoError(t, os.WriteFile(bucket, []byte("{type: FILESYSTEM, config: {directory: "+filepath.Join(dir, "bucket")+"}}"), 0o600))
	rulekeeper, err := rulekeeperProgram()
	require.NoError(t, err)

	thanos := filepath.Join(programs, "thanos")
	hubquery, err := hubqueryProgram()
	require.NoError(t, err)
	query := []string{thanos, "query", "--http-address=" + at(20904), "--grpc-address=" + at(20903), "--query.active-query-path=" + dir, "--endpoint=" + at(20901), "--endpoint=" + at(20905)}
	var logs []func() string
	l.said = func() string {
		var all strings.Builder
		for _, log := range logs {
			all.WriteString(log())
		}
		return all.String()
	}
	for _, command := range [][]string{
		{filepath.Join(programs, "prometheus"), "--config.file=" + filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + at(20090), "--scrape.discovery-reload-interval=200ms", "--storage.tsdb.min-block-duration=2h", "--storage.tsdb.max-block-duration=2h", "--web.enable-remote-write-receiver"},
		{thanos, "sidecar", "--prometheus.url=" + l.prometheus, "--tsdb.path=" + filepath.Join(dir, "data"), "--http-address=" + at(20902), "--grpc-address=" + at(20901), "--objstore.config-file=" + bucket},
		{thanos, "rule", "--data-dir=" + filepath.Join(dir, "rule"), "--rule-file=" + filepath.Join(dir, "checked", "current", "*.yaml"), "--eval-interval=1s", "--query=" + l.query, "--remote-write.config={remote_write: [{url: " + l.prometheus + "/api/v1/write, queue_config: {batch_send_deadline: 1s}}]}", "--alertmanagers.url=http://" + at(20009), `--label=ruler="0"`, "--http-address=" + at(20906), "--grpc-address=" + at(20905)},
		{rulekeeper, "--rules=" + filepath.Join(rules, "*.yaml"), "--to=" + filepath.Join(dir, "checked"), "--reload-url=http://" + at(20906) + "/-/reload", "--interval=1s", "--web.listen-address=" + at(20907)},
		{thanos, "compact", "--wait", "--data-dir=" + filepath.Join(dir, "compact"), "--objstore.config-file=" + bucket, "--http-address=" + at(20908)},
		{hubquery, "--shard=0=" + l.prometheus, "--web.listen-address=" + at(20910)},
		query,
	} {
		logs = append(logs, runBeside(t, command))
		if len(logs) == 1 { // a sidecar that does not find its server asks again after half a minute
			l.ready(t, l.prometheus)
		}
	}
}

// Alerts that fire: about a hub, about what an exporter sees, and about a gateway.
const liveRules = `groups:
- name: live
  interval: 1s
  rules:
  - {alert: HubThere, expr: 'up{job="edgehub-internal"} == 1', labels: {severity: info}}
  - {alert: HubSeen, expr: 'hubring_exporter_hub_up == 1', labels: {severity: info}}
  - {alert: GatewayWarm, expr: 'temperature{gatewayID="gw-1"} > 0', labels: {severity: info}}
`

// liveConfig is the configuration of the first server with the addresses of this machine. Jobs that it has not
// are added.
func liveConfig(t *testing.T, r *release, hub string, targets map[string][]string) []byte {
	t.Helper()
	s := r.servers(t)[0]
	var config map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(strings.ReplaceAll(s.text, r.hubs(t)[0].scraped, hub)), &config))
	for _, own := range []string{"rule_files", "alerting"} {
		delete(config, own)
	}
	var jobs []any
	for _, j := range config["scrape_configs"].([]any) {
		job := j.(map[string]any)
		name := job["job_name"].(string)
		where, moved := targets[name]
		switch {
		case moved:
			delete(job, "dns_sd_configs")
			delete(targets, name)
			job["static_configs"] = []any{map[string]any{"targets": where}}
			job["scrape_interval"], job["scrape_timeout"] = "1s", "1s"
		case !strings.HasPrefix(name, "edgehub"):
			continue // a program that does not run here
		}
		jobs = append(jobs, job)
	}
	for name, where := range targets {
		jobs = append(jobs, map[string]any{"job_name": name, "static_configs": []any{map[string]any{"targets": where}}})
	}
	config["scrape_configs"] = jobs
	text, err := yaml.Marshal(config)
	require.NoError(t, err)
	return text
}

// startController runs an exporter that pushes to a hub, and returns where its metrics are, and how it is stopped. It
// also sends them to the hub, as controllers do that nobody scrapes. One gateway reports once, the others all the time.
func startController(t *testing.T, hub string) (address string, stop func()) {
	t.Helper()
	hubs := filepath.Join(t.TempDir(), "hubs.yaml")
	require.NoError(t, os.WriteFile(hubs, []byte("- targets: ["+hub+"]\n"), 0o600))
	registry := prometheus.NewRegistry()
	e, err := exporter.New(exporter.Config{
		Members: members.File{Path: hubs}, Registerer: registry, SpoolDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler),
		Gather: []exporter.Gather{{Gatherer: registry, Interval: time.Second, Context: &magma.CloudMetricContext{CloudHost: "controller-7"}}},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = e.Run(ctx) })
	running.Go(func() {
		assert.NoError(t, e.Submit(ctx, temperatures("gw-silent")))
		for tick := time.NewTicker(200 * time.Millisecond); ; {
			_ = e.Submit(ctx, temperatures("gw-1", "gw-2", "gw-3"))
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return server.Listener.Addr().String(), func() { cancel(); running.Wait(); server.Close() }
}

// temperatures returns a report of each gateway.
func temperatures(gateways ...string) []magma.MetricAndContext {
	var all []magma.MetricAndContext
	for _, gateway := range gateways {
		m := magma.MetricAndContext{Family: &dto.MetricFamily{
			Name: proto.String("temperature"), Type: dto.MetricType_GAUGE.Enum(),
			Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: proto.Float64(20)}, TimestampMs: proto.Int64(time.Now().UnixMilli())}},
		}}
		m.Context.AdditionalContext = &magma.GatewayMetricContext{GatewayID: gateway}
		all = append(all, m)
	}
	return all
}

// runBeside runs a program until the test ends. It returns what the program has said last.
func runBeside(t *testing.T, command []string) func() string {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		log.Close()
	})
	return func() string {
		text, _ := os.ReadFile(log.Name())
		return fmt.Sprintf("\n%s\n%s", strings.Join(command, " "), text[max(0, len(text)-2000):])
	}
}

// ask returns the data of an answer of one of the APIs.
func ask[T any](t *testing.T, base, path string, params url.Values) (T, error) {
	t.Helper()
	var answer struct {
		Data   T      `json:"data"`
		Status string `json:"status"`
		Error  string `json:"error"`
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path+"?"+params.Encode(), nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer.Data, err
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil {
		return answer.Data, err
	}
	if err := json.Unmarshal(text.Bytes(), &answer); err != nil || answer.Status != "success" {
		return answer.Data, fmt.Errorf("%s: %s", path, text.Bytes())
	}
	return answer.Data, nil
}

type (
	metric map[string]string
	vector struct {
		Result []struct {
			Metric metric `json:"metric"`
		} `json:"result"`
	}
)

// instant returns the labels of each series of an answer of the querier.
func (l *live) instant(t *testing.T, query string) ([]metric, error) {
	t.Helper()
	answer, err := ask[vector](t, l.query, "/api/v1/query", url.Values{"query": {query}, "dedup": {"true"}, "partial_response": {"false"}})
	var all []metric
	for _, s := range answer.Result {
		all = append(all, s.Metric)
	}
	return all, err
}

// ready waits until a program says that it is.
func (l *live) ready(t *testing.T, base string) {
	t.Helper()
	l.eventually(t, map[string]check{base: func() string {
		resp, err := http.Get(base + "/-/ready")
		if err != nil {
			return err.Error()
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return resp.Status
		}
		return ""
	}})
}

// ranged asks hubquery over a range, and the querier beside both ways, so that they have the metrics of that.
func (l *live) ranged(t *testing.T) check {
	return func() string {
		at := url.Values{"query": {"up"}, "start": {"1"}, "end": {"2"}, "step": {"1"}}
		querier := "http://" + l.address + ":20904"
		for _, asked := range []struct{ base, path string }{{l.query, "query_range"}, {querier, "query_range"}, {querier, "query"}} {
			if _, err := ask[any](t, asked.base, "/api/v1/"+asked.path, at); err != nil {
				return err.Error()
			}
		}
		return ""
	}
}

// check is something that must come true. It returns what lacks.
type check func() string

// eventually asks all checks again until each has been true once.
func (l *live) eventually(t *testing.T, checks map[string]check) {
	t.Helper()
	deadline := time.After(patience * 3 / 4) // the hub has patience, too
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		lacks := map[string]string{}
		for what, c := range checks {
			if lack := c(); lack != "" {
				lacks[what] = lack
			} else {
				delete(checks, what)
			}
		}
		if len(lacks) == 0 {
			return
		}
		select {
		case <-deadline:
			for what, lack := range lacks {
				assert.Fail(t, what, "%s", lack)
			}
			t.Log(l.said())
			return
		case <-tick.C:
		}
	}
}

// everySelectorFinds adds a check that what is selected exists: by each matcher, and by each of several values
// that one lists.
func (l *live) everySelectorFinds(t *testing.T, d dashboard.Dashboard, checks map[string]check) {
	t.Helper()
	for _, p := range d.EveryPanel() {
		for _, target := range p.Targets {
			expr, err := dashboard.Expand(target.Expr, variablesOf(d))
			require.NoError(t, err)
			uses, err := dashboard.Uses(expr)
			require.NoError(t, err)
			for _, u := range uses {
				for _, selector := range alternatives(u) {
					checks[selector] = func() string {
						if found, err := l.instant(t, selector); err != nil || len(found) == 0 {
							return fmt.Sprintf("no series (%v)", err)
						}
						return ""
					}
				}
				checks[fmt.Sprintf("%s in %q", u.Name, u.Calls)] = func() string { return l.typeLack(t, u) }
			}
		}
	}
}

// listed is a regular expression that lists values.
var listed = regexp.MustCompile(`^\w+(\|\w+)+$`)

// alternatives returns a selector for each of the values that a matcher lists; of jobs, one may be missing.
func alternatives(u dashboard.Use) []string {
	all := []string{u.Name}
	for _, m := range u.LabelMatchers {
		var next []string
		values := []string{m.String()}
		if m.Type == labels.MatchRegexp && m.Name != "job" && listed.MatchString(m.Value) {
			values = nil
			for value := range strings.SplitSeq(m.Value, "|") {
				values = append(values, fmt.Sprintf("%s=%q", m.Name, value))
			}
		}
		if m.Name == model.MetricNameLabel {
			continue
		}
		for _, selector := range all {
			for _, value := range values {
				next = append(next, strings.TrimSuffix(selector, "}")+map[bool]string{true: ",", false: "{"}[strings.HasSuffix(selector, "}")]+value+"}")
			}
		}
		all = next
	}
	return all
}

// Metrics that servers and rules make have no type.
var typeless = regexp.MustCompile(`^(up|scrape_\w+|ALERTS|\w+:[\w:]+)$`)

// typeLack tells why a metric is not of the type that a use is for: rates are of counters and histograms, and
// nothing else is.
func (l *live) typeLack(t *testing.T, u dashboard.Use) string {
	t.Helper()
	if typeless.MatchString(u.Name) || u.Name == "" { // the reader chooses which
		return ""
	}
	known, err := ask[map[string][]struct {
		Type string `json:"type"`
	}](t, l.prometheus, "/api/v1/metadata", nil)
	if err != nil {
		return err.Error()
	}
	// OpenMetrics, which Thanos writes, has no _total in a family's name.
	types := slices.Concat(known[u.Name], known[seriesSuffix.ReplaceAllString(u.Name, "")])
	if len(types) == 0 {
		return "it has no type"
	}
	counts := types[0].Type == "counter" || types[0].Type == "histogram"
	rated := slices.Contains(u.Calls, "rate") || slices.Contains(u.Calls, "increase")
	if counts != rated {
		return "it is a " + types[0].Type
	}
	return ""
}

var seriesSuffix = regexp.MustCompile(`_(bucket|sum|count|total)$`)

// everyPanelShows adds a check that each query of a panel gives series, with the labels that legends and columns name.
func (l *live) everyPanelShows(t *testing.T, d dashboard.Dashboard, checks map[string]check) {
	t.Helper()
	for _, p := range d.EveryPanel() {
		for _, target := range p.Targets {
			expr, err := dashboard.Expand(target.Expr, variablesOf(d))
			require.NoError(t, err)
			wanted := shownLabels(p, target)
			checks[d.UID+": "+p.Title+" "+target.RefID] = func() string {
				found, err := l.instant(t, expr)
				if err != nil || len(found) == 0 {
					return fmt.Sprintf("%s gives nothing (%v)", expr, err)
				}
				for _, label := range wanted {
					if !slices.ContainsFunc(found, func(m metric) bool { return m[label] != "" }) {
						return fmt.Sprintf("%s: no series has the label %s: %v", expr, label, found)
					}
				}
				return ""
			}
		}
	}
}

var legendLabel = regexp.MustCompile(`\{\{(\w+)\}\}`)

// shownLabels returns the labels that a reader sees.
func shownLabels(p dashboard.Panel, target dashboard.Target) []string {
	var all []string
	for _, found := range legendLabel.FindAllStringSubmatch(target.LegendFormat, -1) {
		all = append(all, found[1])
	}
	for _, transformation := range p.Transformations {
		options, _ := transformation.Options.(map[string]any)
		titles, _ := options["renameByName"].(map[string]any)
		for field := range titles {
			if !strings.HasPrefix(field, "Value") {
				all = append(all, field)
			}
		}
	}
	return all
}
