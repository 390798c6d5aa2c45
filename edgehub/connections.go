package edgehub

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// spareConnections is how many connections may be open beyond those of senders,
// for scrapers, probes and whoever looks.
const spareConnections = 64

// connections are those that are open. Senders have a bound of their own, which
// leaves the spare ones to others. An idle connection costs its client nothing, so
// it keeps nobody out: where all places are taken, the new one gets that of an
// idle one. Only where all are at work the new one is closed.
type connections struct {
	maxSenders int
	refused    atomic.Uint64

	mu      sync.Mutex // guards what follows, and the fields of a connection that say so
	open    map[net.Conn]*connection
	senders int
}

// connection is what a hub knows of a client's connection.
type connection struct {
	// Guarded by connections.mu.
	conn   net.Conn
	busy   bool      // a handler is at work
	served bool      // it sent a request and was not one too many
	sender bool      // it pushed
	since  time.Time // it was opened, or the last handler ended
	gone   bool      // closed, perhaps by the hub before the server knows
	taken  bool      // from the server, by the hub itself (parting.go)

	mu   sync.Mutex
	owed []*handover
}

type connectionKey struct{}

// connectionOf is the connection of a request, if the server has the hub's hooks.
func connectionOf(r *http.Request) (*connection, bool) {
	conn, ok := r.Context().Value(connectionKey{}).(*connection)
	return conn, ok
}

// hooks makes server tell the hub's connections what becomes of them.
func (h *Hub) hooks(server *http.Server) {
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connectionKey{}, h.connections.opened(c))
	}
	server.ConnState = func(c net.Conn, state http.ConnState) {
		conn, ok := h.connections.find(c)
		if !ok {
			return
		}
		switch state {
		case http.StateIdle: // the response is written
			conn.written()
			if h.retired.Load() { // Retire may have come before
				conn.alive()
			}
		case http.StateActive: // the next request is there
			conn.alive()
		case http.StateHijacked:
			if h.connections.isTaken(conn) {
				return // the hub goes on with it
			}
			fallthrough
		case http.StateClosed:
			h.connections.forget(conn)
			conn.closed()
		case http.StateNew:
		}
	}
	server.RegisterOnShutdown(h.Retire)
}

// counted tells the connections when a handler is at work.
func (h *Hub) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, ok := connectionOf(r); ok {
			if !h.connections.begin(conn) {
				panic(http.ErrAbortHandler) // it was closed to make room: nothing of the request is taken
			}
			defer h.connections.end(conn)
		}
		next.ServeHTTP(w, r)
	})
}

// opened notes a new connection and finds it a place, or closes it.
func (cs *connections) opened(c net.Conn) *connection {
	conn := &connection{conn: c, since: time.Now()}
	cs.mu.Lock()
	var leaves *connection
	if len(cs.open) >= cs.maxSenders+spareConnections {
		if leaves = cs.idlestLocked(); leaves == nil {
			leaves = conn
		}
		cs.removeLocked(leaves)
	}
	if !conn.gone {
		cs.open[c] = conn
	}
	cs.mu.Unlock()
	if leaves != nil {
		cs.refused.Add(1)
		leaves.cutOff()
	}
	return conn
}

// idlestLocked is the connection whose place a new one gets, or nil.
func (cs *connections) idlestLocked() *connection {
	var idlest *connection
	for _, c := range cs.open {
		if !c.busy && (idlest == nil || c.idlerThan(idlest)) {
			idlest = c
		}
	}
	return idlest
}

// idlerThan orders connections by who goes first: who never sent a request, then
// others than senders, then senders, at last a scraper whose samples would come
// again; and of these who is idle for longest.
func (c *connection) idlerThan(other *connection) bool {
	return cmp.Or(c.rank()-other.rank(), c.since.Compare(other.since)) < 0
}

func (c *connection) rank() int {
	switch {
	case c.owes():
		return 3
	case c.sender:
		return 2
	case c.served:
		return 1
	}
	return 0
}

// cutOff closes a connection without a word. Under TLS a word could block.
func (c *connection) cutOff() {
	bare(c.conn).Close()
	c.closed()
}

// bare is the connection that a TLS connection runs over, or c itself.
func bare(c net.Conn) net.Conn {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		return t.NetConn()
	}
	return c
}

func (cs *connections) find(c net.Conn) (*connection, bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	conn, ok := cs.open[c]
	return conn, ok
}

func (cs *connections) all() []*connection {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	all := make([]*connection, 0, len(cs.open))
	for _, c := range cs.open {
		all = append(all, c)
	}
	return all
}

func (cs *connections) forget(c *connection) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.removeLocked(c)
}

func (cs *connections) removeLocked(c *connection) {
	if c.gone {
		return
	}
	c.gone = true
	delete(cs.open, c.conn)
	if c.sender {
		cs.senders--
	}
}

// begin notes that a handler is at work. It returns false if the connection is
// closed already.
func (cs *connections) begin(c *connection) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c.busy, c.served = true, true
	return !c.gone
}

func (cs *connections) end(c *connection) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c.busy, c.since = false, time.Now()
}

// take notes whether the hub itself takes a connection from the server.
func (cs *connections) take(c *connection, by bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c.taken = by
}

func (cs *connections) isTaken(c *connection) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return c.taken
}

// maySend makes a connection a sender's until it is closed. It returns false if
// there are as many as there may be.
func (cs *connections) maySend(c *connection) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if !c.sender && cs.senders < cs.maxSenders {
		c.sender = true
		cs.senders++
	}
	c.served = c.sender
	return c.sender
}

func (cs *connections) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		gauge("connections", "Open connections of senders, idle or not.", func() float64 { return float64(cs.sending()) }),
		gauge("limit_connections", "The most connections of senders.", func() float64 { return float64(cs.maxSenders) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: "edgehub", Name: "connections_refused_total", Help: "Connections that were closed because too many were open, idle ones first.",
		}, func() float64 { return float64(cs.refused.Load()) }),
	}
}

// sending is the number of senders' connections.
func (cs *connections) sending() int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.senders
}
