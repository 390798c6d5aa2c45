package families

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/decode/decodetest"
)

// body is families, each spelled as protobuf's text, as a body.
func body(t testing.TB, families ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, text := range families {
		f := &dto.MetricFamily{}
		require.NoError(t, prototext.Unmarshal([]byte(text), f))
		_, err := protodelim.MarshalTo(&out, f)
		require.NoError(t, err)
	}
	return out.Bytes()
}

func read(body []byte) (string, error) {
	var r decodetest.Recorder
	err := Read(body, &r)
	return strings.Join(r.Lines, "\n"), err
}

func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		families []string
		want     []string
	}{
		"nothing":   {nil, nil},
		"no metric": {[]string{`name: "x" type: GAUGE help: "h"`}, nil},
		"gauge": {
			[]string{`name: "x" help: "a\nb" type: GAUGE metric {label {name: "a" value: "b\"\n"} label {name: "e" value: ""} gauge {value: 1.5} timestamp_ms: 1700000000123} metric {gauge {}}`},
			[]string{`# TYPE x gauge`, `# HELP x "a\nb"`, `x{a="b\"\n"} 1.5 1700000000123`, `x 0`},
		},
		"no time": {[]string{`name: "x" type: GAUGE metric {gauge {value: 1} timestamp_ms: 0} metric {gauge {value: 1} timestamp_ms: -5}`}, []string{`# TYPE x gauge`, `x 1`, `x 1 -5`}},
		"counter": {
			[]string{`name: "x_total" type: COUNTER metric {label {name: "a" value: "b"} counter {value: 3 created_timestamp {seconds: 1700000000 nanos: 5999999} exemplar {label {name: "id" value: "1"} value: 2}}}`},
			[]string{`# TYPE x_total counter`, `x_total{a="b"} 3`, `  start 1700000000005`, `  exemplar {"label":[{"name":"id","value":"1"}],"value":2}`},
		},
		"a start that is none": {[]string{`name: "x" type: COUNTER metric {counter {created_timestamp {}}} metric {counter {created_timestamp {seconds: 9223372036854775807}}}`}, []string{"# TYPE x counter", "x 0", "x 0"}},
		"untyped":              {[]string{`name: "x" type: UNTYPED metric {untyped {value: nan}}`}, []string{"# TYPE x untyped", "x NaN"}},
		"summary": {
			[]string{`name: "s" type: SUMMARY metric {label {name: "a" value: "b"} summary {sample_count: 7 sample_sum: 2.5 created_timestamp {seconds: 1} quantile {quantile: 0.5 value: 1} quantile {quantile: 1 value: nan}}}
				metric {summary {sample_count: 1 sample_sum: 2}}`},
			[]string{
				"# TYPE s summary", `s{a="b",quantile="0.5"} 1`, `s{a="b",quantile="1.0"} NaN`, `s_sum{a="b"} 2.5`, `s_count{a="b"} 7`, "  start 1000", "s_sum 2", "s_count 1",
			},
		},
		"histogram": {
			[]string{`name: "h" type: HISTOGRAM metric {histogram {sample_count: 7 sample_sum: 2.5 created_timestamp {seconds: 1} bucket {cumulative_count: 3 upper_bound: 1 exemplar {value: 0.5}} bucket {cumulative_count: 4 upper_bound: 1e6}} timestamp_ms: 5}`},
			[]string{
				"# TYPE h histogram", `h_bucket{le="1.0"} 3 5`, `  exemplar {"value":0.5}`, `h_bucket{le="1e+06"} 4 5`, `h_bucket{le="+Inf"} 7 5`, `h_sum 2.5 5`, `h_count 7 5`, "  start 1000",
			},
		},
		"a histogram with all buckets, of counts that are not whole": {
			[]string{`name: "h" type: HISTOGRAM metric {histogram {sample_count: 7 sample_count_float: 6.5 bucket {cumulative_count: 1 cumulative_count_float: 1.5 upper_bound: 10} bucket {cumulative_count_float: 6.5 upper_bound: inf}}}`},
			[]string{"# TYPE h histogram", `h_bucket{le="10.0"} 1.5`, `h_bucket{le="+Inf"} 6.5`, `h_sum 0`, `h_count 6.5`},
		},
		"a histogram without buckets": {[]string{`name: "h" type: HISTOGRAM metric {histogram {}}`}, []string{"# TYPE h histogram", `h_bucket{le="+Inf"} 0`, `h_sum 0`, `h_count 0`}},
		"gauge histogram": {
			[]string{`name: "h" type: GAUGE_HISTOGRAM metric {label {name: "a" value: "b"} histogram {sample_count: 7 bucket {cumulative_count: 1 upper_bound: 0}}}`},
			[]string{"# TYPE h gauge", `h_bucket{a="b",le="0.0"} 1`, `h_bucket{a="b",le="+Inf"} 7`, `h_sum{a="b"} 0`, `h_count{a="b"} 7`},
		},
		"native histogram": {
			[]string{`name: "h" type: HISTOGRAM metric {label {name: "a" value: "b"} histogram {sample_count: 2 sample_sum: 3 schema: 3 zero_threshold: 0.1 positive_span {offset: 1 length: 2} positive_delta: 1 positive_delta: 0
				created_timestamp {seconds: 1} exemplars {value: 1} exemplars {value: 2}} timestamp_ms: 5}`},
			[]string{
				"# TYPE h histogram", `h{a="b"} {"sampleCount":"2","sampleSum":3,"schema":3,"zeroThreshold":0.1,"positiveSpan":[{"offset":1,"length":2}],"positiveDelta":["1","0"]} 5`,
				"  start 1000", `  exemplar {"value":1}`, `  exemplar {"value":2}`,
			},
		},
		"native and classic": {
			[]string{`name: "h" type: HISTOGRAM metric {histogram {sample_count: 2 zero_count: 2 bucket {cumulative_count: 1 upper_bound: 2 exemplar {value: 1}}}}`},
			[]string{"# TYPE h histogram", `h {"sampleCount":"2","zeroCount":"2"}`, `h_bucket{le="2.0"} 1`, `  exemplar {"value":1}`, `h_bucket{le="+Inf"} 2`, `h_sum 0`, `h_count 2`},
		},
		"native gauge histogram": {
			[]string{`name: "h" type: GAUGE_HISTOGRAM metric {histogram {sample_count_float: 2.5 positive_span {} }}`},
			[]string{"# TYPE h gauge", `h {"sampleCountFloat":2.5,"positiveSpan":[{}]}`},
		},
		"no type": {
			[]string{`name: "x" metric {counter {value: 1}} metric {gauge {value: 2}} metric {histogram {sample_count: 1}}`},
			[]string{"# TYPE x counter", "x 1", "x 2", `x_bucket{le="+Inf"} 1`, "x_sum 0", "x_count 1"},
		},
		"several values": {[]string{`name: "x" type: GAUGE metric {counter {value: 1} gauge {value: 2}}`}, []string{"# TYPE x gauge", "x 2"}},
		"names that are not classic": {
			[]string{`name: "http.reqs" type: HISTOGRAM metric {label {name: "a.b" value: "c"} histogram {}} metric {histogram {}}`, `name: "é" type: GAUGE metric {gauge {}}`},
			[]string{
				"# TYPE http.reqs histogram", `{"http.reqs_bucket","a.b"="c",le="+Inf"} 0`, `{"http.reqs_sum","a.b"="c"} 0`, `{"http.reqs_count","a.b"="c"} 0`,
				`{"http.reqs_bucket",le="+Inf"} 0`, `{"http.reqs_sum"} 0`, `{"http.reqs_count"} 0`, "# TYPE é gauge", `{"é"} 0`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(body(t, c.families...))
			require.NoError(t, err)
			assert.Equal(t, strings.Join(c.want, "\n"), got)
		})
	}
}

