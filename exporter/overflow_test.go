package exporter

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/bubble"
)

// A hub that hangs has parcels of every gateway in a request. DropOldest finds
// room all the same: in what waits behind them.
func TestDropOldestWhileAHubHangs(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		hub := f["hub-0"]
		hub.answer(reply{after: time.Hour}, reply{})
		const limit = 20_000
		h := start(t, f, func(c *Config) {
			c.MaxQueueBytes, c.Overflow, c.PushTimeout, c.Failover = limit, DropOldest, 10*time.Minute, WaitForOwner
		})
		h.submit(1, gateways(10)...)
		bubble.Pass(time.Second)
		require.Equal(t, 1, hub.pushed(), "the request that hangs")
		for value := 2; value <= 100; value++ {
			require.NoError(t, h.e.Submit(context.Background(), reports(value, gateways(10)...)))
			assert.LessOrEqual(t, h.count("queue_bytes"), limit)
			bubble.Pass(time.Second)
		}
		kept := h.count("queue_samples")
		assert.Equal(t, 1000-kept, h.count("samples_dropped_total", "queue_overflow"))
		hub.revive()
		bubble.Pass(20 * time.Minute)
		require.NoError(t, h.stop())
		lines := hub.lines()
		assert.Len(t, lines, kept)
		inOrder(t, "hub-0", lines)
		for _, line := range lines {
			assert.True(t, valueOf(line) == 1 || valueOf(line) > 100-kept/10-2, "the newest, and what was on its way: %s", line)
		}
	})
}
