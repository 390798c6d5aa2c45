// Package realbin builds the real programs of the end-to-end suite, of the
// benchmark and of the chart's tests, once.
//
// Dir looks for them in the user's cache, in a folder named by a hash of all
// that decides what they are: their go.mod and go.sum files, what source they
// have of ours, the build flags and the Go version. What is missing is built there, under a lock, so that
// packages that are tested side by side do not build twice. A binary is moved
// into place whole, so a build that was broken off goes on where it stopped.
package realbin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The names of the binaries in the folder that Dir returns.
const (
	NodeExporter  = "node_exporter"
	Prometheus    = "prometheus"
	Prometheus253 = "prometheus-2.53"
	Promtool      = "promtool"
	Thanos        = "thanos"
)

// The names of the binaries in the folder that PeersDir returns.
const (
	PrometheusEdgeHub = "prometheus-edge-hub"
	Pushgateway       = "pushgateway"
	VictoriaMetrics   = "victoria-metrics"
	VMAgent           = "vmagent"
)

// The names of the binaries in the folder that ScrapersDir returns, beside VMAgent.
const (
	VMAgent151 = "vmagent-1.151"
	OTelCol    = "otelcol"
	Telegraf   = "telegraf"
)

// VictoriaMetrics151 is the name of the binary in the folder that QueriesDir returns.
const VictoriaMetrics151 = "victoria-metrics-1.151"

// The names of the binaries in the folder that ClusterDir returns.
const (
	Alertmanager  = "alertmanager"
	Amtool        = "amtool"
	Etcd          = "etcd"
	GoFakeS3      = "gofakes3"
	KubeAPIServer = "kube-apiserver"
)

// unusedAfter is how long a folder of another key is kept after its last use.
// Another checkout may be working with it.
const unusedAfter = 24 * time.Hour

// workPattern names the folders inside that are built in.
const workPattern = "building-*"

// Dir returns the folder that holds the real programs and builds what is
// missing. From nothing that takes several minutes and downloads the modules;
// progress gets a line per step. When all is there it takes milliseconds.
//
// checkout is the root of the repository, see Checkout. Dir is safe for use by
// several processes at once.
func Dir(ctx context.Context, checkout string, progress io.Writer) (string, error) {
	return suite.dir(ctx, checkout, progress)
}

// PeersDir is Dir for the programs that the benchmark measures a hub beside.
func PeersDir(ctx context.Context, checkout string, progress io.Writer) (string, error) {
	return peers.dir(ctx, checkout, progress)
}

// ScrapersDir is Dir for the scrapers other than Prometheus.
func ScrapersDir(ctx context.Context, checkout string, progress io.Writer) (string, error) {
	return scrapers.dir(ctx, checkout, progress)
}

// QueriesDir is Dir for the servers other than Prometheus whose answers are measured.
func QueriesDir(ctx context.Context, checkout string, progress io.Writer) (string, error) {
	return queries.dir(ctx, checkout, progress)
}

// ClusterDir is Dir for the programs that the chart is tried with: a Kubernetes
// API server and its etcd, Alertmanager, and an S3 server.
func ClusterDir(ctx context.Context, checkout string, progress io.Writer) (string, error) {
	return cluster.dir(ctx, checkout, progress)
}

func (g group) dir(ctx context.Context, checkout string, progress io.Writer) (string, error) {
	key, err := g.cacheKey(ctx, checkout)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache folder: %w", err)
	}
	root := filepath.Join(cache, "hubring-e2e")
	dir := filepath.Join(root, key)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("create the cache folder: %w", err)
	}
	now := time.Now()
	if err := os.Chtimes(dir, now, now); err != nil { // the mark of use
		return "", fmt.Errorf("mark the cache folder as used: %w", err)
	}
	if len(g.missing(dir)) == 0 {
		return dir, nil
	}

	unlock, err := lock(ctx, filepath.Join(root, "lock"), progress)
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := removeUnused(root, now.Add(-unusedAfter)); err != nil {
		return "", err
	}
	if err := g.buildMissing(ctx, checkout, dir, progress); err != nil {
		return "", err
	}
	return dir, nil
}

