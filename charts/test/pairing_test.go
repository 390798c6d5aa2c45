package charttest

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	commonconfig "github.com/prometheus/common/config"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/hubring/hubring/exporter/members"
	"github.com/hubring/hubring/hashring/method"
)

// Prometheus N scrapes hub N, takes its samples as they are, and no other hub's. Every
// hub is scraped by as many servers as it knows cursors.
func TestEachServerScrapesItsOwnHub(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		hubs := r.hubs(t)
		scrapedAs := map[string][]string{}
		for _, s := range r.paired(t) {
			own := hubs[s.number(t)]
			assert.Equal(t, []string{own.scraped}, s.hubTargets(), "hubs that %s asks", s.name)
			assert.NotEmpty(t, s.targets(scrapeConfig.handsOver), "%s takes no hub's samples", s.name)
			for _, job := range s.ScrapeConfigs {
				if job.handsOver() {
					assertTakesAll(t, s, own, job)
					scrapedAs[own.name] = append(scrapedAs[own.name], job.Params["cursor"]...)
				}
			}
		}
		for _, h := range hubs {
			assert.ElementsMatch(t, h.cursors(), scrapedAs[h.name], "cursors that %s has, and those it is asked by", h.name)
			assert.Len(t, r.paired(t), len(hubs)*len(h.cursors()), "a server for each cursor of each hub")
		}
	})
}

// number returns the number in a pod's name.
func (p pod) number(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimPrefix(p.name, p.GetName()+"-"))
	require.NoError(t, err, p.name)
	return n
}

// Every hub calls itself as exporters do, or each of their answers would be of another one.
func TestHubsKnowTheirNames(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		for _, h := range r.hubs(t) {
			assert.Equal(t, h.address, flagValue(t, h.args, "hub.name", ""))
		}
	})
}

// Every hub asks the servers of its own number what they have stored, each for the cursor that it scrapes
// as, and logs in where that is needed.
func TestHubsAskTheirServers(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, s scenario, r *release) {
		newKeys(t).addTo(r, nil)
		scheme := "http"
		if strings.Contains(s.values, "tls: true") {
			scheme = "https"
		}
		want := map[string]map[string]string{}
		for _, server := range r.paired(t) {
			if server.victoria {
				want[r.hubs(t)[server.number(t)].name] = map[string]string{} // the connection tells
				continue
			}
			for _, job := range server.ScrapeConfigs {
				if job.handsOver() {
					h := r.hubs(t)[server.number(t)].name
					if want[h] == nil {
						want[h] = map[string]string{}
					}
					want[h][job.Params["cursor"][0]] = scheme + "://" + r.host(server.pod) + ":9090"
				}
			}
		}
		for _, h := range r.hubs(t) {
			assert.Equal(t, want[h.name], h.asked(t), "%s: --scrape.server", h.name)
			file := flagValue(t, h.args, "scrape.server-config.file", "")
			logsIn := (strings.Contains(s.values, "\nweb:") && strings.Contains(s.values, "username:") || scheme == "https") && len(want[h.name]) > 0
			if !assert.Equal(t, logsIn, file != "", "%s: --scrape.server-config.file", h.name) || !logsIn {
				continue
			}
			root := r.files(t, h.pod, h.container("edgehub"))
			text, err := os.ReadFile(filepath.Join(root, file))
			require.NoError(t, err)
			path := filepath.Join(t.TempDir(), "http.yml")
			require.NoError(t, os.WriteFile(path, []byte(relocated(string(text), root, h.container("edgehub"))), 0o600))
			config, _, err := commonconfig.LoadHTTPConfigFile(path)
			require.NoError(t, err)
			client, err := commonconfig.NewClientFromConfig(*config, "server")
			require.NoError(t, err, "%s has the files that it names", path)
			client.CloseIdleConnections()
		}
	})
}

// hubTargets returns the hubs' addresses that a server asks.
func (s server) hubTargets() []string {
	var all []string
	for _, target := range s.targets(nil) {
		if strings.Contains(target, "-edgehub.") {
			all = append(all, target)
		}
	}
	return sorted(all)
}

// paired returns the servers that have a hub.
func (r *release) paired(t *testing.T) []server {
	t.Helper()
	hubs := len(r.hubs(t))
	return slices.DeleteFunc(r.servers(t), func(s server) bool { return s.number(t) >= hubs })
}

