package charttest

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/placement"
)

// placedIn is the ConfigMap of the placement, in releases of these tests.
const placedIn = "edge-hubring-placement"

// hubctl runs with the arguments that the server has for its pod, and the token of its account: it writes a placement that
// controllers can read, and leaves it alone as long as it is good. What the server refuses is told.
func TestHubctlPlacesInAConfigMap(t *testing.T) {
	c := needsAPIServer(t)
	h := newHelm(t, c)
	h.install(`{prometheus_servers_count: 3, create_thanos: true, placement: {enabled: true}}`)
	run := newPlacingPod(t, h)

	said, err := run()
	require.NoError(t, err, said)
	assert.Contains(t, said, "\nPlacement 1 is written: ")
	first := h.configMap(placedIn)
	p, err := placement.Parse([]byte(first.Data["placement.json"]))
	require.NoError(t, err)
	assert.Equal(t, uint64(1), p.Serial)
	assert.Equal(t, 201, p.Keys, "the gateways, and what is of none")
	ring, err := hashring.New(p.Hubs)
	require.NoError(t, err)
	placed, err := p.Ring(ring)
	require.NoError(t, err, "exporters can follow it")
	series, all := map[string]int{}, 0
	for i := range 200 {
		series[placed.Owner(gatewayID(i)).Name] += 10 + i%5
		all += 10 + i%5
	}
	for hub, n := range series { // by the ring alone, which depends on the namespace's name, it may be many more
		assert.LessOrEqual(t, n, all*106/300+15, hub)
	}
	assert.True(t, slices.ContainsFunc(first.ManagedFields, func(f metav1.ManagedFieldsEntry) bool { return f.Manager == "hubctl" }))
	assert.Equal(t, "Helm", first.Labels["app.kubernetes.io/managed-by"], "what Helm has written is left")

	said, err = run()
	require.NoError(t, err, said)
	assert.Contains(t, said, "Placement 1 stays: ")
	assert.Equal(t, first, h.configMap(placedIn))

	// The server's own words for what cannot be: a ConfigMap has an end.
	full := first.DeepCopy()
	full.Data = map[string]string{"others": strings.Repeat("x", 1<<20-100)}
	h.update(full)
	said, err = run()
	require.Error(t, err, said)
	assert.Contains(t, said, "write the placement of ConfigMap edge-hubring-placement: 422 Unprocessable Entity: ")
	assert.Contains(t, said, "may not be more than 1048576 bytes")
	require.NoError(t, c.typed.CoreV1().ConfigMaps(h.namespace).Delete(t.Context(), placedIn, metav1.DeleteOptions{}))
	said, err = run()
	require.Error(t, err, said)
	assert.Contains(t, said, `read the placement of ConfigMap edge-hubring-placement: 404 Not Found: configmaps "edge-hubring-placement" not found`)
}

// The token opens one ConfigMap, to read and write it, and nothing else.
func TestHubctlsTokenOpensOneConfigMap(t *testing.T) {
	c := needsAPIServer(t)
	h := newHelm(t, c)
	h.install(`{placement: {enabled: true}}`)
	config := rest.AnonymousClientConfig(c.config)
	config.BearerToken = h.token(placedIn)
	pod, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	maps := pod.CoreV1().ConfigMaps(h.namespace)

	mine, err := maps.Get(t.Context(), placedIn, metav1.GetOptions{})
	require.NoError(t, err)
	written, err := maps.Update(t.Context(), mine, metav1.UpdateOptions{})
	require.NoError(t, err)
	written.ResourceVersion, written.Data = "1", map[string]string{"a": "b"}
	_, err = maps.Update(t.Context(), written, metav1.UpdateOptions{})
	assert.True(t, apierrors.IsConflict(err), "%v", err)

	refused := func(what string, err error) {
		t.Helper()
		assert.True(t, apierrors.IsForbidden(err), "%s: %v", what, err)
	}
	_, err = maps.Get(t.Context(), "edge-hubring-hubs", metav1.GetOptions{})
	refused("another ConfigMap", err)
	_, err = maps.List(t.Context(), metav1.ListOptions{})
	refused("all ConfigMaps", err)
	_, err = maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "new"}}, metav1.CreateOptions{})
	refused("a new ConfigMap", err)
	refused("an end of its own", maps.Delete(t.Context(), placedIn, metav1.DeleteOptions{}))
	_, err = pod.CoreV1().Secrets(h.namespace).List(t.Context(), metav1.ListOptions{})
	refused("Secrets", err)
	_, err = pod.CoreV1().ConfigMaps("kube-system").Get(t.Context(), placedIn, metav1.GetOptions{})
	refused("another namespace", err)
}

// Helm knows of no data in the ConfigMap, so whatever the upgrade they stay.
func TestHelmLeavesThePlacement(t *testing.T) {
	h := newHelm(t, needsAPIServer(t))
	h.install(`{placement: {enabled: true}}`)
	made := h.configMap(placedIn)
	assert.Empty(t, made.Data)
	made.Data = map[string]string{"placement.json": "a placement"}
	h.update(made)
	for _, values := range []string{
		`{placement: {enabled: true, threshold: 7}}`,
		`{placement: {enabled: true}, commonLabels: {some: thing}}`, // which changes the ConfigMap
	} {
		h.upgrade(values)
		assert.Equal(t, map[string]string{"placement.json": "a placement"}, h.configMap(placedIn).Data, values)
	}
	assert.Equal(t, "thing", h.configMap(placedIn).Labels["some"])
	h.upgrade(`{}`)
	_, err := h.cluster.typed.CoreV1().ConfigMaps(h.namespace).Get(t.Context(), placedIn, metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err), "%v", err)
}

