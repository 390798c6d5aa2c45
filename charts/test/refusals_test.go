package charttest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ownRule is a rule group of the user's.
const ownRule = `
rules:
  groups:
    - name: fleet
      rules:
        - alert: GatewaysAreSilent
          expr: sum(up) == 0
          for: 5m
          labels: {severity: page}
          annotations: {summary: No gateway reports.}
`

const someDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// archiveAfter are values with a bucket that is asked from an age on.
func archiveAfter(age string) string {
	return join2(withBucket, `{query: {archiveAfter: `+age+`}}`)
}

// A wrong value is refused, and the sentence names the value, what it is, and what to do.
func TestWrongValuesAreRefused(t *testing.T) {
	cases := []struct {
		name, values string
		says         []string
	}{
		{"no servers", `{prometheus_servers_count: 0}`, []string{"prometheus_servers_count", "0", "1"}},
		{"fewer than none", `{prometheus_servers_count: -1}`, []string{"prometheus_servers_count", "-1", "1"}},
		{"half a server", `{prometheus_servers_count: 1.5, create_thanos: true}`, []string{"prometheus_servers_count", "whole number"}},
		{"a number in words", `{prometheus_servers_count: five}`, []string{"prometheus_servers_count", "whole number"}},
		{"a number as text", `{prometheus_servers_count: "5", create_thanos: true}`, []string{"prometheus_servers_count", "whole number"}},
		{"several servers and no Thanos", `{prometheus_servers_count: 5}`, []string{"prometheus_servers_count is 5", "set query.enabled (or create_thanos, its old name) to true"}},
		{"three servers a hub", `{prometheus_replicas: 3}`, []string{"prometheus_replicas", "2"}},
		{"no server a hub", `{prometheus_replicas: 0}`, []string{"prometheus_replicas", "1"}},
		{"a switch as text", `{create_thanos: "yes"}`, []string{"create_thanos", "true or false"}},
		{"an unknown key", `{prometheus_server_count: 5}`, []string{"prometheus_server_count", "not allowed"}},
		{"an unknown key below", `{edgehub: {limitSample: 5}}`, []string{"edgehub", "limitSample", "not allowed"}},
		{"an unknown key of Prometheus", `{prometheus: {retentionTime: 5d}}`, []string{"prometheus", "retentionTime", "not allowed"}},
		{"an unknown key of Thanos", `{thanos: {querier: {}}}`, []string{"thanos", "querier", "not allowed"}},
		{"a policy that there is not", `{edgehub: {limitPolicy: oldest}}`, []string{"limitPolicy", "refuse", "newest"}},
		{"a window that is too short", `{prometheus: {outOfOrderTimeWindow: 1h}}`, []string{"outOfOrderTimeWindow is 1h", "edgehub.maxAge", "longer"}},
		{"a window as long as the hub's", `{prometheus: {outOfOrderTimeWindow: 70m}}`, []string{"outOfOrderTimeWindow is 70m", "longer"}},
		{"a hub that hands over older samples", `{edgehub: {maxAge: 3h}}`, []string{"outOfOrderTimeWindow", "3h"}},
		{"a scrape that takes too long", `{prometheus: {scrapeTimeout: 20s}}`, []string{"scrapeTimeout is 20s", "scrapeInterval"}},
		{"a format that there is not", `{prometheus: {scrapeProtocols: [OpenMetricsText]}}`, []string{"/prometheus/scrapeProtocols/0", "PrometheusProto", "OpenMetricsText1.0.0"}},
		{"a format twice", `{prometheus: {scrapeProtocols: [PrometheusProto, PrometheusProto]}}`, []string{"/prometheus/scrapeProtocols", "equal"}},
		{"a list more often than it may take", `{prometheus: {gatewaysInterval: 10s}}`, []string{"gatewaysInterval is 10s", "scrapeTimeout, 14s"}},
		{"a digest of nobody knows which release", `{prometheus: {image: {tag: "", digest: "` + someDigest + `"}}}`, []string{"prometheus.image.digest", "prometheus.image.tag is empty", "name there the release"}},
		{"any Thanos", `{create_thanos: true, thanos: {image: {tag: ""}}}`, []string{"thanos.image.tag", "name a release"}},
		{"any Alertmanager", `{alertmanager: {enabled: true, image: {tag: ""}}}`, []string{"alertmanager.image.tag", "name a release"}},
		{"a label that is taken", `{prometheus: {externalLabels: {shard: mine}}}`, []string{"externalLabels", "shard", "another name"}},
		{"a label of all selectors", `{commonLabels: {app.kubernetes.io/name: mine}}`, []string{"commonLabels has app.kubernetes.io/name", "choose another name"}},
		{"a label of every object", `{commonLabels: {app.kubernetes.io/managed-by: me}}`, []string{"commonLabels has app.kubernetes.io/managed-by", "choose another name"}},
		{"a label of hubs", `{edgehub: {podLabels: {app.kubernetes.io/component: hub}}}`, []string{"edgehub.podLabels has app.kubernetes.io/component", "choose another name"}},
		{"a label of a pair", `{prometheus: {podLabels: {prometheus-replica: c}}}`, []string{"prometheus.podLabels has prometheus-replica", "choose another name"}},
		{"a label of a monitor", `{serviceMonitor: {labels: {app.kubernetes.io/instance: x}}}`, []string{"serviceMonitor.labels has app.kubernetes.io/instance", "choose another name"}},
		{"rules twice", `{rules: {configMaps: [site, site]}}`, []string{"/rules/configMaps", "items at 0 and 1 are equal"}},
		{"a secret twice", `{prometheus: {secrets: [mimir, mimir]}}`, []string{"/prometheus/secrets", "items at 0 and 1 are equal"}},
		{"an address without a scheme", `{prometheus: {externalURL: prometheus.example.org}}`, []string{"/prometheus/externalURL", "https?://"}},
		{"two kinds of Alertmanager", `{alertmanager: {enabled: true, existingURLs: ["http://am:9093"]}}`, []string{"alertmanager.enabled", "existingURLs", "choose one"}},
		{"an Alertmanager without a scheme", `{alertmanager: {existingURLs: ["am:9093"]}}`, []string{"existingURLs", "am:9093", "http://"}},
		{"a policy that shuts everybody out", `{networkPolicy: {enabled: true}}`, []string{"networkPolicy.pushers", "nobody could push"}},
		{"pushers of groups that no hub takes", `{networkPolicy: {groupPushers: [{podSelector: {}}]}}`, []string{"networkPolicy.groupPushers", "set edgehub.pushgateway.enabled to true"}},
		{"a group's time in days", `{edgehub: {pushgateway: {groupTTL: 1d}}}`, []string{`edgehub.pushgateway.groupTTL is "1d": write a duration such as 30s, 90m or 1h30m`}},
		{"TLS without a certificate", `{web: {tls: true, clientSecret: asking}}`, []string{"web.configSecret is empty", "web.yml"}},
		{"TLS that nobody can check", `{web: {tls: true, configSecret: served}}`, []string{"web.clientSecret is empty", "ca.crt"}},
		{"a user without a password", `{web: {username: hubring, configSecret: served}}`, []string{"web.clientSecret is empty", "password for web.username"}},
		{"a certificate of clients without TLS", `{web: {clientCertificate: true}}`, []string{"web.clientCertificate", "set web.tls to true"}},
		{"a name on no certificate", `{web: {serverName: x.example.org}}`, []string{"web.serverName", "set web.tls to true"}},
		{"passwords of senders on the port of scrapes", `{web: {pushConfigSecret: pushed}, edgehub: {separateScrapePort: false}}`, []string{"web.pushConfigSecret", "set edgehub.separateScrapePort to true"}},
		{"monitors that no certificate is for", `{web: {tls: true, configSecret: served, clientSecret: asking}, podMonitor: {enabled: true}}`, []string{"web.serverName is empty", "by their addresses"}},
		{"monitors that are kept out", `{networkPolicy: {enabled: true, pushers: [{podSelector: {}}]}, serviceMonitor: {enabled: true}}`, []string{"networkPolicy.monitors is empty", "list the operator's Prometheus"}},
		{"a frontend of nothing", `{thanos: {queryFrontend: {enabled: true}}}`, []string{"thanos.queryFrontend.enabled", "query.enabled to true"}},
		{"retired servers that nobody asks", `{prometheus: {retired: 1}}`, []string{"prometheus.retired is 1", "set query.enabled to true"}},
		{"a mode that there is not", `{query: {enabled: true, mode: sharded}}`, []string{"/query/mode", "'shards', 'thanos', 'thanos-distributed'"}},
		{"a mode of nothing", `{query: {mode: thanos}}`, []string{"query.mode is thanos", "set query.enabled to true"}},
		{"distributed queries of nothing", `{thanos: {query: {distributed: {enabled: true}}}}`, []string{"thanos.query.distributed.enabled", "set query.enabled to true"}},
		{"two modes", `{create_thanos: true, query: {mode: shards}, thanos: {query: {distributed: {enabled: true}}}}`, []string{"thanos.query.distributed.enabled is true and query.mode is shards", "the old name of query.mode: thanos-distributed"}},
		{"a switch as text, by its new name", `{query: {enabled: "yes"}}`, []string{"/query/enabled", "want boolean"}},
		{"an archive of nothing", `{query: {enabled: true, archiveAfter: 36h}}`, []string{"query.archiveAfter is 36h", "no bucket", "leave it empty"}},
		{"an archive that has no blocks yet", archiveAfter("2h"), []string{"query.archiveAfter is 2h", "4h or more"}},
		{"an archive after all is gone", archiveAfter("361h"), []string{"query.archiveAfter is 361h", "no more than prometheus.retention, 15d"}},
		{"a server that may take all of the time", `{query: {timeout: 30s}}`, []string{"query.responseTimeout is 1m", "query.timeout, 30s", "make it shorter"}},
		{"a label of hubctl", `{placement: {podLabels: {app.kubernetes.io/component: p}}}`, []string{"placement.podLabels has app.kubernetes.io/component", "choose another name"}},
		{"a ring that there is not", `{placement: {base: jump}}`, []string{`placement.base is "jump": leave it empty, or write rendezvous or consistent`}},
		{"a circle with more than it takes", `{placement: {base: consistent/partitions=2000000}}`, []string{"placement.base is", "up to 1048576 partitions"}},
		{"a placement of nobody knows when", `{placement: {maxAge: a day}}`, []string{`placement.maxAge is "a day": write a duration such as 15s, 90m or 15d`}},
		{"a label of hubquery", `{query: {podLabels: {app.kubernetes.io/component: q}}}`, []string{"query.podLabels has app.kubernetes.io/component", "choose another name"}},
		{"a kind of server that there is not", `{shard: {kind: mimir}}`, []string{"/shard/kind", "'prometheus', 'victoriametrics'"}},
		{"VictoriaMetrics and no ruler", `{shard: {kind: victoriametrics}}`, []string{"shard.kind is victoriametrics and query.enabled is false", "no alert would fire"}},
		{"VictoriaMetrics with a querier", join2(victoria, withQuerier), []string{"shard.kind is victoriametrics and query.mode is thanos", "set query.mode to shards"}},
		{"VictoriaMetrics with queriers", join2(victoria, distributed), []string{"shard.kind is victoriametrics and query.mode is thanos-distributed"}},
		{"VictoriaMetrics with a bucket", join2(victoria, withBucket), []string{"shard.kind is victoriametrics and objectStorage.enabled is true", "no blocks"}},
		{"VictoriaMetrics that forwards", join2(victoria, `{prometheus: {remoteWrite: [{url: "http://x"}]}}`), []string{"shard.kind is victoriametrics and prometheus.remoteWrite", "forwards nothing"}},
		{"VictoriaMetrics with labels", join2(victoria, `{prometheus: {externalLabels: {region: eu}}}`), []string{"prometheus.externalLabels", "store them with every sample"}},
		{"VictoriaMetrics with a bound", join2(victoria, `{prometheus: {retentionSize: 5GB}}`), []string{"prometheus.retentionSize is 5GB", "make the volume large enough"}},
		{"VictoriaMetrics for hours", join2(victoria, `{prometheus: {retention: 12h}}`), []string{"prometheus.retention is 12h", "1d or more"}},
		{"VictoriaMetrics with flags of another", join2(victoria, `{prometheus: {extraArgs: [--x]}}`), []string{"prometheus.extraArgs", "victoriametrics.extraArgs"}},
		{"VictoriaMetrics that is linked to", join2(victoria, `{prometheus: {externalURL: "https://x"}}`), []string{"prometheus.externalURL", "thanos.ruler.queryURL"}},
		{"VictoriaMetrics that asks for certificates", join2(victoria, `{web: {configSecret: a, clientSecret: b, tls: true, clientCertificate: true}}`), []string{"web.clientCertificate is true", "asks for none"}},
		{"any VictoriaMetrics", join2(victoria, `{victoriametrics: {image: {tag: ""}}}`), []string{"victoriametrics.image.tag", "name a release"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := render(releaseName, strings.Split(c.values, "\n---\n")...)
			require.Error(t, err)
			for _, words := range c.says {
				assert.Contains(t, err.Error(), words)
			}
		})
	}
}

