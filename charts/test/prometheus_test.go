package charttest

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// server is a pod that stores a hub's samples, with what its command line and files say.
type server struct {
	pod
	victoria bool // VictoriaMetrics; otherwise Prometheus
	args     []string
	root     string // its files, see release.files
	path     string // of its configuration, in the pod
	text     string // of its configuration
	prometheusConfig
}

// prometheusConfig is what the tests ask of a configuration. That it is one is promtool's to say.
type prometheusConfig struct {
	Global struct {
		ExternalLabels map[string]string `json:"external_labels"`
		ScrapeInterval model.Duration    `json:"scrape_interval"`
		ScrapeTimeout  model.Duration    `json:"scrape_timeout"`
	} `json:"global"`
	RuleFiles     []string       `json:"rule_files"`
	ScrapeConfigs []scrapeConfig `json:"scrape_configs"`
	Alerting      struct {
		AlertRelabelConfigs []relabelConfig `json:"alert_relabel_configs"`
		Alertmanagers       []struct {
			Scheme        string         `json:"scheme"`
			StaticConfigs []staticConfig `json:"static_configs"`
		} `json:"alertmanagers"`
	} `json:"alerting"`
	Storage struct {
		TSDB struct {
			OutOfOrderTimeWindow model.Duration `json:"out_of_order_time_window"`
		} `json:"tsdb"`
	} `json:"storage"`
}

type scrapeConfig struct {
	JobName              string              `json:"job_name"`
	MetricsPath          string              `json:"metrics_path"`
	Params               map[string][]string `json:"params"`
	HonorLabels          bool                `json:"honor_labels"`
	HonorTimestamps      *bool               `json:"honor_timestamps"`
	NoStaleMarkers       bool                `json:"no_stale_markers"` // VictoriaMetrics'
	Protocols            []string            `json:"scrape_protocols"`
	NativeHistograms     bool                `json:"scrape_native_histograms"`
	ClassicToo           bool                `json:"always_scrape_classic_histograms"`
	ScrapeInterval       model.Duration      `json:"scrape_interval"`
	ScrapeTimeout        model.Duration      `json:"scrape_timeout"`
	StaticConfigs        []staticConfig      `json:"static_configs"`
	DNSConfigs           []dnsConfig         `json:"dns_sd_configs"`
	RelabelConfigs       []relabelConfig     `json:"relabel_configs"`
	MetricRelabelConfigs []relabelConfig     `json:"metric_relabel_configs"`
}

type staticConfig struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

type dnsConfig struct {
	Names []string `json:"names"`
	Type  string   `json:"type"`
	Port  int      `json:"port"`
}

type relabelConfig struct {
	SourceLabels []string `json:"source_labels"`
	Regex        string   `json:"regex"`
	TargetLabel  string   `json:"target_label"`
	Replacement  *string  `json:"replacement"`
	Action       string   `json:"action"`
}

// handsOver tells whether a job takes a hub's samples, and not its own metrics.
func (s scrapeConfig) handsOver() bool {
	return s.HonorLabels && (s.MetricsPath == "" || s.MetricsPath == "/metrics")
}

// jobs returns those that ask for a path.
func (c prometheusConfig) jobs(path string) []scrapeConfig {
	var found []scrapeConfig
	for _, s := range c.ScrapeConfigs {
		if cmp.Or(s.MetricsPath, "/metrics") == path {
			found = append(found, s)
		}
	}
	return found
}

// targets returns the addresses of all jobs, or of those that a condition is true for.
func (c prometheusConfig) targets(of func(scrapeConfig) bool) []string {
	var all []string
	for _, s := range c.ScrapeConfigs {
		if of != nil && !of(s) {
			continue
		}
		for _, static := range s.StaticConfigs {
			all = append(all, static.Targets...)
		}
	}
	return all
}

// alertmanagers returns the URLs of those that get the alerts.
func (c prometheusConfig) alertmanagers() []string {
	var urls []string
	for _, group := range c.Alerting.Alertmanagers {
		for _, static := range group.StaticConfigs {
			for _, target := range static.Targets {
				urls = append(urls, cmp.Or(group.Scheme, "http")+"://"+target)
			}
		}
	}
	return urls
}

// servers returns the pods of a release that store samples: Prometheus, or VictoriaMetrics in its place.
func (r *release) servers(t *testing.T) []server {
	t.Helper()
	var all []server
	for _, p := range slices.Concat(r.pods("prometheus"), r.pods("victoriametrics")) {
		c := p.server()
		s := server{pod: p, victoria: c.Name == "victoriametrics", args: p.commandLine(c), root: r.files(t, p, c)}
		s.path = flagValue(t, s.args, map[bool]string{false: "config.file", true: "promscrape.config"}[s.victoria], "")
		require.NotEmpty(t, s.path, "the configuration that %s reads", p.name)
		text, err := os.ReadFile(filepath.Join(s.root, s.path))
		require.NoError(t, err, "the configuration of %s", p.name)
		s.text = string(text)
		require.NoError(t, yaml.Unmarshal(text, &s.prometheusConfig), "the configuration of %s", p.name)
		all = append(all, s)
	}
	require.NotEmpty(t, all, "Prometheus servers")
	return all
}

// server returns the container that stores samples, or nil.
func (w workload) server() *corev1.Container {
	return cmp.Or(w.container("prometheus"), w.container("victoriametrics"))
}

// rules returns the rule files that a server reads.
func (s server) rules(t *testing.T, r *release) []string {
	t.Helper()
	return ruleFiles(t, r, s.pod, s.server(), s.root, s.RuleFiles)
}

// hub is an edgehub pod.
type hub struct {
	pod
	args    []string
	address string // host and port, by which controllers know it
	scraped string // host and port at which it shows what it has
	door    string // the name of that port
}

// hubs returns the edgehub pods of a release, in the order of their numbers.
func (r *release) hubs(t *testing.T) []hub {
	t.Helper()
	var all []hub
	for _, p := range r.pods("edgehub") {
		require.Equal(t, "StatefulSet", kindOf(p.workload), "hubs need names that last")
		h := hub{pod: p, args: p.commandLine(p.container("edgehub")), address: r.host(p) + ":9091", scraped: r.host(p) + ":9091", door: "http"}
		if own := flagValue(t, h.args, "scrape.listen-address", ""); own != "" {
			h.scraped, h.door = r.host(p)+own, "http-scrape"
		}
		all = append(all, h)
	}
	require.NotEmpty(t, all, "hubs")
	return all
}

// cursors returns the scrapers that a hub knows by name.
func (h hub) cursors() []string { return flagValues(h.args, "scrape.cursor") }

// asked returns the URLs of the servers that a hub asks what they have stored, by cursor.
func (h hub) asked(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, value := range flagValues(h.args, "scrape.server") {
		cursor, url, named := strings.Cut(value, "=")
		require.True(t, named, "--scrape.server=%s", value)
		require.Empty(t, all[cursor], "--scrape.server=%s", value)
		all[cursor] = url
	}
	return all
}

// window returns how far from now the samples are that a hub hands over, in both directions.
func (h hub) window(t *testing.T) time.Duration {
	t.Helper()
	age, err := time.ParseDuration(flagValue(t, h.args, "scrape.max-age", "1h"))
	require.NoError(t, err)
	ahead, err := time.ParseDuration(flagValue(t, h.args, "scrape.max-ahead", "10m"))
	require.NoError(t, err)
	return age + ahead
}

// sorted returns a copy that is in order and has nothing twice.
func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return slices.Compact(s)
}
