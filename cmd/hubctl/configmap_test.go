package main

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub"
	"github.com/hubring/hubring/hashring/placement"
)

// kubernetes is an API server with one ConfigMap, as a pod sees it. It answers what the real one does.
type kubernetes struct {
	t       *testing.T
	account string
	object  map[string]any // the ConfigMap, or nil
	version int
	requests,
	puts int
	meanwhile func()                    // between a read and what follows
	instead   func(http.ResponseWriter) // of any answer
}

func newKubernetes(t *testing.T) *kubernetes {
	t.Helper()
	k := &kubernetes{t: t, account: t.TempDir(), version: 41}
	server := httptest.NewTLSServer(k)
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	require.NoError(t, err)
	t.Setenv("KUBERNETES_SERVICE_HOST", at.Hostname())
	t.Setenv("KUBERNETES_SERVICE_PORT", at.Port())
	k.secret("namespace", "metrics")
	k.secret("token", "of-the-pod\n")
	k.secret("ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	k.object = map[string]any{
		"kind": "ConfigMap", "apiVersion": "v1",
		"metadata": map[string]any{"name": "edge-placement", "namespace": "metrics", "labels": map[string]any{"of": "helm"}},
	}
	return k
}

// secret writes a file of the service account.
func (k *kubernetes) secret(name, text string) {
	k.t.Helper()
	require.NoError(k.t, os.WriteFile(filepath.Join(k.account, name), []byte(text), 0o600))
}

func (k *kubernetes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.requests++
	w.Header().Set("Content-Type", "application/json")
	switch name := strings.TrimPrefix(r.URL.Path, "/api/v1/namespaces/metrics/configmaps/"); {
	case r.Header.Get("Authorization") != "Bearer of-the-pod":
		status(w, http.StatusUnauthorized, "Unauthorized")
	case k.instead != nil:
		k.instead(w)
	case name != "edge-placement":
		status(w, http.StatusForbidden, fmt.Sprintf(`configmaps %q is forbidden: User "system:serviceaccount:metrics:edge-placement" cannot get resource "configmaps" in API group "" in the namespace "metrics"`, name))
	case k.object == nil:
		status(w, http.StatusNotFound, `configmaps "edge-placement" not found`)
	case r.Method == http.MethodGet:
		k.answer(w)
		if k.meanwhile != nil {
			k.meanwhile()
		}
	case r.Method == http.MethodPut:
		k.put(w, r)
	default:
		status(w, http.StatusMethodNotAllowed, "the server does not allow this method on the requested resource")
	}
}

func (k *kubernetes) put(w http.ResponseWriter, r *http.Request) {
	k.puts++
	object := map[string]any{}
	if err := json.NewDecoder(r.Body).Decode(&object); err != nil || r.Header.Get("Content-Type") != "application/json" {
		status(w, http.StatusBadRequest, "the object provided is unrecognized")
		return
	}
	size := 0
	for _, text := range object["data"].(map[string]any) {
		size += len(text.(string))
	}
	switch {
	case object["metadata"].(map[string]any)["resourceVersion"] != strconv.Itoa(k.version):
		status(w, http.StatusConflict, `Operation cannot be fulfilled on configmaps "edge-placement": the object has been modified; please apply your changes to the latest version and try again`)
	case size > 1<<20:
		status(w, http.StatusUnprocessableEntity, `ConfigMap "edge-placement" is invalid: []: Too long: may not be more than 1048576 bytes`)
	default:
		k.object = object
		k.version++
		k.answer(w)
	}
}

func (k *kubernetes) answer(w http.ResponseWriter) {
	k.object["metadata"].(map[string]any)["resourceVersion"] = strconv.Itoa(k.version)
	_ = json.NewEncoder(w).Encode(k.object) // the client sees what is missing
}

// status is how the API refuses.
func status(w http.ResponseWriter, code int, message string) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{ // the client sees what is missing
		"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{}, "status": "Failure", "message": message, "code": code,
	})
}

// place runs hubctl place with the ConfigMap.
func (k *kubernetes) place(g *ground, name string, args ...string) (code int, out, errOut string) {
	k.t.Helper()
	return hubctl(k.t, "", append([]string{"place", "--hubs.file=" + g.hubsFile, "--kubernetes.service-account=" + k.account, "configmap:" + name}, args...)...)
}

// placed is the ConfigMap's placement.
func (k *kubernetes) placed() *placement.Placement {
	k.t.Helper()
	p, err := placement.Parse([]byte(k.object["data"].(map[string]any)["placement.json"].(string)))
	require.NoError(k.t, err)
	return p
}

