package realbin

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCheckoutIsFoundFromBelow(t *testing.T) {
	root, err := Checkout(".")
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(root, "e2e", "tools", "prometheus", "go.mod"))

	_, err = Checkout(t.TempDir())
	require.ErrorContains(t, err, "run from a checkout")
}

// The versions that components stamp are those of their go.mod files.
func TestStampedVersionsAreTheModules(t *testing.T) {
	root, err := Checkout(".")
	require.NoError(t, err)
	// Prometheus numbers its module 0.MMmm.p for its version M.mm.p.
	module := map[string]string{
		"nodeexporter":  "github.com/prometheus/node_exporter v1.12.1 ",
		"prometheus":    "github.com/prometheus/prometheus v0.315.0 ",
		"prometheus253": "github.com/prometheus/prometheus v0.53.1 ",
		"thanos":        "github.com/thanos-io/thanos v0.42.4 ",

		"prometheusedgehub": "github.com/facebookincubator/prometheus-edge-hub v1.1.0 ",
		"pushgateway":       "github.com/prometheus/pushgateway v1.11.3 ",
		"victoriametrics":   "github.com/VictoriaMetrics/VictoriaMetrics v1.110.0 ",

		"vmagent151":         "github.com/VictoriaMetrics/VictoriaMetrics v1.151.0 ",
		"victoriametrics151": "github.com/VictoriaMetrics/VictoriaMetrics v1.151.0 ",
		"otelcol":            "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/prometheusreceiver v0.165.1\n",
		"telegraf":           "github.com/influxdata/telegraf v1.39.0 ",

		"alertmanager": "github.com/prometheus/alertmanager v0.31.1 ",
		"gofakes3":     "github.com/johannesboyne/gofakes3 v1.2.0 ",
		"kube":         "k8s.io/kubernetes v1.36.3 ",
	}
	stamped := map[string]string{
		"nodeexporter": "1.12.1", "prometheus": "3.15.0", "prometheus253": "2.53.1", "thanos": "0.42.4",
		"prometheusedgehub": "1.1.0", "pushgateway": "1.11.3", "victoriametrics": "1.110.0",
		"vmagent151": "1.151.0", "victoriametrics151": "1.151.0", "otelcol": "", "telegraf": "1.39.0",
		"alertmanager": "0.31.1", "gofakes3": "", "kube": "v1.36.3",
	}
	for _, c := range slices.Concat(suite, peers, scrapers, queries, cluster) {
		content, err := os.ReadFile(filepath.Join(toolsDir(root), c.module, "go.mod"))
		require.NoError(t, err)
		require.Contains(t, string(content), module[c.module])
		require.Equal(t, stamped[c.module], c.version)
	}
}

func TestBuiltNameIsGos(t *testing.T) {
	require.Equal(t, "kube-apiserver", builtName("k8s.io/kubernetes/cmd/kube-apiserver"))
	require.Equal(t, "server", builtName("go.etcd.io/etcd/server/v3"))
	require.Equal(t, "gofakes3", builtName("github.com/johannesboyne/gofakes3/cmd/gofakes3"))
}

func TestKeyFollowsWhatDecides(t *testing.T) {
	root, err := Checkout(".")
	require.NoError(t, err)
	checkout := t.TempDir()
	require.NoError(t, os.CopyFS(toolsDir(checkout), os.DirFS(toolsDir(root))))

	before, err := suite.cacheKey(t.Context(), checkout)
	require.NoError(t, err)
	again, err := suite.cacheKey(t.Context(), checkout)
	require.NoError(t, err)
	require.Equal(t, before, again)

	sum := filepath.Join(toolsDir(checkout), "thanos", "go.sum")
	require.NoError(t, os.Chmod(sum, 0o600))
	require.NoError(t, os.WriteFile(sum, []byte("other\n"), 0o600))
	after, err := suite.cacheKey(t.Context(), checkout)
	require.NoError(t, err)
	require.NotEqual(t, before, after)
}

// A program that is put together here is built anew when its source changes.
func TestKeyFollowsTheSource(t *testing.T) {
	root, err := Checkout(".")
	require.NoError(t, err)
	checkout := t.TempDir()
	require.NoError(t, os.CopyFS(toolsDir(checkout), os.DirFS(toolsDir(root))))
	before, err := scrapers.cacheKey(t.Context(), checkout)
	require.NoError(t, err)

	source := filepath.Join(toolsDir(checkout), "otelcol", "main.go")
	require.FileExists(t, source)
	require.NoError(t, os.Chmod(source, 0o600))
	require.NoError(t, os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600))
	after, err := scrapers.cacheKey(t.Context(), checkout)
	require.NoError(t, err)
	require.NotEqual(t, before, after)
}

func TestRemoveUnusedKeepsWhatIsInUse(t *testing.T) {
	root := t.TempDir()
	old, young := filepath.Join(root, "old"), filepath.Join(root, "young")
	require.NoError(t, os.Mkdir(old, 0o755))
	require.NoError(t, os.Mkdir(young, 0o755))
	now := time.Now()
	require.NoError(t, os.Chtimes(old, now, now.Add(-2*unusedAfter)))

	require.NoError(t, removeUnused(root, now.Add(-unusedAfter)))
	require.NoDirExists(t, old)
	require.DirExists(t, young)
}

func TestLockIsHeldByOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path, io.Discard)
	require.NoError(t, err)

	var said strings.Builder
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = lock(ctx, path, &said)
	require.ErrorIs(t, err, context.Canceled)
	require.Contains(t, said.String(), "waiting for another process")

	unlock()
	unlock, err = lock(t.Context(), path, io.Discard)
	require.NoError(t, err)
	unlock()
}
