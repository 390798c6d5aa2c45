package handover

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	// owedIdle is how long a connection that owes may be idle: longer than any
	// interval between scrapes. TCP's keep-alive notices who is gone.
	owedIdle = 24 * time.Hour
	// headerTime is what a request may take from its first byte on until the server
	// sets its own bound, which it does once it has seen four.
	headerTime = time.Minute
	// none is no number of writes.
	none = -1
)

// evidence is what a connection has shown so far. Bytes and calls are those of the
// connection itself, below TLS.
type evidence struct {
	mu   sync.Mutex // guards what follows; nothing is waited for under it
	idle sync.Cond  // of mu: nobody reads

	handling bool    // a handler is at work
	reading  bool    // for the server
	watches  bool    // it has begun to read beside the last request's handler
	closed   bool    // by the server
	broken   bool    // a response was cut off
	fin      bool    // our half is closed
	end      *ending // of the other half
	held     []byte  // a last word under TLS that may be left out

	// Whether the next request was sent before the response was there.
	in        uint64  // bytes read
	began     uint64  // of those, up to the last request's end or beyond
	plain     bool    // they are text
	last      [3]byte // of what was read
	writes    int     // calls
	early     int     // the first of them that began after bytes came behind the request, or none
	bodyless  bool    // the last request has no body
	pipelined bool    // some request was sent too early: no request tells anything any more

	// Whether the server's bound for an idle connection is stretched.
	quiet     bool // nothing was read since the last handler ended
	stretched bool
	asked     time.Time // the server's bound

	protocol // of the last request
	traits   // of all requests

	owed []*owed
}

// protocol is what a request tells about how the connection ends behind it.
type protocol struct {
	tls    uint16    // version, or 0
	framed bool      // a response has an end of its own, and not the connection's
	visit  uint64    // the scrape that it is, see ledger
	ending bool      // its response has to end the connection
	until  time.Time // when its response has to be out
}

// ending is how the other side ended its half of the connection.
type ending struct {
	orderly      bool
	acknowledged bool // everything that was written
	writes       int  // calls so far
}

// requested notes that a request is there. What was answered before is written then.
func (c *Conn) requested(r *http.Request) {
	if r.ProtoMajor != 1 {
		return
	}
	c.mu.Lock()
	done := c.writtenLocked()
	bodyless := r.ContentLength == 0
	switch {
	case c.requests > 0 && c.in-c.began < leastBytes(r):
		c.pipelined = true // some of it came with the request before
	case c.plain && bodyless && !bytes.HasSuffix(c.last[:], []byte("\n\n")) && string(c.last[:]) != "\n\r\n":
		c.pipelined = true // something came behind it
	}
	c.began, c.early, c.bodyless = c.in, none, bodyless
	c.handling, c.quiet, c.watches = true, false, c.reading
	c.protocol = protocol{framed: r.ProtoAtLeast(1, 1)}
	if r.TLS != nil {
		c.tls = r.TLS.Version
	}
	c.note(r)
	if len(c.owed) > 0 && c.acknowledgedLocked() {
		for _, o := range c.owed {
			o.acknowledged = true
		}
	}
	c.mu.Unlock()
	c.desk.reportLater(done)
}

// leastBytes is how many bytes a request is at least.
func leastBytes(r *http.Request) uint64 {
	return uint64(len(r.Method) + len(r.RequestURI) + len("  HTTP/1.1\n\n"))
}

// answered notes that a handler is done. One that did not return has cut off its response.
func (c *Conn) answered(r *http.Request, returned bool) {
	if r.ProtoMajor != 1 {
		return
	}
	c.mu.Lock()
	c.handling = false
	c.quiet = c.early == none && !c.pipelined
	var done []outcome
	if !returned {
		done = c.breakLocked()
	}
	c.mu.Unlock()
	c.desk.reportLater(done)
}

// writtenLocked notes that what was answered so far is written: the server reads on,
// or has closed the connection.
func (c *Conn) writtenLocked() []outcome {
	if c.early != none && c.early < c.writes {
		c.pipelined = true
	}
	c.early = none
	for _, o := range c.owed {
		o.written = true
	}
	if c.end == nil {
		return nil
	}
	whole := c.end.writes == c.writes // it was when the end came
	return c.settleLocked(func(o *owed) (settled, taken bool) { return true, whole && c.end.tells(o) })
}