func TestPlaceInAConfigMap(t *testing.T) {
	k, g := newKubernetes(t), newGround(t, 3, 200)
	g.push(g.ring(3))
	code, out, errOut := k.place(g, "edge-placement", "--dry-run")
	require.Zero(t, code, errOut)
	assert.Contains(t, out, "nothing is written (--dry-run)")
	assert.Zero(t, k.puts)

	// The first one, and what was there beside it stays.
	k.object["data"] = map[string]any{"notes": "mine"}
	code, out, errOut = k.place(g, "edge-placement", "--threshold=100")
	require.Zero(t, code, errOut)
	assert.Contains(t, out, "\nPlacement 1 is written: ")
	assert.Equal(t, uint64(1), k.placed().Serial)
	assert.Equal(t, "mine", k.object["data"].(map[string]any)["notes"])
	assert.Equal(t, map[string]any{"of": "helm"}, k.object["metadata"].(map[string]any)["labels"])

	// It is what a file would have been.
	code, _, errOut = g.place()
	require.Zero(t, code, errOut)
	file, err := g.placement.Read(t.Context())
	require.NoError(t, err)
	assert.Equal(t, file.Homes, k.placed().Homes)

	// It is read again, and followed by another one.
	g.push(g.ring(3))
	code, out, errOut = k.place(g, "edge-placement", "--threshold=100")
	require.Zero(t, code, errOut)
	assert.Contains(t, out, "Placement 1 stays")
	assert.Equal(t, 1, k.puts)
	g.begin(2)
	g.name(2)
	code, out, errOut = k.place(g, "edge-placement", "--force")
	require.Zero(t, code, errOut)
	assert.Contains(t, out, "\nPlacement 2 is written: ")
	assert.Equal(t, uint64(2), k.placed().Serial)
}

// Whatever the API refuses is told in its words, and nothing is written.
func TestPlaceInAConfigMapThatIsRefused(t *testing.T) {
	g := newGround(t, 2, 50)
	g.push(g.ring(2))
	page := "<html>" + strings.Repeat("no ", 300)
	for name, c := range map[string]struct {
		prepare func(*kubernetes)
		in      string
		says    string
	}{
		"not there": {
			func(k *kubernetes) { k.object = nil }, "edge-placement",
			`read the placement of ConfigMap edge-placement: 404 Not Found: configmaps "edge-placement" not found`,
		},
		"of somebody else": {
			func(*kubernetes) {}, "others",
			`read the placement of ConfigMap others: 403 Forbidden: configmaps "others" is forbidden: User "system:serviceaccount:metrics:edge-placement" cannot get`,
		},
		"a token that has run out": {
			func(k *kubernetes) { k.secret("token", "old") }, "edge-placement",
			`read the placement of ConfigMap edge-placement: 401 Unauthorized: Unauthorized`,
		},
		"changed meanwhile": {
			func(k *kubernetes) { k.meanwhile = func() { k.version++ } }, "edge-placement",
			`write the placement of ConfigMap edge-placement: somebody else has changed it meanwhile, so it is left as it is until the next run: 409 Conflict: Operation cannot be fulfilled`,
		},
		"too long": {
			func(k *kubernetes) { k.object["data"] = map[string]any{"notes": strings.Repeat("n", 1<<20)} }, "edge-placement",
			`write the placement of ConfigMap edge-placement: 422 Unprocessable Entity: ConfigMap "edge-placement" is invalid: []: Too long: may not be more than 1048576 bytes`,
		},
		"no placement": {
			func(k *kubernetes) { k.object["data"] = map[string]any{"placement.json": "{}"} }, "edge-placement",
			`read the placement of ConfigMap edge-placement: no placement: its format is 0, this reads 1`,
		},
		"no texts": {
			func(k *kubernetes) { k.object["data"] = []string{"x"} }, "edge-placement",
			`read the placement of ConfigMap edge-placement: its data are no texts: `,
		},
		"no object": {func(k *kubernetes) {
			k.instead = func(w http.ResponseWriter) { _, _ = io.WriteString(w, "null") }
		}, "edge-placement", `read the placement of ConfigMap edge-placement: what the API answers is no object, it begins with "null"`},
		"a proxy's page": {func(k *kubernetes) {
			k.instead = func(w http.ResponseWriter) { http.Error(w, page, http.StatusBadGateway) }
		}, "edge-placement", `read the placement of ConfigMap edge-placement: 502 Bad Gateway: ` + page[:maxAPIMessage] + "\n"},
		"elsewhere": {func(k *kubernetes) {
			k.instead = func(w http.ResponseWriter) {
				w.Header().Set("Location", "/api/v1/namespaces/metrics/secrets")
				w.WriteHeader(http.StatusFound)
			}
		}, "edge-placement", `read the placement of ConfigMap edge-placement: 302 Found: `},
		"without an end": {func(k *kubernetes) {
			k.instead = func(w http.ResponseWriter) {
				_, _ = io.CopyN(w, endless{}, maxAPIBytes+2) // the client has gone by then
			}
		}, "edge-placement", "read the placement of ConfigMap edge-placement: the answer has more than 16777216 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKubernetes(t)
			c.prepare(k)
			before, err := json.Marshal(k.object["data"])
			require.NoError(t, err)
			code, _, errOut := k.place(g, c.in)
			assert.Equal(t, exitFailed, code)
			assert.Contains(t, errOut, "hubctl place: "+c.says)
			after, err := json.Marshal(k.object["data"])
			require.NoError(t, err)
			assert.Equal(t, string(before), string(after))
		})
	}
}

