package exporter

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/bubble"
	"github.com/hubring/hubring/internal/spool"
)

// keepAll makes an exporter keep all samples on a disk.
func keepAll(dir string, disk *faultyDisk) func(*Config) {
	return func(c *Config) { c.SpoolDir, c.SpoolPolicy, c.openDisk, c.CatchUp = dir, SpoolAll, disk.open, 1e6 }
}

// A controller is killed, and maybe its machine loses its power. What Submit had returned nil for arrives
// from the next one, in order, and what had been delivered does not come again.
func TestKeptSamplesSurviveAKill(t *testing.T) {
	for _, power := range []bool{false, true} {
		dir := t.TempDir()
		virtual(t, func(t *testing.T) {
			f, disk := newFleet(1), &faultyDisk{}
			first := start(t, f, keepAll(dir, disk))
			first.submit(1, gateways(5)...)
			bubble.Pass(time.Second)
			assert.Equal(t, 5, first.count("samples_delivered_total"))
			f["hub-0"].kill()
			for value := 2; value <= 9; value++ {
				first.submit(value, gateways(5)...)
			}
			bubble.Pass(time.Second)
			left := disk.kill(t, dir, power)

			later := newFleet(1) // which the first one does not reach
			second := start(t, later, keepAll(left, disk))
			bubble.Pass(time.Minute)
			assert.Equal(t, 40, second.count("samples_restored_total"))
			require.NoError(t, second.stop())
			next := map[string]int{}
			for _, line := range append(f["hub-0"].lines(), later["hub-0"].lines()...) {
				next[gatewayOf(line)]++
				assert.Equal(t, next[gatewayOf(line)], valueOf(line), line)
			}
			for _, gateway := range gateways(5) {
				assert.Equal(t, 9, next[gateway], gateway)
			}
			first.cancel()
			<-first.ended
		})
	}
}

// Submits that wait at the same time share a Sync, and none returns before it.
func TestKeepingIsShared(t *testing.T) {
	const submits = 50
	dir := t.TempDir()
	virtual(t, func(t *testing.T) {
		f, disk := newFleet(1), &faultyDisk{}
		h := start(t, f, keepAll(dir, disk))
		bubble.Pass(time.Second)
		disk.slow(10 * time.Millisecond)
		began := time.Now()
		var running sync.WaitGroup
		for i := range submits {
			running.Go(func() {
				h.submit(1, strconv.Itoa(i))
				assert.GreaterOrEqual(t, time.Since(began), 10*time.Millisecond)
			})
		}
		running.Wait()
		appends, syncs := disk.used()
		assert.Equal(t, submits, appends)
		assert.LessOrEqual(t, syncs, 2, "the first one, and all others")
		require.NoError(t, h.stop())
	})
}

// With a disk that fails nothing is taken in that is not there, and nothing of it arrives ever.
func TestNothingIsTakenInThatIsNotKept(t *testing.T) {
	for _, c := range []struct {
		name                 string
		locked, full, noSync bool
	}{
		{"locked", true, false, false},
		{"full", false, true, false},
		{"fsync fails", false, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			virtual(t, func(t *testing.T) {
				f, disk := newFleet(1), &faultyDisk{}
				disk.set(c.locked, c.full, c.noSync)
				h := start(t, f, keepAll(dir, disk))
				for range 3 {
					err := h.e.Submit(t.Context(), reports(1, gateways(5)...))
					require.ErrorIs(t, err, ErrNotKept)
					require.ErrorIs(t, err, errDisk, "it says why")
				}
				bubble.Pass(time.Second)
				assert.Equal(t, 15, h.count("samples_dropped_total", "not_kept"))
				assert.Zero(t, h.count("samples_submitted_total"))
				assert.Zero(t, h.count("spool_up"))
				disk.set(false, false, false)
				bubble.Pass(time.Minute)
				h.submit(2, gateways(5)...)
				bubble.Pass(time.Second)
				assert.Equal(t, 1, h.count("spool_up"))
				h.balanced()
				require.NoError(t, h.stop())
				for _, line := range f["hub-0"].lines() {
					assert.Equal(t, 2, valueOf(line), line)
				}
				next := start(t, f, keepAll(dir, disk))
				bubble.Pass(time.Second)
				assert.Zero(t, next.count("samples_restored_total"))
				require.NoError(t, next.stop())
			})
		})
	}
}

