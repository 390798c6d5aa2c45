package runqueue

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// With more threads that do not rest than processors, each has to wait.
func TestWaitedIsWhatOthersTook(t *testing.T) {
	c, err := NewClock()
	require.NoError(t, err)
	defer c.Close()
	began := time.Now()
	before, err := c.Waited()
	require.NoError(t, err)

	procs := runtime.GOMAXPROCS(2*runtime.NumCPU() + 1)
	defer runtime.GOMAXPROCS(procs)
	var stop atomic.Bool
	defer stop.Store(true)
	for range 2 * runtime.NumCPU() {
		go func() {
			for !stop.Load() {
			}
		}()
	}
	const patience = 20 * time.Second
	for {
		after, err := c.Waited()
		require.NoError(t, err)
		if waited := after - before; waited > time.Millisecond {
			require.LessOrEqual(t, waited, time.Since(began)+time.Millisecond)
			return
		}
		require.Less(t, time.Since(began), patience, "it never waited")
	}
}
