package e2e

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// victoria is a real VictoriaMetrics.
type victoria struct {
	*promapi.Client
	url string
}

func startVictoria(t *testing.T, program, name string) *victoria {
	t.Helper()
	address, err := process.FreeAddress()
	require.NoError(t, err)
	dir := t.TempDir()
	p, err := process.Start(process.Spec{Name: name, Path: program, LogDir: dir, Args: []string{
		"-storageDataPath=" + filepath.Join(dir, "data"), "-httpListenAddr=" + address, "-retentionPeriod=100y",
		"-dedup.minScrapeInterval=1ms", "-search.latencyOffset=0s", "-search.minStalenessInterval=5m", "-loggerLevel=WARN",
	}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Terminate(); _ = p.Wait(patience) })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, p.WaitHTTP(ctx, "http://"+address+"/health"))
	// Its cache of answers would move the steps, and by itself it looks back over each series' own interval.
	return &victoria{promapi.New(address).With("nocache", "1").With("max_lookback", "5m"), "http://" + address}
}

// add stores lines of the text format, with their times.
func (v *victoria) add(t *testing.T, lines string) {
	t.Helper()
	for _, do := range []struct{ path, body string }{{"/api/v1/import/prometheus", lines}, {"/internal/force_flush", ""}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.url+do.path, strings.NewReader(do.body))
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, 2, resp.StatusCode/100)
	}
}

// A shard may be a VictoriaMetrics: hubquery over two of them answers as one with all samples would. One gateway has
// moved, and a week ago there were others.
func TestHubqueryOverVictoriaMetrics(t *testing.T) {
	if testing.Short() {
		t.Skip("needs real programs")
	}
	ctx := t.Context()
	checkout, err := realbin.Checkout(".")
	require.NoError(t, err)
	programs, err := realbin.QueriesDir(ctx, checkout, os.Stderr)
	require.NoError(t, err)
	hubquery, err := stack.BuildHubquery(ctx, checkout, t.TempDir())
	require.NoError(t, err)
	program := filepath.Join(programs, realbin.VictoriaMetrics151)
	one := startVictoria(t, program, "one")
	shards := []*victoria{startVictoria(t, program, "shard-0"), startVictoria(t, program, "shard-1")}

	const n, moved, every = 160, 80, 15
	start := time.Now().Add(-n*every*time.Second).Unix() / 60 * 60
	texts, all := make([]strings.Builder, 2), strings.Builder{}
	put := func(on int, format string, args ...any) {
		fmt.Fprintf(&texts[on], format, args...)
		fmt.Fprintf(&all, format, args...)
	}
	for i := range n {
		at := (start + int64(i)*every) * 1000
		for g := range 6 {
			on := g % 2
			if g == 0 && i >= moved {
				on = 1
			}
			if i == 0 || (g == 0 && i == moved) {
				put(on, "edgehub_gateway_first_sample_timestamp_seconds{gatewayID=\"gw-%d\"} %d %d\n", g, at/1000, at)
			}
			put(on, "load{gatewayID=\"gw-%d\",networkID=\"%d\"} %d %d\n", g, g%3, (g+1)*(i%17), at)
			put(on, "requests_total{gatewayID=\"gw-%d\",networkID=\"%d\"} %d %d\n", g, g%3, i*every*(g+1), at)
		}
	}
	for _, g := range []int{7, 8} {
		put(g%2, "load{gatewayID=\"gw-%d\"} 1 %d\n", g, (start-7*24*3600)*1000)
	}
	for i := range 4 {
		put(0, "rare{gatewayID=\"gw-8\"} %d %d\n", i, (start-7*24*3600+int64(i)*30*60)*1000)
	}
	put(0, "odd{gatewayID=\"gw-1\",text=\"a\\\"b\\\\c}{\"} 1 %d\n", start*1000)
	one.add(t, all.String())
	dir := t.TempDir()
	var file strings.Builder
	file.WriteString("shards:\n")
	for i, s := range shards {
		s.add(t, texts[i].String())
		fmt.Fprintf(&file, "- {name: \"%d\", kind: victoriametrics, servers: [%q]}\n", i, s.url)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "shards.yml"), []byte(file.String()), 0o600))
	p, err := process.Start(process.Spec{Name: "hubquery", Path: hubquery, LogDir: dir, Args: []string{"--web.listen-address=127.0.0.1:0", "--shards.file=" + filepath.Join(dir, "shards.yml")}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Terminate(); assert.NoError(t, p.Wait(patience)) })
	address, err := p.WaitListening(ctx)
	require.NoError(t, err)
	require.NoError(t, p.WaitHTTP(ctx, "http://"+address+"/-/ready"))
	asked := promapi.New(address)

	began := time.Unix(start+600, 0) // from where each series has what a window looks back at
	ended := time.Unix(start+(n-1)*every, 0)
	for _, query := range []string{
		`count({__name__=~"load|requests_total"})`, `sum(load)`, `sum by (networkID) (load)`, `avg(load)`, `max by (networkID) (load)`, `count by (networkID) (load > 20)`, `load`,
		`load{gatewayID="gw-0"}`, `topk(2, requests_total)`, `quantile(0.5, load)`, `stddev(load)`, `sum(load) / count(load)`, `load / requests_total`,
		`sum_over_time(load[2m])`, `max(max_over_time(load[5m]))`, `sum by (networkID) (rate(requests_total{gatewayID!="gw-0"}[2m]))`, `increase(requests_total{gatewayID="gw-4"}[3m])`,
		`max_over_time(sum(load)[10m:1m])`, `sum(load offset 5m)`, `absent(nothing{a="b"})`, `absent(load)`,
	} {
		for at := began; at.Before(ended); at = at.Add(3*time.Minute + 7*time.Second + 250*time.Millisecond) {
			want, err := one.VectorAt(ctx, query, at)
			require.NoError(t, err)
			got, err := asked.VectorAt(ctx, query, at)
			require.NoError(t, err, query)
			sameVector(t, query, want, got)
		}
		for _, step := range []time.Duration{15 * time.Second, 60 * time.Second, 7777 * time.Millisecond, 250 * time.Millisecond} {
			to := ended
			if step < time.Second {
				to = began.Add(10 * time.Second)
			}
			want, err := one.Range(ctx, query, began, to, step)
			require.NoError(t, err)
			got, err := asked.Range(ctx, query, began, to, step)
			require.NoError(t, err, query)
			sameMatrix(t, fmt.Sprintf("%s each %s", query, step), want, got)
		}
	}
	old := time.Unix(start-7*24*3600, 0)
	got5m, err := asked.Range(ctx, "load", old, old.Add(10*time.Minute), 15*time.Second)
	require.NoError(t, err)
	require.Len(t, got5m, 2)
	assert.Len(t, got5m[0].Values, 20, "it looks back for 5 minutes, as Prometheus")
	// By itself it looks back over a series' own interval, which is half an hour here.
	rare, err := asked.Range(ctx, "rare", old, old.Add(2*time.Hour), time.Minute)
	require.NoError(t, err)
	require.Len(t, rare, 1)
	assert.Len(t, rare[0].Values, 20)
	for path, params := range map[string]url.Values{
		"/api/v1/labels": nil, "/api/v1/label/gatewayID/values": nil, "/api/v1/label/text/values": nil, "/api/v1/label/networkID/values": {"match[]": {"load"}},
		"/api/v1/label/__name__/values": {"start": {strconv.FormatInt(start, 10)}, "end": {strconv.FormatInt(start+600, 10)}},
	} {
		var got, want []string
		wanted := url.Values{"start": {"1"}} // without times one VictoriaMetrics has those of today only, and one Prometheus all
		for name, values := range params {
			wanted[name] = values
		}
		require.NoError(t, one.Get(ctx, path, wanted, &want))
		require.NoError(t, asked.Get(ctx, path, params, &got))
		assert.Equal(t, want, got, path)
	}
	var got, want []map[string]string
	require.NoError(t, one.Get(ctx, "/api/v1/series", url.Values{"match[]": {"load", "odd"}, "start": {"1"}}, &want))
	require.NoError(t, asked.Get(ctx, "/api/v1/series", url.Values{"match[]": {"load", "odd"}}, &got))
	assert.ElementsMatch(t, want, got)
	assert.Len(t, got, 9)
	var tsdb struct{ HeadStats struct{ NumSeries int } }
	require.NoError(t, asked.Get(ctx, "/api/v1/status/tsdb", nil, &tsdb))
	assert.Positive(t, tsdb.HeadStats.NumSeries)
}

