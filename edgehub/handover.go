package edgehub

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// A handler that has returned has not answered yet: net/http still owes the
// client the end of the body, and a scraper that does not get it throws the
// whole scrape away. So a cursor moves only when the server says that the
// connection is done with the response, which it does by calling it idle. A
// connection that is closed instead leaves the cursor where it is, unless it
// was to be closed after this response anyway.

// connection is what a hub knows of a client's connection.
type connection struct {
	mu   sync.Mutex
	owed []handover
}

// handover is what to do when a response is out.
type handover struct {
	commit  func()
	closing bool // the connection closes after the response
}

type connectionKey struct{}

// whenOut calls commit once the response to r has left, or never. The handler
// must return right after it, and must have flushed what it wrote.
func (h *Hub) whenOut(r *http.Request, commit func()) {
	conn, ok := r.Context().Value(connectionKey{}).(*connection)
	if !ok {
		commit() // served without HTTPServer's hooks: this is as late as it gets
		return
	}
	conn.mu.Lock()
	defer conn.mu.Unlock()
	conn.owed = append(conn.owed, handover{commit, r.Close || h.stopping.Load()})
}

func (c *connection) finish(all bool) {
	c.mu.Lock()
	owed := c.owed
	c.owed = nil
	c.mu.Unlock()
	for _, o := range owed {
		if all || o.closing {
			o.commit()
		}
	}
}

// hooks makes server tell the hub's connections what becomes of them.
func (h *Hub) hooks(server *http.Server) {
	var open sync.Map // net.Conn to *connection
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		conn := new(connection)
		open.Store(c, conn)
		return context.WithValue(ctx, connectionKey{}, conn)
	}
	server.ConnState = func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateIdle:
			if conn, ok := open.Load(c); ok {
				conn.(*connection).finish(true)
			}
		case http.StateClosed, http.StateHijacked:
			if conn, ok := open.LoadAndDelete(c); ok {
				conn.(*connection).finish(false)
			}
		case http.StateNew, http.StateActive:
		}
	}
	server.RegisterOnShutdown(func() { h.stopping.Store(true) })
}