// A value of a wrong type is refused by the schema, in words that name the value and what it must be.
func TestWrongTypesAreRefused(t *testing.T) {
	cases := []struct {
		values string
		says   []string
	}{
		{`{edgehub: {limitSamples: many}}`, []string{"/edgehub/limitSamples", "got string, want integer"}},
		{`{edgehub: {limitSeries: 0}}`, []string{"/edgehub/limitSeries", "minimum", "1"}},
		{`{edgehub: {parts: 65}}`, []string{"/edgehub/parts", "maximum", "64"}},
		{`{edgehub: {stopTimeout: 30s}}`, []string{"/edgehub/stopTimeout", "want integer"}},
		{`{edgehub: {maxAge: 60}}`, []string{"/edgehub/maxAge", "want string"}},
		{`{edgehub: {maxAge: 1 hour}}`, []string{`edgehub.maxAge is "1 hour": write a duration such as 30s, 90m or 1h30m`}},
		{`{edgehub: {maxAge: 1d}}`, []string{`edgehub.maxAge is "1d": write a duration such as 30s, 90m or 1h30m`}},
		{`{prometheus: {scrapeInterval: ""}}`, []string{`prometheus.scrapeInterval is "": write a duration`}},
		{`{edgehub: {extraArgs: --log.level=debug}}`, []string{"/edgehub/extraArgs", "want array"}},
		{`{edgehub: {nodeSelector: {pool: 1}}}`, []string{"/edgehub/nodeSelector/pool", "want string"}},
		{`{edgehub: {image: {digest: "0123"}}}`, []string{"/edgehub/image/digest", "sha256:"}},
		{`{prometheus: {retention: 15 days}}`, []string{`prometheus.retention is "15 days": write a duration such as 15s, 90m or 15d`}},
		{`{prometheus: {persistence: {enabled: "yes"}}}`, []string{"/prometheus/persistence/enabled", "want boolean"}},
		{`{prometheus: {remoteWrite: [{tenant: a}]}}`, []string{"/prometheus/remoteWrite/0", "missing property", "url"}},
		{`{alertmanager: {replicas: 1.5}}`, []string{"/alertmanager/replicas", "want integer"}},
		{`{web: {tls: web-config}}`, []string{"/web/tls", "want boolean"}},
		{`{web: {username: "a:b"}}`, []string{"/web/username", "a:b"}},
		{`{networkPolicy: {monitors: {app: prometheus}}}`, []string{"/networkPolicy/monitors", "want array"}},
		{`{podMonitor: {interval: 30}}`, []string{"/podMonitor/interval", "want string"}},
	}
	for _, c := range cases {
		t.Run(c.values, func(t *testing.T) {
			_, err := render(releaseName, c.values)
			require.Error(t, err)
			for _, words := range c.says {
				assert.Contains(t, err.Error(), words)
			}
		})
	}
}

