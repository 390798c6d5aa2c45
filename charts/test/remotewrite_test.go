package charttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What prometheus.remoteWrite says every server does: a real receiver has the samples of each of
// them, below the tenant that the header names and told apart by their labels.
func TestRemoteWriteReachesATenant(t *testing.T) {
	t.Parallel()
	thanos := filepath.Join(needsPrograms(t), "thanos")
	push, grpc, web := freeAddress(t), freeAddress(t), freeAddress(t)
	c := newCluster(t, mustRender(t, fmt.Sprintf(`
prometheus_servers_count: 2
create_thanos: true
prometheus:
  scrapeInterval: 1s
  scrapeTimeout: 1s
  externalLabels: {cluster: edge-eu}
  remoteWrite: [{url: "http://%s/api/v1/receive", headers: {THANOS-TENANT: fleet}, queue_config: {batch_send_deadline: 1s}}]`, push)))
	startProgram(t, thanos, "receive", "--tsdb.path="+t.TempDir(), `--label=receive="0"`,
		"--remote-write.address="+push, "--grpc-address="+grpc, "--http-address="+freeAddress(t))
	startProgram(t, thanos, "query", "--endpoint="+grpc, "--http-address="+web, "--grpc-address="+freeAddress(t))
	for i := range 2 {
		c.startReady(fmt.Sprintf("%s-hubring-prometheus-%d", c.r.name, i), "prometheus")
	}
	await(t, "the receiver has what both servers scraped", func() error {
		a, err := query(t.Context(), web, `sum by (shard, prometheus_replica, cluster, tenant_id) (up{job="prometheus"})`, nil)
		if err == nil && len(a.Data.Result) != 2 {
			err = fmt.Errorf("series: %v", a.Data.Result)
		}
		if err != nil {
			return err
		}
		assert.Equal(t, map[string]string{"edgehub-0": "1", "edgehub-1": "1"}, a.values("shard"))
		for _, series := range a.Data.Result {
			assert.Equal(t, []string{"fleet", "edge-eu", "a"}, []string{series.Metric["tenant_id"], series.Metric["cluster"], series.Metric["prometheus_replica"]})
		}
		return nil
	})
}

// startProgram starts a program that is not of the release; it ends with the test.
func startProgram(t *testing.T, path string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	s := &process{filepath.Base(path), cmd, log}
	t.Cleanup(func() { s.end(t) })
}
