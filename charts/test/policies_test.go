package charttest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// withPolicies has a policy for each component, and peers that can be told from each other.
const withPolicies = `
networkPolicy:
  enabled: true
  pushers: [{podSelector: {matchLabels: {is: pusher}}}]
  queriers: [{podSelector: {matchLabels: {is: querier}}}]
  monitors: [{podSelector: {matchLabels: {is: monitor}}}]`

// client is a pod of whatever kind that opens connections.
type client struct {
	name   string
	labels labels.Set
}

// port is a workload's.
type port struct {
	workload string // its key
	name     string
}

// connections are those that are opened or may be: "from > workload port".
type connections map[string]bool

func (c connections) add(from client, to port) { c[from.name+" > "+to.workload+" "+to.name] = true }

// Each pod may open the connections that its command line and its files make it open, and nobody
// in the release may open another one.
func TestPoliciesAllowWhatIsNeeded(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, s scenario, _ *release) {
		r := mustRender(t, s.values, withPolicies)
		needed, allowed := connections{}, connections{}
		for _, w := range r.workloads() {
			from := client{keyOf(w), w.template.Labels}
			for _, to := range r.opens(t, w) {
				needed.add(from, to)
			}
			for _, to := range r.ports() {
				if r.allows(t, from.pod(0), to, 0) {
					allowed.add(from, to)
				}
			}
		}
		require.NotEmpty(t, needed)
		assert.Equal(t, needed, allowed)
	})
}

// Who is not of the release may do what the values say, and a pod that they do not mean may do nothing.
func TestPoliciesKeepOthersOut(t *testing.T) {
	inEveryScenario(t, func(t *testing.T, s scenario, _ *release) {
		r := mustRender(t, s.values, withPolicies)
		may := func(is string) []string {
			var all []string
			for _, to := range r.ports() {
				if r.allows(t, client{is, labels.Set{"is": is}}, to, 0) {
					all = append(all, to.workload+" "+to.name)
				}
			}
			return all
		}
		assert.Empty(t, may("stranger"))
		hub := r.hubs(t)[0]
		assert.Equal(t, []string{keyOf(hub.workload) + " http"}, may("pusher"))
		for _, to := range may("querier") {
			assert.True(t, strings.HasSuffix(to, " http") && !strings.Contains(to, "edgehub"), "a querier may reach %s", to)
		}
		for _, w := range r.workloads() {
			if keyOf(w) == keyOf(hub.workload) {
				assert.Contains(t, may("monitor"), keyOf(w)+" "+hub.door)
				assert.Equal(t, hub.door == "http", slices.Contains(may("monitor"), keyOf(w)+" http"), "a monitor may push")
				continue
			}
			if w.container("hubctl") != nil {
				continue // it has no port
			}
			assert.Contains(t, may("monitor"), keyOf(w)+" http")
			if w.container("thanos-sidecar") != nil {
				assert.Contains(t, may("monitor"), keyOf(w)+" http-sidecar")
			}
		}
		for _, to := range may("monitor") {
			assert.NotContains(t, to, "grpc")
			assert.NotContains(t, to, "cluster")
		}
	})
}

// A scrape takes what it gets, so a hub is for the servers of its own number alone.
func TestPoliciesKeepServersApart(t *testing.T) {
	r := mustRender(t, fiveShards, `{prometheus_replicas: 2}`, withPolicies)
	hub := port{keyOf(r.hubs(t)[0].workload), "http-scrape"}
	pushes := port{hub.workload, "http"}
	servers := 0
	for _, w := range r.workloads() {
		if w.server() == nil {
			continue
		}
		servers++
		for shard := range 5 {
			for other := range 5 {
				from := client{keyOf(w), w.template.Labels}.pod(shard)
				assert.Equal(t, shard == other, r.allows(t, from, hub, other), "%s-%d to edgehub-%d", w.GetName(), shard, other)
				assert.False(t, r.allows(t, from, pushes, other), "%s-%d pushes to edgehub-%d", w.GetName(), shard, other)
			}
		}
	}
	assert.Equal(t, 2, servers)
}

