package encode

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/exporter/magma"
)

// encodeTexts encodes families of a gateway. It returns the lines without the gateway's labels, and
// what was left out.
func encodeTexts(t *testing.T, asGauges bool, texts ...string) (lines []string, left []LeftOut) {
	t.Helper()
	var items []magma.MetricAndContext
	for _, text := range texts {
		items = append(items, magma.MetricAndContext{Family: family(t, text), Context: magma.MetricContext{AdditionalContext: &KeyContext{Key: "g"}}})
	}
	e := New(time.UnixMilli(1000), asGauges)
	defer e.Release()
	e.Encode(items)
	samples := 0
	for _, b := range e.Bodies {
		lines = append(lines, sampleLines(string(b.Text))...)
		samples += b.Samples
	}
	for why, d := range e.Dropped {
		if d.Samples > 0 {
			assert.Equal(t, reason.SeriesCollision, reason.Reason(why))
			assert.Equal(t, e.LeftOut[0], d.First)
		}
		samples += d.Samples
	}
	assert.Equal(t, Count(items), samples)
	left = append(left, e.LeftOut...)
	releaseAll(e)
	return lines, left
}

const (
	plainCount = `name:"h_count" type:COUNTER metric:{counter:{value:9}}`
	otherCount = `name:"h_count" type:COUNTER metric:{label:{name:"a" value:"1"} counter:{value:9}}`
	asHistos   = `name:"h" type:HISTOGRAM metric:{histogram:{sample_count:3 sample_sum:4}} metric:{label:{name:"a" value:"2"} histogram:{sample_count:5 sample_sum:6}}`
	dotted     = `name:"cpu.load" type:GAUGE metric:{gauge:{value:1}} metric:{label:{name:"cpu" value:"1"} gauge:{value:2}}`
	dashed     = `name:"cpu-load" type:GAUGE metric:{gauge:{value:3}} metric:{label:{name:"cpu" value:"2"} gauge:{value:4}}`
	underlined = `name:"cpu_load" type:GAUGE metric:{gauge:{value:5}}`
	counted    = `name:"cpu_load" type:COUNTER metric:{counter:{value:6}}`
)

// Of two families of a gateway that write one series the second one's metric is left out, and the
// rest of it is not.
func TestCollisions(t *testing.T) {
	collide := func(asGauges bool, texts []string, metric string, samples int, gone, stays string) {
		t.Helper()
		lines, left := encodeTexts(t, asGauges, texts...)
		require.Len(t, left, 1, "%s", lines)
		assert.Equal(t, LeftOut{Gateway: "g", Metric: metric, Samples: samples, Reason: reason.SeriesCollision}, left[0])
		assert.NotContains(t, lines, gone)
		assert.Contains(t, lines, stays)
	}
	for _, asGauges := range []bool{false, true} {
		collide(asGauges, []string{dotted, dashed}, "cpu_load", 1, "cpu_load 3 1000", `cpu_load{cpu="2"} 4 1000`)
		collide(asGauges, []string{dashed, dotted}, "cpu_load", 1, "cpu_load 1 1000", `cpu_load{cpu="1"} 2 1000`)
		collide(asGauges, []string{underlined, dotted}, "cpu_load", 1, "cpu_load 1 1000", `cpu_load{cpu="1"} 2 1000`)
		collide(asGauges, []string{dotted, underlined}, "cpu_load", 1, "cpu_load 5 1000", `cpu_load 1 1000`)
		collide(asGauges, []string{asHistos, plainCount}, "h_count", 1, "h_count 9 1000", "h_count 3 1000")
		collide(asGauges, []string{plainCount, asHistos}, "h", 3, "h_sum 4 1000", `h_sum{a="2"} 6 1000`)
		collide(asGauges, []string{plainCount, otherCount, asHistos, otherCount}, "h", 3, "h_count 3 1000", `h_count{a="1"} 9 1000`)
		collide(asGauges, []string{underlined, counted}, "cpu_load", 1, "cpu_load 6 1000", "cpu_load 5 1000")
		collide(asGauges, []string{dotted, asHistos, counted}, "cpu_load", 1, "cpu_load 6 1000", "cpu_load 1 1000")
	}
}

// The same family twice is no collision, and neither are families that share a name and no series.
func TestNoCollisions(t *testing.T) {
	fine := func(asGauges bool, want int, texts ...string) {
		t.Helper()
		lines, left := encodeTexts(t, asGauges, texts...)
		assert.Empty(t, left)
		assert.Len(t, lines, want)
	}
	for _, asGauges := range []bool{false, true} {
		fine(asGauges, 4, dotted, dotted)
		fine(asGauges, 2, underlined, underlined)
		fine(asGauges, 7, asHistos, otherCount)
		fine(asGauges, 7, otherCount, asHistos)
		fine(asGauges, 12, asHistos, asHistos)
		fine(asGauges, 3, underlined, `name:"cpu.load" type:GAUGE metric:{label:{name:"cpu" value:"1"} gauge:{}} metric:{label:{name:"cpu" value:"2"} gauge:{}}`)
		fine(asGauges, 2, `name:"a.b" type:GAUGE metric:{gauge:{}}`, `name:"a.c" type:GAUGE metric:{gauge:{}}`)
	}
}

// What is in a body that was cut already is not forgotten.
func TestCollisionsOverSeveralBodies(t *testing.T) {
	large := `name:"large" type:GAUGE` + strings.Repeat(` metric:{gauge:{}}`, 40_000)
	_, left := encodeTexts(t, false, plainCount, large, asHistos)
	require.Len(t, left, 1)
	assert.Equal(t, "h", left[0].Metric)
	_, left = encodeTexts(t, false, plainCount, large, otherCount)
	assert.Empty(t, left)
}

// Gateways have nothing to do with each other, and neither have Submits.
func TestCollisionsAreOfOneGateway(t *testing.T) {
	of := func(key, text string) magma.MetricAndContext {
		return magma.MetricAndContext{Family: family(t, text), Context: magma.MetricContext{AdditionalContext: &KeyContext{Key: key}}}
	}
	e := New(time.UnixMilli(1000), false)
	defer e.Release()
	e.Encode([]magma.MetricAndContext{of("a", dotted), of("b", dashed), of("c", dashed), of("c", dotted), of("d", dotted)})
	require.Len(t, e.LeftOut, 1)
	assert.Equal(t, "c", e.LeftOut[0].Gateway)
	require.Len(t, e.Bodies, 4)
	releaseAll(e)
	e.forget()
	e.Encode([]magma.MetricAndContext{of("c", dashed)})
	assert.Empty(t, e.LeftOut)
	releaseAll(e)
}
