package journal

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/internal/framing/faulty"
)

// flushing is a journal with three samples that were flushed, and three whose flush has failed.
func flushing(t *testing.T) (Config, *faulty.Disk, *Journal) {
	disk := &faulty.Disk{Room: -1}
	cfg := Config{Dir: t.TempDir(), Disk: disk, Sync: Sync{Every: time.Second}}
	j := mustOpen(t, cfg)
	group(t, j, 0)
	require.NoError(t, j.Sync())
	group(t, j, 10)
	disk.NoSync = true
	require.ErrorIs(t, j.Sync(), faulty.Err)
	disk.NoSync = false
	return cfg, disk, j
}

// What could not be flushed is there after a loss of power, once the disk is well again; a second flush alone would not do.
func TestFlushThatFailsIsRepeated(t *testing.T) {
	for _, probed := range []bool{false, true} {
		cfg, disk, j := flushing(t)
		if require.NoError(t, j.Sync()); probed {
			require.NoError(t, j.Probe())
			group(t, j, 20)
			require.NoError(t, j.Sync())
		}
		crash(j)
		require.NoError(t, disk.LosePower())
		all, _, report := replayed(t, mustOpen(t, cfg))
		assert.Len(t, all, map[bool]int{false: 3, true: 9}[probed])
		assert.Empty(t, report.Damage)
	}
}

// Where the system has not kept what it could not write, the journal stays broken until all of it was scraped.
func TestFlushThatCannotBeRepeated(t *testing.T) {
	cfg, disk, j := flushing(t)
	path := segmentFiles(t, cfg.Dir)[0]
	edit(t, path, func(b []byte) []byte {
		clear(b[len(b)-20:])
		return b
	})
	require.ErrorIs(t, j.Probe(), errDamaged)
	require.NoError(t, j.Release(5))
	require.ErrorIs(t, j.Probe(), errDamaged)
	require.Error(t, j.Broken())
	require.NoError(t, j.Release(6))
	require.NoFileExists(t, path)
	require.NoError(t, j.Probe())
	group(t, j, 20)
	require.NoError(t, j.Close())
	require.NoError(t, disk.LosePower())
	all, _, _ := replayed(t, mustOpen(t, cfg))
	assert.Len(t, all, 3)
}

// What a process has left that was killed before it flushed that is flushed by the next one.
func TestWhatIsFoundIsFlushed(t *testing.T) {
	for _, flush := range []Sync{{Always: true}, {Every: time.Second}} {
		disk := &faulty.Disk{Room: -1}
		cfg := Config{Dir: t.TempDir(), Disk: disk, Sync: Sync{}}
		j := mustOpen(t, cfg)
		group(t, j, 0)
		crash(j)
		cfg.Sync = flush
		j = mustOpen(t, cfg)
		replayed(t, j)
		crash(j)
		require.NoError(t, disk.LosePower())
		all, _, _ := replayed(t, mustOpen(t, cfg))
		assert.Len(t, all, 3)
	}
}

// How large a journal is may be asked while it is read.
func TestSizeWhileReplaying(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	j := mustOpen(t, cfg)
	group(t, j, 0)
	crash(j)
	edit(t, segmentFiles(t, cfg.Dir)[0], func(b []byte) []byte { return b[:len(b)-1] })
	j = mustOpen(t, cfg)
	var asker sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	asker.Go(func() {
		for ctx.Err() == nil {
			j.Size()
		}
	})
	_, _, report := replayed(t, j)
	cancel()
	asker.Wait()
	require.True(t, report.Torn)
}

// A segment after which another one could not be begun goes as any other does when it is scraped.
func TestSegmentBeforeOneThatFailed(t *testing.T) {
	for _, flush := range []Sync{{}, {Always: true}} {
		disk := &faulty.Disk{Room: -1}
		j := mustOpen(t, Config{Dir: t.TempDir(), Disk: disk, SegmentBytes: 1, Sync: flush})
		group(t, j, 0)
		disk.Room = 0
		_, err := j.Start(time.Now(), nobody)
		require.NoError(t, err)
		push(j, 0, []series.ID{1}, []float64{10})
		require.ErrorIs(t, j.Commit(), faulty.Err)
		disk.Room = -1
		require.NoError(t, j.Probe())
		group(t, j, 20)
		group(t, j, 30)
		require.NoError(t, j.Release(9))
		n, _ := j.Size()
		assert.Equal(t, kept, n)
	}
}

// What was refused stays so though the segment that says so is lost with the power: the system had dropped it, and the next
// process could not know.
func TestWhatWasRefusedIsCutOffWhenFound(t *testing.T) {
	disk := &faulty.Disk{Room: -1}
	cfg := Config{Dir: t.TempDir(), Disk: disk, Sync: Sync{Always: true}}
	j := mustOpen(t, cfg)
	refuse := func(value float64) {
		disk.NoCut, disk.NoRemove = true, true
		_, err := j.Start(time.Now(), nobody)
		require.NoError(t, err)
		push(j, 0, []series.ID{0}, []float64{value})
		push(j, 0, []series.ID{0}, []float64{value + 1})
		if !disk.NoSync {
			disk.Room = int64(j.Buffered()) - 1
		}
		require.ErrorIs(t, j.Commit(), faulty.Err)
		disk.NoCut, disk.NoRemove, disk.NoSync, disk.Room = false, false, false, -1
		require.NoError(t, j.Probe())
	}
	group(t, j, 0)
	refuse(10)
	disk.NoSync = true
	refuse(20)
	crash(j)
	j = mustOpen(t, cfg)
	replayed(t, j)
	group(t, j, 30)
	crash(j)
	require.NoError(t, disk.LosePower())
	all, _, _ := replayed(t, mustOpen(t, cfg))
	for _, s := range all {
		assert.NotEqual(t, 10., s.value)
	}
	assert.GreaterOrEqual(t, len(all), 6)
}
