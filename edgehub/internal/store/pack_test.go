package store

import (
	"bytes"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/journal"
	"github.com/hubring/hubring/internal/bubble"
	"github.com/hubring/hubring/internal/framing/faulty"
)

// What waits for two minutes takes a quarter on disk, and is there after a restart as it was, from the middle of it on as well. What is scraped is not packed.
func TestWhatWaitsIsPackedOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := journal.Config{Dir: t.TempDir(), SegmentBytes: 25_000}
		h := keeping(t, Config{}, cfg)
		bytesOf := func() int64 { d, _ := h.Disk(); return d.Bytes }
		same := func(want []string) { t.Helper(); require.True(t, slices.Equal(want, h.read(0, all).text)) }
		push := func() {
			for i := range 300 {
				h.now = time.Now()
				h.push(fleet(100, int64(i)))
				bubble.Pass(time.Second / 10)
			}
		}
		push()
		fresh := bytesOf()
		require.Greater(t, fresh, int64(50_000))
		bubble.Pass(2 * time.Minute)
		assert.Less(t, bytesOf(), fresh/2, "the newest of three is as it was")
		waiting := h.read(0, all).text
		h.Close()

		h = keeping(t, Config{}, cfg)
		same(waiting)
		bubble.Pass(3 * time.Second)
		assert.Less(t, bytesOf(), fresh/4)
		require.Len(t, h.take(0, most(15_000)), 15_000)
		left := h.read(0, all).text
		h.Close()
		h = keeping(t, Config{}, cfg)
		same(left)
		require.Len(t, h.take(0, all), 15_000)
		push()
		require.Len(t, h.take(0, all), 30_000)
		bubble.Pass(3 * time.Minute)
		assert.Greater(t, bytesOf(), int64(25_000), "two segments stay, as they are")
		d, _ := h.Disk()
		assert.Equal(t, 2, d.Segments)
		h.Close()
	})
}

// A disk that fails while something is packed refuses no push. That is said once, and tried again.
func TestPackingThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		disk := &faulty.Disk{Room: -1}
		h := newHub(t, Config{})
		h.Keep(DiskConfig{
			Journal: journal.Config{Dir: t.TempDir(), SegmentBytes: 10_000, Disk: disk},
			Logger:  slog.New(slog.NewTextHandler(&log, nil)), Read: readText,
		})
		h.Open()
		synctest.Wait()
		for i := range 150 {
			h.push(fleet(100, int64(i)))
		}
		before, _ := h.Disk()
		bubble.Pass(time.Minute)
		disk.Change(func(d *faulty.Disk) { d.NoRename = true })
		bubble.Pass(4 * time.Minute)
		require.NoError(t, h.Refuses())
		h.push(at("x", 1, 1))
		d, _ := h.Disk()
		require.GreaterOrEqual(t, d.Bytes, before.Bytes)
		assert.Greater(t, d.Failures, uint64(2))
		assert.Equal(t, 1, bytes.Count(log.Bytes(), []byte("cannot be packed")))
		disk.Change(func(d *faulty.Disk) { d.NoRename = false })
		bubble.Pass(2 * time.Minute)
		d, _ = h.Disk()
		assert.Less(t, d.Bytes, before.Bytes/2)
		h.Close()
	})
}
