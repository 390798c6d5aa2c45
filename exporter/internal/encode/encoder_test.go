package encode

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/exporter/magma"
)

func TestEncode(t *testing.T) {
	encode := func(text string, want ...string) {
		t.Helper()
		got, dropped := encodeAll(magma.MetricAndContext{Family: family(t, text), Context: noContext})
		assert.Equal(t, strings.Join(want, "\n")+"\n", got)
		assert.Empty(t, dropped)
		assert.NoError(t, parse(got))
	}
	encode(`name:"c_total" help:"How\\ many\nof it." type:COUNTER metric:{counter:{value:1.5}}`,
		`# HELP c_total How\\ many\nof it.`, `# TYPE c_total counter`, `c_total 1.5 1000`)
	encode(`name:"u" type:UNTYPED metric:{untyped:{value:-3}}`, `# TYPE u untyped`, `u -3 1000`)
	encode(`name:"g" type:GAUGE metric:{gauge:{value:nan}} metric:{label:{name:"a" value:"1"} gauge:{value:-inf}}`,
		`# TYPE g gauge`, `g NaN 1000`, `g{a="1"} -Inf 1000`)
	encode(`name:"s" type:SUMMARY metric:{label:{name:"a" value:"1"} label:{name:"z" value:"2"} summary:{sample_count:3 sample_sum:1e30 quantile:{quantile:0.5 value:1} quantile:{quantile:0.99 value:2}}}`,
		`# TYPE s summary`, `s{a="1",quantile="0.5",z="2"} 1 1000`, `s{a="1",quantile="0.99",z="2"} 2 1000`,
		`s_sum{a="1",z="2"} 1e+30 1000`, `s_count{a="1",z="2"} 3 1000`)
	encode(`name:"h" type:HISTOGRAM metric:{label:{name:"z" value:"1"} timestamp_ms:5 histogram:{sample_count:3 sample_sum:4 bucket:{upper_bound:0.1 cumulative_count:1}}}`,
		`# TYPE h histogram`, `h_bucket{le="0.1",z="1"} 1 5`, `h_bucket{le="+Inf",z="1"} 3 5`, `h_sum{z="1"} 4 5`, `h_count{z="1"} 3 5`)
	encode(`name:"h" type:HISTOGRAM metric:{label:{name:"a" value:"1"} histogram:{sample_count:3 sample_sum:4 bucket:{upper_bound:inf cumulative_count:3}}}`,
		`# TYPE h histogram`, `h_bucket{a="1",le="+Inf"} 3 1000`, `h_sum{a="1"} 4 1000`, `h_count{a="1"} 3 1000`)
	encode(`name:"h" type:HISTOGRAM metric:{histogram:{sample_count_float:2.5 sample_sum:4 bucket:{upper_bound:1 cumulative_count_float:1.5}}}`,
		`# TYPE h histogram`, `h_bucket{le="1"} 1.5 1000`, `h_bucket{le="+Inf"} 2.5 1000`, `h_sum 4 1000`, `h_count 2.5 1000`)
	encode(`name:"h" type:GAUGE_HISTOGRAM metric:{histogram:{sample_count:1 sample_sum:4 bucket:{upper_bound:1 cumulative_count:1}}}`,
		`# TYPE h histogram`, `h_bucket{le="1"} 1 1000`, `h_bucket{le="+Inf"} 1 1000`, `h_sum 4 1000`, `h_count 1 1000`)
	encode(`name:"h" type:HISTOGRAM metric:{histogram:{sample_count:1 sample_sum:4 schema:3 bucket:{upper_bound:inf cumulative_count:1}}}`,
		`# TYPE h histogram`, `h_bucket{le="+Inf"} 1 1000`, `h_sum 4 1000`, `h_count 1 1000`)
	encode(`name:"h" type:HISTOGRAM metric:{histogram:{sample_count:4 sample_sum:7 schema:3 positive_span:{offset:0 length:1} positive_delta:4}}`,
		`# TYPE h histogram`, `h_bucket{le="+Inf"} 4 1000`, `h_sum 7 1000`, `h_count 4 1000`)
	encode(`name:"h" type:HISTOGRAM metric:{histogram:{}}`,
		`# TYPE h histogram`, `h_bucket{le="+Inf"} 0 1000`, `h_sum 0 1000`, `h_count 0 1000`)
}

