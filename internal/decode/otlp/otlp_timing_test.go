package otlp

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// counter is a sink that counts.
type counter struct{ n int }

func (c *counter) Sample([]byte, int64, float64) error   { c.n++; return nil }
func (c *counter) Histogram([]byte, int64, []byte) error { c.n++; return nil }
func (c *counter) Exemplar([]byte) error                 { return nil }
func (c *counter) Start(int64) error                     { return nil }
func (c *counter) Type([]byte, []byte) error             { return nil }
func (c *counter) Help([]byte, []byte) error             { return nil }

// bySDK is what an SDK sends: one resource, some metrics with many points, the attributes of HTTP, histograms among them.
func bySDK() string {
	var metrics []string
	for m := range 10 {
		var numbers, histograms []string
		for p := range 20 {
			attributes := strings.Join([]string{
				str("http.request.method", "GET"), str("http.route", fmt.Sprintf("/api/%d", p)),
				`{"key":"http.response.status_code","value":{"intValue":"200"}}`, str("network.protocol.version", "1.1"), str("url.scheme", "https"),
			}, ",")
			numbers = append(numbers, number(strconv.Itoa(p), attributes))
			histograms = append(histograms, `{"timeUnixNano":"1700000000000000000","startTimeUnixNano":"1600000000000000000","count":"15","sum":1.5,"attributes":[`+attributes+`],
				"explicitBounds":[0,5,10,25,50,75,100,250,500,750,1000,2500,5000,7500,10000],"bucketCounts":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,0]}`)
		}
		metrics = append(metrics, fmt.Sprintf(`{"name":"http.server.requests%d","unit":"{request}","description":"Requests.","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[%s]}}`, m, strings.Join(numbers, ",")))
		if m == 0 {
			metrics = append(metrics, `{"name":"http.server.request.duration","unit":"s","histogram":{"aggregationTemporality":2,"dataPoints":[`+strings.Join(histograms, ",")+`]}}`)
		}
	}
	return of(str("service.name", "api")+`,`+str("service.instance.id", "i")+`,`+str("telemetry.sdk.language", "go")+`,`+str("gatewayID", "gw1"), strings.Join(metrics, ","))
}

// byCollector is what a Collector sends for a fleet: a resource for each gateway, with each metric once.
func byCollector() string {
	var resources []string
	for g := range 50 {
		var metrics []string
		for m := range 20 {
			metrics = append(metrics, fmt.Sprintf(`{"name":"system.network.io%d","unit":"By","description":"Bytes.","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[%s]}}`, m,
				number("1", str("device", "eth0"), str("direction", "receive"))))
		}
		one := of(str("service.name", "agent")+`,`+str("gatewayID", fmt.Sprintf("gw%d", g))+`,`+str("host.name", fmt.Sprintf("host%d", g)), strings.Join(metrics, ","))
		resources = append(resources, strings.TrimSuffix(strings.TrimPrefix(one, `{"resourceMetrics":[`), "]}"))
	}
	return `{"resourceMetrics":[` + strings.Join(resources, ",") + `]}`
}

// go test ./internal/decode/otlp -run '^$' -bench .
func BenchmarkDecode(b *testing.B) {
	translator, err := New(defaults)
	require.NoError(b, err)
	for name, request := range map[string]string{"sdk": bySDK(), "collector": byCollector()} {
		text := []byte(request)
		message, err := FromJSON(nil, text)
		require.NoError(b, err)
		perSample := func(b *testing.B, sink *counter) {
			b.ReportMetric(float64(b.Elapsed())/float64(time.Nanosecond)/float64(sink.n), "ns/sample")
		}
		b.Run("protobuf/"+name, func(b *testing.B) {
			sink := &counter{}
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, translator.Protobuf(message, sink, nil))
			}
			perSample(b, sink)
		})
		b.Run("json/"+name, func(b *testing.B) {
			sink := &counter{}
			var message []byte
			b.ReportAllocs()
			for b.Loop() {
				message, err = FromJSON(message[:0], text)
				require.NoError(b, err)
				require.NoError(b, translator.Protobuf(message, sink, nil))
			}
			perSample(b, sink)
		})
	}
}
