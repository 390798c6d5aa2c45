package render

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/internal/exposition"
)

// openMetricsOf is what a world has in a version of OpenMetrics.
func openMetricsOf(w *world, version Version, own *Own) string {
	w.t.Helper()
	f := Format{OpenMetrics: version, Escaping: exposition.AllowUTF8}
	var out bytes.Buffer
	body := f.Open(&out)
	require.NoError(w.t, body.Arrange(w.arranged(), own))
	require.NoError(w.t, body.End())
	if own == nil {
		require.EqualValues(w.t, out.Len(), f.Bytes(w.arranged()))
	}
	return out.String()
}

// requireOpenMetrics pushes texts and compares what is written in a version, but for the end.
func requireOpenMetrics(t *testing.T, version Version, want string, pushes ...string) {
	t.Helper()
	w := newWorld(t)
	for _, p := range pushes {
		w.push(p)
	}
	assert.Equal(t, want+"# EOF\n", openMetricsOf(w, version, nil), "%q", pushes)
}

// Times are in seconds, the points of a series stay together and ascend, and help has its quotes escaped as well.
func TestOpenMetricsOfPlainTypes(t *testing.T) {
	for _, version := range []Version{OpenMetrics1, OpenMetrics2} {
		requireOpenMetrics(t, version, "")
		requireOpenMetrics(t, version, `nothing 1 0.007
# HELP b Say \"b\\\n\".
# TYPE b gauge
b{gatewayID="g"} -0 0.005
b{gatewayID="g"} +Inf 1764500000.123
b{gatewayID="h",path="a\"\\\n"} 1e-320 0.005
# TYPE c unknown
c NaN 1.500
`, `nothing 1 7
# TYPE c untyped
c NaN 1500
# HELP b Say "b\\\n".
# TYPE b gauge
b{gatewayID="g"} +Inf 1764500000123
b{gatewayID="h",path="a\"\\\n"} 1e-320 5
b{gatewayID="g"} -0 5
`)
	}
}

// In version 1.0 a counter's family is named without _total, and one whose name does not end so is of unknown type: its name does
// not change. In 2.0 a counter's value is a number, so those that are none are of unknown type.
func TestOpenMetricsOfCounters(t *testing.T) {
	pushes := []string{`# HELP a_total What.
# TYPE a_total counter
a_total 1 5000
a_total NaN 6000
a_total 2 7000
# TYPE b counter
b 3 5000
# TYPE _total counter
_total 4 5000
`}
	requireOpenMetrics(t, OpenMetrics1, `_total 4 5.000
# HELP a What.
# TYPE a counter
a_total 1 5.000
a_total NaN 6.000
a_total 2 7.000
# TYPE b unknown
b 3 5.000
`, pushes...)
	requireOpenMetrics(t, OpenMetrics2, `# TYPE _total counter
_total 4 5.000
# HELP a_total What.
# TYPE a_total counter
a_total 1 5.000
# HELP a_total What.
# TYPE a_total unknown
a_total NaN 6.000
# HELP a_total What.
# TYPE a_total counter
a_total 2 7.000
# TYPE b counter
b 3 5.000
`, pushes...)
}

// The series of a histogram or summary are together at each time, and bounds are spelled as Prometheus does. In version 2.0 they are one
// value.
func TestOpenMetricsOfHistograms(t *testing.T) {
	pushes := []string{`# TYPE h histogram
h_bucket{g="1",le="0.50"} 1 5000
h_bucket{g="1",le="1"} 2 5000
h_bucket{g="1",le="1000000"} 2.5 5000
h_bucket{g="1",le="+Inf"} 3 5000
h_sum{g="1"} 4.5 5000
h_count{g="1"} 3 5000
# TYPE s summary
s{quantile="0"} NaN 5000
s{quantile="1"} 2 5000
s_sum 3 5000
s_count 4 5000
`, `h_bucket{g="1",le="0.50"} 2 6000
h_bucket{g="1",le="1"} 3 6000
h_bucket{g="1",le="1000000"} 3.5 6000
h_bucket{g="1",le="+Inf"} 4 6000
h_sum{g="1"} 5.5 6000
h_count{g="1"} 4 6000
`}
	requireOpenMetrics(t, OpenMetrics1, `# TYPE h histogram
h_bucket{g="1",le="0.5"} 1 5.000
h_bucket{g="1",le="1.0"} 2 5.000
h_bucket{g="1",le="1e+06"} 2.5 5.000
h_bucket{g="1",le="+Inf"} 3 5.000
h_sum{g="1"} 4.5 5.000
h_count{g="1"} 3 5.000
h_bucket{g="1",le="0.5"} 2 6.000
h_bucket{g="1",le="1.0"} 3 6.000
h_bucket{g="1",le="1e+06"} 3.5 6.000
h_bucket{g="1",le="+Inf"} 4 6.000
h_sum{g="1"} 5.5 6.000
h_count{g="1"} 4 6.000
# TYPE s summary
s{quantile="0.0"} NaN 5.000
s{quantile="1.0"} 2 5.000
s_sum 3 5.000
s_count 4 5.000
`, pushes...)
	requireOpenMetrics(t, OpenMetrics2, `# TYPE h histogram
h{g="1"} {count:3,sum:4.5,bucket:[0.5:1,1.0:2,1e+06:2.5,+Inf:3]} 5.000
h{g="1"} {count:4,sum:5.5,bucket:[0.5:2,1.0:3,1e+06:3.5,+Inf:4]} 6.000
# TYPE s summary
s {count:4,sum:3,quantile:[0.0:NaN,1.0:2]} 5.000
`, pushes...)
}

