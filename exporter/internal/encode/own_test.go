package encode

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/magma"
)

// Common labels are on every sample, in their place by name, and what the sample has itself stays.
func TestCommonLabels(t *testing.T) {
	common, err := NewLabels(map[string]string{"cluster": "c\"1\"", "networkID": "common", "zone": "z"})
	require.NoError(t, err)
	encode := func(c magma.MetricContext, text string, want ...string) {
		t.Helper()
		e := New(time.UnixMilli(1000), false)
		defer e.Release()
		e.Labels = common
		e.Encode([]magma.MetricAndContext{{Family: family(t, text), Context: c}})
		require.Len(t, e.Bodies, 1)
		assert.Equal(t, want, sampleLines(string(e.Bodies[0].Text)))
		assert.Empty(t, e.LeftOut)
		releaseAll(e)
	}
	encode(noContext, `name:"m" type:GAUGE metric:{gauge:{}} metric:{label:{name:"a" value:"1"} gauge:{}}`,
		`m{cluster="c\"1\"",networkID="common",zone="z"} 0 1000`, `m{a="1",cluster="c\"1\"",networkID="common",zone="z"} 0 1000`)
	encode(gw, `name:"m" type:GAUGE metric:{gauge:{}}`, `m{cluster="c\"1\"",gatewayID="g",networkID="n",zone="z"} 0 1000`)
	encode(magma.MetricContext{AdditionalContext: &magma.PushedMetricContext{}}, `name:"m" type:GAUGE metric:{gauge:{}}`,
		`m{cluster="c\"1\"",networkID="common",zone="z"} 0 1000`)
	encode(noContext, `name:"m" type:GAUGE metric:{label:{name:"zone" value:"own"} gauge:{}} metric:{label:{name:"zone" value:""} gauge:{}}`,
		`m{cluster="c\"1\"",networkID="common",zone="own"} 0 1000`, `m{cluster="c\"1\"",networkID="common",zone="z"} 0 1000`)
	encode(noContext, `name:"h" type:HISTOGRAM metric:{histogram:{}}`,
		`h_bucket{cluster="c\"1\"",le="+Inf",networkID="common",zone="z"} 0 1000`,
		`h_sum{cluster="c\"1\"",networkID="common",zone="z"} 0 1000`, `h_count{cluster="c\"1\"",networkID="common",zone="z"} 0 1000`)

	e := New(time.UnixMilli(1000), false)
	e.Labels = common
	e.forget()
	e.Encode([]magma.MetricAndContext{{Family: gaugeFamily("m", 1), Context: noContext}})
	assert.Equal(t, "m 1 1000\n", string(e.Bodies[0].Text), "another exporter's Submit has none of them")
	releaseAll(e)
}

func TestLabelsAreChecked(t *testing.T) {
	refuses := func(name, value, message string) {
		t.Helper()
		_, err := NewLabels(map[string]string{"fine": "yes", name: value})
		assert.ErrorContains(t, err, message)
		assert.Len(t, strings.Split(err.Error(), "\n"), 1)
	}
	refuses("a-b", "1", `"a-b" is no name for a label`)
	refuses("", "1", `"" is no name`)
	refuses("__name__", "1", "is no name")
	refuses("gatewayID", "1", "says whose samples they are")
	refuses("le", "1", "is a part of histograms")
	refuses("quantile", "1", "is a part of histograms")
	refuses("a", "", "has no value")
	refuses("a", "\xff", "not valid UTF-8")
	refuses("a", "x\x00", "not valid UTF-8")
	refuses("a", strings.Repeat("x", 1025), "has 1025 bytes, at most 1024")
	many := map[string]string{}
	for i := range 33 {
		many[strings.Repeat("l", i+1)] = "x"
	}
	_, err := NewLabels(many)
	assert.EqualError(t, err, "there are 33, at most 32 are supported")
}