// assertTakesAll checks a job that takes a hub's samples.
func assertTakesAll(t *testing.T, s server, h hub, job scrapeConfig) {
	t.Helper()
	assert.Equal(t, new(true), job.HonorTimestamps, "%s: honor_timestamps is said, not left to a default", s.name)
	timeout, interval := cmp.Or(job.ScrapeTimeout, s.Global.ScrapeTimeout), cmp.Or(job.ScrapeInterval, s.Global.ScrapeInterval)
	assert.Positive(t, interval, "%s: scrape_interval", s.name)
	assert.LessOrEqual(t, timeout, interval, "%s: scrape_timeout", s.name)
	if s.victoria {
		assert.True(t, job.NoStaleMarkers, "%s: no_stale_markers, or a series with fewer samples than before counts as ended", s.name)
	} else {
		assert.Greater(t, time.Duration(s.Storage.TSDB.OutOfOrderTimeWindow), h.window(t),
			"%s: out_of_order_time_window, and what its hub hands over", s.name)
	}
	for _, static := range job.StaticConfigs {
		assert.True(t, job.takesOff("instance", static.Labels["instance"]), "%s: the instance %q stays on the samples", s.name, static.Labels["instance"])
	}
	assert.True(t, job.takesOff("job", job.JobName), "%s: the job %q stays on the samples", s.name, job.JobName)
	// Another label of a target would be on every gateway's samples.
	if parts := job.Params["parts"]; len(parts) > 0 {
		assert.Equal(t, everyPart(t, h, parts), job.StaticConfigs, "%s: parts of the scrape", s.name)
	} else {
		whole := []staticConfig{{Targets: []string{h.scraped}, Labels: map[string]string{"instance": h.address}}}
		assert.Equal(t, whole, job.StaticConfigs, "%s: a hub is asked once a scrape", s.name)
	}
}

// everyPart returns the targets of a scrape in parts.
func everyPart(t *testing.T, h hub, parts []string) []staticConfig {
	t.Helper()
	require.Len(t, parts, 1)
	n, err := strconv.Atoi(parts[0])
	require.NoError(t, err)
	var targets []staticConfig
	for i := range n {
		part := strconv.Itoa(i + 1)
		targets = append(targets, staticConfig{Targets: []string{h.scraped}, Labels: map[string]string{"instance": h.address + "#" + part, "__param_part": part}})
	}
	return targets
}

// A server that may refuse one sample of a scrape throws all of it away, and a sample that it makes something else
// of is not the gateway's: what does that is in no server's configuration.
func TestServersRefuseNoSamples(t *testing.T) {
	harmful := regexp.MustCompile(`(?m)^\s*(?:- )?(sample_limit|body_size_limit|label_limit|label_\w+_length_limit|convert_classic_histograms_to_nhcb|track_timestamps_staleness|metric_name_validation_scheme):`)
	assert.Regexp(t, harmful, "global:\n  sample_limit: 5\n")
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		for _, s := range r.servers(t) {
			assert.NotRegexp(t, harmful, s.text, s.name)
		}
	})
}

// takesOff tells whether the job's relabelling empties a label of that value, as Prometheus does it:
// the expression has to match all of the value.
func (s scrapeConfig) takesOff(label, value string) bool {
	for _, c := range s.MetricRelabelConfigs {
		if c.TargetLabel != label || len(c.SourceLabels) != 1 || c.SourceLabels[0] != label {
			continue
		}
		expression, err := regexp.Compile("^(?s:" + c.Regex + ")$")
		if err == nil && expression.MatchString(value) && c.Replacement != nil && *c.Replacement == "" {
			return true
		}
	}
	return false
}

// Every server asks its hub for the list of its gateways, at a pace of its own, and the list says which hub it is.
func TestServersListGateways(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		hubs := r.hubs(t)
		for _, s := range r.paired(t) {
			jobs := s.jobs("/gateways")
			require.Len(t, jobs, 1, s.name)
			h := hubs[s.number(t)]
			assert.Equal(t, []staticConfig{{Targets: []string{h.scraped}, Labels: map[string]string{"instance": h.address}}}, jobs[0].StaticConfigs, s.name)
			assert.Equal(t, time.Minute, time.Duration(jobs[0].ScrapeInterval), s.name)
			assert.GreaterOrEqual(t, jobs[0].ScrapeInterval, s.Global.ScrapeTimeout, s.name)
			assert.False(t, jobs[0].takesOff("instance", h.address), s.name)
			assert.False(t, jobs[0].HonorLabels, s.name)
		}
	})
}

// A gateway's own instance and job stay, even if they look like a hub's.
func TestRelabellingLeavesGatewaysAlone(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		for _, s := range r.paired(t) {
			own := r.hubs(t)[s.number(t)].address
			for _, job := range s.ScrapeConfigs {
				if !job.handsOver() {
					continue
				}
				for _, other := range []string{"gw-0017:9100", "x" + own, own + "1", strings.Replace(own, ".", "x", 1)} {
					assert.False(t, job.takesOff("instance", other), "%s takes %q off", s.name, other)
				}
				assert.False(t, job.takesOff("job", job.JobName+"s"), "%s takes another job off", s.name)
			}
		}
	})
}

