package exportertest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// Network is a number of hubs that are reached by connections in memory: no port,
// no name server. What a real network does to a client it does through a real
// http.Transport: refused and cut connections, hosts that stand still, names that
// nobody knows. All methods may be called at any time, by several goroutines.
//
// A Network made in a bubble of testing/synctest works in virtual time. There it
// must be closed before the bubble ends.
type Network struct {
	server  *http.Server
	queue   chan *end // from dial to Accept
	done    chan struct{}
	running sync.WaitGroup // Serve, and each connection that was or may be accepted

	mu         sync.Mutex
	hosts      map[string]*host
	transports []*http.Transport
	closed     bool
}

// host is where a hub runs. The network's lock guards it.
type host struct {
	hub    *Hub
	pipes  map[*pipe]struct{}
	down   bool
	frozen bool
}

// NewNetwork returns a network without hubs. The caller must Close it.
func NewNetwork() *Network {
	n := &Network{queue: make(chan *end), done: make(chan struct{}), hosts: map[string]*host{}}
	// It has no timeouts: a hub that is frozen for an hour goes on where it was.
	n.server = &http.Server{
		Handler:     http.HandlerFunc(serve),
		ConnContext: withConn,
		ConnState:   n.changed,
		// Not nil: there is no HTTP/2, and nothing to prepare for it.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	n.running.Go(func() { n.server.Serve(listener{n}) }) //nolint:errcheck // it ends when Close says so
	return n
}

// Add starts a new hub under the name, which is reached as http://name, with any
// port. A name with a port, such as "edgehub-0:9091", is reached with this port
// only. If there is a hub of that name already it is removed: another machine has
// its name now.
func (n *Network) Add(name string, opts ...Option) *Hub {
	hub := NewHub(opts...)
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.hosts[name]; h != nil {
		h.kill()
	}
	n.hosts[name] = &host{hub: hub, pipes: map[*pipe]struct{}{}}
	return hub
}

// Kill ends the hub's process: its connections are cut, also in the middle of a
// body, and new ones are refused until Start. Nothing is taken in after Kill has
// returned. The hub keeps its script and its records. Kill panics if there is no
// hub of that name, as do Start, Freeze, Thaw and Remove.
func (n *Network) Kill(name string) { n.with(name, (*host).kill) }

// Start lets a killed hub take connections again.
func (n *Network) Start(name string) { n.with(name, func(h *host) { h.down = false }) }

// Freeze halts the hub: connections are made, and take in what fits a socket's
// buffer, but nothing is read, answered or taken in until Thaw, Kill or Remove.
func (n *Network) Freeze(name string) { n.with(name, func(h *host) { h.freeze(true) }) }

// Thaw ends Freeze. The hub goes on where it was.
func (n *Network) Thaw(name string) { n.with(name, func(h *host) { h.freeze(false) }) }

// Remove ends the hub's process and takes its name away: who dials it gets a
// *net.DNSError that says that there is no such host.
func (n *Network) Remove(name string) {
	n.with(name, func(h *host) {
		h.kill()
		delete(n.hosts, name)
	})
}

func (n *Network) with(name string, change func(*host)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[name]
	if h == nil {
		panic(fmt.Sprintf("exportertest: there is no hub %q in the network", name))
	}
	change(h)
}

func (h *host) kill() {
	h.down, h.frozen = true, false
	h.hub.mu.Lock() // a push is taken in before this or not at all
	for p := range h.pipes {
		p.reset()
	}
	h.hub.mu.Unlock()
	h.hub.freeze(false)
}

func (h *host) freeze(frozen bool) {
	h.frozen = frozen
	h.hub.freeze(frozen)
	for p := range h.pipes {
		p.freeze(frozen)
	}
}

// Transport returns a new transport whose connections lead to the network's hubs. It
// keeps up to eight idle connections to each hub for 90 s. Close closes them.
func (n *Network) Transport() *http.Transport {
	t := &http.Transport{
		DialContext:         n.dial,
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     90 * time.Second,
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.transports = append(n.transports, t)
	return t
}

// Close kills all hubs and waits until every goroutine of the network has ended. It
// may be called more than once, but not by a function given to OnPush.
func (n *Network) Close() {
	n.mu.Lock()
	if !n.closed {
		n.closed = true
		close(n.done)
	}
	for _, h := range n.hosts {
		h.kill()
	}
	transports := n.transports
	n.mu.Unlock()
	for _, t := range transports {
		t.CloseIdleConnections()
	}
	n.server.Close()
	n.running.Wait()
}

// dial makes a connection. It never waits longer than the server takes to accept.
func (n *Network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	p, err := n.connect(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: addr(address), Err: err}
	}
	select {
	case n.queue <- &p.server:
		return &p.client, nil
	case <-n.done:
		err = net.ErrClosed
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	n.forget(p)
	return nil, &net.OpError{Op: "dial", Net: network, Addr: addr(address), Err: err}
}

// connect makes a connection that waits to be accepted.
func (n *Network) connect(address string) (*pipe, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[address]
	if h == nil {
		name, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if h = n.hosts[name]; h == nil {
			return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
		}
	}
	switch {
	case n.closed:
		return nil, net.ErrClosed
	case h.down:
		return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	p := newPipe(addr(address))
	p.server.host, p.frozen = h, h.frozen
	h.pipes[p] = struct{}{}
	n.running.Add(1)
	return p, nil
}

// forget ends the account of a connection that connect made.
func (n *Network) forget(p *pipe) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(p.server.host.pipes, p)
	n.running.Done()
}

// changed is told by the server when a connection's goroutine ends.
func (n *Network) changed(c net.Conn, state http.ConnState) {
	if state == http.StateClosed || state == http.StateHijacked {
		n.forget(c.(*end).pipe)
	}
}

type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connOf returns the connection that a request came by, nil if it is not one of a
// Network.
func connOf(ctx context.Context) *end {
	e, _ := ctx.Value(connKey{}).(*end)
	return e
}

func serve(w http.ResponseWriter, r *http.Request) { connOf(r.Context()).host.hub.ServeHTTP(w, r) }

// listener hands dialled connections to the server.
type listener struct{ n *Network }

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	select {
	case e := <-l.n.queue:
		return e, nil
	case <-l.n.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It is Network.Close that ends Accept.
func (l listener) Close() error { return nil }

// Addr implements net.Listener.
func (l listener) Addr() net.Addr { return addr("exportertest") }
