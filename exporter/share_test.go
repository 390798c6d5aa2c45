package exporter

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/internal/encode"
	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/internal/bubble"
)

// gatewaysOn returns some gateways whose home is the hub.
func (h *harness) gatewaysOn(hub string, n int) []string {
	var on []string
	for i := 0; len(on) < n; i++ {
		if id := fmt.Sprintf("gw-%05d", i); h.e.router.ring.Owner(id).Name == hub {
			on = append(on, id)
		}
	}
	return on
}

// A hub that answers late fills three quarters of the queue, and the others' gateways
// do not notice.
func TestSlowHubRefusesNoNeighbours(t *testing.T) {
	for _, hubs := range []int{2, 3, 5} {
		virtual(t, func(t *testing.T) {
			f := newFleet(hubs)
			f["hub-0"].answer(reply{after: 9 * time.Second}, reply{})
			h := start(t, f, func(c *Config) { c.MaxQueueBytes, c.BatchBytes = 200_000, 5_000 })
			defer h.stop() // with what the hub takes no more of
			slow := h.gatewaysOn("hub-0", 40)
			var healthy []string
			for i := 1; i < hubs; i++ {
				healthy = append(healthy, h.gatewaysOn(fmt.Sprint("hub-", i), 8)...)
			}
			refused := 0
			for value := range 100 {
				for _, g := range slow {
					err := h.e.Submit(t.Context(), bulk(value, 5, g))
					if err != nil {
						require.ErrorIs(t, err, ErrQueueFull)
						refused++
					}
				}
				for _, g := range healthy {
					require.NoError(t, h.e.Submit(t.Context(), bulk(value, 5, g)), "round %d", value)
				}
				bubble.Pass(time.Second)
			}
			assert.Greater(t, refused, 1000)
			assert.Greater(t, h.count("samples_dropped_total", "hub_share"), 4*refused, "nearly all for the hub's sake")
			assert.Equal(t, 5*refused, h.count("samples_dropped_total", "hub_share", "gateway_share"))
			assert.ErrorContains(t, h.e.Submit(t.Context(), bulk(100, 400, slow...)), `hub "hub-0"`)
			assert.Zero(t, h.count("samples_dropped_total", "queue_full"))
			h.balanced()
		})
	}
}

// Gateways of which their hub takes no more fill what they may, and the hub's other ones do
// not notice, whether it is the only hub or not.
func TestCrowdedGatewaysRefuseNoNeighbours(t *testing.T) {
	for _, hubs := range []int{1, 3} {
		virtual(t, func(t *testing.T) {
			f := newFleet(hubs)
			f["hub-0"].crowd = "a_rather"
			h := start(t, f, func(c *Config) { c.MaxQueueBytes, c.BatchBytes = 400_000, 20_000 })
			defer h.stop() // with what the hub takes no more of
			crowded := h.gatewaysOn("hub-0", 40)
			crowded, others := crowded[:20], crowded[20:]
			refused := 0
			for value := range 400 {
				for _, g := range crowded {
					err := h.e.Submit(t.Context(), bulk(value, 20, g))
					if err != nil {
						require.ErrorIs(t, err, ErrQueueFull)
						assert.ErrorContains(t, err, "gateway")
						refused++
					}
				}
				for _, g := range others {
					require.NoError(t, h.e.Submit(t.Context(), reports(value, g)), "round %d", value)
				}
				bubble.Pass(time.Second)
			}
			assert.Positive(t, refused)
			assert.Equal(t, 20*refused, h.count("samples_dropped_total", "gateway_share"))
			assert.Zero(t, h.count("samples_dropped_total", "queue_full", "hub_share"))
			h.balanced()
		})
	}
}

// One gateway that floods stops short of shutting the others of its hub out, and a Submit
// with samples of it and of others is refused as a whole.
func TestFloodRefusesNoNeighbours(t *testing.T) {
	r, _ := crowdedRouter(t, 1, 0, func(c *Config) { c.MaxQueueBytes, c.BatchBytes = 100_000, 10_000 })
	submit := func(gateways ...string) error {
		return r.submit(parcelsOf(nil, bodiesOf(bulk(1, 5, gateways...)...)), &[reason.NumEncoding]encode.Dropped{}, nil, time.Now())
	}
	require.NoError(t, submit(gateways(10)...))
	var err error
	for err == nil {
		err = submit("flood")
	}
	require.ErrorIs(t, err, ErrQueueFull)
	assert.ErrorContains(t, err, `gateway "flood"`)
	assert.Greater(t, r.memoryLocked(), 70_000)
	assert.NoError(t, submit(gateways(10)...))
	before := r.memoryLocked()
	err = submit("gw-000", "flood", "gw-001")
	assert.ErrorContains(t, err, `gateway "flood"`)
	assert.Equal(t, before, r.memoryLocked(), "all or nothing")
	assert.Equal(t, uint64(5+15), r.account.dropped[reason.GatewayShare])
}