// endless is an answer that does not end.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

// What is wrong with the pod or the command line is told before anybody is asked.
func TestPlaceInAConfigMapFromNoPod(t *testing.T) {
	g := newGround(t, 1, 1)
	refused := func(want int, name, says string, spoil func(*kubernetes)) {
		t.Helper()
		k := newKubernetes(t)
		spoil(k)
		code, _, errOut := k.place(g, name)
		assert.Equal(t, want, code)
		assert.Contains(t, errOut, says)
		assert.Zero(t, k.requests)
	}
	gone := func(name string) func(*kubernetes) {
		return func(k *kubernetes) { require.NoError(t, os.Remove(filepath.Join(k.account, name))) }
	}
	refused(exitUsage, "edge-placement", "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set", func(*kubernetes) { t.Setenv("KUBERNETES_SERVICE_PORT", "") })
	refused(exitUsage, "..", `".." is no name of a ConfigMap`, func(*kubernetes) {})
	refused(exitUsage, "", `"" is no name of a ConfigMap`, func(*kubernetes) {})
	refused(exitFailed, "edge-placement", "read the service account: open ", gone("namespace"))
	refused(exitFailed, "edge-placement", "read the service account: open ", gone("ca.crt"))
	refused(exitFailed, "edge-placement", "read the service account: open ", gone("token"))
	refused(exitFailed, "edge-placement", `read the service account: "a/b" is no namespace`, func(k *kubernetes) { k.secret("namespace", "a/b") })
	refused(exitFailed, "edge-placement", "read the service account: ca.crt has no certificate", func(k *kubernetes) { k.secret("ca.crt", "none") })
}

// A server of which the pod's authority does not know gets no token.
func TestPlaceAsksTheRightServerOnly(t *testing.T) {
	g := newGround(t, 1, 1)
	k := newKubernetes(t)
	t.Setenv("KUBERNETES_SERVICE_HOST", "localhost") // the certificate is for others
	code, _, errOut := k.place(g, "edge-placement")
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, errOut, "certificate is valid for")
	assert.Zero(t, k.requests)
}

// The chart's hubs have their lists at the port for scrapes, where those who push do not come.
func TestPlaceAsksAnotherPort(t *testing.T) {
	hub, err := edgehub.New(edgehub.Config{})
	require.NoError(t, err)
	pushes := httptest.NewServer(http.NotFoundHandler())
	defer pushes.Close()
	scrapes := httptest.NewServer(hub.HTTPServer().Handler)
	defer scrapes.Close()
	_, port, err := net.SplitHostPort(scrapes.Listener.Addr().String())
	require.NoError(t, err)
	dir := t.TempDir()
	hubs, out := filepath.Join(dir, "hubs.yml"), filepath.Join(dir, "placement.json")
	require.NoError(t, os.WriteFile(hubs, fmt.Appendf(nil, `[{"targets": [%q]}]`, pushes.URL), 0o600))
	code, _, errOut := hubctl(t, "", "place", "--hubs.file="+hubs, out)
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, errOut, "GET /gateways: 404 Not Found")
	code, _, errOut = hubctl(t, "", "place", "--hubs.file="+hubs, "--hubs.list-port="+port, "--force", out)
	require.Zero(t, code, errOut)
	p, err := placement.File(out).Read(t.Context())
	require.NoError(t, err)
	assert.Equal(t, strings.TrimPrefix(pushes.URL, "http://"), p.Hubs[0].Name, "its name is the one that exporters know")

	code, _, errOut = hubctl(t, "", "place", "--hubs.file="+hubs, "--hubs.list-port=70000", out)
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, errOut, `--hubs.list-port is "70000", it must be a whole number from 0 to 65535`)
}
