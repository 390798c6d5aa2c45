package edgehub

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	openMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8"
	protobufType    = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)

// delimited is a text as messages.
func delimited(t testing.TB, text string) string {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	require.NoError(t, err)
	var out bytes.Buffer
	encoder := expfmt.NewEncoder(&out, protobufType)
	for _, f := range families {
		require.NoError(t, encoder.Encode(f))
	}
	return out.String()
}

// What a Content-Type says decides how a push is read, and what it does not say, or says in other words, is text.
func TestFormats(t *testing.T) {
	text := "# TYPE x_total counter\n" + at("x_total", 1, 0)
	ms := strings.Fields(at("x_total", 1, 0))[2]
	openMetrics := "# TYPE x counter\nx_total 1 " + ms[:10] + "." + ms[10:] + "\n# EOF\n"
	for contentType, body := range map[string]string{
		"": text, "text/plain": text, "text/plain; version=0.0.4": text, "application/x-www-form-urlencoded": text, "application/json": text, "nonsense; ; ": text,
		openMetricsType: openMetrics, "Application/OpenMetrics-Text": openMetrics[:len(openMetrics)-len("# EOF\n")],
		protobufType: delimited(t, text), "application/vnd.google.protobuf": delimited(t, text), "APPLICATION/vnd.google.protobuf;encoding=Delimited": delimited(t, text),
	} {
		s := serve(t, Config{})
		answer, reason := s.do("POST", "/metrics", body, "Content-Type", contentType)
		require.Equal(t, http.StatusOK, answer.StatusCode, "%s: %s", contentType, reason)
		assert.Equal(t, text, s.scrape(), contentType)
		assert.EqualValues(t, 1, s.Stats().Received)
	}
}

// Nothing of a refused push remains, in any format, and its samples are counted as far as they were read.
func TestFormatsThatAreRefused(t *testing.T) {
	s := serve(t, Config{})
	f := func(status int, reason, contentType, body string) {
		t.Helper()
		answer, text := s.do("POST", "/metrics", body, "Content-Type", contentType)
		assert.Equal(t, status, answer.StatusCode)
		assert.Contains(t, text, reason)
	}
	f(400, "line 3: series \"y\" has no value", openMetricsType, "# TYPE x gauge\nx 1\ny\n")
	f(400, "message 2: it has", protobufType, delimited(t, "x 1\n")+"\x05x")
	f(400, "looks like seconds", protobufType, delimited(t, "# TYPE x gauge\nx 1\ny 1\nz 1 1764480000\n"))
	f(415, "which goes to /api/v1/write", "application/x-protobuf", "")
	f(415, "send encoding=delimited", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=text", "")
	f(415, "send proto=io.prometheus.client.MetricFamily", "application/vnd.google.protobuf; proto=io.prometheus.write.v2.Request", "")
	assert.Empty(t, s.scrape())
	assert.Zero(t, s.Stats().Series)
	s.rejected("malformed", 2, 2)
	s.rejected("content_type", 3, 0)
}

// Compressed in each way that there is, with its name in any case of letters.
func TestPushesArePacked(t *testing.T) {
	text := at("x", 1, 0)
	z, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	var frames bytes.Buffer
	w := snappy.NewBufferedWriter(&frames)
	_, err = w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	for encoding, body := range map[string]string{
		"GZIP": zipped(t, text), "x-gzip": zipped(t, text), "Snappy": frames.String(), "Zstd": string(z.EncodeAll([]byte(text), nil)), "Identity": text,
	} {
		s := serve(t, Config{})
		answer, reason := s.do("POST", "/metrics", body, "Content-Encoding", encoding)
		require.Equal(t, http.StatusOK, answer.StatusCode, "%s: %s", encoding, reason)
		assert.Equal(t, text, s.scrape())
	}
	s := serve(t, Config{})
	answer, reason := s.do("POST", "/metrics", string(snappy.Encode(nil, []byte(text))), "Content-Encoding", "snappy")
	assert.Equal(t, http.StatusBadRequest, answer.StatusCode)
	assert.Contains(t, reason, "no snappy in frames")
	s.rejected("encoding", 1, 0)
}

func TestPushOfAnEmbedderInEachFormat(t *testing.T) {
	s := serve(t, Config{})
	for format, body := range map[Format]string{Text: "x 1\n", OpenMetrics: "x 1\n# EOF\n", Protobuf: delimited(t, "x 1\n")} {
		n, err := s.Push(t.Context(), format, []byte(body))
		require.NoError(t, err)
		assert.Equal(t, 1, n)
		_, err = s.Push(t.Context(), format, []byte(body+"x"))
		refused := (*RefusedError)(nil)
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, "malformed", refused.Reason)
	}
	assert.Equal(t, 3, s.Stats().Pending)
}
