package handover

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// lingering is how much longer than its response may take the desk waits for the
// end of a connection that the server has closed.
const lingering = time.Second

// The server closes a connection behind the response that is its last, and does not
// wait for the client. So nobody would know whether the response was read. The desk
// keeps the connection for that, without the server: it closes its own half and
// waits until the client closes the other one.

// close is what the server closes a connection with.
func (c *Conn) close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return net.ErrClosed
	}
	c.closed, c.stretched = true, false
	var done []outcome
	if c.handling { // the server does not wait for it
		done = c.breakLocked()
	} else {
		done = c.writtenLocked()
	}
	lingers := len(c.owed) > 0
	until := c.until
	if now := time.Now(); until.Before(now) {
		until = now
	}
	c.mu.Unlock()
	c.desk.reportLater(done)
	if lingers {
		c.desk.leave(c)
		c.desk.crew.run(func() { c.linger(until.Add(lingering)) })
		return nil
	}
	c.desk.forget(c)
	return c.conn.Close()
}

// linger closes one half of the connection, waits for the end of the other one, and
// closes the connection.
func (c *Conn) linger(until time.Time) {
	raw := bare(c.conn)
	_ = c.closeWrite() // what can't be half closed is waited for all the same
	err := raw.SetReadDeadline(until)
	c.mu.Lock()
	for c.reading { // a reset is told only once
		c.idle.Wait()
	}
	c.mu.Unlock()
	if err == nil {
		_, err = io.Copy(io.Discard, raw)
	}
	c.mu.Lock()
	c.endedLocked(err == nil)
	c.mu.Unlock()
	c.desk.forget(c)
	raw.Close()
}

// pause waits until the client has read what it was sent so far, as far as that can be
// waited for. The end of the response, which corked comes together with that of the
// connection, is then all that it finds. HAProxy sees the end of a connection only
// then, and otherwise resets it as soon as it has the response. At most half of the
// time that is left is spent.
func (c *Conn) pause(ctx context.Context, left time.Duration) {
	const step, read = time.Millisecond, 20 * time.Millisecond
	most := min(left/2, finishing) - read
	wait := func(d time.Duration) bool {
		select {
		case <-time.After(d):
			return true
		case <-ctx.Done():
			return false
		}
	}
	if most < 0 {
		return
	}
	for waited := time.Duration(0); waited < most && unacknowledged(bare(c.conn)) > 0; waited += step {
		if !wait(step) {
			return
		}
	}
	wait(read)
}

// closeWrite closes the half of the connection that is written to. Under TLS that has
// a word of its own, which is left out, see lastWord.
func (c *Conn) closeWrite() error {
	half, ok := bare(c.conn).(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fin = true
	return half.CloseWrite()
}

const (
	recordAlert       = 21
	recordApplication = 23
	recordHeader      = 5
	// alertRecord is the length of an alert in TLS 1.3: two bytes, their type, and a tag.
	alertRecord = recordHeader + 2 + 1 + 16
)

// lastWord says whether what is written may be the alert with which TLS ends. It is
// kept back, and left out where nothing follows but the end of the connection: a client
// that closes the connection behind the response would leave it unread, which makes
// its end a reset. Where something follows, it was something else.
func lastWord(version uint16, b []byte) bool {
	switch version {
	case 0:
		return false
	case tls.VersionTLS13:
		return len(b) == alertRecord && b[0] == recordApplication
	}
	return len(b) > 0 && b[0] == recordAlert
}

// cutOff closes a connection without a word. Under TLS a word could block.
func (c *Conn) cutOff() {
	c.mu.Lock()
	c.closed = true
	done := c.breakLocked()
	c.mu.Unlock()
	bare(c.conn).Close()
	c.desk.reportLater(done)
}

// reset cuts a connection off so that the client can't take it for an end.
func (c *Conn) reset() {
	if socket, ok := bare(c.conn).(interface{ SetLinger(seconds int) error }); ok {
		_ = socket.SetLinger(0) // if it fails, closing has to do
	}
	c.desk.forget(c)
	c.cutOff()
}
