package charttest

import (
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
		assert.Equal(t, volumeAt(s.server(), flagValue(t, s.args, "storageDataPath", "")), "data")
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
const lockedVictoria = `{web: {configSecret: served, clientSecret: asking, tls: true}}`
