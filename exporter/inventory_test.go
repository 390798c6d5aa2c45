package exporter_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/exportertest"
	"github.com/hubring/hubring/exporter/status"
	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/placement"
	"github.com/hubring/hubring/internal/bubble"
	"github.com/hubring/hubring/internal/logtest"
)

// placements is a Config.Inventory that can be changed.
type placements struct {
	mu    sync.Mutex
	p     *placement.Placement
	err   error
	asked int
}

func (v *placements) set(p *placement.Placement, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.p, v.err = p, err
}

func (v *placements) ask(context.Context) (*placement.Placement, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked++
	return v.p, v.err
}

// ringOfHubs is the ring of so many hubs, by name.
func ringOfHubs(t *testing.T, n int) *hashring.Ring {
	t.Helper()
	var nodes []hashring.Node
	for i := range n {
		nodes = append(nodes, hashring.Node{Name: fmt.Sprintf("edgehub-%d", i)})
	}
	ring, err := hashring.New(nodes)
	require.NoError(t, err)
	return ring
}

// placed is a placement of gateways that weigh the same, on so many hubs.
func placed(t *testing.T, hubs, gateways int, serial uint64) (*placement.Placement, *hashring.Ring) {
	t.Helper()
	loads := []hashring.Load{{Series: 1}}
	for i := range gateways {
		loads = append(loads, hashring.Load{Key: fmt.Sprintf("gw-%04d", i), Series: 1})
	}
	ring, err := ringOfHubs(t, hubs).Assign(loads, 1)
	require.NoError(t, err)
	p := placement.Of(ring, loads)
	p.Serial, p.Base = serial, "rendezvous"
	require.NotEmpty(t, p.Homes)
	return p, ring
}

// Exporters that are given a placement send each gateway where it says, from the first sample on, and follow the
// next one; what is no placement, or none of their ring, changes nothing.
func TestInventory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const gateways = 300
		n := exportertest.NewNetwork()
		defer n.Close()
		members := &hubList{}
		var listed []exporter.Hub
		hubs := map[string]*exportertest.Hub{}
		for i := range 4 {
			name := fmt.Sprintf("edgehub-%d", i)
			hubs[name] = n.Add(name)
			listed = append(listed, exporter.Hub{URL: "http://" + name})
		}
		members.set(listed[:3]...)
		v := &placements{}
		first, ring := placed(t, 3, gateways, 1)
		v.set(first, nil)
		var log logtest.Buffer
		registry := prometheus.NewRegistry()
		e, stop := running(t, exporter.Config{
			Members: members, Inventory: v.ask, NoEnds: true, Transport: n.Transport(), Registerer: registry,
			Logger: log.Logger(),
		})
		defer stop()
		arriveBy := func(ring *hashring.Ring) {
			t.Helper()
			require.NoError(t, e.Push(t.Context(), loads(gateways)))
			samples := 0
			for name, hub := range hubs {
				for _, s := range hub.Samples() {
					samples++
					assert.Equal(t, ring.Owner(s.Gateway).Name, name, "gateway %q", s.Gateway)
				}
				hub.Reset()
			}
			assert.Equal(t, gateways+1, samples)
		}
		reads := func(serial, failures int) {
			t.Helper()
			assert.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(fmt.Sprintf(`
# HELP hubring_exporter_placement_failures_total Times that Config.Inventory gave no placement, or one that does not fit the ring.
# TYPE hubring_exporter_placement_failures_total counter
hubring_exporter_placement_failures_total %d
# HELP hubring_exporter_placement_serial The serial number of the placement that the ring follows; 0 before there is one. Only with Config.Inventory.
# TYPE hubring_exporter_placement_serial gauge
hubring_exporter_placement_serial %d
`, failures, serial)), "hubring_exporter_placement_serial", "hubring_exporter_placement_failures_total"))
		}
		arriveBy(ring)
		reads(1, 0)

		// Another hub: what the placement says of the others counts.
		members.set(listed...)
		bubble.Pass(time.Minute)
		four, err := first.Ring(ringOfHubs(t, 4))
		require.NoError(t, err)
		arriveBy(four)
		second, ring := placed(t, 4, gateways, 2)
		v.set(second, nil)
		bubble.Pass(time.Minute)
		arriveBy(ring)
		reads(2, 0)
		assert.Equal(t, 1, log.Count("Another placement"), log.String())

		v.set(nil, errors.New("the disk is on fire"))
		bubble.Pass(25 * time.Second)
		arriveBy(ring)
		v.set(nil, nil)
		bubble.Pass(10 * time.Second)
		wrong := *second
		wrong.Serial, wrong.Fingerprint = 3, 7
		v.set(&wrong, nil)
		bubble.Pass(10 * time.Second)
		arriveBy(ring)
		reads(2, 4)
		assert.Equal(t, 1, log.Count("the disk is on fire"), "once, as long as it is the same")
		assert.Contains(t, e.Status().Ring.Placement.LastError, "or changed by hand")
		v.set(second, nil)
		bubble.Pass(10 * time.Second)
		got := e.Status().Ring.Placement
		assert.Equal(t, status.Placement{Serial: 2, Made: second.Made.UTC(), Moved: len(second.Homes)}, *got)

		// Another content under the same number is noticed.
		edited := *second
		edited.Homes = maps.Clone(second.Homes)
		for key := range edited.Homes {
			delete(edited.Homes, key)
			break
		}
		v.set(&edited, nil)
		bubble.Pass(10 * time.Second)
		reads(2, 5)
		arriveBy(ring)
		v.set(second, nil)

		// The hubs change, whatever the placement says.
		members.set(listed[:2]...)
		bubble.Pass(5 * time.Minute)
		two, err := second.Ring(ringOfHubs(t, 2))
		require.NoError(t, err)
		arriveBy(two)
		reads(2, 5)
	})
}

// A placement that does not fit hubs which come later is not followed, and does not keep them out.
func TestAPlacementKeepsNoHubOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := exportertest.NewNetwork()
		defer n.Close()
		hubs := []*exportertest.Hub{n.Add("edgehub-0"), n.Add("edgehub-1")}
		members := &hubList{}
		p, _ := placed(t, 2, 300, 1)
		wrong := *p
		wrong.Fingerprint++
		v := &placements{}
		v.set(&wrong, nil)
		e, stop := running(t, exporter.Config{
			Members: members, Inventory: v.ask, NoEnds: true, Transport: n.Transport(), Logger: slog.New(slog.DiscardHandler),
		})
		defer stop()
		bubble.Pass(time.Second) // no hub is known when it comes
		members.set(exporter.Hub{URL: "http://edgehub-0"}, exporter.Hub{URL: "http://edgehub-1"})
		bubble.Pass(time.Minute)
		require.NoError(t, e.Push(t.Context(), loads(300)))
		got := e.Status().Ring.Placement
		assert.Zero(t, got.Serial, "the ring does not follow it")
		assert.Contains(t, got.LastError, "or changed by hand", "as long as it is so")
		ring := ringOfHubs(t, 2)
		for i, hub := range hubs {
			assert.NotEmpty(t, hub.Samples())
			for _, s := range hub.Samples() {
				assert.Equal(t, ring.Owner(s.Gateway).Name, fmt.Sprintf("edgehub-%d", i))
			}
		}
	})
}
