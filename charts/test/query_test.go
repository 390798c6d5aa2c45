package charttest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	commonconfig "github.com/prometheus/common/config"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// shard is one that hubquery asks.
type shard struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind"`
	Servers []string `json:"servers"`
}

// shards returns whom a hubquery asks.
func (r *release) shards(t *testing.T, p pod) []shard {
	t.Helper()
	c := p.container("hubquery")
	file := flagValue(t, p.commandLine(c), "shards.file", "")
	for _, mount := range c.VolumeMounts {
		assert.Empty(t, mount.SubPath, "%s: Kubernetes does not write a new file there", mount.MountPath)
	}
	text, err := os.ReadFile(filepath.Join(r.files(t, p, c), file))
	require.NoError(t, err)
	var config struct {
		Shards []shard `json:"shards"`
	}
	require.NoError(t, yaml.UnmarshalStrict(text, &config), "%s", text)
	return config.Shards
}

// inEveryShardsScenario runs a check for each scenario where hubquery answers.
func inEveryShardsScenario(t *testing.T, check func(*testing.T, scenario, *release, pod)) {
	var checked int
	inEveryScenario(t, func(t *testing.T, s scenario, r *release) {
		for _, p := range r.pods("hubquery") {
			checked++
			check(t, s, r, p)
		}
	})
	require.Positive(t, checked)
}

// hubquery asks every server of every number, those without a hub, too, and of a pair both.
func TestHubqueryAsksEveryServer(t *testing.T) {
	inEveryShardsScenario(t, func(t *testing.T, s scenario, r *release, p pod) {
		scheme := "http"
		if strings.Contains(s.values, "tls: true") {
			scheme = "https"
		}
		var want []shard
		for _, server := range r.servers(t) { // the second ones of pairs come after all first ones
			n := server.number(t)
			if n == len(want) {
				kind := map[bool]string{false: "prometheus", true: "victoriametrics"}[server.victoria]
				want = append(want, shard{Name: strconv.Itoa(n), Kind: kind})
			}
			want[n].Servers = append(want[n].Servers, scheme+"://"+r.host(server.pod)+":9090")
		}
		assert.Equal(t, want, r.shards(t, p))
		dns := flagValue(t, p.commandLine(p.container("hubquery")), "shards.dns", "")
		_, name, _ := strings.Cut(r.host(r.servers(t)[0].pod), ".")
		assert.Equal(t, scheme+"://_http._tcp."+name, dns)
	})
}

// It logs in at the servers where that is needed, and its gateways are told by the hubs' label.
func TestHubqueryLogsInAtServers(t *testing.T) {
	inEveryShardsScenario(t, func(t *testing.T, s scenario, r *release, p pod) {
		newKeys(t).addTo(r, nil)
		c := p.container("hubquery")
		args := p.commandLine(c)
		assert.Equal(t, flagValues(r.hubs(t)[0].args, "gateway.label"), flagValues(args, "gateway.label"))
		file := flagValue(t, args, "shards.http-config.file", "")
		logsIn := strings.Contains(s.values, "\nweb:") && (strings.Contains(s.values, "username:") || strings.Contains(s.values, "tls: true"))
		require.Equal(t, logsIn, file != "")
		if logsIn {
			assertHTTPConfig(t, r, p, c, file)
		}
	})
}

// assertHTTPConfig asserts that a container has an http_config, and the files that it names.
func assertHTTPConfig(t *testing.T, r *release, p pod, c *corev1.Container, file string) {
	t.Helper()
	root := r.files(t, p, c)
	text, err := os.ReadFile(filepath.Join(root, file))
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "http.yml")
	require.NoError(t, os.WriteFile(path, []byte(relocated(string(text), root, c)), 0o600))
	config, _, err := commonconfig.LoadHTTPConfigFile(path)
	require.NoError(t, err)
	client, err := commonconfig.NewClientFromConfig(*config, "server")
	require.NoError(t, err, "%s has the files that it names", path)
	client.CloseIdleConnections()
}

// Another number of shards is read from the file: hubquery's pods stay, and so does the ruler.
func TestHubqueryNoticesAnotherNumber(t *testing.T) {
	three, five := mustRender(t, fiveShards, `{prometheus_servers_count: 3, prometheus: {retired: 1}}`), mustRender(t, fiveShards)
	for _, container := range []string{"hubquery", "thanos-rule"} {
		assert.Equal(t, three.pods(container)[0].template, five.pods(container)[0].template, container)
	}
	has, gets := three.shards(t, three.pods("hubquery")[0]), five.shards(t, five.pods("hubquery")[0])
	assert.Len(t, has, 4, "one of them without a hub")
	assert.Equal(t, gets[:4], has)
}