// When the number shrinks, Helm takes the policies of the hubs above it away while these hubs still run: each waits for
// its server's last scrape.
func TestPoliciesLetHubsStop(t *testing.T) {
	r := mustRender(t, fiveShards, `{prometheus_servers_count: 3}`, withPolicies)
	hub := port{keyOf(r.hubs(t)[0].workload), "http-scrape"}
	for _, w := range r.workloads() {
		for number := range 5 {
			of := client{keyOf(w), w.template.Labels}.pod(number)
			for stopping := 3; stopping < 5; stopping++ {
				its := w.server() != nil && number >= 3
				assert.Equal(t, its, r.allows(t, of, hub, stopping), "%s-%d to edgehub-%d, which stops", w.GetName(), number, stopping)
			}
		}
	}
	assert.False(t, r.allows(t, client{"stranger", labels.Set{"is": "stranger"}}.pod(4), hub, 4))
	assert.True(t, r.allows(t, client{"pusher", labels.Set{"is": "pusher"}}, port{hub.workload, "http"}, 4))
	// It asks its server to the end, too.
	leaves := client{"edgehub-4", r.hubs(t)[0].template.Labels}.pod(4)
	assert.True(t, r.allows(t, leaves, port{keyOf(r.servers(t)[0].workload), "http"}, 4))
}

// A pod can always ask itself, and the kubelet can always ask it, so neither is a rule's affair. Nor
// is what a pod asks outside of the release.
func TestPoliciesLeaveEgressOpen(t *testing.T) {
	r := mustRender(t, fiveShards, withPolicies)
	policies := every[*networkingv1.NetworkPolicy](r)
	require.Len(t, policies, len(r.workloads())+6, "one for each component and each hub, and one for hubs that leave")
	for _, policy := range policies {
		assert.Equal(t, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}, policy.Spec.PolicyTypes, policy.Name)
		assert.Empty(t, policy.Spec.Egress, policy.Name)
	}
	assert.Empty(t, every[*networkingv1.NetworkPolicy](mustRender(t, fiveShards)), "by default there is none")
}

// ports returns those of all workloads.
func (r *release) ports() []port {
	var all []port
	for _, w := range r.workloads() {
		for _, c := range w.template.Spec.Containers {
			for _, p := range c.Ports {
				all = append(all, port{keyOf(w), p.Name})
			}
		}
	}
	return all
}

// A name in these is not asked: a target's labels in a configuration, and what says which hub is meant.
var (
	targetLabels = regexp.MustCompile(`labels: \{[^}]*\}`)
	namedOnly    = regexp.MustCompile(`^--pushgateway\.hub=.*$`)
)

// opens returns the ports to which the pods of a workload open connections, as far as they are of
// the release: addresses in their command lines and in what Prometheus reads.
func (r *release) opens(t *testing.T, w workload) []port {
	t.Helper()
	var all []port
	var servers []server
	if w.server() != nil {
		servers = r.servers(t)
	}
	for i := range w.replicas {
		p := pod{fmt.Sprintf("%s-%d", w.GetName(), i), w}
		var texts []string
		for _, c := range w.containers() {
			for _, arg := range p.commandLine(&c) {
				texts = append(texts, namedOnly.ReplaceAllString(arg, ""))
			}
		}
		if c := w.container("hubctl"); c != nil {
			texts = append(texts, r.listed(t, p)...)
		}
		if c := w.container("hubquery"); c != nil {
			for _, shard := range r.shards(t, p) {
				texts = append(texts, shard.Servers...)
			}
		}
		for name, querier := range r.queriers() {
			if querier.name == p.name {
				for _, e := range r.endpoints(t, p, p.container(name)) {
					texts = append(texts, e.Address)
				}
			}
		}
		for _, s := range servers {
			if s.name == p.name {
				texts = append(texts, targetLabels.ReplaceAllString(s.text, ""))
				all = append(all, r.discovered(t, s)...)
			}
		}
		for _, match := range address.FindAllStringSubmatch(strings.Join(texts, "\n"), -1) {
			if strings.TrimSuffix(match[2], ".") == p.name {
				continue // a pod can always ask itself
			}
			all = append(all, r.addressed(t, match)...)
		}
	}
	return all
}