func (h *helm) configMap(name string) *corev1.ConfigMap {
	h.t.Helper()
	m, err := h.cluster.typed.CoreV1().ConfigMaps(h.namespace).Get(h.t.Context(), name, metav1.GetOptions{})
	require.NoError(h.t, err)
	return m
}

func (h *helm) update(m *corev1.ConfigMap) {
	h.t.Helper()
	_, err := h.cluster.typed.CoreV1().ConfigMaps(h.namespace).Update(h.t.Context(), m, metav1.UpdateOptions{})
	require.NoError(h.t, err)
}

// token returns one of a service account, as the kubelet gets it for a pod.
func (h *helm) token(account string) string {
	h.t.Helper()
	asked, err := h.cluster.typed.CoreV1().ServiceAccounts(h.namespace).CreateToken(h.t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	require.NoError(h.t, err)
	require.NotEmpty(h.t, asked.Status.Token)
	return asked.Status.Token
}

// newPlacingPod returns a function that runs hubctl as its pod does, with hubs on the loopback, to which a fleet has pushed, in
// the place of the release's.
func newPlacingPod(t *testing.T, h *helm) (run func() (said string, err error)) {
	t.Helper()
	program := needs(t, hubctlProgram)
	job, err := h.cluster.typed.BatchV1().CronJobs(h.namespace).Get(t.Context(), placedIn, metav1.GetOptions{})
	require.NoError(t, err)
	spec := job.Spec.JobTemplate.Spec.Template.Spec
	require.Len(t, spec.Containers, 1)
	require.True(t, *spec.AutomountServiceAccountToken)

	api := strings.TrimPrefix(h.cluster.config.Host, "https://")
	host, port, err := net.SplitHostPort(api)
	require.NoError(t, err)
	account := t.TempDir()
	for name, text := range map[string]string{
		"token": h.token(spec.ServiceAccountName), "namespace": h.namespace, "ca.crt": certificatesOf(t, api),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(account, name), []byte(text), 0o600))
	}

	hubs := h.configMap("edge-hubring-hubs").Data["hubs.yaml"]
	file, lists := loopbackHubs(t, hubs)
	args := slices.Clone(spec.Containers[0].Args)
	replace := func(old, new string) {
		t.Helper()
		at := slices.Index(args, old)
		require.GreaterOrEqual(t, at, 0, "%s in %q", old, args)
		args[at] = new
	}
	replace("--hubs.file=/etc/hubring/hubs/hubs.yaml", "--hubs.file="+file)
	replace("--hubs.list-port=9092", "--hubs.list-port="+lists)
	args = append(args, "--kubernetes.service-account="+account)
	return func() (string, error) {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Env = []string{"KUBERNETES_SERVICE_HOST=" + host, "KUBERNETES_SERVICE_PORT=" + port}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
}

// certificatesOf returns those that a server shows, as the authority of a pod's account has them.
func certificatesOf(t *testing.T, address string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, err)
	defer conn.Close()
	var text strings.Builder
	for _, certificate := range conn.ConnectionState().PeerCertificates {
		require.NoError(t, pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
	}
	return text.String()
}

// loopbackHubs returns the exporters' file, with a hub on the loopback for each that it names, and the one port at which
// all of them have their lists. Each has an address of its own for that. 200 gateways have pushed to them.
func loopbackHubs(t *testing.T, list string) (file, lists string) {
	t.Helper()
	var groups []struct {
		Targets []string `json:"targets"`
	}
	require.NoError(t, yaml.UnmarshalStrict([]byte(list), &groups))
	require.Len(t, groups, 1)
	_, lists, err := net.SplitHostPort(freeAddress(t))
	require.NoError(t, err)
	_, pushes, err := net.SplitHostPort(freeAddress(t))
	require.NoError(t, err)
	var nodes []hashring.Node
	var text strings.Builder
	pushTo := map[string]string{}
	for i, name := range groups[0].Targets {
		host := fmt.Sprintf("127.0.1.%d", i+1)
		pushTo[name] = net.JoinHostPort(host, pushes)
		startHubAt(t, pushTo[name], net.JoinHostPort(host, lists))
		nodes = append(nodes, hashring.Node{Name: name})
		fmt.Fprintf(&text, "- targets: [%q]\n  labels: {name: %q}\n", pushTo[name], name)
	}
	ring, err := hashring.New(nodes)
	require.NoError(t, err)
	bodies := map[string]*strings.Builder{}
	for i := range 200 {
		gateway := gatewayID(i)
		to := pushTo[ring.Owner(gateway).Name]
		if bodies[to] == nil {
			bodies[to] = &strings.Builder{}
		}
		for n := range 10 + i%5 {
			fmt.Fprintf(bodies[to], "m%d{gatewayID=%q} 1\n", n, gateway)
		}
	}
	for to, body := range bodies {
		require.NoError(t, visitor{client: http.DefaultClient}.do(t.Context(), http.MethodPost, "http://"+to+"/metrics", body.String(), nil))
	}
	file = filepath.Join(t.TempDir(), "hubs.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
	return file, lists
}

// startHubAt runs a hub until the test ends.
func startHubAt(t *testing.T, push, scrape string) {
	t.Helper()
	program, err := edgehubProgram()
	require.NoError(t, err)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	s := &process{"edgehub", exec.Command(program, "--web.listen-address="+push, "--scrape.listen-address="+scrape), log}
	s.cmd.Stdout, s.cmd.Stderr = log, log
	require.NoError(t, s.cmd.Start())
	t.Cleanup(func() { s.end(t) })
	for _, address := range []string{push, scrape} {
		await(t, "the hub is ready on "+address, func() error {
			_, err := get(t.Context(), "http://"+address+"/-/ready")
			return err
		})
	}
}
