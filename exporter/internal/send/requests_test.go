package send

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/hashring"
)

// queueOfOne is a queue whose parcels all go to one hub.
func queueOfOne(tb testing.TB, batchBytes int) (*queue.Queue, *queue.Outbox) {
	tb.Helper()
	r := queue.New(queue.Settings{
		MaxBytes: 1 << 30, BatchBytes: batchBytes, BatchWait: 1, Disk: true, MinBackoff: time.Second, MaxBackoff: time.Second, CatchUp: 2, Random: rand.Int64N,
	})
	ring, err := hashring.New([]hashring.Node{{Name: "hub-0"}})
	require.NoError(tb, err)
	joined, _, _ := r.SetHubs([]queue.Hub{{Name: "hub-0", URL: "http://hub-0"}}, ring, time.Now())
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
	take := func(limit int, reports []report, wantRequests ...string) {
		t.Helper()
		r, o := queueOfOne(t, limit)
		for _, report := range reports {
			bodies := []*wire.Body{bodyFrom(report.gateway, report.family)}
			require.NoError(t, r.Submit(queue.ParcelsOf(nil, bodies), &[reason.NumEncoding]int{}, nil, time.Now()))
		}
		var got []string
		var sort sorter
		for {
			do, f, _ := r.Next(o, time.Now().Add(time.Second))
			if do != queue.Transmit {
				break
			}
			for _, part := range sort.split(f.Batch) {
				var request strings.Builder
				for _, p := range part {
					request.WriteString(p.Key)
				}
				got = append(got, request.String())
				r.Delivered(o, part, time.Now())
			}
			r.Landed(o, f)
		}
		assert.Equal(t, wantRequests, got)
		left := r.Snapshot(time.Now())
		assert.Zero(t, left.Samples+left.Gateways+left.Hubs[0].Bytes)
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
