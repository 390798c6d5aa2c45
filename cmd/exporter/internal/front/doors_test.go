package front

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/cmd/exporter/internal/lines"
	"github.com/hubring/hubring/internal/exposition"
)

// What is pushed by other formats is with hubs of the types that it was.
func TestFormatsAtMetrics(t *testing.T) {
	p := open(t, 1, "")
	seconds := strconv.FormatFloat(float64(at)/1000, 'f', 3, 64)
	p.pushed("/metrics", strings.ReplaceAll(`# TYPE rows counter
# HELP rows Rows.
rows_total{gatewayID="gw"} 5 SECONDS # {trace_id="a"} 1
rows_created{gatewayID="gw"} 1700000000
# TYPE size gauge
size{gatewayID="gw"} 2 SECONDS
# TYPE wait summary
wait{gatewayID="gw",quantile="0.5"} 1 SECONDS
wait_sum{gatewayID="gw"} 4 SECONDS
wait_count{gatewayID="gw"} 3 SECONDS
# EOF
`, "SECONDS", seconds), "Content-Type", "application/openmetrics-text; version=1.0.0")
	family := familyOf(t, "took_seconds", dto.MetricType_HISTOGRAM, &dto.Metric{
		Label: []*dto.LabelPair{{Name: proto.String("gatewayID"), Value: proto.String("gw")}}, TimestampMs: &at,
		Histogram: &dto.Histogram{SampleCount: proto.Uint64(3), SampleSum: proto.Float64(4.5), Bucket: []*dto.Bucket{{UpperBound: proto.Float64(1), CumulativeCount: proto.Uint64(2)}}},
	})
	p.pushed("/metrics", string(append(protowire.AppendVarint(nil, uint64(len(family))), family...)), "Content-Type", exposition.ProtobufContentType)
	p.flush()
	p.gives("# TYPE rows_total counter", "# HELP rows_total Rows.", `rows_total{gatewayID="gw"} 5 AT`, "# TYPE size gauge", `size{gatewayID="gw"} 2 AT`,
		"# TYPE wait summary", `wait{gatewayID="gw",quantile="0.5"} 1 AT`, `wait_sum{gatewayID="gw"} 4 AT`,
		"# TYPE took_seconds histogram", `took_seconds_bucket{gatewayID="gw",le="+Inf"} 3 AT`, `took_seconds_count{gatewayID="gw"} 3 AT`)
	assert.InDelta(t, 1, p.leftOut(lines.Exemplar), 0)
	assert.InDelta(t, 1, p.leftOut(lines.StartTime), 0)

	status, text := p.do(http.MethodPost, "/metrics", "x 1\n", "Content-Type", "application/openmetrics-text")
	assert.Equal(t, 200, status, "without its end, as client_golang pushes: %s", text)
	status, text = p.do(http.MethodPost, "/metrics", "x", "Content-Type", "application/x-protobuf")
	assert.Equal(t, 415, status, text)
	assert.Contains(t, text, "/api/v1/write")
}

func (p *place) leftOut(reason string) float64 {
	return testutil.ToFloat64(p.counts.leftOut.WithLabelValues(reason))
}

func number(field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), v)
}

func double(field protowire.Number, v float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(nil, field, protowire.Fixed64Type), math.Float64bits(v))
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// series1 is a series of remote write 1.0, of labels and values a millisecond apart.
func series1(labels []string, values ...float64) []byte {
	var s []byte
	for i := 0; i < len(labels); i += 2 {
		s = append(s, message(1, message(1, labels[i], 2, labels[i+1]))...)
	}
	for i, v := range values {
		s = append(s, message(2, join(double(1, v), number(2, uint64(at)+uint64(i))))...)
	}
	return message(1, s)
}

// write pushes a request, and returns the answer with the headers of one.
func (p *place) write1(request []byte, headers ...string) (status int, text string, header http.Header) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.url+"/api/v1/write", bytes.NewReader(snappy.Encode(nil, request)))
	require.NoError(p.t, err)
	r.Header.Set("Content-Encoding", "snappy")
	r.Header.Set("Content-Type", "application/x-protobuf")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(p.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(p.t, err)
	return resp.StatusCode, string(body), resp.Header
}