func TestWhatIsWrong(t *testing.T) {
	whole := body(t, `name: "x" type: COUNTER metric {label {name: "a" value: "b"} counter {value: 1}}`)
	many := `name: "x" type: GAUGE metric {gauge {}` + strings.Repeat(` label {}`, maxLabels+1) + `}`
	for _, c := range []struct {
		body []byte
		want string
	}{
		{
			body(t, `name: "ok" type: GAUGE metric {gauge {}}`, `name: "x" type: COUNTER metric {counter {}} metric {label {name: "a" value: "b"} gauge {}}`),
			`message 2: family "x", metric 2: "x{a=\"b\"}" has no counter, which the family is of`,
		},
		{body(t, `name: "x" type: GAUGE_HISTOGRAM metric {summary {}}`), `"x" has no histogram, which the family is of`},
		{body(t, `name: "x" type: UNTYPED metric {}`), `"x" has no untyped value, which`},
		{body(t, `name: "x" metric {gauge {}} metric {}`), `message 1: family "x", metric 2: "x" has no value`},
		{body(t, `metric {gauge {}}`), `message 1: metric 1: series "{\"\"}": it has no metric name`},
		{body(t, `name: "x" type: GAUGE metric {label {value: "b"} gauge {}}`), "a label name is empty"},
		{body(t, `name: "x" type: GAUGE metric {label {name: "__name__" value: "b"} gauge {}}`), "__name__ is reserved"},
		{body(t, `name: "h" type: HISTOGRAM metric {label {name: "le" value: "b"} histogram {}}`), `label "le" is there twice`},
		{append([]byte{10, familyName, 1, 'x', familyType, 1, familyHelp, 1, 0xff, familyMetric, 0}, whole...), `message 1: family "x", its help: it is not UTF-8`},
		{body(t, many), "metric 1: it has too many labels, more than 1024"},
		{whole[:len(whole)-1], "message 1: it has 26 bytes by the length in front, and 25 follow"},
		{[]byte{0x80}, "message 1: it has no length in front"},
		{[]byte{2, 0x0a, 9}, "message 1: the message ends in the middle of a field"},
		{[]byte{1, 0x00}, "message 1: a field of the message is none of protobuf"},
		{[]byte{1, 0x0f}, "message 1: a field of the message is none of protobuf"},
	} {
		_, err := read(c.body)
		require.ErrorContains(t, err, c.want)
	}
	for n := range whole {
		_, err := read(whole[:n])
		assert.Equal(t, n == 0, err == nil, n)
	}
}

