package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	pushing "github.com/prometheus/client_golang/prometheus/push"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// Who pushes to a Pushgateway pushes to a hub, by Go's client (protobuf) and as curl does, and a real Prometheus has it beside what
// waits in the log: gauges, counters, whole histograms, under the labels of their groups. It survives a kill of the hub, and ends with its group.
func TestPushesAsToAPushgateway(t *testing.T) {
	t.Parallel()
	for name, protobuf := range map[string]bool{"text": false, "protobuf": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ownStack(t, stack.Config{Shards: 1, Protobuf: protobuf, HubLogs: true})
			hub, server := s.Shards[0].Hub, promapi.New(s.Shards[0].Prometheus)
			registry := prometheus.NewRegistry()
			rows := prometheus.NewCounter(prometheus.CounterOpts{Name: "backup_rows_total", Help: "Rows."})
			took := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "backup_seconds", Help: "Time.", Buckets: []float64{1, 10}})
			registry.MustRegister(rows, took)
			rows.Add(42)
			took.Observe(0.5)
			took.Observe(5)
			client := pushing.New(hub.URL(), "backup").Grouping("db", "a/b").Gatherer(registry)
			require.NoError(t, client.Push())
			require.NoError(t, send(t, http.MethodPost, hub.URL()+"/metrics/job/backup/db/other", "# TYPE backup_rows_total counter\nbackup_rows_total 7\n"))
			require.NoError(t, send(t, http.MethodPost, hub.URL()+"/metrics", fmt.Sprintf("load{gatewayID=\"gw\"} 1.5 %d\n", model.Now())))

			want := map[string]float64{
				`backup_rows_total{job="backup",db="a/b"}`:                     42,
				`backup_rows_total{job="backup",db="other"}`:                   7,
				`backup_seconds_count{db="a/b"}`:                               2,
				`backup_seconds_bucket{db="a/b",le="1.0"}`:                     1,
				`backup_seconds_bucket{db="a/b",le="+Inf"}`:                    2,
				`count(push_time_seconds{job="backup"})`:                       2,
				`count_over_time(load{gatewayID="gw"}[5m])`:                    1,
				`max by (db) (time() - push_time_seconds{db="a/b"}) < bool 60`: 1,
			}
			has := func(ctx context.Context) error {
				for query, value := range want {
					v, err := server.Vector(ctx, query)
					if err != nil {
						return err
					}
					if len(v) != 1 || float64(v[0].Value) != value {
						return fmt.Errorf("%s is %v, not %v", query, v, value)
					}
				}
				return nil
			}
			eventually(t, patience, has)
			hub.Kill()
			require.NoError(t, hub.Restart(t.Context()))
			eventually(t, patience, has)

			require.NoError(t, client.Delete())
			eventually(t, patience, func(ctx context.Context) error {
				v, err := server.Vector(ctx, `count by (db) ({job="backup",__name__=~"backup_.+"})`)
				if err == nil && (len(v) != 1 || v[0].Metric["db"] != "other") {
					err = fmt.Errorf("there is %v", v)
				}
				return err
			})
		})
	}
}

// send sends a text, and returns an error unless it is taken.
func send(t *testing.T, method, url, body string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return nil
}