func near(a, b model.SampleValue) bool {
	return a == b || (math.IsNaN(float64(a)) && math.IsNaN(float64(b))) || math.Abs(float64(a-b)) <= 1e-9*math.Max(math.Abs(float64(a)), math.Abs(float64(b)))
}

func sameVector(t *testing.T, query string, want, got model.Vector) {
	t.Helper()
	values := map[string]model.SampleValue{}
	for _, s := range want {
		values[s.Metric.String()] = s.Value
	}
	require.Len(t, got, len(want), "%s: one has %v, hubquery %v", query, want, got)
	for _, s := range got {
		v, ok := values[s.Metric.String()]
		require.True(t, ok && near(v, s.Value), "%s: one has %v, hubquery %v", query, want, got)
	}
}

func sameMatrix(t *testing.T, query string, want, got model.Matrix) {
	t.Helper()
	values := map[string]model.SampleValue{}
	for _, s := range want {
		for _, p := range s.Values {
			values[fmt.Sprint(s.Metric, p.Timestamp)] = p.Value
		}
	}
	n := 0
	for _, s := range got {
		for _, p := range s.Values {
			v, ok := values[fmt.Sprint(s.Metric, p.Timestamp)]
			require.True(t, ok && near(v, p.Value), "%s: %s at %s is %s, of one %s (there: %t)", query, s.Metric, p.Timestamp, p.Value, v, ok)
			n++
		}
	}
	require.Equal(t, len(values), n, "%s: points are missing", query)
}