// A sink's error is told with its place, and keeps what it is.
func TestWhatASinkRefuses(t *testing.T) {
	b := body(t, `name: "h" type: HISTOGRAM metric {histogram {bucket {} bucket {upper_bound: 1}}} metric {histogram {}}`)
	for most := range 8 {
		r := decodetest.Recorder{Most: most + 1}
		err := Read(b, &r)
		broken := (*decode.BrokenError)(nil)
		require.Equal(t, most < 7, err != nil, most)
		if err != nil {
			require.ErrorAs(t, err, &broken)
			require.ErrorContains(t, err, `message 1: family "h", metric `)
		}
	}
}

// What a later version of the messages has is passed over, and parts of a message are put together, as protobuf has it.
func TestOtherFields(t *testing.T) {
	unknown := protowire.AppendTag(nil, 100, protowire.StartGroupType)
	unknown = protowire.AppendVarint(protowire.AppendTag(unknown, 1, protowire.VarintType), 1<<40)
	unknown = protowire.AppendTag(unknown, 100, protowire.EndGroupType)
	unknown = protowire.AppendFixed32(protowire.AppendTag(unknown, 101, protowire.Fixed32Type), 1)
	unknown = protowire.AppendBytes(protowire.AppendTag(unknown, 102, protowire.BytesType), []byte("what"))
	unknown = protowire.AppendVarint(protowire.AppendTag(unknown, 1, protowire.VarintType), 1) // not of the type that a name has
	part := func(m proto.Message) []byte {
		b, err := proto.Marshal(m)
		require.NoError(t, err)
		return append(b, unknown...)
	}
	metric := part(&dto.Metric{})
	metric = protowire.AppendBytes(append(metric, metricCounter), part(&dto.Counter{Value: proto.Float64(1)}))
	metric = protowire.AppendBytes(append(metric, metricCounter), part(&dto.Counter{Exemplar: &dto.Exemplar{}}))
	family := protowire.AppendBytes([]byte{familyMetric}, metric)
	family = append(family, part(&dto.MetricFamily{Name: proto.String("x"), Type: dto.MetricType_COUNTER.Enum()})...)
	var r decodetest.Recorder
	require.NoError(t, Family(family, &r))
	assert.Equal(t, []string{"# TYPE x counter", "x 1", "  exemplar {}"}, r.Lines)

	family = append(family, familyType, 77) // no type that there is
	r = decodetest.Recorder{}
	require.NoError(t, Family(family, &r))
	assert.Equal(t, "x 1", r.Lines[1])
}

func TestBounds(t *testing.T) {
	for v, want := range map[float64]string{
		1: "1.0", 0: "0.0", -1: "-1.0", 0.005: "0.005", 10: "10.0", 1e21: "1e+21", 1e20: "1e+20", 123456: "123456.0", 1e6: "1e+06", math.Inf(1): "+Inf", math.Inf(-1): "-Inf", 2.5: "2.5", 1e-7: "1e-07",
	} {
		assert.Equal(t, want, string(appendBound(nil, v, false)))
	}
	assert.Equal(t, "NaN", string(appendBound(nil, math.NaN(), false)))
	assert.Equal(t, "0.0", string(appendBound(nil, math.Copysign(0, -1), false)))
}

