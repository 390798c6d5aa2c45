package edgehub

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/hubring/hubring/internal/decode/otlp"
)

const (
	otlpProto = "application/x-protobuf"
	otlpJSON  = "application/json"
)

// exported is a request in JSON with a resource of a gateway, and metrics.
func exported(gateway string, metrics ...string) string {
	return `{"resourceMetrics":[{"resource":{"attributes":[{"key":"gatewayID","value":{"stringValue":"` + gateway + `"}}]},"scopeMetrics":[{"metrics":[` +
		strings.Join(metrics, ",") + `]}]}]}`
}

// metric is a gauge, or a sum of a temporality, with a point at each of some milliseconds behind base, of the same value.
func metric(name string, temporality int, times ...int64) string {
	points := make([]string, len(times))
	for i, ms := range times {
		points[i] = fmt.Sprintf(`{"timeUnixNano":"%d000000","asInt":"%d"}`, base+ms, ms)
	}
	data := fmt.Sprintf(`{"dataPoints":[%s],"aggregationTemporality":%d}`, strings.Join(points, ","), temporality)
	if temporality != 0 {
		return `{"name":"` + name + `","sum":` + data + `}`
	}
	return `{"name":"` + name + `","gauge":` + data + `}`
}

// export pushes a request in JSON, or as the same in protobuf, and returns what the answer says, as text.
func (s *server) export(contentType, request string, headers ...string) (*http.Response, string) {
	s.t.Helper()
	if contentType == otlpProto {
		message, err := otlp.FromJSON(nil, []byte(request))
		require.NoError(s.t, err)
		request = string(message)
	}
	answer, body := s.do("POST", "/v1/metrics", request, append(headers, "Content-Type", contentType)...)
	assert.Equal(s.t, contentType, answer.Header.Get("Content-Type"))
	return answer, said(s.t, contentType, answer.StatusCode, body)
}

// said is the number of points and the text of an answer.
func said(t testing.TB, contentType string, status int, body string) string {
	t.Helper()
	if contentType == otlpJSON {
		var answer struct {
			Message        string
			PartialSuccess struct{ RejectedDataPoints, ErrorMessage string }
		}
		require.NoError(t, json.Unmarshal([]byte(body), &answer), body)
		return strings.TrimSpace(answer.PartialSuccess.RejectedDataPoints + " " + answer.PartialSuccess.ErrorMessage + answer.Message)
	}
	if body == "" {
		return ""
	}
	rest := []byte(body)
	var rejected string
	if status == http.StatusOK {
		number, kind, n := protowire.ConsumeTag(rest)
		require.Equal(t, []any{protowire.Number(1), protowire.BytesType}, []any{number, kind})
		rest, _ = protowire.ConsumeBytes(rest[n:])
		_, _, n = protowire.ConsumeTag(rest)
		points, m := protowire.ConsumeVarint(rest[n:])
		rejected, rest = fmt.Sprint(points, " "), rest[n+m:]
	}
	number, _, n := protowire.ConsumeTag(rest)
	require.EqualValues(t, 2, number)
	text, m := protowire.ConsumeString(rest[n:])
	require.Len(t, rest, n+m)
	return rejected + text
}

func TestOTLP(t *testing.T) {
	for _, contentType := range []string{otlpProto, otlpJSON} {
		s := serve(t, Config{})
		answer, text := s.export(contentType, exported("gw", metric("x.y", 0, 1, 2)))
		require.Equal(t, http.StatusOK, answer.StatusCode, text)
		assert.Empty(t, text)
		assert.Contains(t, s.scrape(), at(`x_y{gatewayID="gw"}`, 1, 1)+at(`x_y{gatewayID="gw"}`, 2, 2))
		s.says("edgehub_pushes_total 1", "edgehub_samples_received_total 2")
		assert.Contains(t, s.get("/gateways"), `"gw"`)
	}
}

// What is packed comes in chunks, without a length.
func TestOTLPInChunks(t *testing.T) {
	packer, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	defer packer.Close()
	plain := exported("gw", metric("x", 0, 1))
	for encoding, body := range map[string]string{"gzip": zipped(t, plain), "zstd": string(packer.EncodeAll([]byte(plain), nil))} {
		s := serve(t, Config{})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/metrics", io.MultiReader(strings.NewReader(body)))
		require.NoError(t, err)
		req.Header.Set("Content-Type", otlpJSON+"; charset=utf-8")
		req.Header.Set("Content-Encoding", encoding)
		answer, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		assert.Equal(t, http.StatusOK, answer.StatusCode, encoding)
		assert.Equal(t, "{}", string(text))
		assert.Contains(t, s.scrape(), at(`x{gatewayID="gw"}`, 1, 1))
	}
}

