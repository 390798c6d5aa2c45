package doors

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	otel "go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/hubring/hubring/e2e/internal/realbin"
)

// api is what a program says of itself, as with OTEL_RESOURCE_ATTRIBUTES=gatewayID=gw,….
var api = resource.NewSchemaless(
	attribute.String("service.name", "api"), attribute.String("service.instance.id", "1"),
	attribute.String("gatewayID", "gw"), attribute.String("host.name", "h"),
)

// otlpExporter is the one of the Go SDK.
func otlpExporter(t *testing.T, s *shard, options ...otlpmetrichttp.Option) *otlpmetrichttp.Exporter {
	t.Helper()
	exporter, err := otlpmetrichttp.New(t.Context(), append(options, otlpmetrichttp.WithEndpointURL(s.hub.URL()+"/v1/metrics"))...)
	require.NoError(t, err)
	return exporter
}

// What the Go SDK measures, and what is posted as JSON, is in the server with its values, types and times.
func TestOTLP(t *testing.T) {
	t.Parallel()
	s := start(t)
	reader := sdk.NewPeriodicReader(otlpExporter(t, s, otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression)), sdk.WithInterval(time.Hour))
	provider := sdk.NewMeterProvider(sdk.WithReader(reader), sdk.WithResource(api), sdk.WithView(sdk.NewView(
		sdk.Instrument{Name: "size"}, sdk.Stream{Aggregation: sdk.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}},
	)))
	meter := provider.Meter("doors")
	get := otel.WithAttributes(attribute.String("http.method", "GET"), attribute.Int("code", 200), attribute.StringSlice("list", []string{"a", "b"}))
	requests, err := meter.Int64Counter("http.requests", otel.WithUnit("{request}"), otel.WithDescription("Requests."))
	require.NoError(t, err)
	requests.Add(t.Context(), 3, get)
	queue, err := meter.Int64UpDownCounter("queue.length")
	require.NoError(t, err)
	queue.Add(t.Context(), -2)
	temperature, err := meter.Float64Gauge("temperature", otel.WithUnit("Cel"))
	require.NoError(t, err)
	temperature.Record(t.Context(), 21.5)
	latency, err := meter.Float64Histogram("http.latency", otel.WithUnit("s"), otel.WithExplicitBucketBoundaries(0.1, 1))
	require.NoError(t, err)
	for _, v := range []float64{0.05, 0.5, 5} {
		latency.Record(t.Context(), v, get)
	}
	size, err := meter.Int64Histogram("size", otel.WithUnit("By"))
	require.NoError(t, err)
	for _, v := range []int64{0, 100, 5000} {
		size.Record(t.Context(), v)
	}
	before := time.Now()
	require.NoError(t, provider.ForceFlush(t.Context()))
	after := time.Now()
	s.postOTLP(t, fmt.Sprintf(`{"resourceMetrics":[{"resource":{"attributes":[{"key":"gatewayID","value":{"stringValue":"js"}}]},"scopeMetrics":[{"metrics":[
		{"name":"ticks","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"asDouble":7,"timeUnixNano":"%d"}]}}]}]}]}`, time.Now().UnixNano()))

	of := `{gatewayID="gw",job="api",instance="1"`
	s.has(map[string]float64{
		`http_requests_total` + of + `,http_method="GET",code="200",list="[\"a\",\"b\"]"}`: 3,
		`queue_length` + of + `}`:                                                      -2,
		`temperature_celsius` + of + `}`:                                               21.5,
		`http_latency_seconds_bucket` + of + `,le="0.1"}`:                              1,
		`http_latency_seconds_bucket` + of + `,le="1.0"}`:                              2,
		`http_latency_seconds_bucket` + of + `,le="+Inf"}`:                             3,
		`http_latency_seconds_count` + of + `}`:                                        3,
		`http_latency_seconds_sum` + of + `}`:                                          5.55,
		`target_info` + of + `,host_name="h"}`:                                         1,
		`ticks_total{gatewayID="js"}`:                                                  7,
		`histogram_count(size_bytes` + of + `})`:                                       3,
		`histogram_sum(size_bytes` + of + `})`:                                         5100,
		`histogram_fraction(4000, 6000, size_bytes` + of + `}) > bool 0.2`:             1,
		`count({gatewayID="gw",job="api"})`:                                            10,
		`count(http_requests_total * on(gatewayID) group_left(host_name) target_info)`: 1,
	})
	taken, err := s.server.Vector(t.Context(), `timestamp(http_requests_total)`)
	require.NoError(t, err)
	require.Len(t, taken, 1)
	assert.InDelta(t, float64(before.UnixMilli()+after.UnixMilli())/2000, float64(taken[0].Value), after.Sub(before).Seconds()/2+0.001)
	s.hasTypes(map[string]string{
		"http_requests_total": "counter", "queue_length": "gauge", "temperature_celsius": "gauge", "http_latency_seconds": "histogram", "size_bytes": "histogram",
		"target_info": "gauge", "ticks_total": "counter",
	})
}

