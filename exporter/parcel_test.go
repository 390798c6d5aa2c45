package exporter

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/internal/encode"
	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/exporter/magma"
)

func bodiesOf(items ...magma.MetricAndContext) []*wire.Body {
	e := encode.New(time.UnixMilli(1000), false)
	defer e.Release()
	e.Encode(items)
	return slices.Clone(e.Bodies)
}

func TestSizeCountsWhatIsKept(t *testing.T) {
	p := newParcel(bodyWith(1, "g"))
	want := parcelOverhead + p.body.Memory()
	assert.Equal(t, want, p.size())
	p.release()
	assert.Equal(t, want, p.size(), "what was added can be taken off")
	p.release() // again: nothing happens
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
			if do != transmit {
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
