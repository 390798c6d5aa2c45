package receipt

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// clock is what the server's clock was when it answered last. What a sample's time is to a server, too old or too far
// ahead, its own clock decides, and the hub's may be wrong or be set meanwhile.
type clock struct{ read atomic.Pointer[reading] }

type reading struct {
	server time.Time // in the middle of the second that its answer says
	here   time.Time // by the hub's clock, of which only the time that passes counts
}

func (c *clock) note(answer http.Header) {
	if date, err := http.ParseTime(answer.Get("Date")); err == nil {
		c.read.Store(&reading{date.Add(time.Second / 2), time.Now()})
	}
}

// Ahead is by how much the server's clock is ahead of the hub's now, to a second, or ok is false as long as that is not known.
func (a *Asker) Ahead() (by time.Duration, ok bool) {
	r := a.clock.read.Load()
	if r == nil {
		return 0, false
	}
	return time.Until(r.server.Add(time.Since(r.here))), true
}

// LookAtClock asks the server for anything, so that its clock is known.
func (a *Asker) LookAtClock(ctx context.Context) error {
	err := a.get(ctx, "/-/healthy", nil, func(http.Header, io.Reader) error { return nil })
	if _, ok := a.Ahead(); ok {
		return nil
	}
	return fmt.Errorf("ask for the server's time: %w", err)
}
