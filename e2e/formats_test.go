package e2e

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// formatsJob scrapes as a cursor whose name is the server's.
const formatsJob = `
  - job_name: edgehub
    honor_labels: true
    honor_timestamps: true
    scrape_interval: 15s
    params: {cursor: [CURSOR]}
    static_configs: [{targets: ["edgehub-0:9091"]}]
    metric_relabel_configs:
      - {source_labels: [instance], regex: "edgehub-0:9091", target_label: instance, replacement: ""}
      - {source_labels: [job], regex: edgehub, target_label: job, replacement: ""}
`

const protobufFirst = "    scrape_protocols: [PrometheusProto, PrometheusText1.0.0, PrometheusText0.0.4]\n"

// formatServers are what they add to the job, and arguments.
var formatServers = map[string][2]string{
	"text":           {"    scrape_protocols: [PrometheusText1.0.0]\n"},
	"text004":        {"    scrape_protocols: [PrometheusText0.0.4]\n"},
	"protobuf":       {protobufFirst},
	"openmetrics":    {"    scrape_protocols: [OpenMetricsText1.0.0]\n"},
	"openmetrics001": {"    scrape_protocols: [OpenMetricsText0.0.1]\n"},
	"openmetrics2":   {"    scrape_protocols: [OpenMetricsText2.0.0, PrometheusText1.0.0]\n", "--enable-feature=openmetrics2"},
	"zstd":           {protobufFirst, "--enable-feature=zstd-scrape"},
	"converts":       {protobufFirst + "    convert_classic_histograms_to_nhcb: true\n"},
}

// allTypes are pushes of all types, whole and in pieces; @N is a time, N seconds after some.
var allTypes = []string{
	`# HELP requests_total What was asked.
# TYPE requests_total counter
requests_total{gatewayID="gw-1",path="\\a\n\"b\""} 1 @1
requests_total{gatewayID="gw-1",path="\\a\n\"b\""} 2 @2
# TYPE requests counter
requests{gatewayID="gw-1"} 5 @1
# HELP load A load.
# TYPE load gauge
load{gatewayID="gw-1"} -0.25 @2
load{gatewayID="gw-1"} NaN @1
load{gatewayID="gw-2"} +Inf @1
# TYPE odd untyped
odd 1e-300 @1
# TYPE "with.dots" gauge
{"with.dots","a label"="b"} 1 @1
`,
	`no_type{gatewayID="gw-1",le="1",quantile="1"} 1 @1
no_type_bucket{gatewayID="gw-1",le="1"} 1 @1
`,
	`# HELP seconds How long.
# TYPE seconds histogram
seconds_bucket{gatewayID="gw-1",le="0.1"} 1 @1
seconds_bucket{gatewayID="gw-1",le="1"} 2 @1
seconds_bucket{gatewayID="gw-1",le="1e3"} 2 @1
seconds_bucket{gatewayID="gw-1",le="+Inf"} 3 @1
seconds_sum{gatewayID="gw-1"} 1000.5 @1
seconds_count{gatewayID="gw-1"} 3 @1
seconds_bucket{gatewayID="gw-1",le="0.1"} 1 @2
seconds_bucket{gatewayID="gw-1",le="1"} 2 @2
seconds_bucket{gatewayID="gw-1",le="1e3"} 2 @2
seconds_bucket{gatewayID="gw-1",le="+Inf"} 4 @2
seconds_sum{gatewayID="gw-1"} 2000.5 @2
seconds_count{gatewayID="gw-1"} 4 @2
# HELP age How old.
# TYPE age summary
age{gatewayID="gw-1",quantile="0.50"} 1 @1
age{gatewayID="gw-1",quantile="1"} NaN @1
age_sum{gatewayID="gw-1"} 2 @1
age_count{gatewayID="gw-1"} 3 @1
`,
	// In pieces: nothing of a whole, some points of it, values that are none.
	`# TYPE pieces histogram
pieces_bucket{gatewayID="gw-1",le="1"} 1 @1
pieces_sum{gatewayID="gw-1"} 1 @2
pieces_count{gatewayID="gw-1"} 1 @3
pieces_bucket{gatewayID="gw-2",le="1"} 1 @1
pieces_bucket{gatewayID="gw-2",le="1"} 1 @2
pieces_bucket{gatewayID="gw-2",le="+Inf"} 1 @2
pieces_sum{gatewayID="gw-2"} 1 @2
pieces_count{gatewayID="gw-2"} 1 @2
pieces_count{gatewayID="gw-2"} 2 @3
pieces_bucket{gatewayID="gw-3",le="1"} 5 @1
pieces_bucket{gatewayID="gw-3",le="+Inf"} 4 @1
pieces_sum{gatewayID="gw-3"} 3 @1
pieces_count{gatewayID="gw-3"} 2 @1
pieces{gatewayID="gw-3"} 1 @1
pieces_sum{gatewayID="gw-3",le="1"} 1 @1
# TYPE part summary
part{gatewayID="gw-1",quantile="0.5"} 1 @1
part_sum{gatewayID="gw-1"} 1 @1
part_count{gatewayID="gw-2"} 1.5 @1
part_sum{gatewayID="gw-2"} 1 @1
# TYPE bounds histogram
bounds_bucket{gatewayID="gw-1",le="small"} 1 @1
bounds_bucket{gatewayID="gw-1",le="1"} 1 @1
bounds_count{gatewayID="gw-1"} 1 @1
`,
}