// Whatever the mode, who answers for all servers is found by one name; the old one leads there, too.
func TestQueryHasOneNameInAllModes(t *testing.T) {
	for values, want := range map[string]string{`{create_thanos: true}`: "hubquery", `{query: {enabled: true}}`: "hubquery", join2(`{create_thanos: true}`, withQuerier): "thanos-query", distributed: "thanos-query"} {
		r := mustRender(t, strings.Split(values, "\n---\n")...)
		for name, port := range map[string]int32{"query": 9099, "thanos-query": 10902} {
			service := find[*corev1.Service](r, "edge-hubring-"+name)
			require.NotNil(t, service, "%s: %s", values, name)
			behind := r.behind(service)
			require.Len(t, behind, 1, "%s: %s", values, name)
			assert.NotNil(t, behind[0].container(want), "%s: %s", values, name)
			assert.Equal(t, [2]any{"http", port}, [2]any{service.Spec.Ports[0].Name, service.Spec.Ports[0].Port})
		}
		for _, container := range []string{"hubquery", "thanos-query"} {
			assert.Equal(t, container == want, len(r.pods(container)) > 0, "%s: %s", values, container)
		}
	}
	assert.Nil(t, find[*corev1.Service](mustRender(t), "edge-hubring-query"), "one server answers for itself")
}

// The two names of the switch, and the two of the distributed mode, mean the same.
func TestOldNamesMeanTheSame(t *testing.T) {
	for old, new := range map[string]string{
		`{create_thanos: true}`: `{query: {enabled: true}}`,
		`{create_thanos: true, thanos: {query: {distributed: {enabled: true}}}}`: `{query: {enabled: true, mode: thanos-distributed}}`,
		`{create_thanos: true, query: {mode: shards}}`:                           `{query: {enabled: true}}`,
	} {
		assert.Equal(t, templates(t, new), templates(t, old), "%s and %s", old, new)
	}
}

// What rules make is on the first server, or both of its pair, whose names stay when the number changes. A ruler's own
// label is taken off, so that two of them make one series.
func TestFirstServerHasWhatRulesMake(t *testing.T) {
	inEveryShardsScenario(t, func(t *testing.T, _ scenario, r *release, _ pod) {
		p, c, args := r.component("rule")
		require.NotNil(t, c)
		var config struct {
			RemoteWrite []struct {
				URL                 string          `json:"url"`
				WriteRelabelConfigs []relabelConfig `json:"write_relabel_configs"`
				TLS                 map[string]any  `json:"tls_config"`
				BasicAuth           map[string]any  `json:"basic_auth"`
				Name                string          `json:"name"`
			} `json:"remote_write"`
		}
		require.NoError(t, yaml.UnmarshalStrict([]byte(flagValue(t, args, "remote-write.config", "")), &config))
		var want, got []string
		for _, s := range r.servers(t) {
			if s.number(t) == 0 {
				want = append(want, r.host(s.pod)+":9090/api/v1/write")
			}
			if !s.victoria {
				assert.Contains(t, s.args, "--web.enable-remote-write-receiver", s.name)
			}
		}
		for _, write := range config.RemoteWrite {
			_, url, _ := strings.Cut(write.URL, "://")
			got = append(got, url)
			assert.Equal(t, []relabelConfig{{Regex: "ruler_replica", Action: "labeldrop"}}, write.WriteRelabelConfigs)
			assert.Equal(t, strings.HasPrefix(write.URL, "https:"), write.TLS != nil, "%s", p.name)
		}
		assert.Equal(t, want, got)
		assert.Empty(t, flagValues(args, "tsdb.retention"))
		assert.Empty(t, flagValues(args, "objstore.config-file"), "the server's sidecar uploads it")
	})
	for _, s := range mustRender(t, fiveShards, withQuerier).servers(t) {
		assert.NotContains(t, s.args, "--web.enable-remote-write-receiver", "nobody writes to %s", s.name)
	}
}

// hubquery asks one of a pair for both, so each of a pair has the other one's metrics, too, under its name.
func TestPairsKnowEachOther(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, _ scenario, r *release) {
		answersForBoth := len(r.pods("hubquery")) > 0 && len(r.hubs(t)[0].cursors()) == 2
		names := map[string]server{}
		for _, s := range r.servers(t) {
			names[s.name] = s
		}
		for _, s := range r.servers(t) {
			var peers []string
			for _, job := range s.ScrapeConfigs {
				if !strings.HasSuffix(job.JobName, "-peer") {
					continue
				}
				require.Len(t, job.StaticConfigs, 1)
				other, there := names[job.StaticConfigs[0].Labels["instance"]]
				require.True(t, there, job.StaticConfigs)
				assert.Equal(t, s.number(t), other.number(t), s.name)
				assert.NotEqual(t, s.name, other.name)
				assert.True(t, strings.HasPrefix(job.StaticConfigs[0].Targets[0], r.host(other.pod)+":"), s.name)
				own := strings.TrimSuffix(job.JobName, "-peer")
				require.Len(t, job.RelabelConfigs, 1)
				assert.Equal(t, [2]string{"job", own}, [2]string{job.RelabelConfigs[0].TargetLabel, *job.RelabelConfigs[0].Replacement})
				peers = append(peers, own)
			}
			var want []string
			for _, job := range s.ScrapeConfigs {
				if answersForBoth && (job.JobName == "prometheus" || job.JobName == "victoriametrics" || job.JobName == "thanos-sidecar") {
					want = append(want, job.JobName)
				}
			}
			assert.Equal(t, want, peers, s.name)
		}
	})
}