// What cannot be put together comes without a type, also behind one, and so does a summary whose quantiles a Prometheus
// would take for start times.
func TestOpenMetricsOfPieces(t *testing.T) {
	const pieces = `no_bucket{le="1"} 1 5.000
# TYPE h histogram
h_bucket{le="+Inf"} 1 5.000
h_sum 2 5.000
h_count 1 5.000
# TYPE h_count unknown
h_count 3 6.000
`
	requireOpenMetrics(t, OpenMetrics1, pieces, `no_bucket{le="1"} 1 5000
# TYPE h histogram
h_bucket{le="+Inf"} 1 5000
h_sum 2 5000
h_count 1 5000
h_count 3 6000
`)
	created := "# TYPE a_created summary\na_created{quantile=\"1\"} 1 5000\na_created_sum 2 5000\na_created_count 3 5000\n"
	requireOpenMetrics(t, OpenMetrics1, "a_created{quantile=\"1.0\"} 1 5.000\na_created_sum 2 5.000\na_created_count 3 5.000\n", created)
	requireOpenMetrics(t, OpenMetrics2, "# TYPE a_created summary\na_created {count:3,sum:2,quantile:[1.0:1]} 5.000\n", created)
}

// Names that are not classic ones stand in quotes.
func TestOpenMetricsOfOtherNames(t *testing.T) {
	pushes := []string{`# HELP "a.b_total" What.
# TYPE "a.b_total" counter
{"a.b_total"} 1 5000
{"a.b_total","c d"="e"} 2 5000
# TYPE "h\n" histogram
{"h\n_bucket","x.y"="z",le="+Inf"} 1 5000
{"h\n_sum","x.y"="z"} 2 5000
{"h\n_count","x.y"="z"} 1 5000
`}
	requireOpenMetrics(t, OpenMetrics1, `# HELP "a.b" What.
# TYPE "a.b" counter
{"a.b_total"} 1 5.000
{"a.b_total","c d"="e"} 2 5.000
# TYPE "h\n" histogram
{"h\n_bucket","x.y"="z",le="+Inf"} 1 5.000
{"h\n_sum","x.y"="z"} 2 5.000
{"h\n_count","x.y"="z"} 1 5.000
`, pushes...)
}

// Letters cannot say that a series ends. The hub's own gauge comes last, without a time.
func TestOpenMetricsOfMarkersAndOwn(t *testing.T) {
	for _, version := range []Version{OpenMetrics1, OpenMetrics2} {
		w := newWorld(t)
		w.push("# TYPE a gauge\na 1 5000\n# TYPE b gauge\nb 1 5000\n")
		w.arranged()
		w.mark(6000, "a")
		assert.Equal(t, "# TYPE a gauge\na 1 5.000\n# TYPE b gauge\nb 1 5.000\n# HELP own Its own.\n# TYPE own gauge\nown{x=\"y\"} 7\n# EOF\n",
			openMetricsOf(w, version, &Own{Name: "own", Help: "Its own.", Labels: [][2]string{{"x", "y"}}, Value: 7}))
	}
}

