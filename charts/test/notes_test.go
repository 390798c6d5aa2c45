package charttest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// NOTES.txt tells whoever installs what to do next, and what they have not thought of.
func TestNotes(t *testing.T) {
	const lossy = "a hub that stops may lose what it still has"
	cases := []struct {
		name, values string
		says, not    []string
	}{
		{"a hub that has no time to stop", `{edgehub: {stopTimeout: 29}}`, []string{"edgehub.stopTimeout is 29 s", lossy}, nil},
		{"a hub that has", `{edgehub: {stopTimeout: 30}}`, nil, []string{lossy}},
		{"no volumes", `{prometheus: {persistence: {enabled: false}}}`, []string{"prometheus.persistence.enabled is false"}, nil},
		{"nobody is told", `{}`, []string{"nobody is told", "statefulset/edge-hubring-prometheus 9090"}, []string{"pair", "placement"}},
		{"somebody is", `{alertmanager: {enabled: true}}`, nil, []string{"nobody is told"}},
		{"a pair", `{prometheus_replicas: 2}`, []string{"1 hub with a pair of Prometheus servers", "statefulset/edge-hubring-prometheus-b", "http://localhost:9090 (either server"}, nil},
		{"namespaces", `{}`, []string{"in pods of the namespace metrics", "elsewhere it cannot be mounted"}, []string{"either server"}},
		{"TLS", `{create_thanos: true, web: {configSecret: served, tls: true, clientSecret: asking}}`, []string{`edgehub.metrics.svc.cluster.local", Scheme: "https"}}`, "The hubs are behind TLS: give exporter.Config a Transport", "localhost:9099"}, []string{"password", "gRPC"}},
		{"TLS and gRPC", `{create_thanos: true, query: {mode: thanos}, web: {configSecret: served, tls: true, clientSecret: asking}}`, []string{"gRPC between the parts"}, nil},
		{"passwords", `{web: {configSecret: served, username: hubring, clientSecret: asking}}`, []string{"The hubs are behind a password", "in plain text"}, []string{"https", "gRPC"}},
		{"passwords of senders", `{web: {configSecret: served, pushConfigSecret: pushed, username: hubring, clientSecret: asking}}`, []string{"take pushes as the Secret pushed says"}, []string{"The hubs are behind"}},
		{"a web configuration of nobody knows what", `{web: {configSecret: served}}`, []string{"web.tls and web.username are not", "locked out"}, []string{"The hubs are behind"}},
		{"shards", fiveShards, []string{"5 hubs", "rollout status deployment/edge-hubring-query\n", "service/edge-hubring-query 9099", "http://edge-hubring-query.metrics.svc.cluster.local:9099"}, []string{"set query.enabled to true", "Queries are distributed"}},
		{"Thanos", join2(fiveShards, withQuerier), []string{"rollout status deployment/edge-hubring-thanos-query\n", "service/edge-hubring-query 9099"}, []string{"set query.enabled to true"}},
		{"distributed", distributed, []string{"Queries are distributed"}, nil},
		{"a frontend", `{create_thanos: true, thanos: {queryFrontend: {enabled: true}}}`, []string{"service/edge-hubring-thanos-query-frontend 10902", "http://edge-hubring-thanos-query-frontend.metrics.svc.cluster.local:10902"}, []string{"9099"}},
		{"VictoriaMetrics", victoria, []string{"5 hubs, each with a VictoriaMetrics node", "No Prometheus runs that could watch the ruler"}, nil},
		{"a placement", `{placement: {enabled: true}}`, []string{"hubctl places the gateways (17 * * * *)", "the ConfigMap edge-hubring-placement as a directory", `placement.File("/etc/hubring/placement/placement.json")`, "--from=cronjob/edge-hubring-placement"}, []string{"become a ring"}},
		{"a circle", `{placement: {base: consistent/load=2}}`, []string{"says how the hubs become a ring,\n   consistent/load=2: leave Config.Ring nil there"}, []string{"hubctl places"}},
		{"groups", `{edgehub: {pushgateway: {enabled: true}}}`, []string{"http://edge-hubring-pushgateway.metrics.svc.cluster.local:9091", "is gone when the first hub's pod is deleted"}, nil},
		{"groups on a volume", `{edgehub: {pushgateway: {enabled: true}, persistence: {enabled: true}}}`, []string{"edge-hubring-pushgateway"}, []string{"is gone when"}},
		{"no groups", `{}`, nil, []string{"pushgateway"}},
		{"one server", `{}`, []string{"set query.enabled to true"}, []string{"Grafana"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			notes := mustRender(t, strings.Split(c.values, "\n---\n")...).notes
			for _, words := range c.says {
				assert.Contains(t, notes, words)
			}
			for _, words := range c.not {
				assert.NotContains(t, notes, words)
			}
		})
	}
}