// With a bucket hubquery asks a querier over the store gateways for what is older than what servers surely have.
func TestHubqueryAsksTheArchive(t *testing.T) {
	for values, want := range map[string]string{`{}`: "19440m", `{prometheus: {retention: 6h}}`: "324m", `{query: {archiveAfter: 36h}}`: "36h"} {
		r := mustRender(t, withBucket, values)
		p := r.pods("hubquery")[0]
		args := p.commandLine(p.container("hubquery"))
		assert.Equal(t, []string{want}, flagValues(args, "archive.after"), values)
		assert.Equal(t, []string{"http://edge-hubring-thanos-query-archive.metrics.svc.cluster.local:10902"}, flagValues(args, "archive.url"))
		archive := r.pods("thanos-query-archive")
		require.Len(t, archive, 1)
		assert.ElementsMatch(t, []string{"shard", "prometheus_replica", "ruler_replica"}, flagValues(archive[0].commandLine(archive[0].container("thanos-query-archive")), "query.replica-label"))
	}
	without := mustRender(t, fiveShards)
	assert.Empty(t, without.pods("thanos-query-archive"))
	assert.NotContains(t, strings.Join(without.pods("hubquery")[0].container("hubquery").Args, " "), "archive")
}

// Whether a part will do, either value can say.
func TestHubqueryAnswersInPartAsItIsTold(t *testing.T) {
	for values, want := range map[string]string{`{}`: "--query.partial-response", `{query: {partialResponse: false}}`: "--no-query.partial-response", `{thanos: {query: {partialResponse: false}}}`: "--no-query.partial-response"} {
		args := mustRender(t, fiveShards, values).pods("hubquery")[0].container("hubquery").Args
		assert.Contains(t, args, want, values)
		assert.Equal(t, 1, strings.Count(strings.Join(args, " "), "query.partial-response"), values)
	}
}

// Servers that can store native histograms do, and classic ones beside them; it takes protobuf.
func TestServersStoreNativeHistograms(t *testing.T) {
	for values, want := range map[string]bool{
		`{}`: true, fiveShards: true, join2(fiveShards, withQuerier): false, `{prometheus: {nativeHistograms: false}}`: false,
		`{prometheus: {image: {tag: v3.8.0}}}`: true, `{prometheus: {image: {tag: v3.7.3}}}`: false, `{prometheus: {image: {tag: v4.0.0}}}`: true,
		`{prometheus: {scrapeProtocols: [PrometheusText1.0.0]}}`: false,
	} {
		for _, job := range mustRender(t, strings.Split(values, "\n---\n")...).servers(t)[0].ScrapeConfigs {
			if job.handsOver() {
				assert.Equal(t, want, job.NativeHistograms, values)
				assert.Equal(t, want, job.ClassicToo, values)
			}
		}
	}
}

// Servers that understand protobuf ask for it first. Those before 3.0 do not know all the words, and a querier that takes shards for
// replicas is not helped by what only protobuf can say. Who wants something else says so.
func TestServersAskForProtobuf(t *testing.T) {
	asked := []string{"PrometheusProto", "PrometheusText1.0.0", "PrometheusText0.0.4"}
	openMetrics := []string{"OpenMetricsText1.0.0", "OpenMetricsText0.0.1"}
	const chosen = `{prometheus: {scrapeProtocols: [OpenMetricsText1.0.0, OpenMetricsText0.0.1]}}`
	for values, want := range map[string][]string{
		`{}`: asked, fiveShards: asked, distributed: asked, join2(fiveShards, withQuerier): nil,
		join2(fiveShards, `{prometheus: {image: {tag: v3.0.0}}}`): asked, join2(fiveShards, `{prometheus: {image: {tag: v2.55.1}}}`): nil,
		chosen: openMetrics, join2(join2(fiveShards, withQuerier), chosen): openMetrics,
	} {
		for _, job := range mustRender(t, strings.Split(values, "\n---\n")...).servers(t)[0].ScrapeConfigs {
			if job.handsOver() {
				assert.Equal(t, want, job.Protocols, values)
			} else {
				assert.Empty(t, job.Protocols, "%s: %s", values, job.JobName)
			}
		}
	}
}