// A Submit whose context ends while it waits for the disk, or for Run, has taken nothing in.
func TestSubmitDoesNotWaitForADiskLongerThanItMay(t *testing.T) {
	dir := t.TempDir()
	virtual(t, func(t *testing.T) {
		f, disk := newFleet(1), &faultyDisk{}
		brief := func() context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			t.Cleanup(cancel)
			return ctx
		}
		idle := Config{Hubs: f.hubs(), Transport: f}
		keepAll(dir, disk)(&idle)
		e, err := New(idle)
		require.NoError(t, err)
		require.ErrorIs(t, e.Submit(brief(), reports(1, "a")), context.DeadlineExceeded, "it is not running")

		h := start(t, f, keepAll(dir, disk))
		bubble.Pass(time.Second)
		disk.slow(time.Minute)
		began := time.Now()
		var running sync.WaitGroup
		for range 2 { // the first is being written, the second waits for that
			running.Go(func() {
				assert.ErrorIs(t, h.e.Submit(brief(), reports(1, "a")), context.DeadlineExceeded)
				assert.Equal(t, time.Second, time.Since(began))
			})
		}
		running.Wait()
		assert.Equal(t, 2, h.count("samples_dropped_total", "cancelled"))
		bubble.Pass(2 * time.Minute)
		disk.slow(0)
		h.submit(2, "a")
		bubble.Pass(time.Second)
		require.NoError(t, h.stop())
		require.ErrorIs(t, h.e.Submit(t.Context(), reports(3, "a")), ErrClosed)
		assert.Len(t, f["hub-0"].lines(), 1)
		assert.Equal(t, 1, h.count("samples_submitted_total"))
	})
}

// A disk that is full refuses, or lets its oldest go, also what is in memory as well.
func TestFullDiskOfWhatIsKept(t *testing.T) {
	for _, policy := range []OverflowPolicy{RefuseNew, DropOldest} {
		dir := t.TempDir()
		virtual(t, func(t *testing.T) {
			f, disk := newFleet(1), &faultyDisk{}
			f["hub-0"].kill()
			h := start(t, f, keepAll(dir, disk), func(c *Config) { c.SpoolBytes, c.Overflow = 200_000, policy })
			const last = 100 // of which some 40 have room
			var err error
			taken := 0
			for value := 1; value <= last && err == nil; value++ {
				if err = h.e.Submit(t.Context(), bulk(value, 50, "a")); err == nil {
					taken = value
				}
			}
			f["hub-0"].revive()
			bubble.Pass(time.Minute)
			h.balanced()
			assert.Equal(t, taken*50, h.count("samples_submitted_total"))
			if policy == RefuseNew {
				require.ErrorIs(t, err, ErrQueueFull)
				require.ErrorIs(t, err, spool.ErrFull)
				assert.Equal(t, 50, h.count("samples_dropped_total", "queue_full"))
				assert.Equal(t, taken*50, h.count("samples_delivered_total"))
				assert.NoError(t, h.e.Submit(t.Context(), bulk(0, 50, "a")), "there is room again")
			} else {
				require.NoError(t, err)
				assert.Equal(t, last, taken)
				dropped := h.count("samples_dropped_total", "queue_overflow")
				assert.Positive(t, dropped)
				oldest := last
				for _, line := range f["hub-0"].lines() {
					oldest = min(oldest, valueOf(line))
				}
				assert.Equal(t, dropped/50+1, oldest, "the oldest were dropped, and no others")
			}
			require.NoError(t, h.stop())
		})
	}
}

// What is kept leaves memory when that runs short, and is not written again for that.
func TestKeptSamplesAreWrittenOnce(t *testing.T) {
	dir := t.TempDir()
	virtual(t, func(t *testing.T) {
		f, disk := newFleet(1), &faultyDisk{}
		f["hub-0"].kill()
		h := start(t, f, keepAll(dir, disk), func(c *Config) { c.MaxQueueBytes = 1_000_000 })
		for value := range 400 { // some 5 MB
			require.NoError(t, h.e.Submit(t.Context(), bulk(value, 50, "a", "b")))
		}
		synctest.Wait()
		assert.Greater(t, h.count("spool_samples"), 30_000)
		appends, _ := disk.used()
		assert.Equal(t, 800, appends)
		f["hub-0"].revive()
		bubble.Pass(time.Minute)
		require.NoError(t, h.stop())
		assert.Equal(t, 40_000, h.count("samples_delivered_total"))
		appends, _ = disk.used()
		assert.Equal(t, 800, appends)
	})
}

func TestSpoolAllNeedsADirectory(t *testing.T) {
	err := Config{Hubs: []Hub{{URL: "http://a"}}, SpoolPolicy: SpoolAll}.Validate()
	require.ErrorContains(t, err, "SpoolPolicy is SpoolAll and there is no SpoolDir")
	require.ErrorContains(t, Config{Hubs: []Hub{{URL: "http://a"}}, SpoolPolicy: 2}.Validate(), "SpoolPolicy is 2")
}

// A disk that could not be used is tried again although Submits come all the time.
func TestDiskThatIsLockedIsTriedAgainWhileSubmitsCome(t *testing.T) {
	dir := t.TempDir()
	virtual(t, func(t *testing.T) {
		f, disk := newFleet(1), &faultyDisk{}
		disk.set(true, false, false)
		h := start(t, f, keepAll(dir, disk))
		for began := time.Now(); time.Since(began) < 2*longestPause; bubble.Pass(100 * time.Millisecond) {
			err := h.e.Submit(t.Context(), reports(1, "a"))
			if time.Since(began) < 10*time.Second {
				require.ErrorIs(t, err, ErrNotKept)
				continue
			}
			disk.set(false, false, false)
		}
		require.NoError(t, h.e.Submit(t.Context(), reports(2, "a")))
		require.NoError(t, h.stop())
	})
}

// longestPause is how long a disk that failed is left alone at most.
const longestPause = 30 * time.Second