// addressed returns the ports that an address means. One without a port is for discovered.
func (r *release) addressed(t *testing.T, match []string) []port {
	t.Helper()
	service := find[*corev1.Service](r, match[3])
	require.NotNil(t, service, "%s: no such Service", match[0])
	var all []port
	for _, w := range r.behind(service) {
		for _, c := range w.template.Spec.Containers {
			for _, p := range c.Ports {
				if p.Name == match[1] || strconv.Itoa(int(p.ContainerPort)) == match[4] {
					all = append(all, port{keyOf(w), p.Name})
				}
			}
		}
	}
	require.True(t, len(all) > 0 || match[1]+match[4] == "", "%s: no such port", match[0])
	return all
}

// discovered returns the ports that a server finds by the DNS.
func (r *release) discovered(t *testing.T, s server) []port {
	t.Helper()
	var all []port
	for _, job := range s.ScrapeConfigs {
		for _, dns := range job.DNSConfigs {
			for _, name := range dns.Names {
				match := address.FindStringSubmatch(name)
				require.NotNil(t, match, "%s, job %s: %s", s.name, job.JobName, name)
				if match[1] == "" {
					match[4] = strconv.Itoa(dns.Port)
				}
				all = append(all, r.addressed(t, match)...)
			}
		}
	}
	return all
}

// allows tells whether the policies let a pod of the release's own namespace open a connection, as
// Kubernetes reads them: to a pod that no policy selects everybody may.
// The other pod is the one with a number.
func (r *release) allows(t *testing.T, from client, to port, number int) bool {
	t.Helper()
	var its workload
	for _, w := range r.workloads() {
		if keyOf(w) == to.workload {
			its = w
		}
	}
	selected := false
	for _, policy := range every[*networkingv1.NetworkPolicy](r) {
		if !matches(t, &policy.Spec.PodSelector, numbered(its.template.Labels, number)) {
			continue
		}
		selected = true
		for _, rule := range policy.Spec.Ingress {
			if portMatches(its, to, rule.Ports) && peerMatches(t, from, rule.From) {
				return true
			}
		}
	}
	return !selected
}

// pod is a client's pod with a number.
func (c client) pod(number int) client { return client{c.name, numbered(c.labels, number)} }

// numbered returns the labels of a workload's pod with a number, as Kubernetes sets them.
func numbered(set labels.Set, number int) labels.Set {
	return labels.Merge(set, labels.Set{appsv1.PodIndexLabel: strconv.Itoa(number)})
}

func portMatches(w workload, to port, ports []networkingv1.NetworkPolicyPort) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		return slices.ContainsFunc(w.template.Spec.Containers, func(c corev1.Container) bool {
			return slices.ContainsFunc(c.Ports, func(has corev1.ContainerPort) bool {
				named := p.Port.Type == intstr.String && p.Port.StrVal == has.Name
				numbered := p.Port.Type == intstr.Int && p.Port.IntVal == has.ContainerPort
				return has.Name == to.name && has.Protocol == *p.Protocol && (named || numbered)
			})
		})
	})
}

func peerMatches(t *testing.T, from client, peers []networkingv1.NetworkPolicyPeer) bool {
	t.Helper()
	return len(peers) == 0 || slices.ContainsFunc(peers, func(peer networkingv1.NetworkPolicyPeer) bool {
		return peer.NamespaceSelector == nil && peer.IPBlock == nil && matches(t, peer.PodSelector, from.labels)
	})
}

func matches(t *testing.T, by *metav1.LabelSelector, set labels.Set) bool {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(by)
	require.NoError(t, err)
	return selector.Matches(set)
}
