package exporter

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/bubble"
)

// gatewaysOn returns some gateways whose home is the hub.
func (h *harness) gatewaysOn(hub string, n int) []string {
	var on []string
	for i := 0; len(on) < n; i++ {
		if id := fmt.Sprintf("gw-%05d", i); h.e.queue.Snapshot(time.Now()).Ring.Owner(id).Name == hub {
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
