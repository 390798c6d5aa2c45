// Package runqueue tells how long a thread was ready to run and had no
// processor, so that a test can take from a duration what other programs caused.
package runqueue

import (
	"os"
	"runtime"
	"time"
)

// Clock belongs to the thread that made it. It is for that one's goroutine.
type Clock struct{ counters *os.File }

// NewClock ties the calling goroutine to its thread until Close.
func NewClock() (*Clock, error) {
	runtime.LockOSThread()
	counters, err := open()
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	return &Clock{counters}, nil
}

// Waited returns for how long the thread has waited for a processor since it
// began; always 0 where that is not known.
func (c *Clock) Waited() (time.Duration, error) { return read(c.counters) }

// Close lets go of the thread.
func (c *Clock) Close() {
	runtime.UnlockOSThread()
	if c.counters != nil {
		_ = c.counters.Close()
	}
}