// Whether a Prometheus scrapes text, protobuf or OpenMetrics, compressed or not, it stores the same: each
// series under its name, each sample to the bit and the millisecond; also what is no whole
// histogram or summary. One that converts histograms has each point of those that are. Its
// storage takes nothing out of order here.
func TestFormatsStoreTheSame(t *testing.T) {
	names := slices.Sorted(maps.Keys(formatServers))
	args := []string{"--scrape.openmetrics2"}
	for _, name := range names {
		args = append(args, "--scrape.cursor="+name)
	}
	s, hub := oneHub(t, args...)
	begin := time.Now().Add(-time.Minute).UnixMilli()
	push := func(after int64) {
		for _, body := range allTypes {
			for n := int64(1); n <= 3; n++ {
				body = strings.ReplaceAll(body, fmt.Sprintf("@%d", n), strconv.FormatInt(begin+1000*(after+n)+7, 10))
			}
			mustPush(t, hub, body)
		}
	}
	push(0)
	servers := map[string]*promapi.Client{}
	for _, name := range names {
		extra := formatServers[name]
		job := strings.ReplaceAll(formatsJob, "CURSOR", name) + extra[0]
		cfg := stack.ServerConfig{Name: name}
		if extra[1] != "" {
			cfg.Args = append(cfg.Args, extra[1])
		}
		job = strings.ReplaceAll(job, jobAddress, hub.Address)
		cfg.Config = "scrape_configs:" + strings.ReplaceAll(job, jobInterval, "scrape_interval: 1s")
		server, err := s.StartServer(t.Context(), cfg)
		require.NoError(t, err)
		servers[name] = promapi.New(server.Address)
	}
	awaitAll := func() {
		for _, name := range names {
			awaitOwn(t, hub, "edgehub_cursor_lag_samples", map[string]string{"cursor": name}, func(n int) bool { return n == 0 })
		}
	}
	awaitAll()
	push(10)
	awaitAll()

	const selector = `{__name__=~".+",__name__!~"up|scrape_.*",job=""}[10m]`
	want := contents(t, servers["text"], selector)
	require.Len(t, want, 38)
	for _, name := range []string{"protobuf", "zstd", "openmetrics", "openmetrics2"} {
		require.Equal(t, want, contents(t, servers[name], selector), name)
	}
	// What cannot say which names it takes gets classic ones.
	classic := maps.Clone(want)
	for series, samples := range want {
		if strings.Contains(series, "with.dots") {
			delete(classic, series)
			classic[`U__with_2e_dots{U__a_20_label="b"}`] = samples
		}
	}
	for _, name := range []string{"text004", "openmetrics001"} {
		require.Equal(t, classic, contents(t, servers[name], selector), name)
	}
	requireSameMetadata(t, servers["text"], servers["protobuf"])

	// All of gw-1's, and the one of gw-2 that is whole.
	matrix, err := servers["converts"].Matrix(t.Context(), `{__name__=~"seconds|pieces",gatewayID=~"gw-[12]"}[10m]`)
	require.NoError(t, err)
	got := map[string]int{}
	for _, series := range matrix {
		got[series.Metric.String()] = len(series.Histograms)
	}
	assert.Equal(t, map[string]int{`seconds{gatewayID="gw-1"}`: 4, `pieces{gatewayID="gw-2"}`: 2}, got)
	others := contents(t, servers["converts"], `{__name__=~".+",__name__!~"up|scrape_.*|seconds.*|pieces.*",job=""}[10m]`)
	for series := range want {
		if strings.HasPrefix(series, "seconds") || strings.HasPrefix(series, "pieces") {
			delete(want, series)
		}
	}
	require.Equal(t, want, others)

	// A gateway that went elsewhere ends where the hub is told so, by protobuf, to the
	// millisecond and with each of its series. By text it goes on.
	const its = `{gatewayID="gw-1",__name__!~"edgehub_.*"}`
	next := begin + 14_007
	status, answer, err := post(t.Context(), hub.URL()+"/gateways/ended", fmt.Sprintf("gw-1 %d\n", next))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, answer)
	awaitAll()
	count := func(server string, at int64) int {
		var v struct{ Result model.Vector }
		require.NoError(t, servers[server].Get(t.Context(), "/api/v1/query",
			url.Values{"query": {"count(" + its + ")"}, "time": {fmt.Sprintf("%d.%03d", at/1000, at%1000)}}, &v))
		if len(v.Result) == 0 {
			return 0
		}
		return int(v.Result[0].Value)
	}
	for _, name := range []string{"protobuf", "zstd"} {
		assert.Equal(t, 23, count(name, next-2), name)
		assert.Zero(t, count(name, next-1), name)
	}
	assert.Equal(t, 23, count("text", next-1))
	assert.Equal(t, want["load{gatewayID=\"gw-2\"}"], contents(t, servers["protobuf"], `load{gatewayID="gw-2"}[10m]`)["load{gatewayID=\"gw-2\"}"])
	requireUp(t, servers["protobuf"])
}