// Checkout returns the root of the repository that holds the folder from.
func Checkout(from string) (string, error) {
	from, err := filepath.Abs(from)
	if err != nil {
		return "", fmt.Errorf("find the checkout: %w", err)
	}
	for dir := from; ; dir = filepath.Dir(dir) {
		_, err := os.Stat(toolsDir(dir))
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("find the checkout: %w", err)
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no folder above %s holds e2e/tools: run from a checkout of hubring", from)
		}
	}
}

func toolsDir(checkout string) string { return filepath.Join(checkout, "e2e", "tools") }

// missing returns the components of which dir lacks a program.
func (g group) missing(dir string) []component {
	var out []component
	for _, c := range g {
		for name := range c.programs {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				out = append(out, c)
				break
			}
		}
	}
	return out
}

func (g group) buildMissing(ctx context.Context, checkout, dir string, progress io.Writer) error {
	todo := g.missing(dir)
	if len(todo) == 0 {
		return nil // another process built them while this one waited
	}
	if err := removeBroken(dir); err != nil {
		return err
	}
	fmt.Fprintf(progress, "realbin: building %d of %d components into %s; from nothing this takes some minutes\n",
		len(todo), len(g), dir)
	begin := time.Now()
	for _, c := range todo {
		if err := c.build(ctx, checkout, dir, progress); err != nil {
			return err
		}
	}
	fmt.Fprintf(progress, "realbin: done in %s\n", time.Since(begin).Round(time.Second))
	return nil
}

// removeBroken removes what a build that was killed left behind. Whoever holds
// the lock is the only one to build.
func removeBroken(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, workPattern))
	if err != nil {
		return fmt.Errorf("tidy the cache: %w", err)
	}
	for _, path := range left {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("tidy the cache: %w", err)
		}
	}
	return nil
}

// build builds every program of the component beside dir and moves them in.
func (c component) build(ctx context.Context, checkout, dir string, progress io.Writer) error {
	work, err := os.MkdirTemp(dir, workPattern)
	if err != nil {
		return fmt.Errorf("build %s: %w", c.module, err)
	}
	defer func() { _ = os.RemoveAll(work) }() // else removeBroken will

	fmt.Fprintf(progress, "realbin: building %s: %v\n", strings.TrimSpace(c.module+" "+c.version), c.names())
	begin := time.Now()
	cmd := exec.CommandContext(ctx, "go", c.buildArgs(work)...)
	cmd.Dir = filepath.Join(toolsDir(checkout), c.module)
	cmd.Env = buildEnv()
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go stops its compilers
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s in %s: %w\n%s", c.module, cmd.Dir, err, tail(out, 4000))
	}
	for name, pkg := range c.programs {
		if err := os.Rename(filepath.Join(work, builtName(pkg)), filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("build %s: %w", c.module, err)
		}
	}
	fmt.Fprintf(progress, "realbin: built %s in %s\n", c.module, time.Since(begin).Round(time.Second))
	return nil
}

// builtName is how go names the binary of a package: by the last part of its path
// that is no major version.
func builtName(pkg string) string {
	if majorVersion.MatchString(pkg) {
		pkg = path.Dir(pkg)
	}
	return path.Base(pkg)
}

var majorVersion = regexp.MustCompile(`/v[0-9]+$`)

func (c component) names() []string {
	var names []string
	for name := range c.programs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// buildArgs are go's arguments; the binaries land in the folder out.
func (c component) buildArgs(out string) []string {
	ldflags := "-s -w"
	if c.version != "" {
		ldflags += " -X " + cmp.Or(c.stamp, versionVar) + "=" + c.version
	}
	args := []string{"build", "-trimpath", "-ldflags", ldflags}
	if c.tags != "" {
		args = append(args, "-tags", c.tags)
	}
	// "tool" is go's name for every package of the module's tool lines.
	return append(args, "-o", out+string(filepath.Separator), "tool")
}

// buildEnv keeps the workspace out: the components are modules of their own.
func buildEnv() []string { return append(os.Environ(), "GOWORK=off", "GOFLAGS=") }

// removeUnused removes the folders of other keys that nobody used since then.
func removeUnused(root string, since time.Time) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return fmt.Errorf("tidy the cache: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !e.IsDir() || info.ModTime().After(since) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(root, e.Name())); err != nil {
			return fmt.Errorf("tidy the cache: %w", err)
		}
	}
	return nil
}

// tail returns the last n bytes of b.
func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }
