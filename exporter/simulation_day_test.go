package exporter

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/exportertest"
)

// An outage of a day in virtual time: reports go on coming in every 30 s, and no
// hub takes any. Memory stays at its bound and does not grow by anything else, nor
// do the goroutines. When the hubs return they get what the policy says.
func TestTwentyFourHours(t *testing.T) {
	for _, c := range []struct {
		name       string
		policy     OverflowPolicy
		spoolBytes int64
	}{
		{"RefuseNew", RefuseNew, 0},
		{"DropOldest", DropOldest, 0},
		{"DropOldest with a disk that fills", DropOldest, fullDisk},
		{"DropOldest with a disk that does not", DropOldest, 1 << 30},
	} {
		if testing.Short() && c.spoolBytes != fullDisk {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			dir := ""
			if c.spoolBytes > 0 {
				dir = t.TempDir()
			}
			synctest.Test(t, func(t *testing.T) { outageOfADay(t, c.policy, dir, c.spoolBytes) })
		})
	}
}

const (
	fullDisk    = 1 << 20 // bytes; less than a day
	dayGateways = 40
	dayInterval = 30 * time.Second
	dayReports  = int(24 * time.Hour / dayInterval)
)

func outageOfADay(t *testing.T, policy OverflowPolicy, dir string, spoolBytes int64) {
	net := exportertest.NewNetwork()
	defer net.Close()
	var mu sync.Mutex
	first, last := map[int]bool{}, map[int]bool{} // reports of which something arrived, of the first and the last hour
	cfg := Config{
		MaxQueueBytes: 4 << 20, BatchBytes: 64 << 10, Overflow: policy, SpoolDir: dir, SpoolBytes: spoolBytes,
		Transport: net.Transport(), Logger: slog.New(slog.DiscardHandler),
	}
	const hour = int(time.Hour / dayInterval)
	for i := range 3 {
		name := fmt.Sprint("hub-", i)
		hub := net.Add(name, exportertest.KeepSamples(0), exportertest.KeepPushes(0))
		hub.OnPush(func(_ exportertest.Push, text []byte) {
			samples, err := exportertest.Parse(text)
			if err != nil {
				panic(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, s := range samples {
				switch value := int(s.Value); {
				case value < hour:
					first[value] = true
				case value >= dayReports-hour:
					last[value] = true
				}
			}
		})
		net.Kill(name)
		cfg.Hubs = append(cfg.Hubs, Hub{URL: "http://" + name})
	}
	e, err := New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()

	names := gateways(dayGateways)
	var half, whole footprint
	for i := range dayReports {
		if err := e.Submit(ctx, reports(i, names...)); policy == DropOldest {
			require.NoError(t, err)
		} else if err != nil {
			require.ErrorIs(t, err, ErrQueueFull)
		}
		require.LessOrEqual(t, e.queue.Snapshot(time.Now()).MemoryBytes, cfg.MaxQueueBytes)
		time.Sleep(dayInterval)
		switch i + 1 {
		case dayReports / 2:
			half = footprintOf(e)
		case dayReports:
			whole = footprintOf(e)
		}
	}
	now := e.queue.Snapshot(time.Now())
	require.Empty(t, e.queue.Faults())
	assert.Equal(t, dir != "", now.SpoolSamples > 0)
	if dir == "" {
		assert.Greater(t, now.MemoryBytes, cfg.MaxQueueBytes*8/10)
	}
	assert.InDelta(t, half.heap-half.queued, whole.heap-whole.queued, float64(half.heap)/10, "bytes of heap beside the queue, at noon and at the end")
	assert.Equal(t, half.goroutines, whole.goroutines)
	t.Logf("queue %d bytes, %d samples and %d on disk; heap %d and %d; %d goroutines",
		now.MemoryBytes, now.Samples, now.SpoolSamples, half.heap, whole.heap, whole.goroutines)

	for _, h := range cfg.Hubs {
		net.Start(hostOf(h.URL))
	}
	for e.queue.Snapshot(time.Now()).Samples+e.queue.Snapshot(time.Now()).SpoolSamples > 0 {
		time.Sleep(time.Second)
	}
	cancel()
	require.NoError(t, <-ended)
	mu.Lock()
	defer mu.Unlock()
	if policy == RefuseNew || spoolBytes > fullDisk { // a day's reports fit on the disk, small as they are
		assert.Len(t, first, hour, "reports of the first hour")
	} else {
		assert.Empty(t, first)
	}
	if policy == RefuseNew {
		assert.Empty(t, last)
	} else {
		assert.Len(t, last, hour, "reports of the last hour")
	}
}

// footprint is what the process takes.
type footprint struct {
	heap, queued int // bytes
	goroutines   int
}

func footprintOf(e *Exporter) footprint {
	synctest.Wait()
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools kept goes with the second
	runtime.ReadMemStats(&m)
	return footprint{int(m.HeapAlloc), e.queue.Snapshot(time.Now()).MemoryBytes, runtime.NumGoroutine()}
}