func TestDuplicatesAreLeftToTheHub(t *testing.T) {
	twice := family(t, `name:"m" type:GAUGE metric:{gauge:{value:1}} metric:{gauge:{value:2}}`)
	got, dropped := encodeAll(magma.MetricAndContext{Family: twice, Context: noContext}, magma.MetricAndContext{Family: gaugeFamily("m", 3), Context: noContext})
	assert.Equal(t, []string{"m 1 1000", "m 2 1000", "m 3 1000"}, sampleLines(got))
	assert.Empty(t, dropped)
	assert.NoError(t, parse(got))
}

func TestHelpThatIsNotUTF8(t *testing.T) {
	f := gaugeFamily("g", 1)
	f.Help = proto.String("a\xffb")
	got, _ := encodeAll(magma.MetricAndContext{Family: f, Context: noContext})
	assert.True(t, strings.HasPrefix(got, "# HELP g a\uFFFDb\n"), got)
}

// What comes out is read back by Prometheus' own parser as what went in.
func TestEncodeIsReadBack(t *testing.T) {
	want := realFamilies(t)
	var items []magma.MetricAndContext
	for _, f := range want {
		items = append(items, magma.MetricAndContext{Family: f, Context: noContext})
	}
	text, dropped := encodeAll(items...)
	require.Empty(t, dropped)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	got, err := parser.TextToMetricFamilies(strings.NewReader(text))
	require.NoError(t, err)
	require.Len(t, got, len(want))
	for _, f := range want {
		f = proto.CloneOf(f)
		if f.GetHelp() == "" {
			f.Help = nil // an empty one is left out
		}
		for _, m := range f.Metric {
			m.TimestampMs = proto.Int64(1000)
			slices.SortFunc(m.Label, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
			if h := m.Histogram; h != nil && !hasInf(h.Bucket) {
				h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: proto.Float64(math.Inf(1)), CumulativeCount: h.SampleCount})
			}
		}
		assert.True(t, proto.Equal(f, got[f.GetName()]), "want %v\ngot  %v", f, got[f.GetName()])
	}
}

func TestCallersFamiliesAreNotModified(t *testing.T) {
	var items []magma.MetricAndContext
	var before []*dto.MetricFamily
	for _, f := range append(realFamilies(t), family(t, `name:"9-x" type:GAUGE metric:{label:{name:"gatewayID" value:"own"} gauge:{value:1}}`)) {
		before = append(before, proto.CloneOf(f))
		items = append(items, magma.MetricAndContext{Family: f, Context: gw})
	}
	encodeAll(items...)
	for i, f := range before {
		assert.True(t, proto.Equal(f, items[i].Family), f.GetName())
	}
}

// Two Submits at once may have the same families: the race detector would see who
// writes to them.
func TestFamiliesAreSharedByConcurrentSubmits(t *testing.T) {
	var items []magma.MetricAndContext
	for _, f := range append(realFamilies(t), family(t, `name:"9-x" type:GAUGE metric:{label:{name:"gatewayID" value:"own"} gauge:{value:1}}`)) {
		items = append(items, magma.MetricAndContext{Family: f, Context: gw})
	}
	before := dump(items)
	for _, asGauges := range []bool{false, true} {
		want := ""
		got := make([]string, 4)
		var all sync.WaitGroup
		for i := range got {
			all.Go(func() {
				e := New(time.UnixMilli(1000), asGauges)
				e.Encode(items)
				var j wire.Joiner
				got[i] = string(j.Join(nil, e.Bodies))
				releaseAll(e)
				e.Release()
			})
		}
		all.Wait()
		for _, text := range got {
			want = cmp.Or(want, text)
			assert.Equal(t, want, text)
		}
		assert.NotEmpty(t, want)
	}
	assert.Equal(t, before, dump(items))
}