// Points that are refused are named and counted, and the others are stored.
func TestOTLPInPart(t *testing.T) {
	for _, contentType := range []string{otlpProto, otlpJSON} {
		s := serve(t, Config{})
		answer, text := s.export(contentType, exported("gw", metric("d", 1, 1, 2), metric("x", 0, 1), metric("__", 0, 1), metric("e", 1, 1), metric("f", 1, 1)))
		assert.Equal(t, http.StatusOK, answer.StatusCode)
		assert.Contains(t, text, `5 data points are refused, the others are stored: metric "d": its temporality is delta, and only cumulative is taken; set OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative`)
		assert.Contains(t, text, `; metric "__": `)
		assert.True(t, strings.HasSuffix(text, "; and 1 more"), text)
		assert.Contains(t, s.scrape(), at(`x{gatewayID="gw"}`, 1, 1))
		s.says("edgehub_pushes_total 1", "edgehub_samples_received_total 1", `edgehub_samples_left_out_total{reason="temporality"} 4`,
			`edgehub_samples_left_out_total{reason="malformed"} 1`)
	}
}

// Whatever may be taken later is answered 503, and nothing of it is stored.
func TestOTLPForWhichThereIsNoRoom(t *testing.T) {
	for reason, c := range map[string]struct {
		cfg           Config
		before, after string
		samples       int
	}{
		"hub_full":       {Config{MaxSamples: 2}, exported("a", metric("x", 0, 1, 2)), exported("a", metric("x", 0, 3)), 1},
		"series_limit":   {Config{MaxSeries: 1}, exported("a", metric("x", 0, 1)), exported("b", metric("x", 0, 1, 2)), 2},
		"gateway_series": {Config{MaxGatewaySeries: 1}, exported("a", metric("x", 0, 1)), exported("a", metric("x", 0, 1), metric("y", 0, 1)), 2},
	} {
		for _, contentType := range []string{otlpProto, otlpJSON} {
			s := serve(t, c.cfg)
			answer, text := s.export(contentType, c.before)
			require.Equal(t, http.StatusOK, answer.StatusCode, text)
			answer, text = s.export(contentType, c.after)
			require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode, "%s: %s", reason, text)
			assert.NotEmpty(t, text)
			assert.Equal(t, reason, answer.Header.Get("Hubring-Reason"))
			assert.Equal(t, "5", answer.Header.Get("Retry-After"))
			s.rejected(reason, 1, c.samples)
		}
	}
}

// What is never taken is answered in the format that it came in, or as text.
func TestOTLPThatIsRefused(t *testing.T) {
	s := serve(t, Config{MaxBodyBytes: 1000})
	for _, contentType := range []string{otlpProto, otlpJSON} {
		answer, text := s.export(contentType, exported("gw", metric(strings.Repeat("x", 1000), 0, 1)))
		assert.Equal(t, http.StatusRequestEntityTooLarge, answer.StatusCode)
		assert.Contains(t, text, "larger than 1000 bytes")
		answer, body := s.do("POST", "/v1/metrics", "no message", "Content-Type", contentType)
		assert.Equal(t, http.StatusBadRequest, answer.StatusCode)
		assert.Contains(t, said(t, contentType, answer.StatusCode, body), "the body is no ExportMetricsServiceRequest in ")
		answer, body = s.do("POST", "/v1/metrics", "", "Content-Type", contentType, "Content-Encoding", "br")
		assert.Equal(t, http.StatusUnsupportedMediaType, answer.StatusCode)
		assert.Contains(t, said(t, contentType, answer.StatusCode, body), `"br"`)
	}
	for _, contentType := range []string{"", "text/plain"} {
		answer, text := s.do("POST", "/v1/metrics", "x 1\n", "Content-Type", contentType)
		assert.Equal(t, http.StatusUnsupportedMediaType, answer.StatusCode)
		assert.Equal(t, fmt.Sprintf("content type %q is not supported; send application/x-protobuf or application/json\n", contentType), text)
	}
	s.rejected("content_type", 2, 0)
	s.rejected("malformed", 2, 0)
	s.says("edgehub_samples_received_total 0")
}

func TestOTLPConfig(t *testing.T) {
	s := serve(t, Config{OTLPStrategy: "NoTranslation", OTLPPromote: []string{"host"}, OTLPScopeMetadata: true})
	_, text := s.export(otlpJSON, `{"resourceMetrics":[{"resource":{"attributes":[{"key":"host","value":{"stringValue":"h"}}]},"scopeMetrics":[{"scope":{"name":"lib"},"metrics":[`+metric("x.y", 0, 1)+`]}]}]}`)
	assert.Empty(t, text)
	assert.Contains(t, s.scrape(), `host="h",otel_scope_name="lib"`)
	_, err := New(Config{OTLPStrategy: "none"})
	require.ErrorContains(t, err, "UnderscoreEscapingWithSuffixes")
	answer, _ := serve(t, Config{NoOTLP: true}).do("POST", "/v1/metrics", "{}", "Content-Type", otlpJSON)
	assert.Equal(t, http.StatusNotFound, answer.StatusCode)
	answer, text = s.behindDoor(s.ScrapeServer()).do("POST", "/v1/metrics", "{}", "Content-Type", otlpJSON)
	assert.Equal(t, http.StatusNotFound, answer.StatusCode)
	assert.Contains(t, text, "metrics of OTLP are pushed to the port of --web.listen-address")
}
