package exporter

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
func hubsNamed(tb testing.TB, n int) ([]queueHub, *hashring.Ring) {
	tb.Helper()
	var hubs []queueHub
	var nodes []hashring.Node
	for i := range n {
		name := fmt.Sprintf("hub-%d", i)
		hubs = append(hubs, queueHub{name: name, url: "http://" + name})
		nodes = append(nodes, hashring.Node{Name: name})
	}
	ring, err := hashring.New(nodes)
	require.NoError(tb, err)
	return hubs, ring
}

// crowdedRouter has hubs, and lanes with one small parcel each that wait.
func crowdedRouter(tb testing.TB, hubs, lanes int, change func(*queueSettings)) (*router, []*outbox) {
	tb.Helper()
	set := queueSettings{
		maxBytes: 1 << 30, batchBytes: 1 << 20, batchWait: 200 * time.Millisecond, tellEnds: true, endsDelay: time.Minute,
		minBackoff: 250 * time.Millisecond, maxBackoff: 5 * time.Second, catchUp: 1.6, random: rand.Int64N,
	}
	if change != nil {
		change(&set)
	}
	r := newRouter(set)
	r.setHubs(hubsNamed(tb, hubs))
	for i := range lanes {
		require.NoError(tb, submitted(r, 1, fmt.Sprintf("gateway-%07d", i)))
	}
	return r, r.current()
}

// submitted submits so many samples of each gateway.
func submitted(r *router, samples int, gateways ...string) error {
	return r.submit(parcelsWith(samples, gateways...), &[reason.NumEncoding]int{}, nil, time.Now())
}

// parcelsWith returns parcels of so many samples, one of each gateway.
func parcelsWith(samples int, gateways ...string) (parcels []*parcel) {
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
func parcelFrom(gateway string, oldest int64) *parcel {
	return &parcel{content: content{key: gateway, oldest: oldest}}
}

// numbered returns so many gateways.
func numbered(n int) (gateways []string) {
	for i := range n {
		gateways = append(gateways, fmt.Sprintf("gw-%03d", i))
	}
	return gateways
}

// onDisk says of parcels that they were written, each alone.
func onDisk(parcels []*parcel) (all []stored) {
	for _, p := range parcels {
		all = append(all, stored{p, new(int)})
	}
	return all
}
