package edgehub

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
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

// What is more than a number goes through the hub: exemplars and start times of either format, native histograms of protobuf.
func TestMoreThanNumbers(t *testing.T) {
	now := time.Now().Truncate(time.Millisecond)
	seconds := fmt.Sprintf("%d.%03d", now.Unix(), now.UnixMilli()%1000)
	native := &dto.Histogram{
		SampleCount: new(uint64(3)), SampleSum: new(1.5), Schema: new(int32(0)), ZeroThreshold: new(0.1), ZeroCount: new(uint64(1)),
		PositiveSpan: []*dto.BucketSpan{{Offset: new(int32(1)), Length: new(uint32(1))}}, PositiveDelta: []int64{2}, CreatedTimestamp: timestamppb.New(now),
	}
	var families bytes.Buffer
	_, err := protodelim.MarshalTo(&families, &dto.MetricFamily{
		Name: new("h"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: native, TimestampMs: new(now.UnixMilli())}},
	})
	require.NoError(t, err)
	s := serve(t, Config{})
	for contentType, body := range map[string]string{
		openMetricsType: "# TYPE x counter\nx_total 1 " + seconds + " # {id=\"a\"} 0.5 " + seconds + "\nx_created " + seconds + "\n# EOF\n",
		protobufType:    families.String(),
	} {
		answer, reason := s.do("POST", "/metrics", body, "Content-Type", contentType)
		require.Equal(t, http.StatusOK, answer.StatusCode, reason)
	}
	_, scraped := s.do("GET", "/metrics", "", "Accept", protobufType)
	got := map[string]*dto.Metric{}
	for in := strings.NewReader(scraped); in.Len() > 0; {
		f := &dto.MetricFamily{}
		require.NoError(t, protodelim.UnmarshalFrom(in, f))
		if len(f.Metric) == 1 {
			got[f.GetName()] = f.Metric[0]
		}
	}
	assert.True(t, proto.Equal(native, got["h"].GetHistogram()), "%v", got["h"])
	counter := got["x_total"].GetCounter()
	assert.Equal(t, "a", counter.GetExemplar().GetLabel()[0].GetValue())
	assert.Equal(t, now.UTC(), counter.GetExemplar().GetTimestamp().AsTime())
	assert.Equal(t, now.UTC(), counter.GetCreatedTimestamp().AsTime())
}
