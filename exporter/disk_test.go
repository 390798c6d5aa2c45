package exporter

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/internal/send"
	"github.com/hubring/hubring/internal/bubble"
	"github.com/hubring/hubring/internal/spool"
)

var errDisk = errors.New("input/output error")

// faultyDisk is a SpoolDir that fails as it is told to, also over restarts.
type faultyDisk struct {
	mu                   sync.Mutex
	locked, full, noSync bool
	syncTakes            time.Duration
	appends, syncs       int
	current              *faultyStore
	synced               map[string]int64 // how much of each file was when it was last synced
}

// slow makes each Sync take so long from now on.
func (f *faultyDisk) slow(syncTakes time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.syncTakes = syncTakes
}

// used returns how many records were written, and how often they were synced.
func (f *faultyDisk) used() (appends, syncs int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.appends, f.syncs
}

// kill takes the disk away from who has it, as if his process had been killed: what he does with it from
// now on does nothing. It returns a directory that is as the other one was left. If the machine lost its
// power, too, what was appended since the last Sync is gone.
func (f *faultyDisk) kill(t *testing.T, dir string, power bool) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current != nil {
		f.current.dead.Store(true)
	}
	left := t.TempDir()
	segments, err := filepath.Glob(dir + "/*.seg")
	require.NoError(t, err)
	for _, path := range segments {
		bytes, err := os.ReadFile(path)
		require.NoError(t, err)
		if power {
			bytes = bytes[:min(f.synced[path], int64(len(bytes)))]
		}
		require.NoError(t, os.WriteFile(filepath.Join(left, filepath.Base(path)), bytes, 0o600))
	}
	return left
}

func (f *faultyDisk) isWell() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.locked && !f.full && !f.noSync
}

func (f *faultyDisk) set(locked, full, noSync bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.locked, f.full, f.noSync = locked, full, noSync
}

func (f *faultyDisk) fault(of *bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *of {
		return errDisk
	}
	return nil
}

func (f *faultyDisk) open(cfg spool.Config) (send.Disk, error) {
	if err := f.fault(&f.locked); err != nil {
		return nil, err
	}
	d, err := send.OpenDisk(cfg)
	if err != nil {
		return nil, err
	}
	s := &faultyStore{Disk: d, faults: f, dir: cfg.Dir}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.current = s
	return s, nil
}

type faultyStore struct {
	send.Disk
	faults *faultyDisk
	dir    string
	dead   atomic.Bool // its process was killed
}

func (s *faultyStore) Append(meta, body []byte) (spool.Ref, error) {
	if s.dead.Load() {
		return spool.Ref{}, errDisk
	}
	if err := s.faults.fault(&s.faults.full); err != nil {
		return spool.Ref{}, err
	}
	s.faults.mu.Lock()
	s.faults.appends++
	s.faults.mu.Unlock()
	return s.Disk.Append(meta, body)
}

func (s *faultyStore) Sync() error {
	s.faults.mu.Lock()
	s.faults.syncs++
	takes := s.faults.syncTakes
	s.faults.mu.Unlock()
	time.Sleep(takes)
	if s.dead.Load() {
		return errDisk
	}
	sizes, err := sizesIn(s.dir)
	if err = errors.Join(err, s.faults.fault(&s.faults.noSync), s.Disk.Sync()); err == nil {
		s.faults.mu.Lock()
		s.faults.synced = sizes
		s.faults.mu.Unlock()
	}
	return err
}

// sizesIn returns the sizes of a directory's files.
func sizesIn(dir string) (map[string]int64, error) {
	files, err := os.ReadDir(dir)
	sizes := map[string]int64{}
	for _, file := range files {
		info, failed := file.Info()
		if failed != nil {
			continue // all in it was done since
		}
		sizes[filepath.Join(dir, file.Name())] = info.Size()
	}
	return sizes, err
}

func (s *faultyStore) Done(ref spool.Ref) error {
	if s.dead.Load() {
		return errDisk
	}
	return s.Disk.Done(ref)
}

// Whatever is wrong with the disk, samples go on to healthy hubs, and none is lost that
// finds room in memory.
func TestDiskThatFailsLosesNothing(t *testing.T) {
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
				f, faults := newFleet(1), &faultyDisk{}
				faults.set(c.locked, c.full, c.noSync)
				h := start(t, f, func(c *Config) {
					c.SpoolDir, c.MaxQueueBytes, c.openDisk, c.CatchUp = dir, 1_000_000, faults.open, 1e6
				})
				h.submit(1, gateways(5)...)
				bubble.Pass(time.Second)
				assert.Equal(t, 5, h.count("samples_delivered_total"))
				f["hub-0"].kill()
				var err error
				for value := 2; err == nil; value++ {
					err = h.e.Submit(t.Context(), bulk(value, 50, gateways(5)...))
					bubble.Pass(10 * time.Millisecond)
				}
				require.ErrorIs(t, err, ErrQueueFull)
				bubble.Pass(time.Minute)
				assert.Zero(t, h.count("spool_samples"))
				assert.Zero(t, h.count("spool_up"))
				assert.Contains(t, asJSON(t, h.e, "").Queue.SpoolError, errDisk.Error())
				assert.Less(t, h.count("spool_failures_total"), 20, "it is left alone for longer and longer")
				assert.Contains(t, h.log.String(), "SpoolDir cannot be used")
				f["hub-0"].revive()
				bubble.Pass(time.Minute)
				assert.Equal(t, h.count("samples_submitted_total"), h.count("samples_delivered_total"))

				f["hub-0"].kill()
				faults.set(false, false, false)
				for value := range 10 {
					require.NoError(t, h.e.Submit(t.Context(), bulk(value, 400, gateways(5)...)))
					bubble.Pass(time.Minute)
				}
				assert.Equal(t, 1, h.count("spool_up"))
				assert.Positive(t, h.count("spool_samples"), "the disk is well")
				assert.Contains(t, h.log.String(), "SpoolDir can be used again")
				h.balanced()
				require.NoError(t, h.stop())
				assert.Equal(t, h.count("spool_samples"), h.count("queue_samples"), "all is on disk")
			})
		})
	}
}

// A directory that another exporter has, or that nobody may write to, is waited for.
func TestSpoolDirThatCannotBeUsedIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		first := start(t, f, func(c *Config) { c.SpoolDir = dir })
		bubble.Pass(time.Second)
		second := start(t, f, func(c *Config) { c.SpoolDir = dir })
		bubble.Pass(time.Second)
		assert.Contains(t, asPage(t, second.e, ""), "directory is in use")
		second.submit(1, "a")
		bubble.Pass(time.Second)
		assert.Equal(t, 1, second.count("samples_delivered_total"))
		require.NoError(t, first.stop())
		bubble.Pass(time.Minute)
		assert.Equal(t, 1, second.count("spool_up"))
		require.NoError(t, second.stop())
	})
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		file := dir + "/file"
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		h := start(t, f, func(c *Config) { c.SpoolDir = file + "/spool" })
		h.submit(1, "a")
		bubble.Pass(time.Second)
		assert.Equal(t, 1, h.count("samples_delivered_total"))
		assert.Zero(t, h.count("spool_up"))
		require.NoError(t, h.stop())
	})
}

// Whoever has a file open does not notice that somebody deletes it. What was in it is told as lost, and what comes
// after stays in memory.
func TestSpoolDirThatIsDeleted(t *testing.T) {
	dir := t.TempDir() + "/spool"
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		f["hub-0"].kill()
		h := start(t, f, func(c *Config) { c.SpoolDir, c.MaxQueueBytes = dir, 1_000_000 })
		for value := range 10 {
			require.NoError(t, h.e.Submit(t.Context(), bulk(value, 400, gateways(5)...)))
			bubble.Pass(time.Second)
		}
		lost := h.count("spool_samples")
		require.Positive(t, lost)
		require.NoError(t, os.RemoveAll(dir))
		var err error
		for value := 10; err == nil; value++ {
			err = h.e.Submit(t.Context(), bulk(value, 400, gateways(5)...))
			bubble.Pass(time.Second)
		}
		require.ErrorIs(t, err, ErrQueueFull)
		assert.Equal(t, lost, h.count("spool_samples"), "nothing more went there")
		assert.Positive(t, h.count("spool_failures_total"))
		assert.Zero(t, h.count("spool_up"))
		assert.Contains(t, asJSON(t, h.e, "").Queue.SpoolError, "no such file or directory")
		assert.Contains(t, h.log.String(), "the segment's file is gone")
		err = h.stop()
		undelivered, is := errors.AsType[*UndeliveredError](err)
		require.True(t, is, "%v", err)
		assert.Equal(t, h.count("samples_submitted_total"), undelivered.Samples)
		assert.Zero(t, undelivered.Kept)
		assert.Equal(t, lost, h.count("samples_dropped_total", "spool_damaged"))
		h.balanced()
		assert.Contains(t, h.log.String(), "Files were taken out of SpoolDir")
		assert.NotContains(t, h.log.String(), "the next run sends them")
	})
}

