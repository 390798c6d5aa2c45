package exportertest

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// windowBytes is how much may be under way in one direction before its writer
// waits, as in the buffers of two sockets.
const windowBytes = 64 << 10

// pipe is a connection in memory. Unlike net.Pipe's it has buffers, so that a
// writer need not meet its reader, and it can be cut and frozen from outside. All
// that waits waits on a condition, which lets virtual time go on.
type pipe struct {
	client, server end

	mu       sync.Mutex
	up, down stream // to the hub, to the client
	frozen   bool   // the hub's end does not move
	cut      bool   // neither end does anything any more
}

// stream is one direction of a pipe.
type stream struct {
	bytes []byte // written and not read
	read  int    // of bytes
	ended bool   // the writer closed its end
	lost  bool   // the reader closed its end
	moved sync.Cond
}

// end is one end of a pipe, a net.Conn.
type end struct {
	*pipe
	in, out  *stream
	from, to addr
	isHub    bool
	host     *host // of the hub's end, where it runs
	closed   bool
	reading  deadline
	writing  deadline
}

// newPipe returns a connection to the hub with the address.
func newPipe(hub addr) *pipe {
	p := &pipe{}
	p.up.moved.L, p.down.moved.L = &p.mu, &p.mu
	p.client = end{pipe: p, in: &p.down, out: &p.up, from: "client", to: hub}
	p.server = end{pipe: p, in: &p.up, out: &p.down, from: hub, to: "client", isHub: true}
	return p
}

// reset cuts the connection: both ends fail, and what is under way is gone.
func (p *pipe) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	p.wakeLocked()
}

func (p *pipe) isCut() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut
}

// freeze makes the hub's end stand still, or move again.
func (p *pipe) freeze(frozen bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = frozen
	p.wakeLocked()
}

func (p *pipe) wakeLocked() {
	p.up.moved.Broadcast()
	p.down.moved.Broadcast()
}

// Read implements net.Conn.
func (e *end) Read(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		switch still := e.isHub && e.frozen; {
		case e.closed:
			return 0, e.failed("read", net.ErrClosed)
		case e.cut:
			return 0, e.failed("read", os.NewSyscallError("read", syscall.ECONNRESET))
		case e.reading.over:
			return 0, e.failed("read", os.ErrDeadlineExceeded)
		case len(b) == 0:
			return 0, nil
		case !still && len(e.in.bytes) > 0:
			return e.in.take(b), nil
		case !still && e.in.ended:
			return 0, io.EOF
		}
		e.in.moved.Wait()
	}
}

// Write implements net.Conn.
func (e *end) Write(b []byte) (n int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		room := windowBytes - e.out.pending()
		switch {
		case e.closed:
			return n, e.failed("write", net.ErrClosed)
		case e.cut:
			return n, e.failed("write", os.NewSyscallError("write", syscall.ECONNRESET))
		case e.writing.over:
			return n, e.failed("write", os.ErrDeadlineExceeded)
		case len(b) == 0:
			return n, nil
		case e.out.lost:
			return n, e.failed("write", os.NewSyscallError("write", syscall.EPIPE))
		case room > 0 && (!e.isHub || !e.frozen):
			m := min(room, len(b))
			e.out.put(b[:m])
			n, b = n+m, b[m:]
			continue
		}
		e.out.moved.Wait()
	}
}

// Close implements net.Conn. What was written before still arrives.
func (e *end) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return e.failed("close", net.ErrClosed)
	}
	e.closed, e.out.ended, e.in.lost = true, true, true
	e.reading.stop()
	e.writing.stop()
	e.wakeLocked()
	return nil
}

func (e *end) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: e.from, Addr: e.to, Err: err}
}

// LocalAddr implements net.Conn.
func (e *end) LocalAddr() net.Addr { return e.from }

// RemoteAddr implements net.Conn.
func (e *end) RemoteAddr() net.Addr { return e.to }

// SetDeadline implements net.Conn.
func (e *end) SetDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reading.setLocked(t, e.in)
	e.writing.setLocked(t, e.out)
	return nil
}

// SetReadDeadline implements net.Conn.
func (e *end) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reading.setLocked(t, e.in)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (e *end) SetWriteDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.writing.setLocked(t, e.out)
	return nil
}

func (s *stream) pending() int { return len(s.bytes) - s.read }

// take reads some of what is pending, which there is.
func (s *stream) take(b []byte) int {
	n := copy(b, s.bytes[s.read:])
	if s.read += n; s.read == len(s.bytes) {
		s.bytes, s.read = s.bytes[:0], 0
	}
	s.moved.Broadcast()
	return n
}

func (s *stream) put(b []byte) {
	if s.read > 0 && len(s.bytes)+len(b) > cap(s.bytes) {
		s.bytes = s.bytes[:copy(s.bytes, s.bytes[s.read:])]
		s.read = 0
	}
	s.bytes = append(s.bytes, b...)
	s.moved.Broadcast()
}

// deadline is when reading or writing is over. The pipe's lock guards it.
type deadline struct {
	over  bool
	timer *time.Timer
	set   int // how often: a timer that comes too late for its deadline does nothing
}

func (d *deadline) setLocked(t time.Time, s *stream) {
	d.stop()
	d.over = false
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		d.over = true
		s.moved.Broadcast()
		return
	}
	set := d.set
	d.timer = time.AfterFunc(left, func() {
		s.moved.L.Lock()
		defer s.moved.L.Unlock()
		if d.set == set {
			d.over = true
			s.moved.Broadcast()
		}
	})
}

func (d *deadline) stop() {
	d.set++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

// addr is a host's name and port.
type addr string

// Network implements net.Addr.
func (addr) Network() string { return "tcp" }

// String implements net.Addr.
func (a addr) String() string { return string(a) }