// By 1.0 the good series of a request are sent on, stale markers and exemplars left out, and types come in a request of their own.
func TestRemoteWrite1(t *testing.T) {
	p := open(t, 1, "")
	status, text, _ := p.write1(message(3, join(number(1, 1), message(2, "rows_total", 4, "Rows.")), 3, join(number(1, 3), message(2, "took"))))
	require.Equal(t, 204, status, "metadata alone: %s", text)
	assert.Zero(t, testutil.ToFloat64(p.counts.samples.WithLabelValues(doorWrite)))
	stale := math.Float64frombits(0x7ff0000000000002)
	status, text, _ = p.write1(join(
		series1([]string{"__name__", "rows_total", "gatewayID", "gw"}, 1, 2, stale),
		series1([]string{"gatewayID", "gw", "__name__", "took_bucket", "le", "+Inf"}, 3),
		message(1, join(message(1, message(1, "__name__", 2, "ex"), 2, double(1, 1)), message(3, join(double(2, 5), number(3, uint64(at)))))),
	))
	require.Equal(t, 204, status, text)
	status, text, _ = p.write1(join(
		series1([]string{"gatewayID", "gw"}, 1, 2),
		series1([]string{"__name__", "good", "gatewayID", "gw"}, 1),
		message(1, join(message(1, message(1, "__name__", 2, "native")), message(4, join(number(1, 1), number(4, 3), number(15, uint64(at)))))),
	))
	assert.Equal(t, 400, status)
	assert.Contains(t, text, "3 of 4 samples are refused, the others are stored")
	assert.InDelta(t, 2, testutil.ToFloat64(p.counts.rejected.WithLabelValues(doorWrite, "malformed")), 0)
	assert.InDelta(t, 1, testutil.ToFloat64(p.counts.rejected.WithLabelValues(doorWrite, "native_histogram")), 0)
	assert.InDelta(t, 1, p.leftOut(lines.StaleMarker), 0)
	assert.InDelta(t, 1, p.leftOut(lines.NativeHistogram), 0)
	assert.InDelta(t, 1, p.leftOut(lines.Exemplar), 0)
	status, text, _ = p.write1(message(1, join(message(1, message(1, "__name__", 2, "native")), message(4, join(number(1, 1), number(4, 3), number(15, uint64(at)))))))
	assert.Equal(t, 400, status)
	assert.Contains(t, text, "nothing is stored")
	p.flush()
	p.gives("# TYPE rows_total counter", "# HELP rows_total Rows.", `rows_total{gatewayID="gw"} 1 AT`, "# TYPE took histogram", `took_bucket{gatewayID="gw",le="+Inf"} 3 AT`, `good{gatewayID="gw"} 1 AT`)
	assert.NotContains(t, p.have(), "native")
}

// By 2.0 the answer says what was taken, whose types are in the same request.
func TestRemoteWrite2(t *testing.T) {
	p := open(t, 1, "")
	symbols := []byte(nil)
	for _, s := range []string{"", "__name__", "rows_total", "gatewayID", "gw", "Rows.", "native"} {
		symbols = append(symbols, message(4, s)...)
	}
	packed := func(field int, refs ...uint64) []byte {
		var all []byte
		for _, r := range refs {
			all = protowire.AppendVarint(all, r)
		}
		return message(field, all)
	}
	good := message(5, join(packed(1, 1, 2, 3, 4), message(2, join(double(1, 7), number(2, uint64(at)))), message(5, join(number(1, 1), number(3, 5)))))
	native := message(5, join(packed(1, 1, 6), message(3, join(number(1, 1), number(4, 3), number(15, uint64(at))))))
	const v2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
	status, text, h := p.write1(join(symbols, good), "Content-Type", v2)
	require.Equal(t, 204, status, text)
	assert.Equal(t, "1", h.Get("X-Prometheus-Remote-Write-Samples-Written"))
	status, text, h = p.write1(join(symbols, good, native), "Content-Type", v2)
	assert.Equal(t, 400, status, text)
	assert.Equal(t, "1", h.Get("X-Prometheus-Remote-Write-Samples-Written"))
	assert.Equal(t, "0", h.Get("X-Prometheus-Remote-Write-Histograms-Written"))
	status, _, h = p.write1([]byte("no protobuf"), "Content-Type", v2)
	assert.Equal(t, 400, status)
	assert.Equal(t, "0", h.Get("X-Prometheus-Remote-Write-Samples-Written"))
	p.flush()
	p.gives("# TYPE rows_total counter", "# HELP rows_total Rows.", `rows_total{gatewayID="gw"} 7 AT`)
}

// otlpJSON is a request of some metrics of a gateway.
func otlpJSON(resource string, metrics ...string) string {
	return `{"resourceMetrics":[{"resource":{"attributes":[` + resource + `]},"scopeMetrics":[{"metrics":[` + strings.Join(metrics, ",") + `]}]}]}`
}

const ofGateway = `{"key":"gatewayID","value":{"stringValue":"gw"}}`

func sumOf(name string, temporality int) string {
	return fmt.Sprintf(`{"name":%q,"sum":{"aggregationTemporality":%d,"isMonotonic":true,"dataPoints":[{"asInt":"7","timeUnixNano":"%d000000"}]}}`, name, temporality, at)
}

