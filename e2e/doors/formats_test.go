package doors

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

// registry is what a program with client_golang has, as a gateway's.
func registry(t *testing.T, gateway string, at time.Time) []*dto.MetricFamily {
	t.Helper()
	r := prometheus.NewRegistry()
	wrapped := prometheus.WrapRegistererWith(prometheus.Labels{"gatewayID": gateway}, r)
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "requests_total", Help: "Requests."}, []string{"code"})
	temperature := prometheus.NewGauge(prometheus.GaugeOpts{Name: "temperature.celsius", Help: "How warm it is."})
	latency := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "latency_seconds", Help: "Latency.", Buckets: []float64{0.5, 1}})
	calls := prometheus.NewSummary(prometheus.SummaryOpts{Name: "calls_seconds", Help: "Calls.", Objectives: map[float64]float64{0.5: 0.05, 1: 0}})
	wrapped.MustRegister(requests, temperature, latency, calls)
	requests.WithLabelValues("200").(prometheus.ExemplarAdder).AddWithExemplar(7, prometheus.Labels{"trace_id": "abc"})
	temperature.Set(-1.5)
	for _, v := range []float64{0.25, 0.75, 5} {
		latency.Observe(v)
		calls.Observe(v)
	}
	families, err := r.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.Metric {
			m.TimestampMs = new(at.UnixMilli())
		}
	}
	return families
}

// packings are the ways to compress a push, by Content-Encoding.
var packings = map[string]func(w io.Writer) (io.WriteCloser, error){
	"gzip":   func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
	"snappy": func(w io.Writer) (io.WriteCloser, error) { return snappy.NewBufferedWriter(w), nil },
	"zstd":   func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
}

// What client_golang writes of a registry in each format, compressed or not, is in the server with its values, types and times. Its
// OpenMetrics does not end with # EOF.
func TestFormats(t *testing.T) {
	t.Parallel()
	s := start(t, "--no-gateway.first-samples")
	at := time.Now().Truncate(time.Millisecond)
	var gateways []string
	for _, kind := range []expfmt.FormatType{expfmt.TypeTextPlain, expfmt.TypeOpenMetrics, expfmt.TypeProtoDelim} {
		for _, packing := range []string{"", "gzip", "snappy", "zstd"} {
			gateway := fmt.Sprintf("gw-%d-%s", kind, packing)
			gateways = append(gateways, gateway)
			format := expfmt.NewFormat(kind).WithEscapingScheme(model.NoEscaping)
			var body bytes.Buffer
			encoder := expfmt.NewEncoder(&body, format)
			for _, f := range registry(t, gateway, at) {
				require.NoError(t, encoder.Encode(f))
			}
			s.push(body.Bytes(), string(format), packing)
		}
	}
	want := map[string]float64{}
	for _, gateway := range gateways {
		for query, value := range map[string]float64{
			`requests_total{gatewayID=%q,code="200"}`:                  7,
			`{"temperature.celsius",gatewayID=%q}`:                     -1.5,
			`latency_seconds_bucket{gatewayID=%q,le="0.5"}`:            1,
			`latency_seconds_bucket{gatewayID=%q,le="1.0"}`:            2,
			`latency_seconds_bucket{gatewayID=%q,le="+Inf"}`:           3,
			`latency_seconds_sum{gatewayID=%q}`:                        6,
			`latency_seconds_count{gatewayID=%q}`:                      3,
			`calls_seconds{gatewayID=%q,quantile="1.0"}`:               5,
			`calls_seconds_count{gatewayID=%q}`:                        3,
			`timestamp(latency_seconds_bucket{gatewayID=%q,le="1.0"})`: float64(at.UnixMilli()) / 1000,
		} {
			want[fmt.Sprintf(query, gateway)] = value
		}
	}
	s.has(want)
	s.eventually(func(ctx context.Context) error {
		var types map[string][]struct{ Type, Help string }
		if err := s.server.Get(ctx, "/api/v1/metadata", nil, &types); err != nil {
			return err
		}
		for name, want := range map[string]string{"requests_total": "counter", "temperature.celsius": "gauge", "latency_seconds": "histogram", "calls_seconds": "summary"} {
			if got := types[name]; len(got) != 1 || got[0].Type != want {
				return fmt.Errorf("%s is said to be %v, not a %s", name, got, want)
			}
		}
		return nil
	})
}

// push posts a body to the hub, which takes it.
func (s *shard) push(body []byte, contentType, packing string) {
	s.t.Helper()
	if pack := packings[packing]; pack != nil {
		var packed bytes.Buffer
		w, err := pack(&packed)
		require.NoError(s.t, err)
		_, err = w.Write(body)
		require.NoError(s.t, err)
		require.NoError(s.t, w.Close())
		body = packed.Bytes()
	}
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.hub.URL()+"/metrics", bytes.NewReader(body))
	require.NoError(s.t, err)
	req.Header.Set("Content-Type", contentType)
	if packing != "" {
		req.Header.Set("Content-Encoding", packing)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, resp.StatusCode, "%s, %s: %s", contentType, packing, text)
}
