package charttest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

const (
	sharedName = "hubring.example.org" // what the certificates are for
	user       = "hubring"
	sender     = "controller" // who may push where pushes have passwords of their own
	password   = "a password: with 'all' sorts of $(things) in it"
)

// locked has everything behind TLS with certificates of both sides, and a password.
const locked = `
create_thanos: true
placement: {enabled: true}
alertmanager: {enabled: true}
thanos: {queryFrontend: {enabled: true}, ruler: {evaluationInterval: 1s}}
prometheus: {scrapeInterval: 1s, scrapeTimeout: 1s, gatewaysInterval: 1s}
rules:
  builtin: false
  groups: [{name: always, rules: [{alert: Always, expr: vector(1)}]}]
web: {configSecret: web-config, tls: true, username: hubring, clientSecret: web-client, clientCertificate: true, serverName: hubring.example.org}`

// The parts find each other with certificates and passwords, from a push to an alert, and nobody else gets in. So it is in
// each mode.
func TestPartsSpeakTLSWithPasswords(t *testing.T) {
	t.Parallel()
	for mode, values := range map[string]string{"shards": `{}`, "thanos": withQuerier} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			assertPartsSpeakTLSWithPasswords(t, values)
		})
	}
}

func assertPartsSpeakTLSWithPasswords(t *testing.T, mode string) {
	t.Helper()
	r := mustRender(t, locked, mode)
	keys := newKeys(t)
	keys.addTo(r, keys.webConfig(t, locked))
	c := newCluster(t, r)
	name := r.hubs(t)[0].GetName()
	name = strings.TrimSuffix(name, "edgehub")
	c.start(name+"edgehub-0", "edgehub")
	c.start(name+"alertmanager-0", "alertmanager")
	for _, container := range r.servers(t)[0].template.Spec.Containers { // a querier is slow to try again
		p := c.pod(name + "prometheus-0")
		c.start(p.name, container.Name)
		c.assertProbed(t, p, p.container(container.Name))
	}
	var jobs []string // but for those that are found by the DNS
	querier := "hubquery"
	if len(r.pods(querier)) == 0 {
		jobs, querier = []string{"thanos-sidecar"}, "thanos-query"
	}
	c.start(r.pods(querier)[0].name, querier)
	c.start(name+"thanos-query-frontend-0", "thanos-query-frontend")
	c.runFirst(name+"thanos-rule-0", "rulekeeper-once")
	c.start(name+"thanos-rule-0", "rulekeeper")
	c.start(name+"thanos-rule-0", "thanos-rule")

	member := keys.client(t, true)
	prometheus := "https://" + c.address(name+"prometheus-0", 9090)
	frontend := "https://" + c.address(name+"thanos-query-frontend-0", 10902)
	t.Run("every job is up", func(t *testing.T) {
		want := slices.Sorted(slices.Values(append(jobs, "alertmanager", "edgehub", "edgehub-gateways", "edgehub-internal", "prometheus", "rulekeeper", "thanos-rule")))
		await(t, "jobs are up", func() error {
			up, err := member.query(t.Context(), prometheus, `sum by (job) (up{job!=""}) == 1`)
			has := slices.Sorted(maps.Keys(up.values("job")))
			return errors.Join(err, unless(slices.Equal(has, want), "%q are up, want %q", has, want))
		})
	})
	t.Run("a pushed sample is answered", func(t *testing.T) {
		push := "https://" + c.address(name+"edgehub-0", 9091) + "/metrics"
		require.NoError(t, member.do(t.Context(), http.MethodPost, push, "pushed{gatewayID=\"gw-1\"} 42\n", nil))
		await(t, "the sample is answered", func() error {
			a, err := member.query(t.Context(), frontend, "pushed")
			got := a.values("gatewayID")
			return errors.Join(err, unless(len(got) == 1 && got["gw-1"] == "42", "%v", got))
		})
	})
	t.Run("hubctl learns which gateways there are", func(t *testing.T) { c.assertPlaces(t, 1) })
	t.Run("the hub learns that it is stored", func(t *testing.T) {
		await(t, "a receipt is found", func() error {
			a, err := member.query(t.Context(), prometheus, `edgehub_receipt_queries_total{result="stored"} > 0`)
			return errors.Join(err, unless(len(a.Data.Result) == 1, "%v", a.Data.Result))
		})
	})
	t.Run("an alert arrives", func(t *testing.T) {
		at := "https://" + c.address(name+"alertmanager-0", 9093) + "/api/v2/alerts"
		await(t, "the alert", func() error {
			var alerts []struct {
				Labels map[string]string `json:"labels"`
			}
			err := member.do(t.Context(), http.MethodGet, at, "", &alerts)
			return errors.Join(err, unless(len(alerts) == 1 && alerts[0].Labels["alertname"] == "Always", "%v", alerts))
		})
	})
	t.Run("the ruler takes rules", func(t *testing.T) {
		await(t, "the rule keeper is content", func() error {
			a, err := member.query(t.Context(), prometheus, "hubring_rules_last_load_successful")
			got := a.values("job")
			return errors.Join(err, unless(got["rulekeeper"] == "1", "%v", got))
		})
	})
	t.Run("probes succeed", func(t *testing.T) {
		for _, container := range []string{"edgehub", "alertmanager", "prometheus", querier, "thanos-query-frontend", "thanos-rule", "rulekeeper"} {
			p := r.pods(container)[0]
			for i := range p.template.Spec.Containers {
				c.assertProbed(t, p, &p.template.Spec.Containers[i])
			}
		}
	})
	t.Run("nobody else gets in", func(t *testing.T) {
		for _, at := range c.httpPorts() {
			assert.NoError(t, member.request(t.Context(), at.method, "https://"+at.url, http.StatusOK))
			assert.NoError(t, keys.client(t, false).request(t.Context(), at.method, "https://"+at.url, http.StatusUnauthorized))
			assert.NoError(t, visitor{client: http.DefaultClient}.request(t.Context(), at.method, "http://"+at.url, http.StatusBadRequest), "in plain text")
			bare := keys.client(t, true)
			bare.client.Transport.(*http.Transport).TLSClientConfig.Certificates = nil
			assert.ErrorContains(t, bare.request(t.Context(), at.method, "https://"+at.url, http.StatusOK), "certificate required", "%s without a certificate", at.url)
		}
	})
}

