package handover

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Config is what a desk is made with.
type Config struct {
	// MaxSenders is the most connections of senders.
	MaxSenders int
	// Spare is how many connections may be open beyond those of senders, for
	// scrapers, probes and whoever looks.
	Spare int
	// Notice is told what the desk notices about scrapers, each time. It may be
	// called from several goroutines at once, and must not call the desk. May be nil.
	Notice func(Notice)
}

// Desk hands responses over and knows who has them. Its methods may be called from
// several goroutines.
type Desk struct {
	cfg       Config
	refused   atomic.Uint64
	unwatched atomic.Uint64
	crew      crew

	mu      sync.Mutex // guards what follows; taken before that of a Conn
	open    map[addresses]*Conn
	senders int
	accepts uint64 // connections so far
	ledgers map[any]*ledger
	visits  uint64 // scrapes so far
}

// addresses are both ends of a connection, which a request tells, too.
type addresses struct {
	remote string
	local  netip.AddrPort // of TCP, whose text would be made anew with each request
	other  string         // local, if it is none of TCP
}

func addressesOf(remote string, local net.Addr) addresses {
	if tcp, ok := local.(*net.TCPAddr); ok {
		return addresses{remote: remote, local: tcp.AddrPort()}
	}
	return addresses{remote: remote, other: local.String()}
}

// NewDesk returns a desk without connections.
func NewDesk(cfg Config) *Desk {
	if cfg.Notice == nil {
		cfg.Notice = func(Notice) {}
	}
	return &Desk{cfg: cfg, open: map[addresses]*Conn{}, ledgers: map[any]*ledger{}}
}

// Conn is a client's connection, as far as the desk knows it. A nil Conn is one that
// the desk does not watch.
type Conn struct {
	desk *Desk
	conn net.Conn // as it was accepted
	at   addresses
	host string // of the client

	place    // guarded by Desk.mu
	evidence // has a lock of its own
}

type connKey struct{}

// Of returns the connection of a request that came through Handler, or nil if it is
// not one that the desk watches.
func (d *Desk) Of(r *http.Request) *Conn {
	c, _ := r.Context().Value(connKey{}).(*Conn)
	if c == nil || c.desk != d {
		return nil
	}
	return c
}

// Handler tells the desk which request is on which connection. The connection is
// found by the addresses that the server noted, so what is wrapped around the handler
// must leave them as they are, and write nothing when it has returned.
//
// It does not serve a request whose connection the desk has closed.
func (d *Desk) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := d.find(r)
		if c == nil {
			d.unwatched.Add(1)
			next.ServeHTTP(w, r)
			return
		}
		if !d.begin(c) {
			panic(http.ErrAbortHandler) // nothing of the request is taken
		}
		c.requested(r)
		returned := false
		defer func() {
			c.answered(r, returned)
			d.end(c)
		}()
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), connKey{}, c)))
		returned = true
	})
}

// find is the connection of a request that comes from the server.
func (d *Desk) find(r *http.Request) *Conn {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open[addressesOf(r.RemoteAddr, local)]
}

// Senders is the number of senders' connections.
func (d *Desk) Senders() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.senders
}

// Open is the number of connections.
func (d *Desk) Open() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.open)
}

// Refused is how many connections were closed because too many were open.
func (d *Desk) Refused() uint64 { return d.refused.Load() }

// Unwatched is how many requests came over connections that the desk does not watch.
// Their responses count as taken when they are owed.
func (d *Desk) Unwatched() uint64 { return d.unwatched.Load() }

// Close waits until every connection that the server has closed is told from the
// other side, too, or ctx ends. Then it closes what is still open, and everything
// that is owed is lost. Call it when the server is shut down and no handler is at work; no
// function of a response runs after it.
func (d *Desk) Close(ctx context.Context) {
	d.crew.wait(ctx)
	for _, c := range d.all() {
		d.forget(c)
		c.cutOff()
	}
	d.crew.wait(context.Background())
}

func (d *Desk) all() []*Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]*Conn, 0, len(d.open))
	for _, c := range d.open {
		all = append(all, c)
	}
	return all
}

// crew is the goroutines that a desk waits for. Its zero value is ready.
type crew struct {
	mu   sync.Mutex
	busy int
	idle chan struct{} // closed once nobody is busy; nil if nobody waits
}

func (w *crew) run(work func()) {
	w.mu.Lock()
	w.busy++
	w.mu.Unlock()
	go func() {
		work()
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.busy--; w.busy == 0 && w.idle != nil {
			close(w.idle)
			w.idle = nil
		}
	}()
}

// wait waits until nobody is busy, or ctx ends.
func (w *crew) wait(ctx context.Context) {
	w.mu.Lock()
	if w.busy == 0 {
		w.mu.Unlock()
		return
	}
	if w.idle == nil {
		w.idle = make(chan struct{})
	}
	idle := w.idle
	w.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}