// realFamilies has every type, several labels out of order, and odd characters.
func realFamilies(t testing.TB) []*dto.MetricFamily {
	return []*dto.MetricFamily{
		family(t, `name:"http_requests_total" help:"Requests\\served.\nAll." type:COUNTER
			metric:{label:{name:"method" value:"GET"} label:{name:"code" value:"200"} counter:{value:1027}}
			metric:{label:{name:"method" value:"a\"b\\c\nd"} label:{name:"code" value:"400"} counter:{value:3}}`),
		family(t, `name:"temperature" help:"" type:GAUGE metric:{gauge:{value:-21.25}} metric:{label:{name:"place" value:"Zürich"} gauge:{value:1e-300}}`),
		family(t, `name:"anything" type:UNTYPED metric:{untyped:{value:12345678901234567}}`),
		family(t, `name:"rpc_seconds" type:SUMMARY
			metric:{label:{name:"z" value:"1"} summary:{sample_count:2693 sample_sum:17560473 quantile:{quantile:0.01 value:3102} quantile:{quantile:0.99 value:76656}}}
			metric:{label:{name:"z" value:"2"} summary:{sample_count:0 sample_sum:0}}`),
		family(t, `name:"request_seconds" type:HISTOGRAM
			metric:{label:{name:"path" value:"/"} label:{name:"app" value:"x"} histogram:{sample_count:144320 sample_sum:53423
				bucket:{upper_bound:0.05 cumulative_count:24054} bucket:{upper_bound:1 cumulative_count:133988}}}
			metric:{label:{name:"path" value:"/b"} histogram:{sample_count:2 sample_sum:1 bucket:{upper_bound:inf cumulative_count:2}}}`),
	}
}

func TestGroupsByGateway(t *testing.T) {
	of := func(id, name string) magma.MetricAndContext {
		return magma.MetricAndContext{Family: gaugeFamily(name, 1), Context: magma.MetricContext{AdditionalContext: &magma.GatewayMetricContext{NetworkID: "n", GatewayID: id}}}
	}
	e := New(time.UnixMilli(1000), false)
	e.Encode([]magma.MetricAndContext{of("b", "m1"), of("a", "m1"), of("", "m1"), {Family: gaugeFamily("cloud", 1), Context: noContext}, of("b", "m2")})
	var got []string
	for _, p := range e.Bodies {
		assert.Equal(t, len(sampleLines(string(p.Text))), p.Samples)
		got = append(got, p.Key+": "+strings.Join(sampleLines(string(p.Text)), "; "))
	}
	assert.Equal(t, []string{
		`: m1{networkID="n"} 1 1000; cloud 1 1000`,
		`a: m1{gatewayID="a",networkID="n"} 1 1000`,
		`b: m1{gatewayID="b",networkID="n"} 1 1000; m2{gatewayID="b",networkID="n"} 1 1000`,
	}, got)
}

// An encoder that met a bad source begins anew with the next Submit.
func TestNothingIsLeftOfTheSubmitBefore(t *testing.T) {
	e := New(time.UnixMilli(1000), false)
	e.Encode([]magma.MetricAndContext{{Family: gaugeFamily("a", 1), Context: magma.MetricContext{AdditionalContext: &magma.CloudMetricContext{CloudHost: "\xff"}}}})
	require.Empty(t, e.Bodies)
	e.forget()
	e.Encode([]magma.MetricAndContext{{Family: gaugeFamily("a", 1), Context: noContext}})
	require.Len(t, e.Bodies, 1)
	assert.Empty(t, e.LeftOut)
	assert.Equal(t, "a 1 1000\n", string(e.Bodies[0].Text))
}

// A large family becomes several bodys, each with its header, none of which
// cuts a metric in two.
func TestLargeBodiesAreCut(t *testing.T) {
	f := family(t, `name:"h" help:"Large." type:HISTOGRAM metric:{label:{name:"a" value:"1"} histogram:{sample_count:1 sample_sum:1 bucket:{upper_bound:1 cumulative_count:1}}}`)
	for range 20_000 {
		f.Metric = append(f.Metric, f.Metric[0])
	}
	e := New(time.UnixMilli(1000), false)
	e.Encode([]magma.MetricAndContext{{Family: f, Context: gw}, {Family: gaugeFamily("g", 1), Context: gw}})
	require.Greater(t, len(e.Bodies), 4)
	samples := 0
	for i, p := range e.Bodies {
		assert.Equal(t, "g", p.Key)
		assert.Less(t, len(p.Text), bodyBytes+1024)
		if i < len(e.Bodies)-1 {
			assert.GreaterOrEqual(t, len(p.Text), bodyBytes)
			assert.Zero(t, p.Samples%4, "whole metrics only")
		}
		assert.NoError(t, parse(string(p.Text)))
		samples += p.Samples
	}
	assert.Equal(t, 20_001*4+1, samples)
	e.Release()
}

