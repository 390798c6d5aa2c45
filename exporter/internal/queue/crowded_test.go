package queue

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/hashring"
)

// hubsNamed are so many hubs, and their ring.
func hubsNamed(tb testing.TB, n int) ([]Hub, *hashring.Ring) {
	tb.Helper()
	var hubs []Hub
	var nodes []hashring.Node
	for i := range n {
		name := fmt.Sprintf("hub-%d", i)
		hubs = append(hubs, Hub{Name: name, URL: "http://" + name})
		nodes = append(nodes, hashring.Node{Name: name})
	}
	ring, err := hashring.New(nodes)
	require.NoError(tb, err)
	return hubs, ring
}

// crowded has hubs, and lanes with one small parcel each that wait.
func crowded(tb testing.TB, hubs, lanes int, change func(*Settings)) (*Queue, []*Outbox) {
	tb.Helper()
	set := Settings{
		MaxBytes: 1 << 30, BatchBytes: 1 << 20, BatchWait: 200 * time.Millisecond, TellEnds: true, EndsDelay: time.Minute,
		MinBackoff: 250 * time.Millisecond, MaxBackoff: 5 * time.Second, CatchUp: 1.6, Random: rand.Int64N,
	}
	if change != nil {
		change(&set)
	}
	r := New(set)
	named, ring := hubsNamed(tb, hubs)
	r.SetHubs(named, ring, time.Now())
	for i := range lanes {
		require.NoError(tb, submitted(r, 1, fmt.Sprintf("gateway-%07d", i)))
	}
	return r, r.Current()
}

// submitted submits so many samples of each gateway.
func submitted(r *Queue, samples int, gateways ...string) error {
	return r.Submit(parcelsWith(samples, gateways...), &[reason.NumEncoding]int{}, nil, time.Now())
}

// parcelsWith returns parcels of so many samples, one of each gateway.
func parcelsWith(samples int, gateways ...string) (parcels []*Parcel) {
	for _, g := range gateways {
		parcels = append(parcels, newParcel(bodyWith(samples, g)))
	}
	return parcels
}

// bodyWith returns a body of so many samples.
func bodyWith(samples int, gateway string) *wire.Body {
	b := &wire.Body{Key: gateway, Samples: samples, Oldest: 1000, Shape: wire.NewShape([]wire.Header{{Name: "load", Kind: wire.Gauge}})}
	for i := range samples {
		b.Text = fmt.Appendf(b.Text, "load{gatewayID=%q,networkID=\"net\",n=\"a_rather_long_value_of_a_label,_number_%d\"} 1 1000\n", gateway, i)
	}
	b.Ends = []int{len(b.Text)}
	return b
}

// parcelFrom returns a parcel of a sample of a time.
func parcelFrom(gateway string, oldest int64) *Parcel {
	return &Parcel{content: content{Key: gateway, Oldest: oldest}}
}

// numbered returns so many gateways.
func numbered(n int) (gateways []string) {
	for i := range n {
		gateways = append(gateways, fmt.Sprintf("gw-%03d", i))
	}
	return gateways
}

// onDisk says of parcels that they were written, each alone.
func onDisk(parcels []*Parcel) (all []Stored) {
	for _, p := range parcels {
		all = append(all, Stored{p, new(int)})
	}
	return all
}
