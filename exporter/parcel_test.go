package exporter

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/hashring"
)

// queueOfOne is a queue whose parcels all go to one hub.
func queueOfOne(tb testing.TB, batchBytes int) (*router, *outbox) {
	tb.Helper()
	r := newRouter(queueSettings{
		maxBytes: 1 << 30, batchBytes: batchBytes, batchWait: 1, disk: true, minBackoff: time.Second, maxBackoff: time.Second, catchUp: 2, random: rand.Int64N,
	})
	ring, err := hashring.New([]hashring.Node{{Name: "hub-0"}})
	require.NoError(tb, err)
	joined, _, _ := r.setHubs([]queueHub{{name: "hub-0", url: "http://hub-0"}}, ring)
	return r, joined[0]
}

// bodyFrom is a gateway's body with these families, of a sample each.
func bodyFrom(gateway string, families ...wire.Header) *wire.Body {
	b := &wire.Body{Key: gateway, Samples: len(families), Oldest: 1000, Shape: wire.NewShape(families)}
	for _, f := range families {
		b.Text = append(b.Text, f.Name+`{gatewayID="`+gateway+"\"} 1.5 1000\n"...)
		b.Ends = append(b.Ends, len(b.Text))
		b.Composite = b.Composite || f.Kind == wire.Histogram
	}
	return b
}

// What goes into requests, given as letters: one per gateway, with what the parcel
// holds. The gateway that has waited longest is first.
func TestRequests(t *testing.T) {
	g, c, h := wire.Header{Name: "m", Kind: wire.Gauge}, wire.Header{Name: "m", Kind: wire.Counter}, wire.Header{Name: "h", Kind: wire.Histogram}
	type report struct {
		gateway string
		family  wire.Header
	}
	take := func(limit int, queue []report, wantRequests ...string) {
		t.Helper()
		r, o := queueOfOne(t, limit)
		for _, report := range queue {
			bodies := []*wire.Body{bodyFrom(report.gateway, report.family)}
			require.NoError(t, r.submit(parcelsOf(nil, bodies), &[reason.NumEncoding]int{}, nil, time.Now()))
		}
		var got []string
		var sort sorter
		for {
			do, f, _ := r.next(o, time.Now().Add(time.Second))
			if do != transmit {
				break
			}
			for _, part := range sort.split(f.batch) {
				var request strings.Builder
				for _, p := range part {
					request.WriteString(p.key)
				}
				got = append(got, request.String())
				r.delivered(o, part)
			}
			r.landed(o, f)
		}
		assert.Equal(t, wantRequests, got)
		left := r.snapshot(time.Now())
		assert.Zero(t, left.samples+left.gateways+left.hubs[0].bytes)
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