// postOTLP posts a request in JSON, as an SDK for JavaScript does.
func (s *shard) postOTLP(t *testing.T, request string) {
	t.Helper()
	resp, err := http.Post(s.hub.URL()+"/v1/metrics", "application/json", strings.NewReader(request))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

// What the Go SDK exports while the hub is full it exports again, until it is taken, and then it is in the server once.
func TestOTLPWhileTheHubIsFull(t *testing.T) {
	t.Parallel()
	s := start(t, "--limit.samples=200", "--no-gateway.first-samples")
	exporter := otlpExporter(t, s, otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{
		Enabled: true, InitialInterval: 100 * time.Millisecond, MaxInterval: time.Second, MaxElapsedTime: patience,
	}))
	reader := sdk.NewManualReader()
	meter := sdk.NewMeterProvider(sdk.WithReader(reader), sdk.WithResource(api)).Meter("doors")
	exports, err := meter.Int64Counter("exports")
	require.NoError(t, err)
	stop, exported := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { exported <- n }()
		for {
			exports.Add(t.Context(), 1)
			var all metricdata.ResourceMetrics
			if err := reader.Collect(t.Context(), &all); !assert.NoError(t, err) {
				return
			}
			if err := exporter.Export(t.Context(), &all); !assert.NoError(t, err) {
				return
			}
			n++
			select {
			case <-stop:
				return
			case <-t.Context().Done():
				return
			case <-time.After(5 * time.Millisecond): // the reader's interval
			}
		}
	}()
	s.full()
	close(stop)
	n := <-exported
	require.Positive(t, n)
	s.has(map[string]float64{
		`count_over_time(exports_total{gatewayID="gw"}[10m])`: float64(n),
		`max_over_time(exports_total{gatewayID="gw"}[10m])`:   float64(n),
	})
}

// What the SDK for node exports, in JSON and in chunks, is in the server with its values and types.
func TestOTLPOfNode(t *testing.T) {
	t.Parallel()
	npm := installed(t, realbin.NPM)
	s := start(t)
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(source(t, "npm-otel"))))
	run(t, dir, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	run(t, dir, "node", "client.js", s.hub.URL()+"/v1/metrics", "node")
	of := `{gatewayID="node",job="node"`
	s.has(map[string]float64{
		`http_requests_total` + of + `,http_method="GET"}`: 3,
		`queue_length` + of + `}`:                          -2,
		`temperature_celsius` + of + `}`:                   21.5,
		`http_latency_seconds_bucket` + of + `,le="0.1"}`:  1,
		`http_latency_seconds_bucket` + of + `,le="1.0"}`:  2,
		`http_latency_seconds_bucket` + of + `,le="+Inf"}`: 3,
		`http_latency_seconds_sum` + of + `}`:              5.55,
	})
	s.hasTypes(map[string]string{"http_requests_total": "counter", "queue_length": "gauge", "temperature_celsius": "gauge", "http_latency_seconds": "histogram"})
}

// What the OpenTelemetry Collector scrapes it exports packed in each way that it has, again while the hub is full, and then each sample is in the server.
func TestOTLPOfOTelCol(t *testing.T) {
	for _, c := range []struct{ encoding, compression string }{{"proto", "gzip"}, {"proto", "zstd"}, {"json", "none"}} {
		t.Run(c.encoding+" "+c.compression, func(t *testing.T) {
			nightlyWriter(t, func(s *shard, programs string, to *target) {
				config := s.file("otelcol.yml", fmt.Sprintf(`receivers:
  prometheus:
    config:
      scrape_configs:
        - job_name: own
          scrape_interval: 1s
          scrape_timeout: 1s
          static_configs: [{targets: [%q], labels: {gatewayID: gw}}]
exporters:
  otlp_http:
    endpoint: %s
    encoding: %s
    compression: %s
    retry_on_failure: {initial_interval: 100ms, max_interval: 1s}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {metrics: {receivers: [prometheus], exporters: [otlp_http]}}
`, to.address(), s.hub.URL(), c.encoding, c.compression))
				s.run("otelcol", filepath.Join(programs, realbin.OTelCol), "", "--config="+config)
				s.wholeThrough(to)
				s.hasTypes(map[string]string{"timed_total": "counter", "nothing": "gauge"})
			})
		})
	}
}