// Messages of others may have what the hub's have not, in whichever pieces they come.
func TestOpenMetricsOfOthersMessages(t *testing.T) {
	families := []*dto.MetricFamily{
		{Name: proto.String("g"), Type: dto.MetricType_GAUGE_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: &dto.Histogram{
			SampleCount: proto.Uint64(2), Bucket: []*dto.Bucket{{UpperBound: proto.Float64(1), CumulativeCount: proto.Uint64(1)}},
		}}}},
		{Name: proto.String("n"), Type: dto.MetricType_HISTOGRAM.Enum(), Unit: proto.String("seconds"), Metric: []*dto.Metric{{Histogram: &dto.Histogram{
			SampleCountFloat: proto.Float64(2.5), SampleSum: proto.Float64(3), Schema: proto.Int32(1), ZeroThreshold: proto.Float64(0.1),
			PositiveSpan: []*dto.BucketSpan{{Offset: proto.Int32(1), Length: proto.Uint32(1)}}, PositiveDelta: []int64{1},
			Exemplars: []*dto.Exemplar{{Value: proto.Float64(1)}},
		}}}},
		{Name: proto.String("s"), Type: dto.MetricType_SUMMARY.Enum(), Metric: []*dto.Metric{{Summary: &dto.Summary{
			Quantile: []*dto.Quantile{{Quantile: proto.Float64(1), Value: proto.Float64(2)}, {Quantile: proto.Float64(0.5)}},
		}}}},
		{Name: proto.String("z"), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{Gauge: &dto.Gauge{}}}},
	}
	var messages bytes.Buffer
	for _, f := range families {
		_, err := protodelim.MarshalTo(&messages, f)
		require.NoError(t, err)
	}
	want := map[Version]string{
		OpenMetrics1: `g_bucket{le="1.0"} 1
g_bucket{le="+Inf"} 2
g_sum 0
g_count 2
# TYPE n histogram
n_bucket{le="+Inf"} 2.5
n_sum 3
n_count 2.5
# TYPE s summary
s{quantile="1.0"} 2
s{quantile="0.5"} 0
s_sum 0
s_count 0
# TYPE z gauge
z 0
# EOF
`,
		OpenMetrics2: `g_bucket{le="1.0"} 1
g_bucket{le="+Inf"} 2
g_sum 0
g_count 2
# TYPE n histogram
n {count:2.5,sum:3,bucket:[+Inf:2.5]}
# TYPE s unknown
s{quantile="1.0"} 2
s{quantile="0.5"} 0
s_sum 0
s_count 0
# TYPE z gauge
z 0
# EOF
`,
	}
	for version, text := range want {
		for _, piece := range []int{1, 7, messages.Len()} {
			var out bytes.Buffer
			body := Format{OpenMetrics: version}.Open(&out)
			for rest := messages.Bytes(); len(rest) > 0; rest = rest[min(piece, len(rest)):] {
				_, err := body.Write(rest[:min(piece, len(rest))])
				require.NoError(t, err)
			}
			require.NoError(t, body.End())
			assert.Equal(t, text, out.String(), "in pieces of %d", piece)
		}
	}
}

// What is no message is an error, and so is what cannot be written, at whichever place.
func TestOpenMetricsErrors(t *testing.T) {
	whole := func(b ...byte) []byte { return append([]byte{byte(len(b))}, b...) }
	for _, b := range [][]byte{
		whole(familyName), whole(familyName, 9), whole(familyType), whole(7), whole(0x80),
		whole(familyMetric, 1, metricGauge), whole(familyMetric, 3, metricLabel, 1, labelName),
		whole(familyMetric, 3, metricGauge, 1, number), whole(familyMetric, 4, metricGauge, 2, number, 0),
		whole(familyType, byte(histogram), familyMetric, 3, metricHistogram, 1, compoundSum),
		whole(familyType, byte(summary), familyMetric, 5, metricSummary, 3, compoundMember, 1, quantileBound),
		bytes.Repeat([]byte{0xff}, 11),
	} {
		body := Format{OpenMetrics: OpenMetrics1}.Open(&bytes.Buffer{})
		_, err := body.Write(b)
		require.ErrorIs(t, err, errMessage, "%x", b)
	}
	w := newWorld(t)
	w.push(gauges(10_000, 5000))
	f := Format{OpenMetrics: OpenMetrics1}
	require.ErrorIs(t, f.Open(brokenPipe{}).Arrange(w.arranged(), nil), errBroken)
	require.ErrorIs(t, f.Open(brokenPipe{}).End(), errBroken)
}

var errBroken = errors.New("broken pipe")

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errBroken }

// A time is read to the millisecond by whoever takes it for a float64, whether the rest is cut off, as Prometheus does, or
// rounded.
func TestSecondsAreExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	times := []int64{0, -1, 1, 999, 1000, 1001, -1001, base, 1 << 40, 1<<50 - 1, 1 - 1<<50}
	odd := 0
	for range 100_000 {
		times = append(times, base+r.Int64N(1e9), int64(r.Uint64())>>(14+r.IntN(40)))
	}
	for _, ms := range times {
		text := string(appendSeconds(nil, ms))
		v, err := strconv.ParseFloat(text, 64)
		require.NoError(t, err, text)
		require.Equal(t, ms, int64(v*1000), text)
		require.Equal(t, ms, int64(math.Round(v*1000)), text)
		whole, decimals, _ := strings.Cut(text, ".")
		require.Equal(t, strconv.FormatInt(ms, 10), strconv.FormatInt(mustInt(t, whole+decimals[:3]), 10))
		if len(decimals) > 3 {
			odd++
			require.Equal(t, "1", decimals[3:])
		}
	}
	require.Positive(t, odd, "else nobody needs it")
}

func mustInt(t *testing.T, text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return n
}