// post posts a text.
func post(ctx context.Context, to, text string) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(text))
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// contents are the samples that a server has of each series.
func contents(t *testing.T, server *promapi.Client, selector string) map[string][]string {
	t.Helper()
	matrix, err := server.Matrix(t.Context(), selector)
	require.NoError(t, err)
	all := map[string][]string{}
	for _, series := range matrix {
		require.Empty(t, series.Histograms, series.Metric)
		for _, p := range series.Values {
			all[series.Metric.String()] = append(all[series.Metric.String()], fmt.Sprintf("%s@%d", p.Value, int64(p.Timestamp)))
		}
	}
	return all
}

// requireSameMetadata compares what two servers know of families. By protobuf there is something
// of each, unknown where nobody said a type, and of the pieces of a histogram or summary.
func requireSameMetadata(t *testing.T, text, protobuf *promapi.Client) {
	t.Helper()
	type metadata struct{ Type, Help, Unit string }
	var want, got map[string][]metadata
	eventually(t, patience, func(ctx context.Context) error {
		if err := text.Get(ctx, "/api/v1/metadata", url.Values{}, &want); err != nil {
			return err
		}
		return protobuf.Get(ctx, "/api/v1/metadata", url.Values{}, &got)
	})
	for name, one := range want {
		switch name {
		case "part", "bounds": // nothing of them is whole
		default:
			assert.Equal(t, one, got[name], name)
		}
	}
	for name, one := range got {
		if want[name] == nil {
			assert.Equal(t, []metadata{{Type: string(model.MetricTypeUnknown)}}, one, name)
		}
	}
}
