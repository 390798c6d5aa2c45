package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

// The file of shards is followed, also where it is a link that is exchanged as in Kubernetes, and what is wrong in it
// changes nothing and is said once.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		write := func(name, content string) {
			require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(dir, name, "shards.yml"), []byte(content), 0o600))
			link := filepath.Join(dir, "data-new")
			require.NoError(t, os.Symlink(name, link))
			require.NoError(t, os.Rename(link, filepath.Join(dir, "data")))
		}
		write("1", `shards: [{name: a, servers: ["http://a"]}]`)
		reg := prometheus.NewRegistry()
		set, err := shard.New(config.DefaultHTTPClientConfig, reg, promslog.NewNopLogger())
		require.NoError(t, err)
		var log bytes.Buffer
		f := newFollower(filepath.Join(dir, "data", "shards.yml"), set, reg, slog.New(slog.NewTextHandler(&log, nil)))
		require.NoError(t, f.begin(nil))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { f.follow(ctx); close(done) }()
		is := func(names string, good float64) {
			t.Helper()
			time.Sleep(fileEvery)
			synctest.Wait()
			var now strings.Builder
			for _, sh := range set.All() {
				now.WriteString(sh.Name)
			}
			assert.Equal(t, names, now.String())
			assert.InDelta(t, good, testutil.ToFloat64(f.good), 0)
		}
		is("a", 1)
		same := set.All()[0]
		write("2", `shards: [{name: b, servers: ["http://b"]}, {name: a, servers: ["http://a"]}]`)
		is("ba", 1)
		assert.Same(t, same, set.All()[1])
		write("3", `shards: [`)
		is("ba", 0)
		is("ba", 0)
		require.NoError(t, os.Remove(filepath.Join(dir, "data")))
		is("ba", 0)
		write("4", `shards: []`)
		is("ba", 0)
		write("5", `shards: [{name: c, servers: ["http://c"]}]`)
		is("c", 1)
		stop()
		<-done
		assert.Equal(t, 3, strings.Count(log.String(), "level=ERROR"), &log)
		assert.Equal(t, 2, strings.Count(log.String(), "other shards"), &log)
	})
}