// Small reports of not too many gateways fill the disk to its bound, though little memory is
// left for each, and all of them arrive.
func TestSmallReportsFillTheDisk(t *testing.T) {
	dir := t.TempDir()
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		f["hub-0"].kill()
		const room = 10_000_000
		h := start(t, f, func(c *Config) {
			c.SpoolDir, c.SpoolBytes, c.MaxQueueBytes, c.CatchUp = dir, room, 2_000_000, 1e6
		})
		names := gateways(20)
		for value := 1; ; value++ {
			if h.e.Submit(t.Context(), reports(value, names...)) != nil {
				break
			}
			bubble.Pass(10 * time.Millisecond)
		}
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		bytes := int64(0)
		for _, e := range entries {
			info, err := e.Info()
			require.NoError(t, err)
			bytes += info.Size()
		}
		assert.Greater(t, bytes, int64(0.9*room))
		assert.Less(t, h.count("queue_bytes"), 2_000_000)
		assert.Empty(t, h.e.queue.Faults())
		taken := h.count("samples_submitted_total")
		f["hub-0"].revive()
		bubble.Pass(10 * time.Minute)
		assert.Equal(t, taken, h.count("samples_delivered_total"))
		inOrder(t, "hub-0", f["hub-0"].lines())
		require.NoError(t, h.stop())
	})
}

// A report that a hub refuses takes no other one with it that shares its record. What is left
// of the record when the hub fails is neither sent twice nor lost, over a restart either.
func TestBundleIsTakenApart(t *testing.T) {
	dir := t.TempDir()
	f := newFleet(1)
	hub := f["hub-0"]
	config := func(c *Config) { c.SpoolDir = dir }
	virtual(t, func(t *testing.T) {
		hub.kill()
		h := start(t, f, config)
		for value := 1; value <= 9; value++ {
			h.submit(value, "a")
		}
		require.NoError(t, h.stop())
		store, err := spool.Open(spool.Config{Dir: dir, MaxBytes: 1 << 20})
		require.NoError(t, err)
		records := 0
		require.NoError(t, store.Recover(func(spool.Ref, []byte) error { records++; return nil }))
		require.NoError(t, store.Close())
		require.Equal(t, 1, records)
	})
	virtual(t, func(t *testing.T) {
		hub.revive()
		hub.poison = "} 3 "
		hub.say(reply{}, reply{}, reply{}, reply{}, reply{}, dead) // the whole, 1, 2, 3, 4
		h := start(t, f, config, func(c *Config) { c.MinBackoff, c.MaxBackoff = time.Minute, time.Minute })
		bubble.Pass(time.Second)
		assert.Equal(t, 3, h.count("samples_delivered_total"))
		assert.Equal(t, 1, h.count("samples_dropped_total", "rejected_400"))
		assert.Equal(t, 5, h.count("queue_samples"))
		h.balanced()
		hub.kill()
		require.NoError(t, h.stop())
	})
	virtual(t, func(t *testing.T) {
		hub.revive()
		h := start(t, f, config)
		bubble.Pass(time.Second)
		assert.Equal(t, 5, h.count("samples_restored_total"))
		assert.Equal(t, 5, h.count("samples_delivered_total"))
		require.NoError(t, h.stop())
		values := []int{}
		for _, line := range hub.lines() {
			values = append(values, valueOf(line))
		}
		assert.Equal(t, []int{1, 2, 4, 5, 6, 7, 8, 9}, values)
	})
}