// By OTLP what can be taken is, in whatever it is packed, and the answer says what not.
func TestOTLP(t *testing.T) {
	p := open(t, 1, "")
	native := fmt.Sprintf(`{"name":"native","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{"count":"1","scale":3,"timeUnixNano":"%d000000"}]}}`, at)
	request := otlpJSON(ofGateway, sumOf("rows", 2), sumOf("delta", 1), native)
	for i, packed := range map[string]string{"": request, "gzip": gzipped(t, request), "zstd": zstdOf(t, request)} {
		status, text := p.do(http.MethodPost, "/v1/metrics", packed, "Content-Type", "application/json", "Content-Encoding", i)
		require.Equal(t, 200, status, text)
		var answer struct {
			PartialSuccess struct{ RejectedDataPoints, ErrorMessage string }
		}
		require.NoError(t, json.Unmarshal([]byte(text), &answer))
		assert.Equal(t, "2", answer.PartialSuccess.RejectedDataPoints)
		assert.Contains(t, answer.PartialSuccess.ErrorMessage, `metric "delta"`)
		assert.Contains(t, answer.PartialSuccess.ErrorMessage, "sends text")
	}
	assert.InDelta(t, 3, testutil.ToFloat64(p.counts.rejected.WithLabelValues(doorOTLP, "temporality")), 0)
	assert.InDelta(t, 3, testutil.ToFloat64(p.counts.rejected.WithLabelValues(doorOTLP, "native_histogram")), 0)
	p.flush()
	p.gives("# TYPE rows_total counter", `rows_total{gatewayID="gw"} 7 AT`)
	status, text := p.do(http.MethodPost, "/v1/metrics", "x", "Content-Type", "application/json", "Content-Encoding", "lz4")
	assert.Equal(t, 415, status)
	assert.Contains(t, text, "zstd")
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	w := gzip.NewWriter(&out)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.String()
}

func zstdOf(t *testing.T, text string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	defer w.Close()
	return string(w.EncodeAll([]byte(text), nil))
}

// Limits and the label of the key are those of the file that was read last, at each door.
func TestReloadedDoors(t *testing.T) {
	p := open(t, 3, "limits: {samples: 2}\n")
	c := p.caller()
	write := join(series1([]string{"__name__", "w", "site", "s1"}, 1, 2, 3))
	text := strings.Repeat("x{site=\"s1\"} 1\n", 3)
	called := message(1, "s1", 2, counterOf(t, "collected"), 2, counterOf(t, "collected", "a", "b"), 2, counterOf(t, "collected", "a", "c"))
	otlp := otlpJSON(`{"key":"site","value":{"stringValue":"s1"}}`, sumOf("a", 2), sumOf("b", 2), sumOf("c", 2))
	pushes := func(statuses [3]int, code string) {
		t.Helper()
		status, _ := p.do(http.MethodPost, "/metrics", text)
		assert.Equal(t, statuses[0], status)
		status, _, _ = p.write1(write)
		assert.Equal(t, statuses[1], status)
		status, _ = p.do(http.MethodPost, "/v1/metrics", otlp, "Content-Type", "application/json")
		assert.Equal(t, statuses[2], status)
		got, _ := c.call("/magma.orc8r.MetricsController/Collect", called)
		assert.Equal(t, code, got)
	}
	pushes([3]int{413, 413, 413}, "8")
	p.write(p.list() + "key_label: site\n")
	require.NoError(t, p.Reload())
	pushes([3]int{200, 204, 200}, "0")
	p.flush()
	have := p.have()
	for _, series := range []string{`x{site="s1"}`, `w{site="s1"}`, `a_total{site="s1"}`, `collected{site="s1"}`} {
		require.Contains(t, have, series)
		p.homeIs("s1", have[series])
	}
	p.write(p.list() + "key_label: site\nlimits: {body_bytes: 20}\n")
	require.NoError(t, p.Reload())
	pushes([3]int{413, 413, 413}, "8")
	assert.Zero(t, p.now.Load().room.Used())
	assert.Empty(t, p.now.Load().places)
}

// A password of the exporter is none of a hub, and a body that pauses is not waited for.
func TestGroupsAreHandedOn(t *testing.T) {
	var got http.Header
	hub := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	defer hub.Close()
	p := &place{t: t}
	p.openOn(hub.URL, "")
	p.pushed("/metrics/job/j", "x 1\n", "Authorization", "Bearer secret", "Content-Type", "text/plain")
	assert.Empty(t, got.Get("Authorization"))
	assert.Equal(t, "text/plain", got.Get("Content-Type"))

	client := filepath.Join(t.TempDir(), "http.yml")
	require.NoError(t, os.WriteFile(client, []byte("basic_auth: {username: me, password: mine}"), 0o600))
	p = &place{t: t}
	p.openOn(hub.URL, "http_client_file: "+client+"\n")
	p.pushed("/metrics/job/j", "x 1\n", "Authorization", "Bearer secret")
	assert.Equal(t, "Basic bWU6bWluZQ==", got.Get("Authorization"))

	p = &place{t: t}
	p.openOn(hub.URL, "limits: {body_time: 50ms}\n")
	r, w := io.Pipe() // of a body that never ends
	defer w.Close()
	resp, err := http.Post(p.url+"/metrics/job/j", "", r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, 408, resp.StatusCode)
}
