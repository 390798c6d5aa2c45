package edgehub

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net/http"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// whole are families with what is more than numbers, each metric with a time, as a hub writes them for one scrape.
func whole() []*dto.MetricFamily {
	ms, start := base+1, timestamppb.New(time.UnixMilli(base-5000))
	exemplar := func(id string) *dto.Exemplar {
		return &dto.Exemplar{
			Label: []*dto.LabelPair{{Name: proto.String("trace_id"), Value: &id}}, Value: proto.Float64(0.5), Timestamp: timestamppb.New(time.UnixMilli(base)),
		}
	}
	labels := []*dto.LabelPair{{Name: proto.String("gatewayID"), Value: proto.String("gw")}}
	bucket := func(bound float64, n uint64) *dto.Bucket {
		return &dto.Bucket{UpperBound: &bound, CumulativeCount: &n, Exemplar: exemplar("classic")}
	}
	return []*dto.MetricFamily{
		{
			Name: proto.String("a_total"), Type: dto.MetricType_COUNTER.Enum(),
			Metric: []*dto.Metric{{Label: labels, TimestampMs: &ms, Counter: &dto.Counter{Value: proto.Float64(7), Exemplar: exemplar("a"), CreatedTimestamp: start}}},
		},
		{
			Name: proto.String("b_seconds"), Type: dto.MetricType_HISTOGRAM.Enum(),
			Metric: []*dto.Metric{{Label: labels, TimestampMs: &ms, Histogram: &dto.Histogram{
				SampleCount: proto.Uint64(3), SampleSum: proto.Float64(1.5), Schema: proto.Int32(2), ZeroThreshold: proto.Float64(1e-9),
				PositiveSpan: []*dto.BucketSpan{{Offset: proto.Int32(-5), Length: proto.Uint32(2)}}, PositiveDelta: []int64{1, 1},
				Bucket: []*dto.Bucket{bucket(1, 2), bucket(math.Inf(1), 3)}, Exemplars: []*dto.Exemplar{exemplar("b"), exemplar("c")}, CreatedTimestamp: start,
			}}},
		},
	}
}

func messages(t testing.TB, families []*dto.MetricFamily) string {
	var body bytes.Buffer
	for _, f := range families {
		_, err := protodelim.MarshalTo(&body, f)
		require.NoError(t, err)
	}
	return body.String()
}

func (s *server) pushWhole() {
	s.t.Helper()
	answer, text := s.do("POST", "/metrics", messages(s.t, whole()), "Content-Type", protobufType)
	require.Equal(s.t, http.StatusOK, answer.StatusCode, text)
}

// scrapeWhole is a scrape by protobuf.
func (s *server) scrapeWhole() (families []*dto.MetricFamily) {
	s.t.Helper()
	answer, text := s.do("GET", "/metrics", "", scrapeTimeout, "10", "Accept", protobufType)
	require.Equal(s.t, http.StatusOK, answer.StatusCode)
	for in := bytes.NewReader([]byte(text)); ; {
		f := &dto.MetricFamily{}
		err := protodelim.UnmarshalFrom(in, f)
		if errors.Is(err, io.EOF) {
			return families
		}
		require.NoError(s.t, err)
		families = append(families, f)
	}
}

func (s *server) requireWhole() {
	s.t.Helper()
	want, got := whole(), s.scrapeWhole()
	require.Len(s.t, got, len(want))
	for i := range want {
		require.True(s.t, proto.Equal(want[i], got[i]), "%v, not %v", got[i], want[i])
	}
}

// What is pushed by protobuf is what is scraped by it, and the account of samples goes up, of which words are some.
func TestWholeMetricsPassThrough(t *testing.T) {
	s := serve(t, Config{})
	s.pushWhole()
	received := s.Stats().Received
	assert.EqualValues(t, received, s.Stats().Pending)
	s.requireWhole()
	s.confirm()
	assert.Equal(t, received, s.Stats().Scraped)
	assert.Zero(t, s.Stats().Pending)
	s.says(`edgehub_extras_received_total{what="native_histogram"} 1`, `edgehub_extras_received_total{what="exemplar"} 5`, `edgehub_extras_received_total{what="start_time"} 3`,
		`edgehub_extras_left_out_total{what="native_histogram"} 0`)
}

