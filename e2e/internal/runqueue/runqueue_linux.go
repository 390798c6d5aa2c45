package runqueue

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// open opens the counters of the calling thread, whichever asks later: the
// kernel looks up thread-self only once.
func open() (*os.File, error) { return os.Open("/proc/thread-self/schedstat") }

// read returns the second of three numbers of nanoseconds: running, waiting to
// run, and how often.
func read(f *os.File) (time.Duration, error) {
	var text [64]byte
	n, _ := f.ReadAt(text[:], 0) // it ends before the buffer does
	fields := bytes.Fields(text[:n])
	if len(fields) < 2 {
		return 0, fmt.Errorf("read %s: %q has no second number", f.Name(), text[:n])
	}
	waited, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	return time.Duration(waited), nil
}