// Releases of Prometheus that keep only the first of several samples of a series are refused,
// whatever is written around the number.
func TestPrometheusReleasesThatLoseSamplesAreRefused(t *testing.T) {
	refused := []string{"v2.52.0", "v2.52.1", "v2.53.0", "v2.53.1", "v2.53.2", "v2.54.0", "2.53.1", "v2.54.0-rc.1", "v2.53.2-distroless"}
	for _, tag := range refused {
		t.Run(tag, func(t *testing.T) {
			_, err := render(releaseName, `{prometheus: {image: {tag: `+tag+`}}}`)
			require.Error(t, err)
			assert.Contains(t, err.Error(), "prometheus.image.tag is "+tag+": releases 2.52.0 to 2.53.2 and 2.54.0 keep only the first of several samples of a series; use v2.54.1 or later, v3.x")
		})
	}
	for _, tag := range []string{"v2.54.1", "v2.55.0", "v2.55.1", "v3.0.0", "v3.15.0", "v3.15.0-distroless"} {
		t.Run(tag, func(t *testing.T) {
			_, err := render(releaseName, `{prometheus: {image: {tag: `+tag+`}}}`)
			require.NoError(t, err)
			_, err = render(releaseName, `{prometheus: {image: {tag: `+tag+`}}}`, fiveShards)
			require.NoError(t, err)
		})
	}
	for _, tag := range []string{"latest", "main", `""`} {
		t.Run("no release: "+tag, func(t *testing.T) {
			_, err := render(releaseName, `{prometheus: {image: {tag: `+tag+`}}}`)
			require.Error(t, err)
			assert.Contains(t, err.Error(), "prometheus.image.tag")
		})
	}
}
