package procstat

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The clock has what /proc/PID/stat has, in finer units.
func TestCPUIsWhatTheKernelReports(t *testing.T) {
	pid := os.Getpid()
	before := ticks(t, pid)
	cpu, err := CPU(pid)
	require.NoError(t, err)
	after := ticks(t, pid)
	const rounding = 20 * time.Millisecond // user and kernel time are rounded each
	require.GreaterOrEqual(t, cpu, before-rounding)
	require.LessOrEqual(t, cpu, after+rounding)
}

// ticks is the time in the 14th and 15th field of /proc/PID/stat, in hundredths
// of a second. The name in the second field may hold blanks.
func ticks(t *testing.T, pid int) time.Duration {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	fields := bytes.Fields(content[bytes.LastIndexByte(content, ')')+1:])
	var sum int
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(string(field))
		require.NoError(t, err)
		sum += n
	}
	return time.Duration(sum) * 10 * time.Millisecond
}

func TestRSSGrowsWithWhatIsTouched(t *testing.T) {
	const size = 64 << 20
	before, err := RSS(os.Getpid())
	require.NoError(t, err)
	block := bytes.Repeat([]byte{1}, size)
	after, err := RSS(os.Getpid())
	require.NoError(t, err)
	require.GreaterOrEqual(t, after, before+size/2)
	require.Len(t, block, size)
}

func TestPeakCountsFromReset(t *testing.T) {
	const size = 64 << 20
	pid := os.Getpid()
	block, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(t, err)
	for i := 0; i < size; i += 4096 {
		block[i] = 1
	}
	require.NoError(t, unix.Munmap(block))
	high, err := Peak(pid)
	require.NoError(t, err)
	require.NoError(t, ResetPeak(pid))
	low, err := Peak(pid)
	require.NoError(t, err)
	require.Less(t, low, high-size/2)
}

func TestWatchKeepsTheHighest(t *testing.T) {
	stop := make(chan struct{})
	highest := Watch(os.Getpid(), time.Millisecond, stop)
	close(stop)
	require.Positive(t, <-highest)
}
