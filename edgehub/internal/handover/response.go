package handover

import (
	"errors"
	"net/http"
	"time"
)

// Answer is the http.ResponseWriter of a response that will be owed.
type Answer struct {
	http.ResponseWriter
	desk    *Desk
	conn    *Conn // nil where nothing can be told
	visit   uint64
	request *http.Request
	until   time.Time
	closing bool // the connection ends behind it
}

// Response returns what the response to r is written with. It has to be out at
// until, which the caller sees to; where the connection ends behind it, its end is
// waited for that long, and a second. With closing the client is told that the
// connection ends, so that what became of the response is known when it has read it
// and not an interval later. The desk does the same for a client that did not take
// what it was given before.
func (d *Desk) Response(w http.ResponseWriter, r *http.Request, until time.Time, closing bool) *Answer {
	a := &Answer{ResponseWriter: w, desk: d, request: r, until: until, closing: closing}
	if c := d.Of(r); c != nil && r.ProtoMajor == 1 {
		a.conn = c
		c.mu.Lock()
		a.visit = c.visit
		c.until = until
		a.closing = closing || c.ending
		c.mu.Unlock()
	}
	if a.closing {
		w.Header().Set("Connection", "close")
	}
	return a
}

// Unwrap is for http.ResponseController.
func (a *Answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// FlushError writes what is buffered. A writer that can't flush writes it when the
// handler returns, which is soon enough.
func (a *Answer) FlushError() error {
	err := http.NewResponseController(a.ResponseWriter).Flush()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// Owe notes that the response is written, and flushed, and that nothing more follows.
// The handler has to return then. Where nothing can be told it is taken at once. Owe
// does not wait for that, only some milliseconds where the connection ends.
func (a *Answer) Owe(r *Response) {
	c := a.conn
	if c == nil {
		r.Taken()
		return
	}
	o := &owed{Response: r, conn: c, client: clientOf(c, a.request), told: make(chan struct{})}
	if a.closing {
		c.pause(a.request.Context(), time.Until(a.until))
	}
	if a.closing || a.request.Close {
		cork(bare(c.conn))
	}
	a.desk.reportLater(a.desk.owe(o, a.visit))
}

// Abort cuts the connection off, so that the client sees that the response is not
// whole. Nothing is owed then. It does not return: it panics with
// http.ErrAbortHandler, which the server expects.
func (a *Answer) Abort() {
	if a.conn != nil {
		a.conn.reset()
	}
	panic(http.ErrAbortHandler)
}
