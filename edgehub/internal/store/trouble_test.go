package store

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/journal"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/internal/framing"
	"github.com/hubring/hubring/internal/framing/faulty"
)

// heldDisk is a disk of which what is read, or flushed, waits until it is told to go on.
type heldDisk struct {
	framing.OS
	read, flush chan struct{} // nil for what does not wait
}

type heldFile struct {
	framing.File
	disk *heldDisk
}

func (d *heldDisk) Open(path string) (framing.File, error) {
	f, err := d.OS.Open(path)
	return heldFile{f, d}, err
}

func (d *heldDisk) Create(path string) (framing.File, error) {
	f, err := d.OS.Create(path)
	return heldFile{f, d}, err
}

func (f heldFile) ReadAt(b []byte, offset int64) (int, error) {
	if f.disk.read != nil && offset == 0 && len(b) > 100 { // the segment as a whole
		<-f.disk.read
	}
	return f.File.ReadAt(b, offset)
}

func (f heldFile) Sync() error {
	if f.disk.flush != nil {
		<-f.disk.flush
	}
	return f.File.Sync()
}

// requireRefusal requires that pushes are refused for a reason, and nothing of one is taken.
func requireRefusal(t *testing.T, h *hub, reason, text string) {
	t.Helper()
	var refusal *StorageError
	require.ErrorAs(t, h.Refuses(), &refusal)
	require.Equal(t, reason, refusal.Reason)
	require.ErrorContains(t, refusal, text)
	_, err := h.try(at("refused", 1, 1))
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, reason, refusal.Reason)
	require.Zero(t, h.Table().Size())
}

// Until all is read nothing is taken, and nothing can be read.
func TestReplayingRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := journal.Config{Dir: t.TempDir()}
		first := keeping(t, Config{}, cfg)
		first.push(fleet(10, 1))
		first.Close()

		disk := &heldDisk{read: make(chan struct{})}
		cfg.Disk = disk
		h := newHub(t, Config{})
		h.Keep(DiskConfig{Journal: cfg, Logger: slog.New(slog.DiscardHandler), Read: readText})
		h.Open()
		synctest.Wait()
		requireRefusal(t, h, Replaying, "the hub reads its log from disk: 0 %, 0 samples so far")
		require.Error(t, h.Reads())
		close(disk.read)
		synctest.Wait()
		require.NoError(t, h.Refuses())
		require.NoError(t, h.Reads())
		assert.Len(t, h.take(0, all), 10)
		d, is := h.Disk()
		assert.True(t, is)
		assert.EqualValues(t, 10, d.Replayed)
		h.Close()
	})
}

// A store that is closed while it reads ends, and harms nothing.
func TestCloseWhileReplaying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := journal.Config{Dir: t.TempDir()}
		first := keeping(t, Config{}, cfg)
		first.push(fleet(10, 1))
		first.Close()

		disk := &heldDisk{read: make(chan struct{})}
		h := newHub(t, Config{})
		h.Keep(DiskConfig{Journal: journal.Config{Dir: cfg.Dir, Disk: disk}, Logger: slog.New(slog.DiscardHandler), Read: readText})
		h.Open()
		synctest.Wait()
		h.disk.stop()
		close(disk.read)
		h.Close()

		again := keeping(t, Config{}, cfg)
		assert.Len(t, again.take(0, all), 10)
		again.Close()
	})
}

// While a flush hangs pushes are refused at once, but for those that wait for it already, and afterwards all is well.
func TestSlowDisk(t *testing.T) {
	disk := &heldDisk{flush: make(chan struct{})}
	h := newHub(t, Config{})
	h.Keep(DiskConfig{Journal: journal.Config{Dir: t.TempDir(), Disk: disk, Sync: journal.Sync{Always: true}}, Logger: slog.New(slog.DiscardHandler), Read: readText})
	h.Open()
	require.Eventually(t, func() bool { return h.Refuses() == nil }, 20*time.Second, time.Millisecond)
	pushed := make(chan error)
	go func() {
		_, err := h.try(at("x", 1, 1))
		pushed <- err
	}()
	require.Eventually(t, func() bool { return h.Refuses() != nil && h.disk.refusal.Load() == nil }, 20*time.Second, 10*time.Millisecond)
	var refusal *StorageError
	require.ErrorAs(t, h.Refuses(), &refusal)
	assert.Equal(t, Slow, refusal.Reason)
	_, err := h.try(at("y", 1, 1))
	require.ErrorAs(t, err, &refusal)
	assert.Empty(t, h.read(0, all).text, "what is not flushed is not there")
	close(disk.flush)
	require.NoError(t, <-pushed)
	require.NoError(t, h.Refuses())
	assert.Equal(t, []string{"x 1 1"}, h.take(0, all))
	h.Close()
}