// tells says whether the end of a connection means that a response was read, all of
// which had been written.
func (e *ending) tells(o *owed) bool { return e.orderly && (e.acknowledged || o.acknowledged) }

// breakLocked gives up everything.
func (c *Conn) breakLocked() []outcome {
	c.broken = true
	return c.settleLocked(func(*owed) (settled, taken bool) { return true, false })
}

// acknowledgedLocked says whether the other side's system has everything that was
// written.
func (c *Conn) acknowledgedLocked() bool {
	left := unacknowledged(bare(c.conn))
	if c.fin {
		left-- // at most; it is the last
	}
	return left <= 0
}

// hasLocked says whether a response is written, and the other side's system has all
// of it.
func (c *Conn) hasLocked(o *owed) bool {
	return o.written && (o.acknowledged || c.acknowledgedLocked())
}

// gaveUp says whether the client has ended the connection.
func (c *Conn) gaveUp() bool { return c != nil && ends(bare(c.conn)) }

// beforeRead notes that the server reads. It does so beside each handler, for the end of
// the connection; when it reads once more, it has written what it had to. It returns
// what is to be written first.
func (c *Conn) beforeRead() (held []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, net.ErrClosed
	}
	held, c.held = c.held, nil
	if len(held) > 0 {
		c.writes++
	}
	if !c.handling && c.watches {
		c.desk.reportLater(c.writtenLocked())
	}
	c.reading, c.watches = true, true
	return held, nil
}

// afterRead notes what was read. It returns false if the server has closed the
// connection meanwhile.
func (c *Conn) afterRead(b []byte, err error) (open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = false
	c.idle.Broadcast()
	if len(b) > 0 {
		c.cameLocked(b)
	}
	switch {
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded): // the server's time; that of the system, ETIMEDOUT, is an end
	case !errors.Is(err, io.EOF):
		c.endedLocked(false)
	case bare(c.conn) == c.conn:
		c.endedLocked(true)
	default: // what runs over the connection has ended; the connection itself is read later
	}
	return !c.closed
}

func (c *Conn) cameLocked(b []byte) {
	if c.in == 0 {
		c.plain = 'A' <= b[0] && b[0] <= 'Z'
	}
	c.in += uint64(len(b))
	newest := b[max(0, len(b)-len(c.last)):]
	copy(c.last[:], c.last[len(newest):])
	copy(c.last[len(c.last)-len(newest):], newest)
	if c.early == none && c.bodyless && (c.handling || c.unwrittenLocked()) {
		c.early = c.writes
	}
	c.quiet = false
	if c.stretched {
		c.stretched = false
		_ = c.conn.SetReadDeadline(time.Now().Add(headerTime)) // nor does it here
	}
}

func (c *Conn) unwrittenLocked() bool {
	return slices.ContainsFunc(c.owed, func(o *owed) bool { return !o.written })
}

// endedLocked notes how the other side ended its half. About a response that is not
// written yet, as far as is known, writtenLocked decides.
func (c *Conn) endedLocked(orderly bool) {
	if c.end == nil {
		c.end = &ending{orderly: orderly, acknowledged: c.acknowledgedLocked(), writes: c.writes}
	}
	c.desk.reportLater(c.settleLocked(func(o *owed) (settled, taken bool) { return o.written, c.end.tells(o) }))
}

// beforeWrite notes that the server writes. It returns what is to be written first, and
// whether b is kept back.
func (c *Conn) beforeWrite(b []byte) (held []byte, keep bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, false, net.ErrClosed
	}
	held, c.held = c.held, nil
	if len(held) > 0 {
		c.writes++
	}
	if !c.handling && len(c.owed) > 0 && c.framed && lastWord(c.tls, b) {
		c.held = bytes.Clone(b)
		return held, true, nil
	}
	c.writes++
	return held, false, nil
}

// afterWrite notes that a write failed: then the response is not whole, and
// nothing that follows can be.
func (c *Conn) afterWrite(err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.desk.reportLater(c.breakLocked())
}

// setReadDeadline sets the server's bound for reading, unless it would end a
// connection that is only waited on for the next scrape.
func (c *Conn) setReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.stretched = false
	if len(c.owed) > 0 && !c.handling && c.quiet {
		if now := time.Now(); t.After(now) {
			c.stretched, c.asked = true, t
			if later := now.Add(owedIdle); later.After(t) {
				t = later
			}
		}
	}
	return c.conn.SetReadDeadline(t)
}

func (c *Conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}
