package exporter

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/magma"
)

func parcelsOf(items ...magma.MetricAndContext) []*parcel {
	e := newEncoder(time.UnixMilli(1000), false)
	defer e.release()
	e.encode(items)
	return slices.Clone(e.parcels)
}

// Each family is one group with one header, whatever the parcels.
func TestJoin(t *testing.T) {
	in := func(id string) magma.MetricContext {
		return magma.MetricContext{AdditionalContext: &magma.GatewayMetricContext{GatewayID: id}}
	}
	withHelp := gaugeFamily("a", 1)
	withHelp.Help = new("Of a.")
	batch := parcelsOf(
		magma.MetricAndContext{Family: gaugeFamily("a", 1), Context: in("g1")}, magma.MetricAndContext{Family: gaugeFamily("b", 1), Context: in("g1")},
		magma.MetricAndContext{Family: gaugeFamily("a", 2), Context: in("g1")},
		magma.MetricAndContext{Family: gaugeFamily("c", 1), Context: in("g2")}, magma.MetricAndContext{Family: withHelp, Context: in("g2")},
		magma.MetricAndContext{Family: gaugeFamily("b", 1), Context: in("g3")},
	)
	require.Len(t, batch, 3)
	want := strings.Join([]string{
		`# TYPE a gauge`, `a{gatewayID="g1"} 1 1000`, `a{gatewayID="g1"} 2 1000`, `a{gatewayID="g2"} 1 1000`,
		`# TYPE b gauge`, `b{gatewayID="g1"} 1 1000`, `b{gatewayID="g3"} 1 1000`,
		`# TYPE c gauge`, `c{gatewayID="g2"} 1 1000`, ``,
	}, "\n")
	var j joiner
	for range 2 { // the second time with used scratch
		got := string(j.join(nil, batch))
		assert.Equal(t, want, got)
		assert.NoError(t, parse(got))
	}
}

func TestSizeCountsWhatIsKept(t *testing.T) {
	p := parcelsOf(magma.MetricAndContext{Family: gaugeFamily("metric", 1), Context: gw})[0]
	want := parcelOverhead + len(p.key) + cap(p.body) + endBytes*cap(p.ends) + headerBytes + len("metric")
	assert.Equal(t, want, p.size())
	p.release()
	assert.Equal(t, want, p.size(), "what was added can be taken off")
}

// What goes into requests, given as letters: one per gateway, with what the parcel
// holds. The gateway that has waited longest is first.
func TestRequests(t *testing.T) {
	const (
		g = `name:"m" type:GAUGE metric:{gauge:{}}`
		c = `name:"m" type:COUNTER metric:{counter:{}}`
		h = `name:"h" type:HISTOGRAM metric:{histogram:{}}`
	)
	type report struct{ gateway, family string }
	take := func(limit int, queue []report, wantRequests ...string) {
		t.Helper()
		e, err := New(Config{Hubs: []Hub{{URL: "http://h"}}, BatchBytes: limit, BatchWait: 1})
		require.NoError(t, err)
		for _, r := range queue {
			item := magma.MetricAndContext{Family: family(t, r.family), Context: magma.MetricContext{AdditionalContext: &magma.GatewayMetricContext{GatewayID: r.gateway}}}
			require.NoError(t, e.Submit(context.Background(), []magma.MetricAndContext{item}))
		}
		var got []string
		var sort sorter
		o := e.router.current()[0]
		for {
			do, f, _ := e.router.next(o, time.Now().Add(time.Second))
			if do != push {
				break
			}
			for _, part := range sort.split(f.batch) {
				var request strings.Builder
				for _, p := range part {
					request.WriteString(p.key)
				}
				got = append(got, request.String())
				e.router.delivered(o, part)
			}
			e.router.landed(o, f)
		}
		assert.Equal(t, wantRequests, got)
		assert.Zero(t, o.bytes)
		assert.Empty(t, e.router.lanes)
	}
	take(1<<20, []report{{"a", g}, {"b", g}, {"a", g}}, "aba")
	take(1, []report{{"a", g}, {"b", g}}, "a", "b")
	// Two types of one name: the others do not wait for them.
	take(1<<20, []report{{"a", g}, {"b", c}, {"c", g}, {"d", c}}, "ac", "bd")
	// b is held back, and so is what follows of it.
	take(1<<20, []report{{"a", g}, {"b", c}, {"b", g}, {"c", g}}, "ac", "b", "b")
	// One moment of a histogram per request.
	take(1<<20, []report{{"a", h}, {"b", h}, {"a", h}, {"b", g}}, "abb", "a")
	take(1<<20, []report{{"a", h}, {"a", g}, {"a", h}}, "aa", "a")
}
