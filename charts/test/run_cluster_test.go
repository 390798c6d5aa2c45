//go:build linux

package charttest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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

// inCluster runs a test in a sandbox, with a release that has come up.
func inCluster(t *testing.T, values []string, test func(*testing.T, *liveRelease)) {
	t.Helper()
	images := podImages(t)
	sandbox.Run(t, func(t *testing.T) {
		pods, err := kubelet.New(kubelet.Config{
			Dir: t.TempDir(), Namespace: namespace, Domain: "cluster.local", Images: images, ProbeEvery: 200 * time.Millisecond,
		})
		require.NoError(t, err)
		r := &liveRelease{Cluster: pods}
		t.Cleanup(func() {
			if t.Failed() {
				pods.WriteLogs(t.Output(), 30)
			}
			require.NoError(t, pods.Close())
		})
		r.upgrade(t, values...)
		test(t, r)
		require.Empty(t, pods.Restarts(), "containers that ended by themselves")
	})
}

// upgrade makes the release one of other values, and waits until all of its pods are ready.
func (r *liveRelease) upgrade(t *testing.T, values ...string) {
	t.Helper()
	began := time.Now()
	r.release = mustRender(t, values...)
	var objects []kubelet.Object
	for _, o := range r.release.objects {
		objects = append(objects, o)
	}
	require.NoError(t, r.Apply(objects))
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

// imagesVariable tells the test in the sandbox where the images' programs are.
const imagesVariable = "CHARTTEST_IMAGES"

// podImages returns the images that the chart names, with programs that are built on this machine.
func podImages(t *testing.T) map[string]kubelet.Image {
	t.Helper()
	images := map[string]kubelet.Image{}
	if sandbox.Inside() {
		require.NoError(t, json.Unmarshal([]byte(os.Getenv(imagesVariable)), &images))
		return images
	}
	suite := needsPrograms(t)
	others, err := clusterPrograms()
	require.NoError(t, err)
	images["quay.io/prometheus/prometheus"] = kubelet.Image{Program: filepath.Join(suite, "prometheus"), Path: "/bin/prometheus", Dir: "/prometheus"}
	images["quay.io/thanos/thanos"] = kubelet.Image{Program: filepath.Join(suite, "thanos"), Path: "/bin/thanos"}
	images["quay.io/prometheus/alertmanager"] = kubelet.Image{Program: filepath.Join(others, "alertmanager"), Path: "/bin/alertmanager", Dir: "/alertmanager"}
	for _, name := range []string{"edgehub", "rulekeeper"} {
		if program := buildCommand(t, name); program != "" {
			images["hubring/"+name] = kubelet.Image{Program: program, Path: "/" + name}
		}
	}
	text, err := json.Marshal(images)
	require.NoError(t, err)
	t.Setenv(imagesVariable, string(text))
	return images
}

// buildCommand builds a command of the repository as its image has it: with nothing but itself. There
// is no program if there is no such command.
func buildCommand(t *testing.T, name string) string {
	t.Helper()
	folder := path.Join(checkout, "cmd", name)
	if _, err := os.Stat(folder); err != nil {
		return ""
	}
	program := filepath.Join(ownFolder, "pods", name)
	cmd := exec.Command("go", "build", "-trimpath", "-o", program, ".")
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "build %s: %s", name, out)
	program, err = filepath.Abs(program)
	require.NoError(t, err)
	return program
}

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