// A family by itself has the bounds that the text of its sender has.
func TestBoundsOfAFamily(t *testing.T) {
	for _, v := range []float64{0, math.Copysign(0, -1), 1, -1, 10, 0.005, 123456, 1e6, 1e21, math.Inf(1), math.Inf(-1), math.NaN()} {
		family := &dto.MetricFamily{Name: proto.String("s"), Type: dto.MetricType_SUMMARY.Enum(), Metric: []*dto.Metric{{
			Summary: &dto.Summary{Quantile: []*dto.Quantile{{Quantile: &v, Value: proto.Float64(7)}}},
		}}}
		var text strings.Builder
		_, err := expfmt.MetricFamilyToText(&text, family)
		require.NoError(t, err)
		message, err := proto.Marshal(family)
		require.NoError(t, err)
		var r decodetest.Recorder
		require.NoError(t, Family(message, &r))
		assert.Contains(t, strings.Replace(text.String(), `"-0"`, `"0"`, 1), r.Lines[1]+"\n", "%v", v)
	}
}

// What is no protobuf does no harm, and of what protobuf's own library reads, nothing is refused for its bytes.
func FuzzRead(f *testing.F) {
	for _, text := range []string{
		`name: "x" help: "h" type: GAUGE metric {label {name: "a" value: "b"} gauge {value: 1} timestamp_ms: 5}`,
		`name: "x" type: COUNTER metric {counter {value: 1 exemplar {value: 1} created_timestamp {seconds: 1}}}`,
		`name: "s" type: SUMMARY metric {summary {sample_count: 1 quantile {quantile: 0.5 value: 1}}}`,
		`name: "h" type: HISTOGRAM metric {histogram {sample_count: 2 zero_count: 2 bucket {cumulative_count: 1 upper_bound: 2 exemplar {value: 1}} exemplars {value: 1}}}`,
		`name: "é" metric {untyped {value: 1}}`,
	} {
		f.Add(body(f, text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := read(b)
		again, errAgain := read(b)
		require.Equal(t, got, again)
		require.Equal(t, err == nil, errAgain == nil)
		for in := bytes.NewReader(b); in.Len() > 0; {
			if errLibrary := protodelim.UnmarshalFrom(in, &dto.MetricFamily{}); errLibrary != nil {
				return
			}
		}
		require.NotErrorIs(t, err, errCut)
		require.NotErrorIs(t, err, errField)
	})
}

// No sample allocates.
func TestAllocations(t *testing.T) {
	b := fleet(t, 100)
	var c decodetest.Counter
	require.NoError(t, Read(b, &c))
	assert.Less(t, testing.AllocsPerRun(10, func() { require.NoError(t, Read(b, &c)) }), 10.0)
}

// fleet is a body of families with so many gateways each.
func fleet(t testing.TB, gateways int) []byte {
	var gauges, histograms strings.Builder
	for i := range gateways {
		labels := fmt.Sprintf(`label {name: "gatewayID" value: "gw%04d"} label {name: "networkID" value: "net1"} label {name: "service" value: "mme"}`, i)
		fmt.Fprintf(&gauges, ` metric {%s gauge {value: 12345.5} timestamp_ms: 1764500000000}`, labels)
		fmt.Fprintf(&histograms, ` metric {%s histogram {sample_count: 100 sample_sum: 55.5`, labels)
		for n := range 8 {
			fmt.Fprintf(&histograms, ` bucket {cumulative_count: %d upper_bound: %d.25}`, 10*n, n)
		}
		histograms.WriteString(`} timestamp_ms: 1764500000000}`)
	}
	return body(t, `name: "gateway_metric" help: "What." type: GAUGE`+gauges.String(), `name: "gateway_seconds" type: HISTOGRAM`+histograms.String())
}

// What a sample takes to be read, of gauges and of classic histograms.
//
//	go test ./internal/decode/families -run '^$' -bench Read
func BenchmarkRead(b *testing.B) {
	whole := fleet(b, 1000)
	size, n := protowire.ConsumeVarint(whole)
	for name, body := range map[string][]byte{"gauges": whole[:int(size)+n], "histograms": whole[int(size)+n:]} {
		b.Run(name, func(b *testing.B) {
			var c decodetest.Counter
			b.ReportAllocs()
			for b.Loop() {
				if err := Read(body, &c); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(c.Samples), "ns/sample")
		})
	}
}