// With TLS alone the kubelet can ask, and with a password alone the parts log in over plain HTTP.
func TestPartsSpeakTLSOrWithPasswords(t *testing.T) {
	t.Parallel()
	keys := newKeys(t)
	for _, c := range []struct {
		name, values, scheme string
		config               map[string]any
	}{
		{
			"TLS", `web: {configSecret: web-config, tls: true, clientSecret: web-client, serverName: hubring.example.org}`, "https",
			map[string]any{"tls_server_config": map[string]string{"cert_file": "server.crt", "key_file": "server.key"}},
		},
		{
			"passwords", `web: {configSecret: web-config, username: hubring, clientSecret: web-client}`, "http",
			map[string]any{"basic_auth_users": map[string]string{user: keys.hash}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := mustRender(t, `{create_thanos: true, query: {mode: thanos}, prometheus: {scrapeInterval: 1s, scrapeTimeout: 1s, gatewaysInterval: 1s}}`, c.values)
			keys.addTo(r, c.config)
			on := newCluster(t, r)
			server := r.servers(t)[0].pod
			hub := r.hubs(t)[0].pod
			on.start(hub.name, "edgehub")
			on.start(server.name, "prometheus")
			on.start(server.name, "thanos-sidecar")
			want := []string{"edgehub", "edgehub-gateways", "edgehub-internal", "prometheus", "thanos-sidecar"}
			await(t, "jobs are up", func() error {
				a, err := keys.client(t, true).query(t.Context(), c.scheme+"://"+on.address(server.name, 9090), `sum by (job) (up{job!=""}) == 1`)
				has := slices.Sorted(maps.Keys(a.values("job")))
				return errors.Join(err, unless(slices.Equal(has, want), "%q are up, want %q", has, want))
			})
			for _, p := range []pod{hub, server} {
				for i := range p.template.Spec.Containers {
					on.assertProbed(t, p, &p.template.Spec.Containers[i])
				}
			}
		})
	}
}

