package engine_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/cmd/hubquery/internal/bounded"
	"github.com/hubring/hubring/cmd/hubquery/internal/engine"
	"github.com/hubring/hubring/cmd/hubquery/internal/moves"
	"github.com/hubring/hubring/cmd/hubquery/internal/servertest"
	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

// BenchmarkQuery asks four shards in this process, of 347 gateways with a sample a minute for a day. Its time is that
// of hubquery and the shards together; a profile tells them apart.
func BenchmarkQuery(b *testing.B) {
	const day = 24 * 60
	var configs []shard.Config
	var servers []*servertest.Server
	for i := range 4 {
		s := servertest.New(b, nil)
		servers = append(servers, s)
		configs = append(configs, shard.Config{Name: strconv.Itoa(i), Servers: []string{s.URL}, Kind: shard.Prometheus})
	}
	for g := range 347 {
		var samples, came []servertest.Sample
		for m := range day {
			t := begin + int64(m)*60_000
			samples = append(samples, servertest.Sample{T: t, V: float64(m * g % 1000 * m)})
			if m%60 == 0 {
				came = append(came, servertest.Sample{T: t, V: float64(begin) / 1000})
			}
		}
		name := fmt.Sprintf("gw-%04d", g)
		servers[g%4].Add(samples, "__name__", "requests_total", "gatewayID", name, "networkID", fmt.Sprint("net", g%20))
		servers[g%4].Add(came, "__name__", moves.Series, "gatewayID", name)
	}
	registry := prometheus.NewRegistry()
	set, err := shard.New(config.DefaultHTTPClientConfig, registry, promslog.NewNopLogger())
	require.NoError(b, err)
	require.NoError(b, set.Use(configs))
	e := engine.New(engine.Config{
		Shards: set, GatewayLabel: "gatewayID", Timeout: time.Minute, Lookback: 5 * time.Minute, DefaultStep: time.Minute,
		MaxSamples: 10_000_000, MaxSeries: 100_000, MaxMoved: 1000, Parser: bounded.Parser{Parser: parser.NewParser(parser.Options{})},
		Registerer: registry, Logger: promslog.NewNopLogger(), Now: time.Now,
	})
	end := time.UnixMilli(begin).Add(24 * time.Hour)
	for _, q := range []struct {
		name, expr string
		back, step time.Duration
	}{
		{"instant", `sum by (networkID) (rate(requests_total[5m]))`, 0, 0},
		{"instant of a gateway", `requests_total{gatewayID="gw-0017"}`, 0, 0},
		{"6h", `topk(10, rate(requests_total[5m]))`, 6 * time.Hour, 90 * time.Second},
		{"day", `sum by (networkID) (rate(requests_total[5m]))`, 24 * time.Hour, 5 * time.Minute},
	} {
		b.Run(q.name, func(b *testing.B) {
			for b.Loop() {
				query, err := e.NewInstantQuery(b.Context(), nil, nil, q.expr, end)
				if q.step > 0 {
					query, err = e.NewRangeQuery(b.Context(), nil, nil, q.expr, end.Add(-q.back), end, q.step)
				}
				require.NoError(b, err)
				require.NoError(b, query.Exec(context.Background()).Err)
				query.Close()
			}
		})
	}
}
