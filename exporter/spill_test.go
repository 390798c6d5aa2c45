package exporter

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/bubble"
)

// A Submit that finds no room asks for some: the next one may find it.
func TestRefusalAsksTheDiskForRoom(t *testing.T) {
	dir := t.TempDir()
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		f["hub-0"].kill()
		h := start(t, f, func(c *Config) { c.SpoolDir, c.MaxQueueBytes = dir, 1_000_000 })
		for h.count("queue_bytes") < 600_000 {
			require.NoError(t, h.e.Submit(context.Background(), bulk(1, 50, gateways(5)...)))
		}
		bubble.Pass(time.Second)
		large := bulk(2, 50, gateways(100)...) // some 500,000 bytes
		require.ErrorIs(t, h.e.Submit(context.Background(), large), ErrQueueFull)
		bubble.Pass(time.Second)
		assert.NoError(t, h.e.Submit(context.Background(), large))
		require.NoError(t, h.stop())
	})
}

// A disk that failed is tried again when it may be well, also if memory has been
// full since and no Submit succeeds.
func TestDiskThatFailedIsTriedAgain(t *testing.T) {
	dir := t.TempDir() + "/spool"
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		f["hub-0"].kill()
		h := start(t, f, func(c *Config) { c.SpoolDir, c.MaxQueueBytes = dir, 1_000_000 })
		bubble.Pass(time.Second)
		require.NoError(t, os.Rename(dir, dir+"-away"))
		var err error
		for value := 1; err == nil; value++ {
			err = h.e.Submit(context.Background(), bulk(value, 50, gateways(5)...))
		}
		require.ErrorIs(t, err, ErrQueueFull)
		bubble.Pass(time.Minute)
		require.Positive(t, h.count("spool_failures_total"))
		require.NoError(t, os.Rename(dir+"-away", dir))
		bubble.Pass(time.Minute)
		h.e.Submit(context.Background(), bulk(0, 50, gateways(5)...)) // may be refused still
		bubble.Pass(time.Minute)
		assert.NoError(t, h.e.Submit(context.Background(), bulk(0, 50, gateways(5)...)))
		require.NoError(t, h.stop())
	})
}

// With DropOldest a full disk drops its oldest also if the few gateways there are
// have something in memory that waits for the room.
func TestFullDiskOfFewGatewaysDropsItsOldest(t *testing.T) {
	dir := t.TempDir()
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		f["hub-0"].kill()
		h := start(t, f, func(c *Config) {
			c.SpoolDir, c.SpoolBytes, c.MaxQueueBytes, c.Overflow = dir, 1_000_000, 1_000_000, DropOldest
			c.CatchUp = 1e6
		})
		const last = 2000
		for value := 1; value <= last; value++ {
			require.NoError(t, h.e.Submit(context.Background(), bulk(value, 50, "a")))
			bubble.Pass(100 * time.Millisecond)
		}
		f["hub-0"].revive()
		bubble.Pass(time.Hour)
		h.balanced()
		require.NoError(t, h.stop())
		assert.Positive(t, h.count("samples_dropped_total", "queue_overflow"))
		oldest, values := last, map[int]bool{}
		for _, line := range f["hub-0"].lines() {
			oldest = min(oldest, valueOf(line))
			values[valueOf(line)] = true
		}
		assert.Len(t, values, last-oldest+1, "nothing is missing between the oldest that is left, %d, and the newest", oldest)
	})
}

// What an earlier Run left comes at a pace, too, if the hubs are not known when
// it is found.
func TestRestoredSamplesArePacedWhenHubsAreAskedFor(t *testing.T) {
	for _, ask := range []bool{false, true} {
		dir := t.TempDir()
		f := newFleet(1)
		hubs := f.hubs()
		config := func(c *Config) {
			c.SpoolDir = dir
			if ask {
				c.Members, c.Hubs = &scriptedMembers{hubs: hubs}, nil
			}
		}
		virtual(t, func(t *testing.T) {
			f["hub-0"].kill()
			h := start(t, f, config)
			for value := range 200 {
				require.NoError(t, h.e.Submit(context.Background(), bulk(value, 50, gateways(20)...)))
			}
			require.NoError(t, h.stop())
		})
		virtual(t, func(t *testing.T) {
			f["hub-0"].revive()
			h := start(t, f, config)
			bubble.Pass(2 * time.Second)
			assert.Less(t, h.count("samples_delivered_total"), 100_000, "asked for: %t", ask)
			h.cancel()
			<-h.ended
		})
	}
}

// A Push whose samples stay on disk when Run ends is told so.
func TestPushOfWhatIsKeptEnds(t *testing.T) {
	dir := t.TempDir()
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		f["hub-0"].kill()
		h := start(t, f, func(c *Config) { c.SpoolDir = dir })
		pushed := make(chan error, 1)
		go func() { pushed <- h.e.Push(context.Background(), reports(1, "a")) }()
		bubble.Pass(time.Second)
		require.NoError(t, h.stop(), "nothing is lost")
		assert.ErrorIs(t, <-pushed, ErrDropped)
	})
}