// Where senders have passwords of their own, they may push and nothing else, and the parts may not push.
func TestSendersHaveTheirOwnPassword(t *testing.T) {
	t.Parallel()
	r := mustRender(t, `
prometheus: {scrapeInterval: 1s, scrapeTimeout: 1s, gatewaysInterval: 1s}
web: {configSecret: web-config, pushConfigSecret: web-push, username: hubring, clientSecret: web-client}`)
	keys := newKeys(t)
	keys.addTo(r, map[string]any{"basic_auth_users": map[string]string{user: keys.hash}})
	c := newCluster(t, r)
	hub, server := r.hubs(t)[0], r.servers(t)[0]
	c.start(hub.name, "edgehub")
	c.start(server.name, "prometheus")
	c.assertProbed(t, hub.pod, hub.container("edgehub"))

	controller, part, stranger := visitor{http.DefaultClient, sender}, visitor{http.DefaultClient, user}, visitor{client: http.DefaultClient}
	push, shown := "http://"+c.address(hub.name, 9091)+"/metrics", "http://"+c.address(hub.name, 9092)
	require.NoError(t, controller.do(t.Context(), http.MethodPost, push, "pushed{gatewayID=\"gw-1\"} 42\n", nil))
	for _, who := range []visitor{part, stranger} {
		assert.NoError(t, who.request(t.Context(), http.MethodPost, push, http.StatusUnauthorized), who.user)
	}
	for _, path := range []string{"/metrics", "/gateways", "/internal", "/"} {
		assert.NoError(t, part.status(t.Context(), shown+path, http.StatusOK))
		for _, who := range []visitor{controller, stranger} {
			assert.NoError(t, who.status(t.Context(), shown+path, http.StatusUnauthorized), who.user)
		}
	}
	assert.Error(t, controller.status(t.Context(), push, http.StatusOK), "a scrape where pushes are")
	await(t, "the sample is stored, and the hub knows", func() error {
		at := "http://" + c.address(server.name, 9090)
		a, err := part.query(t.Context(), at, "pushed")
		stored, err2 := part.query(t.Context(), at, "edgehub_pending_samples == 0 and on (instance) edgehub_samples_received_total > 0")
		return errors.Join(err, err2, unless(a.values("gatewayID")["gw-1"] == "42" && len(stored.Data.Result) == 1, "%v, %v", a.Data.Result, stored.Data.Result))
	})
}

// unless returns an error unless something is so.
func unless(so bool, format string, args ...any) error {
	if so {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// question is one that a part answers who may ask.
type question struct{ method, url string }

// httpPorts returns a question for each port at which HTTP is spoken. A hub's probes are for everybody, so
// it is asked for something else.
func (c *cluster) httpPorts() []question {
	var all []question
	for _, w := range c.r.workloads() {
		for _, container := range w.template.Spec.Containers {
			for _, p := range container.Ports {
				address := c.address(w.GetName()+"-0", int(p.ContainerPort))
				switch {
				case container.Name == "edgehub" && p.Name == "http":
					all = append(all, question{http.MethodPost, address + "/metrics"})
				case container.Name == "edgehub":
					all = append(all, question{http.MethodGet, address + "/internal"})
				case strings.HasPrefix(p.Name, "http"):
					all = append(all, question{http.MethodGet, address + "/-/healthy"})
				}
			}
		}
	}
	return all
}

// assertProbed asks a container as the kubelet would.
func (c *cluster) assertProbed(t *testing.T, p pod, container *corev1.Container) {
	t.Helper()
	for _, probe := range []*corev1.Probe{container.ReadinessProbe, container.LivenessProbe} {
		require.NotNil(t, probe, "%s/%s", p.name, container.Name)
		await(t, p.name+"/"+container.Name+" is content with a probe", func() error { return c.probe(t.Context(), p, container, probe) })
	}
}

// probe asks once. Like the kubelet it takes any certificate, has none and knows no password.
func (c *cluster) probe(ctx context.Context, p pod, container *corev1.Container, probe *corev1.Probe) error {
	kubelet := visitor{client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}}
	switch {
	case probe.HTTPGet != nil:
		at := url.URL{Scheme: strings.ToLower(string(probe.HTTPGet.Scheme)), Host: c.address(p.name, c.named(p.name, probe.HTTPGet.Port.String())), Path: probe.HTTPGet.Path}
		return kubelet.status(ctx, at.String(), http.StatusOK)
	case probe.GRPC != nil:
		return grpcHealth(ctx, c.address(p.name, int(probe.GRPC.Port)))
	case probe.TCPSocket != nil:
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.address(p.name, c.named(p.name, probe.TCPSocket.Port.String())))
		if err != nil {
			return err
		}
		return conn.Close()
	case probe.Exec != nil:
		folders := c.replacer(p, container)
		var args []string
		for _, arg := range probe.Exec.Command {
			args = append(args, folders.Replace(c.local(p, arg)))
		}
		out, err := exec.CommandContext(ctx, filepath.Join(c.programs, args[0]), args[1:]...).CombinedOutput()
		return errors.Join(err, unless(err == nil, "%s", out))
	default:
		return errors.New("a probe that asks nothing")
	}
}
