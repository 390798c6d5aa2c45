package charttest

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// victoria is five shards, each a VictoriaMetrics.
const victoria = `{prometheus_servers_count: 5, create_thanos: true, shard: {kind: victoriametrics}}`

// A VictoriaMetrics stands where a Prometheus would: with its name, its port and its volume, so that hubs, hubquery
// and people find it.
func TestVictoriaMetricsStandsInAServersPlace(t *testing.T) {
	prometheus, victoria := mustRender(t, fiveShards, `{prometheus_replicas: 2}`), mustRender(t, victoria, `{prometheus_replicas: 2}`)
	others := byKey(victoria)
	for _, s := range prometheus.servers(t) {
		other := victoria.pods("victoriametrics")
		require.Len(t, other, len(prometheus.servers(t)))
		w := workloadOf(t, victoria, s.name)
		assert.Equal(t, s.selector, w.selector)
		assert.Equal(t, s.claims, w.claims)
		assert.Equal(t, s.server().Ports, w.server().Ports)
		assert.Equal(t, s.server().Resources, w.server().Resources)
		assert.Equal(t, s.grace(t), w.grace(t))
	}
	service := "Service/edge-hubring-prometheus"
	assert.Equal(t, byKey(prometheus)[service].(*corev1.Service).Spec, others[service].(*corev1.Service).Spec)
	for _, s := range victoria.servers(t) {
		assert.Equal(t, []string{"360h"}, flagValues(s.args, "retentionPeriod"), "15 days")
		assert.Equal(t, "data", volumeAt(s.server(), flagValue(t, s.args, "storageDataPath", "")))
		assert.Equal(t, []string{"1ms"}, flagValues(s.args, "dedup.minScrapeInterval"), "what comes twice would count twice")
	}
}

// There is no Prometheus that could watch the ruler, so the ruler has the rules about itself.
func TestRulerWatchesItselfWhereNobodyElseCan(t *testing.T) {
	has := func(values string) bool {
		r := mustRender(t, values)
		_, there := ruleGroups(t, r.rulersFiles(t))["hubring-ruler"]
		return there
	}
	assert.True(t, has(victoria))
	assert.False(t, has(fiveShards))
	assert.Nil(t, find[*corev1.ConfigMap](mustRender(t, victoria), "edge-hubring-watch"))
}

// It reads no web.yml: what it serves with is said by its own flags.
func TestVictoriaMetricsServesWithTLSAndPasswords(t *testing.T) {
	s := mustRender(t, victoria, `{web: {configSecret: served, clientSecret: asking, tls: true, username: hubring}, victoriametrics: {certFile: a.crt, keyFile: a.key}}`).servers(t)[0]
	assert.Contains(t, s.args, "--tls")
	assert.Equal(t, []string{"/etc/hubring/web/a.crt"}, flagValues(s.args, "tlsCertFile"))
	assert.Equal(t, []string{"/etc/hubring/web/a.key"}, flagValues(s.args, "tlsKeyFile"))
	assert.Equal(t, []string{"hubring"}, flagValues(s.args, "httpAuth.username"))
	assert.Equal(t, []string{"file:///etc/hubring/client/password"}, flagValues(s.args, "httpAuth.password"))
	for _, flag := range mustRender(t, victoria).servers(t)[0].args {
		assert.NotRegexp(t, "^--(tls|httpAuth)", flag)
	}
}

// lockedVictoria has VictoriaMetrics serve with TLS.
const lockedVictoria = `{web: {configSecret: web-config, clientSecret: web-client, tls: true}}`

// The real VictoriaMetrics takes every configuration and knows every flag: it is strict with both.
func TestVictoriaMetricsAcceptsEveryConfiguration(t *testing.T) {
	program := needs(t, victoriaMetrics)
	var tried int
	inEveryScenario(t, func(t *testing.T, s scenario, r *release) {
		keys := newKeys(t)
		keys.addTo(r, keys.webConfig(t, s.values))
		c := newCluster(t, r)
		for _, server := range r.servers(t) {
			if !server.victoria {
				return
			}
			tried++
			c.layOut(server.pod, server.server())
			out := mustRun(t, program, append(c.args(server.pod, server.server()), "--dryRun")...)
			assert.Contains(t, out, "is ok; exiting with 0 status code", server.name)
		}
	})
	assert.Positive(t, tried)
}

// With TLS and a password it serves those who have both and nobody else, scrapes its hub, and shows the metric that
// an alert names.
func TestVictoriaMetricsIsOneOfTheParts(t *testing.T) {
	t.Parallel()
	needs(t, victoriaMetrics)
	r := mustRender(t, victoria, lockedVictoria, `{prometheus_servers_count: 1, web: {username: hubring, serverName: hubring.example.org}, prometheus: {scrapeInterval: 1s, scrapeTimeout: 1s, gatewaysInterval: 1s}}`)
	keys := newKeys(t)
	keys.addTo(r, map[string]any{"tls_server_config": map[string]string{"cert_file": "server.crt", "key_file": "server.key"}, "basic_auth_users": map[string]string{user: keys.hash}})
	c := newCluster(t, r)
	hub, server := r.hubs(t)[0], r.servers(t)[0]
	c.start(hub.name, "edgehub")
	c.start(server.name, "victoriametrics")
	c.assertProbed(t, server.pod, server.server())
	member, at := keys.client(t, true), "https://"+c.address(server.name, 9090)
	await(t, "jobs are up", func() error {
		a, err := member.query(t.Context(), at, `sum by (job) (up{job!=""}) == 1`)
		up := slices.Sorted(maps.Keys(a.values("job")))
		return errors.Join(err, unless(slices.Equal(up, []string{"edgehub", "edgehub-gateways", "edgehub-internal", "victoriametrics"}), "%q are up", up))
	})
	push := "https://" + c.address(hub.name, 9091) + "/metrics"
	require.NoError(t, member.do(t.Context(), http.MethodPost, push, "pushed{gatewayID=\"gw-1\"} 42\n", nil))
	await(t, "what was pushed is answered", func() error {
		a, err := member.query(t.Context(), at, "pushed")
		return errors.Join(err, unless(len(a.Data.Result) == 1 && a.values("gatewayID")["gw-1"] == "42", "%v", a.Data.Result))
	})
	await(t, "the metric of an alert is there", func() error {
		a, err := member.query(t.Context(), at, `vm_promscrape_config_last_reload_successful{job="victoriametrics", gatewayID=""} == 1`)
		return errors.Join(err, unless(len(a.Data.Result) == 1, "%v", a.Data.Result))
	})
	assert.NoError(t, keys.client(t, false).status(t.Context(), at+"/api/v1/query?query=up", http.StatusUnauthorized))
}