// Bodies that look like the one before at first have the shape of what is in
// them.
func TestShapes(t *testing.T) {
	large := family(t, `name:"x" type:GAUGE metric:{gauge:{}}`)
	for range 20_000 {
		large.Metric = append(large.Metric, large.Metric[0])
	}
	of := func(name string) *dto.MetricFamily { return gaugeFamily(name, 1) }
	encode := func(want string, families ...*dto.MetricFamily) {
		t.Helper()
		var items []magma.MetricAndContext
		for _, f := range families {
			items = append(items, magma.MetricAndContext{Family: f, Context: gw})
		}
		e := New(time.UnixMilli(1000), false)
		defer e.Release()
		var got []string
		for range 2 { // the second time after itself
			e.Encode(items)
			got = got[:0]
			for _, p := range e.Bodies {
				got = append(got, strings.Join(shapeOf(t, p), " "))
			}
			assert.Equal(t, want, strings.Join(got, "|"))
			releaseAll(e)
		}
	}
	encode("a b c", of("a"), of("b"), of("c"))
	encode("a b", of("a"), of("b"))
	encode("a b d", of("a"), of("b"), of("d"))
	encode("a a", of("a"), of("a"))
	encode("b a", of("b"), of("a"))
	encode("b", &dto.MetricFamily{Name: proto.String("a")}, of("b"))
	encode("a x|x x|x", of("a"), large, large)
	encode("a x|x x|x x", of("a"), large, large, of("x"))
	encode("x|x b", large, of("b"))
}

// shapeOf returns the names of a body's families, having looked into its body.
func shapeOf(t testing.TB, p *wire.Body) (names []string) {
	t.Helper()
	require.Len(t, p.Ends, len(p.Shape.Families))
	require.Equal(t, len(p.Text), p.Ends[len(p.Ends)-1])
	start := 0
	for i, f := range p.Shape.Families {
		for _, line := range sampleLines(string(p.Text[start:p.Ends[i]])) {
			require.True(t, strings.HasPrefix(line, f.Name), "%s: %q", f.Name, line)
		}
		require.Less(t, start, p.Ends[i])
		start = p.Ends[i]
		names = append(names, f.Name)
	}
	return names
}

func TestFamiliesThatDisagreeGoIntoDifferentBodies(t *testing.T) {
	split := func(want int, texts ...string) {
		t.Helper()
		var items []magma.MetricAndContext
		for _, text := range texts {
			items = append(items, magma.MetricAndContext{Family: family(t, text), Context: gw})
		}
		e := New(time.UnixMilli(1000), false)
		e.Encode(items)
		assert.Len(t, e.Bodies, want)
		for _, p := range e.Bodies {
			var j wire.Joiner
			assert.NoError(t, parse(string(j.Join(nil, []*wire.Body{p}))))
		}
	}
	const (
		asGauge   = `name:"m" type:GAUGE metric:{gauge:{}}`
		asCounter = `name:"m" type:COUNTER metric:{label:{name:"as" value:"counter"} counter:{}}`
		asHisto   = `name:"m" type:HISTOGRAM metric:{histogram:{}}`
		asSummary = `name:"m" type:SUMMARY metric:{summary:{}}`
		count     = `name:"m_count" type:GAUGE metric:{label:{name:"of" value:"m"} gauge:{}}`
		bucket    = `name:"m_bucket" type:GAUGE metric:{gauge:{}}`
	)
	split(1, asGauge, asGauge)
	split(1, asHisto, asHisto)
	split(1, asGauge, count)
	split(1, asSummary, bucket)
	split(2, asGauge, asCounter)
	split(2, asHisto, count)
	split(2, count, asHisto)
	split(2, asHisto, bucket)
	split(2, count, asSummary)
}
