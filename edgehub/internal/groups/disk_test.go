package groups

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/framing"
	"github.com/hubring/hubring/internal/framing/faulty"
	"github.com/hubring/hubring/internal/logtest"
)

// What is in a directory is what the next set on it has: labels, families, times and times to live.
func TestGroupsOutliveTheProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "groups")
	s := newSet(t, Config{Dir: dir})
	hour := time.Hour
	assert.Empty(t, s.push("PUT", "job/a", "# HELP x so much\n# TYPE x gauge\nx 1\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1.5\nh_count 2\n"))
	assert.Empty(t, s.pushFor("PUT", "job/b/k/%2F", "# TYPE x gauge\nx{l=\"m\"} 2\n", &hour))
	assert.Empty(t, s.push("PUT", "job/deleted", "# TYPE x gauge\nx 3\n"))
	s.delete("job/deleted")
	s.now = s.now.Add(time.Minute)
	assert.Equal(t, Inconsistent, s.push("PUT", "job/c", "# TYPE x counter\nx 1\n"))
	assert.Equal(t, Inconsistent, s.push("PUT", "job/b/k/%2F", "# TYPE x counter\nx 1\n"))

	again := newSet(t, Config{Dir: dir})
	again.now = s.now
	assert.Equal(t, s.text(nil), again.text(nil))
	assert.Equal(t, s.messages(), again.messages())
	groups, series, bytes := s.Size()
	groupsAgain, seriesAgain, bytesAgain := again.Size()
	assert.Equal(t, []any{groups, series, bytes}, []any{groupsAgain, seriesAgain, bytesAgain})
	assert.Equal(t, Inconsistent, again.push("PUT", "job/c", "# TYPE x counter\nx 1\n"))
	again.now = start.Add(time.Hour)
	again.has(`h_bucket{instance="",job="a",le="+Inf"} 2`, `h_bucket{instance="",job="a",le="1"} 1`, `h_count{instance="",job="a"} 2`,
		`h_sum{instance="",job="a"} 1.5`, `x{instance="",job="a"} 1`)
}

// A file with a byte that is another one, or with an end that is missing, costs its group and no other, and is said once.
func TestDamage(t *testing.T) {
	damaged := func(what string, damage func(file []byte) []byte) {
		t.Helper()
		dir := t.TempDir()
		s := newSet(t, Config{Dir: dir})
		assert.Empty(t, s.push("PUT", "job/a", "x 1\n"))
		assert.Empty(t, s.push("PUT", "job/b", "x 2\n"))
		path := s.path(Labels{{Name: "job", Value: "a"}}.Key())
		file, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, damage(file), 0o600))
		require.NoError(t, os.WriteFile(path+newSuffix, []byte("begun"), 0o600))

		log := &logtest.Buffer{}
		for range 2 {
			s = newSet(t, Config{Dir: dir, Logger: log.Logger()})
			s.has(`x{instance="",job="b"} 2`)
		}
		assert.Equal(t, 1, log.Count("a group cannot be read"), what)
		assert.NoFileExists(t, path+newSuffix)
		assert.FileExists(t, path+damagedSuffix)
		assert.Empty(t, s.push("PUT", "job/a", "x 3\n"))
		newSet(t, Config{Dir: dir}).has(`x{instance="",job="a"} 3`, `x{instance="",job="b"} 2`)
	}
	s := newSet(t, Config{Dir: t.TempDir()})
	assert.Empty(t, s.push("PUT", "job/a", "x 1\n"))
	file, err := os.ReadFile(s.path(Labels{{Name: "job", Value: "a"}}.Key()))
	require.NoError(t, err)
	for i := range file {
		if i == framing.SegmentHeader { // the mark of a record, of which no bit is needed
			continue
		}
		damaged(fmt.Sprintf("byte %d", i), func(file []byte) []byte { file[i] ^= 0x10; return file })
	}
	damaged("empty", func([]byte) []byte { return nil })
	damaged("cut", func(file []byte) []byte { return file[:len(file)-1] })
	damaged("more", func(file []byte) []byte { return append(file, 0) })
	other := newSet(t, Config{Dir: t.TempDir()})
	assert.Empty(t, other.push("PUT", "job/c", "x 1\n"))
	another, err := os.ReadFile(other.path(Labels{{Name: "job", Value: "c"}}.Key()))
	require.NoError(t, err)
	damaged("of another group", func([]byte) []byte { return another })
}

// While the disk fails nothing is taken, and what was there stays; then pushes go on.
func TestDiskTrouble(t *testing.T) {
	disk := &faulty.Disk{Room: -1}
	dir := t.TempDir()
	s := newSet(t, Config{Dir: dir, Disk: disk, Sync: true})
	assert.Empty(t, s.push("PUT", "job/a", "x 1\n"))
	for _, breaks := range []func(*faulty.Disk){
		func(d *faulty.Disk) { d.Room = 10 },
		func(d *faulty.Disk) { d.NoSync = true },
		func(d *faulty.Disk) { d.NoRename = true },
		func(d *faulty.Disk) { d.NoSyncDir = true },
	} {
		disk.Change(breaks)
		assert.Equal(t, StorageFailed, s.push("PUT", "job/b", "x 2\n"))
		assert.Equal(t, StorageFailed, s.push("PUT", "job/a", "x 2\ny 2\n"))
		s.has(`x{instance="",job="a"} 1`)
		assert.Len(t, s.index.families, 1)
		assert.Len(t, s.index.series, 1)
		disk.Change(func(d *faulty.Disk) { d.Room, d.NoSync, d.NoRename, d.NoSyncDir = -1, false, false, false })
	}
	disk.Change(func(d *faulty.Disk) { d.NoRemove = true })
	assert.Error(t, s.Delete(Labels{{Name: "job", Value: "a"}}))
	s.has(`x{instance="",job="a"} 1`)
	disk.Change(func(d *faulty.Disk) { d.NoRemove = false })
	assert.Empty(t, s.push("PUT", "job/a", "x 3\n"))
	require.NoError(t, s.Delete(Labels{{Name: "job", Value: "b"}}), "which may be on disk since its directory could not be flushed")
	assert.Equal(t, StorageFull, broken(&os.PathError{Err: syscall.ENOSPC}).Reason)
}

// A push that was answered is there after a loss of power, where that is wanted.
func TestLossOfPower(t *testing.T) {
	for _, sync := range []bool{true, false} {
		disk := &faulty.Disk{Room: -1}
		dir := t.TempDir()
		s := newSet(t, Config{Dir: dir, Disk: disk, Sync: sync})
		assert.Empty(t, s.push("PUT", "job/a", "x 1\n"))
		assert.Empty(t, s.push("PUT", "job/a", "x 2\n"))
		require.NoError(t, disk.LosePower())
		s = newSet(t, Config{Dir: dir, Disk: disk})
		if sync {
			s.has(`x{instance="",job="a"} 2`)
		} else {
			s.has()
		}
	}
}

// A push does not wait for a disk that hangs for longer than slowAfter.
func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSet(t, Config{})
		require.Nil(t, s.enter())
		begin := time.Now()
		assert.Equal(t, StorageSlow, s.push("PUT", "job/a", "x 1\n"))
		assert.Equal(t, slowAfter, time.Since(begin))
		s.has()
		s.leave()
		assert.Empty(t, s.push("PUT", "job/a", "x 1\n"))
	})
}
