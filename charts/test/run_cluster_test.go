//go:build linux

package charttest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/hubring/hubring/charts/test/internal/kubelet"
	"github.com/hubring/hubring/charts/test/internal/sandbox"
)

// startPatience is how long pods may take to become what an upgrade says.
const startPatience = 90 * time.Second

// liveRelease is a release whose pods run as its manifests say: real programs, with the
// arguments, files, users and names that they would have in a cluster.
type liveRelease struct {
	*kubelet.Cluster
	release *release
}

// inCluster runs a test in a sandbox, with a release that has come up. Tests of this kind
// run beside each other: they wait most of the time.
func inCluster(t *testing.T, values []string, test func(*testing.T, *liveRelease)) {
	t.Helper()
	t.Parallel()
	var env []string
	if !sandbox.Inside() {
		needsPrograms(t)
		images, err := builtImages()
		require.NoError(t, err)
		env = []string{imagesVariable + "=" + images}
	}
	sandbox.Run(t, env, func(t *testing.T) {
		r := &liveRelease{Cluster: newPods(t)}
		r.upgrade(t, values...)
		test(t, r)
		require.Empty(t, r.Restarts(), "containers that ended by themselves")
	})
}

// newPods returns a cluster without pods, which is there until the test ends.
func newPods(t *testing.T) *kubelet.Cluster {
	t.Helper()
	cfg := kubelet.Config{Dir: t.TempDir(), Namespace: namespace, Domain: "cluster.local", ProbeEvery: 200 * time.Millisecond}
	require.NoError(t, json.Unmarshal([]byte(os.Getenv(imagesVariable)), &cfg.Images))
	pods, err := kubelet.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			pods.WriteLogs(t.Output(), 30)
		}
		require.NoError(t, pods.Close())
	})
	return pods
}

// upgrade makes the release one of other values, and waits until all of its pods are ready.
func (r *liveRelease) upgrade(t *testing.T, values ...string) {
	t.Helper()
	r.become(t, values...)
	r.settle(t)
}

// become does not wait for that.
func (r *liveRelease) become(t *testing.T, values ...string) {
	t.Helper()
	r.release = mustRender(t, values...)
	var objects []kubelet.Object
	for _, o := range r.release.objects {
		if service, ok := o.(*corev1.Service); !ok || !r.release.turnsPorts(service) {
			objects = append(objects, o)
		}
	}
	require.NoError(t, r.Apply(objects))
}

// turnsPorts tells whether a Service is the other name of who answers for all servers, with another port than the pods'.
// Here names have the pods' addresses.
func (r *release) turnsPorts(s *corev1.Service) bool {
	for _, w := range r.behind(s) {
		for _, port := range s.Spec.Ports {
			if s.Spec.ClusterIP != corev1.ClusterIPNone && !w.hasPort(intstr.FromInt32(port.Port), 0) {
				return true
			}
		}
	}
	return false
}

// queryAddress returns who answers for all servers.
func (r *liveRelease) queryAddress() string {
	if len(r.release.pods("hubquery")) > 0 {
		return r.address("query", 9099)
	}
	return r.address("thanos-query", 10902)
}

// settle waits until all pods are as the release says.
func (r *liveRelease) settle(t *testing.T) {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), startPatience)
	defer cancel()
	require.NoError(t, r.Settle(ctx))
	t.Logf("settled after %s", time.Since(began).Round(10*time.Millisecond))
}

// address returns the host and port of a Service of the release, or of a pod behind one.
func (r *liveRelease) address(component string, port int) string {
	name := r.release.name + "-hubring-" + component
	if dash := strings.LastIndex(component, "/"); dash >= 0 { // edgehub/0
		service := r.release.name + "-hubring-" + component[:dash]
		name = service + "-" + component[dash+1:] + "." + service
	}
	return fmt.Sprintf("%s.%s.svc.%s:%d", name, namespace, r.release.domain, port)
}

// imagesVariable tells the test in the sandbox what images there are, in JSON.
const imagesVariable = "CHARTTEST_IMAGES"

// builtImages returns the images that the chart names, in JSON, with programs that are
// built on this machine, once.
var builtImages = sync.OnceValues(func() (string, error) {
	suite, err := realPrograms()
	if err != nil {
		return "", err
	}
	others, err := clusterPrograms()
	if err != nil {
		return "", err
	}
	victoria, err := victoriaMetrics()
	if err != nil {
		return "", err
	}
	images := map[string]kubelet.Image{
		"victoriametrics/victoria-metrics": {Program: victoria, Path: "/victoria-metrics-prod"},
		"quay.io/prometheus/prometheus":    {Program: filepath.Join(suite, "prometheus"), Path: "/bin/prometheus", Dir: "/prometheus"},
		"quay.io/thanos/thanos":            {Program: filepath.Join(suite, "thanos"), Path: "/bin/thanos"},
		"quay.io/prometheus/alertmanager":  {Program: filepath.Join(others, "alertmanager"), Path: "/bin/alertmanager", Dir: "/alertmanager"},
	}
	for _, name := range []string{"edgehub", "hubquery", "rulekeeper"} {
		build := func() (string, error) { return buildCommand(name) }
		if name == "hubquery" {
			build = hubqueryProgram
		}
		program, err := build()
		if err != nil {
			return "", err
		}
		images["hubring/"+name] = kubelet.Image{Program: program, Path: "/" + name}
	}
	text, err := json.Marshal(images)
	return string(text), err
})

// eventually asks until a check has nothing to complain about, every time that some moments have passed.
func eventually(t *testing.T, within time.Duration, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			last = err // what is said of a time that is over tells less
		}
		select {
		case <-ctx.Done():
			require.NoError(t, last, "after %s", within)
			return
		case <-tick.C:
		}
	}
}

// join returns values, those of the last over the others.
func join(base []string, more ...string) []string { return slices.Concat(base, more) }