// All hubs down at once use the queue nearly to its end.
func TestOutageOfAllUsesTheQueue(t *testing.T) {
	for hubs, most := range map[int]int{1: 190_000, 2: 160_000, 5: 180_000} {
		virtual(t, func(t *testing.T) {
			f := newFleet(hubs)
			for _, hub := range f {
				hub.kill()
			}
			h := start(t, f, func(c *Config) { c.MaxQueueBytes, c.BatchBytes = 200_000, 5_000 })
			defer h.stop() // with what the hub takes no more of
			for value := range 20 {
				for _, g := range gateways(50) {
					_ = h.e.Submit(t.Context(), bulk(value, 5, g))
				}
			}
			assert.Greater(t, h.count("queue_bytes"), most, "%d hubs", hubs)
			assert.LessOrEqual(t, h.count("queue_bytes"), 200_000)
		})
	}
}

// DropOldest drops from the hub that has most, and of its gateways from that which has
// most.
func TestDropOldestDropsFromWhoHasMost(t *testing.T) {
	r, all := crowdedRouter(t, 2, 0, func(c *Config) {
		c.MaxQueueBytes, c.BatchBytes, c.Overflow = 100_000, 10_000, DropOldest
	})
	on := map[string][]string{}
	for _, g := range gateways(60) {
		name := r.ring.Owner(g).Name
		on[name] = append(on[name], g)
	}
	few, many := on[all[0].hub.Name], on[all[1].hub.Name]
	submit := func(gateways ...string) {
		require.NoError(t, r.submit(parcelsOf(nil, bodiesOf(reports(1, gateways...)...)), &[reason.NumEncoding]encode.Dropped{}, nil, time.Now()))
	}
	submit(few[0], few[1]) // the oldest of all
	submit(many[0], many[1], many[2])
	for range 500 {
		submit(many[3])
	}
	assert.Positive(t, r.account.dropped[reason.Overflow])
	for _, g := range []string{few[0], few[1], many[0], many[1], many[2]} {
		assert.Contains(t, r.lanes, g)
	}
	for p := r.lanes[many[3]].first; p.next != nil; p = p.next {
		assert.Equal(t, p.seq+1, p.next.seq, "its oldest are gone")
	}
	assert.Empty(t, checkRouter(r))
}

// When dropping all that may be dropped makes no room, nothing is dropped.
func TestDropOldestDropsNothingInVain(t *testing.T) {
	r, all := crowdedRouter(t, 1, 20, func(c *Config) {
		c.MaxQueueBytes, c.BatchBytes, c.Overflow = 20_000, 5_000, DropOldest
	})
	before := r.inMemory.samples
	_, f, _ := r.next(all[0], later()) // these cannot be dropped
	require.NotEmpty(t, f.batch)
	large := parcelsOf(nil, bodiesOf(bulk(1, 100, "large")...))
	require.Less(t, large[0].size(), r.cfg.MaxQueueBytes)
	free := r.cfg.MaxQueueBytes - r.memoryLocked()
	require.Greater(t, large[0].size(), free+r.memoryLocked()-r.busyBytes)
	err := r.submit(large, &[reason.NumEncoding]encode.Dropped{}, nil, time.Now())
	require.ErrorIs(t, err, ErrQueueFull)
	assert.Equal(t, before, r.inMemory.samples)
	assert.Zero(t, r.account.dropped[reason.Overflow])
}

// A gateway that has nothing queued floods nothing: it is taken in beside however many others with
// little each, of which an even share is less than a report.
func TestNewcomerIsNoFlood(t *testing.T) {
	r, _ := crowdedRouter(t, 1, 130, func(c *Config) { c.MaxQueueBytes, c.BatchBytes = 100_000, 10_000 })
	require.Greater(t, r.memoryLocked(), 76_000)
	one := parcelsOf(nil, bodiesOf(bulk(1, 80, "newcomer")...))
	require.Greater(t, one[0].size(), 2*100_000/130)
	submit := func(parcels []*parcel) error {
		return r.submit(parcels, &[reason.NumEncoding]encode.Dropped{}, nil, time.Now())
	}
	require.NoError(t, submit(one))
	assert.ErrorContains(t, submit(parcelsOf(nil, bodiesOf(bulk(2, 80, "newcomer")...))), `gateway "newcomer" has `, "now it has something")
	assert.Empty(t, checkRouter(r))
}

// When more than half of the memory is in use nothing waits for a fuller request: what waits would keep others out.
func TestNobodyWaitsForFullerRequestsWhenMemoryIsScarce(t *testing.T) {
	r, all := crowdedRouter(t, 2, 100, func(c *Config) { c.BatchWait = time.Hour })
	next, _, _ := r.next(all[0], time.Now())
	require.Equal(t, sleep, next)
	used := r.memoryLocked()
	for share, want := range map[float64]task{0.45: sleep, 0.55: transmit} {
		r, all := crowdedRouter(t, 2, 100, func(c *Config) {
			c.BatchWait, c.MaxQueueBytes, c.BatchBytes = time.Hour, int(float64(used)/share), used
		})
		next, _, _ := r.next(all[0], time.Now())
		assert.Equal(t, want, next, "%g of the memory", share)
	}
}