// A disk that fails to flush, by itself or for a push, makes the store refuse pushes until it is well. What waits is
// scraped meanwhile.
func TestFlushThatFails(t *testing.T) {
	for _, flush := range []journal.Sync{{Always: true}, {Every: 100 * time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			disk := &faulty.Disk{Room: -1}
			h := keeping(t, Config{}, journal.Config{Dir: t.TempDir(), Disk: disk, Sync: flush})
			h.push(at("x", 1, 1))
			disk.Change(func(d *faulty.Disk) { d.NoSync = true })
			_, err := h.try(at("x", 2, 2))
			require.Equal(t, flush.Always, err != nil)
			time.Sleep(200 * time.Millisecond)
			synctest.Wait()
			var refusal *StorageError
			require.ErrorAs(t, h.Refuses(), &refusal)
			assert.Equal(t, Failed, refusal.Reason)
			assert.NotEmpty(t, h.take(0, all))
			time.Sleep(5 * time.Second)
			synctest.Wait()
			require.Error(t, h.Refuses())
			disk.Change(func(d *faulty.Disk) { d.NoSync = false })
			time.Sleep(5 * time.Second)
			synctest.Wait()
			require.NoError(t, h.Refuses())
			h.push(at("x", 3, 3))
			h.Close()
			d, _ := h.Disk()
			assert.NotZero(t, d.Failures)
		})
	}
}

// A log that is too large on disk refuses pushes until it was scraped, or lets the oldest samples go. What one of two scrapers has is
// in nobody's way.
func TestDiskLimit(t *testing.T) {
	for _, newest := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHub(t, Config{Newest: newest, Scrapers: []string{"a", "dead"}})
			var letGo atomic.Int64 // which the store adds to by itself
			h.Keep(DiskConfig{
				Journal: journal.Config{Dir: t.TempDir(), SegmentBytes: 1000}, Bytes: 10_000,
				Made:   func(m samples.Made) { letGo.Add(int64(m.LetGo)) },
				Logger: slog.New(slog.DiscardHandler), Read: readText,
			})
			h.Open()
			synctest.Wait()
			keep := func() {
				time.Sleep(2 * time.Second)
				synctest.Wait()
			}
			pushes := int64(0)
			for ; h.Refuses() == nil && pushes < 30; pushes++ {
				h.push(fleet(50, pushes))
			}
			if newest {
				require.EqualValues(t, 30, pushes)
				keep()
				require.Positive(t, letGo.Load())
			} else {
				var refusal *StorageError
				require.ErrorAs(t, h.Refuses(), &refusal)
				require.Equal(t, Full, refusal.Reason)
				keep()
				require.Error(t, h.Refuses())
			}
			d, _ := h.Disk()
			assert.Equal(t, newest, d.Bytes < 10_000)
			assert.Len(t, h.take(0, all), 50*int(pushes)-int(letGo.Load()))
			keep()
			require.NoError(t, h.Refuses())
			d, _ = h.Disk()
			assert.Less(t, d.Bytes, int64(10_000), "though one of the two is dead")
			h.push(fleet(50, 1000))
			h.Close()
		})
	}
}

// smallDisk has room for so many bytes.
type smallDisk struct {
	framing.OS
	room int64
	mu   sync.Mutex
	held map[string]int64
}

type smallFile struct {
	framing.File
	disk *smallDisk
	path string
}

func (d *smallDisk) Create(path string) (framing.File, error) {
	f, err := d.OS.Create(path)
	return smallFile{f, d, path}, err
}

func (d *smallDisk) Open(path string) (framing.File, error) {
	f, err := d.OS.Open(path)
	return smallFile{f, d, path}, err
}

func (d *smallDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held[to] = d.held[from]
	delete(d.held, from)
	return d.OS.Rename(from, to)
}

func (d *smallDisk) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.held, path)
	return d.OS.Remove(path)
}

func (f smallFile) WriteAt(b []byte, offset int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	used := max(0, offset+int64(len(b))-f.disk.held[f.path])
	for _, n := range f.disk.held {
		used += n
	}
	if used > f.disk.room {
		return 0, syscall.ENOSPC
	}
	f.disk.held[f.path] = max(f.disk.held[f.path], offset+int64(len(b)))
	return f.File.WriteAt(b, offset)
}

// A disk that is full of the log itself has room again when that is scraped, though it is all in the newest segment.
func TestDiskThatIsFullOfTheLog(t *testing.T) {
	for _, flush := range []journal.Sync{{}, {Always: true}, {Every: 100 * time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			disk := &smallDisk{room: 3 << 20, held: map[string]int64{}}
			h := keeping(t, Config{}, journal.Config{Dir: t.TempDir(), Disk: disk, Sync: flush})
			pushed, err := 0, error(nil)
			for ; err == nil && pushed < 10_000; pushed++ {
				_, err = h.try(fleet(1000, int64(pushed)))
			}
			var refusal *StorageError
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, Full, refusal.Reason)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			require.Error(t, h.Refuses(), "it is full still")
			require.Len(t, h.take(0, all), 1000*(pushed-1))
			time.Sleep(3 * time.Second)
			synctest.Wait()
			require.NoError(t, h.Refuses())
			h.push(fleet(1000, int64(pushed)))
			h.Close()
		})
	}
}
