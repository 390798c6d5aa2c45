package encode

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/exporter/magma"
)

// encodeGauges is encodeAll with every family as gauges.
func encodeGauges(items ...magma.MetricAndContext) (text string, samples int) {
	e := New(time.UnixMilli(1000), true)
	defer e.Release()
	e.Encode(items)
	for _, p := range e.Bodies {
		samples += p.Samples
	}
	var j wire.Joiner
	return string(j.Join(nil, e.Bodies)), samples
}

func TestAsGauges(t *testing.T) {
	encode := func(text string, want ...string) {
		t.Helper()
		items := []magma.MetricAndContext{{Family: family(t, text), Context: noContext}}
		got, samples := encodeGauges(items...)
		assert.Equal(t, strings.Join(want, "\n")+"\n", got)
		assert.NoError(t, parse(got))
		assert.Equal(t, Count(items), samples, "as many as with their types")
	}
	encode(`name:"c" help:"Of c." type:COUNTER metric:{counter:{value:1} timestamp_ms:5}`, `# HELP c Of c.`, `# TYPE c gauge`, `c 1 5`)
	encode(`name:"u" type:UNTYPED metric:{untyped:{value:-3}}`, `# TYPE u gauge`, `u -3 1000`)
	encode(`name:"g" type:GAUGE metric:{gauge:{value:2}}`, `# TYPE g gauge`, `g 2 1000`)
	encode(`name:"s" type:SUMMARY
		metric:{label:{name:"z" value:"1"} timestamp_ms:5 summary:{sample_count:3 sample_sum:4 quantile:{quantile:0.5 value:1}}}
		metric:{label:{name:"z" value:"2"} summary:{sample_count:7 sample_sum:8 quantile:{quantile:0.5 value:2}}}`,
		`# TYPE s gauge`, `s{quantile="0.5",z="1"} 1 5`, `s{quantile="0.5",z="2"} 2 1000`,
		`# TYPE s_sum gauge`, `s_sum{z="1"} 4 5`, `s_sum{z="2"} 8 1000`,
		`# TYPE s_count gauge`, `s_count{z="1"} 3 5`, `s_count{z="2"} 7 1000`)
	encode(`name:"s" type:SUMMARY metric:{summary:{sample_count:3 sample_sum:4}}`,
		`# TYPE s_sum gauge`, `s_sum 4 1000`, `# TYPE s_count gauge`, `s_count 3 1000`)
	encode(`name:"h" help:"Of h." type:HISTOGRAM metric:{timestamp_ms:5 histogram:{sample_count:3 sample_sum:4 bucket:{upper_bound:0.1 cumulative_count:1}}}`,
		`# HELP h_bucket Of h.`, `# TYPE h_bucket gauge`, `h_bucket{le="0.1"} 1 5`, `h_bucket{le="+Inf"} 3 5`,
		`# HELP h_sum Of h.`, `# TYPE h_sum gauge`, `h_sum 4 5`,
		`# HELP h_count Of h.`, `# TYPE h_count gauge`, `h_count 3 5`)
	encode(`name:"h" type:HISTOGRAM metric:{histogram:{sample_count:3 sample_sum:4 bucket:{upper_bound:inf cumulative_count:3}}}`,
		`# TYPE h_bucket gauge`, `h_bucket{le="+Inf"} 3 1000`, `# TYPE h_sum gauge`, `h_sum 4 1000`, `# TYPE h_count gauge`, `h_count 3 1000`)
}

// A family that has the name of a histogram's part is one with it: both are
// gauges, so the request needs one TYPE line and one body.
func TestAsGaugesBesideAFamilyOfThatName(t *testing.T) {
	items := []magma.MetricAndContext{
		{Family: family(t, `name:"h" type:HISTOGRAM metric:{histogram:{sample_count:3}}`), Context: gw},
		{Family: family(t, `name:"h_count" type:COUNTER metric:{label:{name:"a" value:"1"} counter:{value:9}}`), Context: gw},
		{Family: family(t, `name:"h" type:SUMMARY metric:{label:{name:"a" value:"2"} summary:{sample_count:4 quantile:{quantile:0.5 value:1}}}`), Context: gw},
	}
	e := New(time.UnixMilli(1000), true)
	defer e.Release()
	e.Encode(items)
	require.Len(t, e.Bodies, 1)
	assert.False(t, e.Bodies[0].Composite, "lines of their own: two moments may share a request")
	var j wire.Joiner
	text := string(j.Join(nil, e.Bodies))
	assert.NoError(t, parse(text))
	assert.Equal(t, 1, strings.Count(text, "# TYPE h_count gauge\n"))
	assert.Contains(t, text, "\nh_count{gatewayID=\"g\",networkID=\"n\"} 3 1000\nh_count{a=\"1\",gatewayID=\"g\",networkID=\"n\"} 9 1000\n")
	assert.Equal(t, Count(items), e.Bodies[0].Samples)
}

// What is left out is the same, and noted once.
func TestAsGaugesDropsTheSame(t *testing.T) {
	items := []magma.MetricAndContext{{Family: family(t, `name:"h" type:HISTOGRAM
		metric:{label:{name:"le" value:"1"} histogram:{bucket:{upper_bound:1}}}
		metric:{histogram:{}}
		metric:{}`), Context: gw}, {Family: nil, Context: gw}}
	of := func(asGauges bool) ([]LeftOut, int) {
		e := New(time.UnixMilli(1000), asGauges)
		defer e.Release()
		e.Encode(items)
		require.Len(t, e.Bodies, 1)
		return slices.Clone(e.LeftOut), e.Bodies[0].Samples
	}
	want, samples := of(false)
	got, gauges := of(true)
	assert.Equal(t, want, got)
	assert.Equal(t, samples, gauges)
	assert.Equal(t, []int{4, 1, 1}, []int{got[0].Samples, got[1].Samples, got[2].Samples})
}

// A family of gauges is cut where a body is full, also between its parts.
func TestAsGaugesCutsLargeBodies(t *testing.T) {
	f := family(t, `name:"h" type:HISTOGRAM metric:{label:{name:"a" value:"1"} histogram:{bucket:{upper_bound:1}}}`)
	for range 20_000 {
		f.Metric = append(f.Metric, f.Metric[0])
	}
	e := New(time.UnixMilli(1000), true)
	defer e.Release()
	e.Encode([]magma.MetricAndContext{{Family: f, Context: gw}})
	samples := 0
	for _, p := range e.Bodies {
		assert.Less(t, len(p.Text), bodyBytes+1024)
		assert.NoError(t, parse(string(p.Text)))
		samples += p.Samples
	}
	assert.Equal(t, 20_001*4, samples)
}
