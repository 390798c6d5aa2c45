package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hubring/hubring/cmd/demo/stack/account"
	"github.com/hubring/hubring/edgehub"
)

// host is where one hub runs: a name and a port that stay, and a hub that can
// die. Its methods may be called from several goroutines.
type host struct {
	index  int
	name   string
	addr   string // host:port, known after the first start
	dir    string // of its log on disk, which outlives a hub that dies
	shard  string // URL of the shard that scrapes it
	logger *slog.Logger
	wrap   func(http.Handler) http.Handler // nil except in tests of a faulty hub

	mu     sync.Mutex
	hub    *edgehub.Hub // nil while it is dead
	server *http.Server
	gate   *gate
	served chan struct{} // closed when the server's Serve has returned
	dead   edgehub.Stats // of all hubs that died here
	graves []account.Grave
}

func newHost(index int, shard, dir string, logger *slog.Logger) *host {
	name := fmt.Sprintf("edgehub-%d", index)
	return &host{index: index, name: name, addr: "127.0.0.1:0", dir: filepath.Join(dir, name), shard: shard, logger: logger.With("hub", name)}
}

// start makes a new hub, which has what the last one left on disk, and serves it on the host's port. It returns when
// the hub takes pushes.
func (h *host) start() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	listener, err := net.Listen("tcp", h.addr)
	if err != nil {
		return fmt.Errorf("%s: %w", h.name, err)
	}
	hub, err := edgehub.New(edgehub.Config{
		Logger: h.logger, Servers: map[string]edgehub.Server{"": {URL: h.shard}},
		StoragePath:    h.dir,
		NoFirstSamples: true, // the account and the query are of what the gateways submitted
	})
	if err != nil {
		_ = listener.Close() // nothing was served on it
		return fmt.Errorf("%s: %w", h.name, err)
	}
	h.addr = listener.Addr().String()
	server := hub.HTTPServer()
	h.gate = &gate{next: server.Handler}
	if h.wrap != nil {
		h.gate.next = h.wrap(server.Handler)
	}
	server.Handler = h.gate
	h.hub, h.server, h.served = hub, server, make(chan struct{})
	go func(served chan struct{}) {
		defer close(served)
		if err := server.Serve(hub.Listener(listener)); !errors.Is(err, http.ErrServerClosed) {
			h.logger.Error("Hub stopped serving", "error", err)
		}
	}(h.served)
	h.graves = nil // what they hold is here again
	return h.awaitReady()
}

// awaitReady waits until the hub has read what is on disk.
func (h *host) awaitReady() error {
	for deadline := time.Now().Add(readTimeout); ; time.Sleep(time.Millisecond) {
		answer, err := http.Get("http://" + h.addr + "/-/ready")
		if err != nil {
			return fmt.Errorf("%s: %w", h.name, err)
		}
		_ = answer.Body.Close() // the status says it
		switch {
		case answer.StatusCode == http.StatusOK:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%s: it is not ready after %v", h.name, readTimeout)
		}
	}
}

// readTimeout is how long a hub may read what is on disk.
const readTimeout = 30 * time.Second

// kill ends the hub as a crash would: connections are cut, answers do not get
// out, and the memory is gone. What it held then is on disk, and died with the hub unless one starts there again.
func (h *host) kill() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	// The error is that of the listener or a connection, which are gone anyway.
	_ = h.server.Close()
	h.gate.close()
	<-h.served
	h.hub.Close(ended())
	grave := account.Grave{Hub: h.index, Pending: map[string][]int64{}}
	for series, point := range h.hub.Pending() {
		key, err := account.ParseKey(series)
		if err != nil {
			return fmt.Errorf("%s holds a series that cannot be read: %w", h.name, err)
		}
		grave.Pending[key] = append(grave.Pending[key], point.Time)
	}
	h.graves = append(h.graves, grave)
	last := h.hub.Stats()
	h.dead.Received += last.Received
	h.dead.Scraped += last.Scraped
	h.dead.Dropped += last.Dropped
	h.hub = nil
	return nil
}

// stop lets requests finish and ends the hub, if it is up.
func (h *host) stop(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hub == nil {
		return os.RemoveAll(h.dir)
	}
	err := h.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("%s: %w", h.name, err), h.server.Close())
	}
	<-h.served
	h.hub.Close(ctx)
	h.hub = nil
	return errors.Join(err, os.RemoveAll(h.dir))
}

// ended is a context that has ended: nothing is waited for.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// stats adds up what all hubs at this place did. Pending and Series are those of
// the one that is up.
func (h *host) stats() (s edgehub.Stats, up bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hub == nil {
		return h.dead, false
	}
	s = h.hub.Stats()
	s.Received += h.dead.Received
	s.Scraped += h.dead.Scraped
	s.Dropped += h.dead.Dropped
	return s, true
}

// gate knows when the last request is done, which http.Server.Close does not
// wait for, and lets none in after that.
type gate struct {
	next http.Handler

	mu     sync.Mutex
	closed bool
	active sync.WaitGroup
}

// ServeHTTP implements http.Handler.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		panic(http.ErrAbortHandler) // cuts the connection
	}
	g.active.Add(1)
	g.mu.Unlock()
	defer g.active.Done()
	g.next.ServeHTTP(w, r)
}

func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.active.Wait()
}
