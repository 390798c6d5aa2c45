package edgehub

import (
	"net/http"
	"slices"
	"time"
)

// When does a scraper have its samples? Not when the handler returns: net/http
// still owes the client the end of the body. Nor when all of it is written: it
// may sit in the sockets' buffers while the scraper's time runs out, and then the
// scraper throws away what it has and closes the connection. What does tell is
// the connection. A scraper that got the whole response keeps it open for the
// next scrape; so a cursor moves when the next request comes in on it. If it is
// closed before, the samples are given again, which at worst is once too often and
// harmless: they carry their timestamps. A scraper that is halted, or cut off from
// the network, neither asks nor closes; so the clock alone says nothing for long.
// Only just before the hub would close an idle connection itself, it believes that
// a scraper that is still there has what was written: one that scrapes so rarely
// would get the same again and again.
//
// A hub that drains does not wait for the next scrape of each scraper; see
// parting.go for what it goes by.
//
// Some can't be told by that. Who asks with ?drain=1 takes what is written. Where
// the connection was to be closed after the response anyway, or the hub itself
// closes it because it stops, the response was written and that has to do.

// confirmTime is how long a connection must outlive a response to be believed
// without another request on it.
const confirmTime = idleTimeout - 10*time.Second

// handover is a response whose samples the scraper may or may not have.
type handover struct {
	commit    func()      // the scraper has it
	lost      func()      // it has not, as far as can be told
	explicit  bool        // asked for with ?drain=1
	closing   bool        // the server closes the connection after it
	written   bool        // out of the hub's hands
	confirmed *time.Timer // runs out when the connection has outlived it for long
}

// closes says whether net/http closes the connection behind the response to r, which
// has these headers and no length.
func closes(r *http.Request, response http.Header) bool {
	return r.Close || !r.ProtoAtLeast(1, 1) || response.Get(connectionHeader) == "close"
}

// whenTaken calls commit once the scraper that sent r has the response, or lost
// once it is clear that it has not. The handler must have flushed what it wrote
// and return.
func (h *Hub) whenTaken(r *http.Request, o *handover) {
	conn, ok := connectionOf(r)
	if !ok {
		o.commit() // served without HTTPServer's hooks: nothing more will be known
		return
	}
	o.closing = !h.connections.isTaken(conn) && (o.closing || h.retired.Load())
	conn.mu.Lock()
	defer conn.mu.Unlock()
	conn.owed = append(conn.owed, o)
	if !o.explicit {
		o.confirmed = time.AfterFunc(h.confirmTime, func() {
			conn.settle(func(other *handover) bool { return other == o && o.written })
		})
	}
}

// settle moves the cursors of the handovers that are taken and keeps the others.
func (c *connection) settle(taken func(*handover) bool) {
	c.mu.Lock()
	var done []*handover
	c.owed = slices.DeleteFunc(c.owed, func(o *handover) bool {
		if !taken(o) {
			return false
		}
		done = append(done, o)
		return true
	})
	c.mu.Unlock()
	for _, o := range done {
		o.stop()
		o.commit()
	}
}

// written notes that every response so far has left.
func (c *connection) written() {
	c.mu.Lock()
	for _, o := range c.owed {
		o.written = true
	}
	c.mu.Unlock()
	c.settle(func(o *handover) bool { return o.explicit || o.closing })
}

// alive notes that the client still holds the connection.
func (c *connection) alive() { c.settle(func(o *handover) bool { return o.written }) }

// closed gives up what is still owed, but for what the close says nothing about.
func (c *connection) closed() {
	c.settle(func(o *handover) bool { return o.closing })
	c.mu.Lock()
	lost := c.owed
	c.owed = nil
	c.mu.Unlock()
	for _, o := range lost {
		o.stop()
		o.lost()
	}
}

// owes says whether a scraper may still be taking what was written.
func (c *connection) owes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.owed) > 0
}

func (o *handover) stop() {
	if o.confirmed != nil {
		o.confirmed.Stop()
	}
}

// Retire tells the hub that its server is about to be shut down, which closes
// connections that say nothing more. From then on the hub reports that it is not
// ready, and believes that a scraper whose connection is open has what was
// written to it. Call it before Shutdown, after Drain if what waits is to be
// scraped first; Shutdown calls it as well, but does not wait for it.
func (h *Hub) Retire() {
	h.retired.Store(true)
	for _, conn := range h.connections.all() {
		conn.alive()
	}
}