// Every server has its own configuration, and the ConfigMap has none for a server that is not there.
func TestServersConfigurations(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		paths := map[string]bool{}
		dirs := map[string]string{}
		for _, s := range r.servers(t) {
			assert.False(t, paths[s.path], "%s: another server has the configuration %s", s.name, s.path)
			paths[s.path] = true
			dirs[filepath.Dir(s.path)] = s.root
		}
		for dir, root := range dirs {
			entries, err := os.ReadDir(filepath.Join(root, dir))
			require.NoError(t, err)
			for _, e := range entries {
				file := filepath.Join(dir, e.Name())
				assert.True(t, e.IsDir() || paths[file], "%s is no server's", file)
			}
		}
	})
}

// No two servers have the same external labels: a querier could not tell them apart. VictoriaMetrics would store
// them, and has none.
func TestExternalLabelsAreUnique(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		of := map[string]string{}
		for _, s := range r.servers(t) {
			labels := s.Global.ExternalLabels
			if s.victoria {
				assert.Empty(t, labels, s.name)
				continue
			}
			assert.NotEmpty(t, labels["shard"], "%s: label shard", s.name)
			assert.NotEmpty(t, labels["prometheus_replica"], "%s: label prometheus_replica", s.name)
			assert.Contains(t, labels["shard"], strconv.Itoa(s.number(t)), "%s: label shard", s.name)
			key := labels["shard"] + "/" + labels["prometheus_replica"]
			assert.Empty(t, of[key], "%s has the same labels", s.name)
			of[key] = s.name
		}
	})
}

// controllersList returns the hubs as exporters read them.
func (r *release) controllersList(t *testing.T) []members.Hub {
	t.Helper()
	var list *corev1.ConfigMap
	for _, m := range every[*corev1.ConfigMap](r) {
		if strings.HasSuffix(m.Name, "-hubs") {
			list = m
		}
	}
	require.NotNil(t, list, "ConfigMap of the hubs")
	path := filepath.Join(t.TempDir(), "hubs.yaml")
	require.NoError(t, os.WriteFile(path, []byte(list.Data["hubs.yaml"]), 0o600))
	listed, err := members.File{Path: path}.Hubs(t.Context())
	require.NoError(t, err)
	return listed
}

// The list says how the hubs become a ring, so that whoever reads it has the ring that the values name. What is no
// placement to exporters is none to the chart.
func TestControllersListNamesTheRing(t *testing.T) {
	for _, base := range []string{
		"", "rendezvous", "consistent", "consistent/partitions=20011/replicas=200", "consistent/load=2", "consistent/replicas=4096/load=1.05/partitions=1048576",
		"consistent/load=0", "jump", "consistent/", "consistent/partitions=1048577", "consistent/replicas=4097", "consistent/replicas=3/replicas=3",
		"consistent/load=-1", "rendezvous/partitions=3", "consistent/hubs=3",
	} {
		values := fmt.Sprintf(`{prometheus_servers_count: 3, create_thanos: true, placement: {base: %q}}`, base)
		want, err := method.Parse(base)
		if base == "" { // the list says nothing
			want, err = method.Method{}, nil
		}
		if err != nil {
			_, err := render(releaseName, values)
			assert.ErrorContains(t, err, "placement.base is", base)
			continue
		}
		for _, web := range []string{"{}", `{web: {configSecret: served, tls: true, clientSecret: asking}}`} {
			listed := mustRender(t, values, web).controllersList(t)
			got, err := members.Method(listed)
			require.NoError(t, err)
			assert.Equal(t, want, got, base)
			assert.Equal(t, web != "{}", strings.HasPrefix(listed[0].URL, "https:"))
		}
	}
}

// What the controllers read names every hub, by the name that its server knows it by.
func TestControllersListNamesEveryHub(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		listed := r.controllersList(t)
		var names, want []string
		for _, h := range listed {
			names = append(names, h.Name)
		}
		for _, h := range r.hubs(t) {
			want = append(want, h.address)
		}
		assert.Equal(t, want, names)
	})
}

// A controller may ask the DNS instead of reading the list: a hub that is not ready stays in the answer,
// since one that leaves the ring moves its gateways, and one that is down is stepped over anyway.
func TestHubsStayInTheDNS(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		for _, h := range r.hubs(t) {
			service := find[*corev1.Service](r, h.service)
			require.NotNil(t, service)
			assert.True(t, service.Spec.PublishNotReadyAddresses)
			assert.True(t, hasServicePort(service, func(p corev1.ServicePort) bool { return p.Name == "http" && p.Port == 9091 }),
				"the SRV record _http._tcp.%s", service.Name)
		}
	})
}
