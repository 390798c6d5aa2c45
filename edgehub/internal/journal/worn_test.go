package journal

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/internal/framing"
	"github.com/hubring/hubring/internal/framing/faulty"
)

// group commits a push of three samples.
func group(t testing.TB, j *Journal, value float64) {
	t.Helper()
	_, err := j.Start(time.Now(), nobody)
	require.NoError(t, err)
	push(j, 0, []series.ID{1, 2, 3}, []float64{value, value + 1, value + 2})
	require.NoError(t, j.Commit())
}

// worn3 is a journal of three segments, the newest of which was written over one that is not needed any more.
func worn3(t *testing.T, cfg Config) *Journal {
	cfg.SegmentBytes = 1
	j := mustOpen(t, cfg)
	group(t, j, 0)
	group(t, j, 10)
	group(t, j, 20)
	require.NoError(t, j.Release(3))
	require.FileExists(t, j.sparePath())
	group(t, j, 30)
	require.NoFileExists(t, j.sparePath())
	require.Positive(t, j.active.worn)
	return j
}

// What is behind the end of a segment that was written over another one is not read.
func TestWornSegment(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	crash(worn3(t, cfg))
	all, _, report := replayed(t, mustOpen(t, cfg))
	require.Len(t, all, 9)
	assert.InDelta(t, 32, all[8].value, 0)
	assert.Equal(t, Report{Records: report.Records, Samples: 9}, report)
}

// A crash before anything of a segment is written over another one, or a loss of power that brings the other one's name back, is no damage.
func TestNameOfAWornSegment(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	crash(worn3(t, cfg))
	paths := segmentFiles(t, cfg.Dir)
	require.Len(t, paths, 3)
	for _, other := range []uint64{1, 5} {
		edit(t, paths[0], func(b []byte) []byte {
			require.NoError(t, os.WriteFile(filepath.Join(cfg.Dir, framing.SegmentName(other)), b, 0o600))
			return b
		})
	}
	j := mustOpen(t, cfg)
	all, _, report := replayed(t, j)
	require.Len(t, all, 9)
	assert.Equal(t, Report{Records: report.Records, Samples: 9}, report)
	group(t, j, 40)
	require.NoError(t, j.Release(0))
	require.NoError(t, j.Close())
	all, _, report = replayed(t, mustOpen(t, cfg))
	require.Len(t, all, 12)
	assert.Empty(t, report.Damage)
}

// A write that breaks off in the header of a segment over another one's leaves nothing that is damaged.
func TestTornHeaderOfAWornSegment(t *testing.T) {
	for n := range int64(framing.SegmentHeader + framing.RecordHeader) {
		disk := &faulty.Disk{Room: -1}
		cfg := Config{Dir: t.TempDir(), Disk: disk, SegmentBytes: 1}
		j := worn3(t, cfg)
		require.NoError(t, j.Release(6))
		disk.Room, disk.NoCut, disk.NoRemove = n, true, true
		_, err := j.Start(time.Now(), nobody)
		require.NoError(t, err)
		push(j, 0, []series.ID{1}, []float64{40})
		require.ErrorIs(t, j.Commit(), faulty.Err)
		crash(j)
		disk.Room = -1
		_, _, report := replayed(t, mustOpen(t, cfg))
		assert.Empty(t, report.Damage, n)
	}
}

// The spare file goes where the disk has failed, since it may be full, and where it cannot be written over.
func TestSpareGoes(t *testing.T) {
	disk := &faulty.Disk{Room: -1}
	j := worn3(t, Config{Dir: t.TempDir(), Disk: disk})
	require.NoError(t, j.Release(6))
	require.FileExists(t, j.sparePath())
	disk.NoOpen = true
	group(t, j, 50)
	require.NoError(t, j.Release(6))
	require.NoFileExists(t, j.sparePath())

	require.NoError(t, j.Release(9))
	require.FileExists(t, j.sparePath())
	disk.Room = 0
	_, err := j.Start(time.Now(), nobody)
	require.NoError(t, err)
	push(j, 0, []series.ID{1}, []float64{60})
	require.ErrorIs(t, j.Commit(), faulty.Err)
	require.NoError(t, j.Release(0))
	require.NoFileExists(t, j.sparePath())
}

// A segment whose beginning is damaged, or was not written, keeps the one before it no less than any other does.
func TestSegmentWithoutABeginning(t *testing.T) {
	damage := func(b []byte) []byte {
		b[framing.SegmentHeader+framing.RecordHeader]++
		return b
	}
	cut := func(b []byte) []byte { return b[:framing.SegmentHeader] }
	for _, change := range []func([]byte) []byte{damage, cut} {
		cfg := Config{Dir: t.TempDir(), SegmentBytes: 1}
		j := mustOpen(t, cfg)
		group(t, j, 0)
		group(t, j, 10)
		require.NoError(t, j.Close())
		edit(t, segmentFiles(t, cfg.Dir)[1], change)
		j = mustOpen(t, cfg)
		replayed(t, j)
		group(t, j, 20)
		require.NoError(t, j.Release(1))
		require.NoError(t, j.Close())
		all, _, _ := replayed(t, mustOpen(t, cfg))
		require.NotEmpty(t, all)
		assert.InDelta(t, 0, all[0].value, 0)
	}
}
