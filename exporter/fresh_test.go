package exporter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/bubble"
)

// After an hour without hubs some gateways are up to date at once, and then more and more:
// one after the other catches up, and stays so. Each one's samples arrive in order.
func TestFreshSamplesArriveBesideOldOnes(t *testing.T) {
	if testing.Short() {
		t.Skip("hours of a fleet take seconds")
	}
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		hub := f["hub-0"]
		const interval, fleet, lookback = 30 * time.Second, 60, 10 // reports in five minutes
		value := 0
		latest := map[string]int{}
		hub.onPush = func(body string) {
			for _, line := range sampleLines(body) {
				assert.LessOrEqual(t, latest[gatewayOf(line)], valueOf(line), "in order")
				latest[gatewayOf(line)] = valueOf(line)
			}
		}
		h := start(t, f, func(c *Config) { c.MaxQueueBytes = 256 << 20 })
		load := func(d time.Duration) {
			for range int(d / interval) {
				value++
				for _, g := range gateways(fleet) {
					require.NoError(t, h.e.Submit(t.Context(), bulk(value, 100, g)))
					bubble.Pass(interval / fleet)
				}
			}
		}
		fresh := func() int {
			n := 0
			for _, v := range latest {
				if v > value-lookback {
					n++
				}
			}
			return n
		}
		load(10 * time.Minute)
		hub.kill()
		load(time.Hour)
		hub.revive()
		fraction := func(after time.Duration) { t.Logf("%s after the return %d of %d are fresh", after, fresh(), fleet) }
		load(2 * time.Minute)
		fraction(2 * time.Minute)
		assert.GreaterOrEqual(t, fresh(), 1, "after two minutes")
		load(8 * time.Minute)
		fraction(10 * time.Minute)
		assert.GreaterOrEqual(t, fresh(), fleet/6, "after ten minutes")
		load(20 * time.Minute)
		fraction(30 * time.Minute)
		assert.GreaterOrEqual(t, fresh(), fleet/2, "after half an hour")
		load(30 * time.Minute)
		fraction(time.Hour)
		load(30 * time.Minute)
		fraction(90 * time.Minute)
		load(15 * time.Minute)
		assert.Equal(t, fleet, fresh(), "after an hour and three quarters")
		assert.Zero(t, h.count("hub_catching_up"))
		require.NoError(t, h.stop())
	})
}

// A controller that submits nothing empties its disk in minutes.
func TestIdleControllerEmptiesItsDisk(t *testing.T) {
	dir := t.TempDir()
	config := func(c *Config) { c.SpoolDir = dir }
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		f["hub-0"].kill()
		h := start(t, f, config)
		for value := range 200 {
			require.NoError(t, h.e.Submit(t.Context(), bulk(value, 500, gateways(5)...)))
		}
		require.NoError(t, h.stop())
	})
	virtual(t, func(t *testing.T) {
		h := start(t, newFleet(1), config)
		bubble.Pass(time.Second)
		require.Greater(t, h.count("spool_samples"), 400_000) // some 50 MB, an hour at 16 KiB/s
		bubble.Pass(3 * time.Minute)
		assert.Zero(t, h.count("spool_samples"))
		require.NoError(t, h.stop())
	})
}