// A scrape by text has the numbers, and says what it could not have.
func TestWholeMetricsByText(t *testing.T) {
	s := serve(t, Config{})
	s.pushWhole()
	text := s.scrape()
	s.confirm()
	assert.Equal(t, "# TYPE a_total counter\n"+at(`a_total{gatewayID="gw"}`, 7, 1)+"# TYPE b_seconds histogram\n"+
		at(`b_seconds_bucket{gatewayID="gw",le="1.0"}`, 2, 1)+at(`b_seconds_bucket{gatewayID="gw",le="+Inf"}`, 3, 1)+
		at(`b_seconds_sum{gatewayID="gw"}`, 1.5, 1)+at(`b_seconds_count{gatewayID="gw"}`, 3, 1), text)
	assert.Zero(t, s.Stats().Pending)
	s.says(`edgehub_extras_left_out_total{what="native_histogram"} 1`, `edgehub_extras_left_out_total{what="exemplar"} 5`,
		`edgehub_extras_left_out_total{what="start_time"} 3`, `edgehub_extras_left_out_total{what="cut"} 0`)
}

// However few samples and bytes a response may have, it has whole ones.
func TestWholeMetricsInSmallResponses(t *testing.T) {
	for _, cfg := range []Config{{MaxScrapeSamples: 1}, {MaxScrapeSamples: 3}, {MaxScrapeBytes: 1}} {
		s := serve(t, cfg)
		s.pushWhole()
		var found []string
		for range 20 {
			for _, f := range s.scrapeWhole() {
				for _, m := range f.Metric {
					if len(m.Histogram.GetPositiveSpan()) > 0 {
						found = append(found, "native")
						assert.Len(t, m.Histogram.Exemplars, 2)
					}
					if m.Counter != nil {
						found = append(found, "counter")
						assert.NotNil(t, m.Counter.Exemplar)
						assert.NotNil(t, m.Counter.CreatedTimestamp)
					}
				}
			}
		}
		s.confirm()
		assert.Equal(t, []string{"counter", "native"}, found)
		s.says(`edgehub_extras_left_out_total{what="cut"} 0`)
	}
}

func TestWholeMetricsOutliveTheHub(t *testing.T) {
	dir := t.TempDir()
	first := storing(t, dir, Config{NoFirstSamples: true})
	s := serveHub(t, first)
	s.pushWhole()
	first.Close(t.Context())
	serveHub(t, storing(t, dir, Config{NoFirstSamples: true})).requireWhole()
}

func TestWholeMetricsGoToAnotherHub(t *testing.T) {
	h, other, _ := pairOf(t, Config{}, Config{})
	s := serveHub(t, h)
	s.pushWhole()
	s.push(at(`numbers{gatewayID="gw"}`, 1, 1))
	account, err := h.Handover(t.Context(), "http://far", nil)
	require.NoError(t, err)
	assert.Zero(t, account.Left)
	families := serveHub(t, other).scrapeWhole()
	require.Len(t, families, 3)
	assert.Equal(t, "numbers", families[0].GetName())
	for i, want := range whole() {
		assert.True(t, proto.Equal(want, families[1+i]), "%v, not %v", families[1+i], want)
	}
}

// Where the oldest samples make room for new ones some are cut: what is left of them is left out and counted, and the others are whole.
func TestWholeMetricsThatAreCut(t *testing.T) {
	s := serve(t, Config{MaxSamples: 150, Policy: Newest})
	for range 20 {
		s.pushWhole()
	}
	letGo := s.Stats().LetGo
	require.NotZero(t, letGo)
	require.NotZero(t, letGo%(s.Stats().Received/20), "the last that goes is cut")
	s.requireWhole()
	s.confirm()
	assert.Equal(t, s.Stats().Received, s.Stats().Scraped+letGo)
	assert.NotContains(t, s.get("/internal"), `edgehub_extras_left_out_total{what="cut"} 0`)
}

// A histogram that is none is refused with its reason, and nothing of its push is kept.
func TestHistogramThatIsNone(t *testing.T) {
	s := serve(t, Config{})
	families := whole()
	families[1].Metric[0].Histogram.SampleCount = proto.Uint64(17)
	answer, text := s.do("POST", "/metrics", messages(t, families), "Content-Type", protobufType)
	assert.Equal(t, http.StatusBadRequest, answer.StatusCode)
	assert.Contains(t, text, "b_seconds")
	assert.Contains(t, text, "counts that do not add up")
	assert.Zero(t, s.Stats().Pending)
	s.says(`edgehub_pushes_rejected_total{reason="native_histogram"} 1`)
	s.says(`edgehub_extras_received_total{what="native_histogram"} 0`)
}
