// Package procstat asks the kernel what a process costs.
package procstat

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// statusField returns a field of /proc/PID/status that is given in kB, in
// bytes.
func statusField(pid int, name string) (int64, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	for line := range bytes.Lines(content) {
		fields := bytes.Fields(line)
		if len(fields) == 3 && string(fields[0]) == name+":" && string(fields[2]) == "kB" {
			kb, err := strconv.ParseInt(string(fields[1]), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
			}
			return kb << 10, nil
		}
	}
	return 0, fmt.Errorf("read the memory of process %d: its status has no %s", pid, name)
}

// RSS returns the resident memory of a process, in bytes.
func RSS(pid int) (int64, error) { return statusField(pid, "VmRSS") }

// Watch is the highest RSS that was seen. It asks every interval until stop is
// closed and sends the highest on the returned channel, which gets one value.
func Watch(pid int, interval time.Duration, stop <-chan struct{}) <-chan int64 {
	out := make(chan int64, 1)
	go func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		var most int64
		for {
			if rss, err := RSS(pid); err == nil {
				most = max(most, rss)
			}
			select {
			case <-stop:
				out <- most
				return
			case <-tick.C:
			}
		}
	}()
	return out
}
