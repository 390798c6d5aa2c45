// Package serving serves on the addresses that flags name, by exporter-toolkit: with TLS and passwords where a web config file has them, and
// probes in front of those.
//
//	Door: addresses, what is served there ──► Open: all listen, or none ──► a server for each listener ──► Shutdown, Close
package serving

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/prometheus/exporter-toolkit/web"
)

// Door is a set of addresses behind which the same is served.
type Door struct {
	Flags  *web.FlagConfig
	Server func() *http.Server // a new one for each listener, since the toolkit writes to the one that it is given
	// Watch returns what is to accept in the place of a listener; nil for the listener itself.
	Watch func(net.Listener) net.Listener
	// Outermost returns what is to serve in the place of all, passwords included; nil for that.
	Outermost func(http.Handler) http.Handler
	Logger    *slog.Logger

	listeners []net.Listener
}

// Serving is what serves doors. Its methods may be called once, from one goroutine.
type Serving struct {
	// Ended gets what each server ended with, of which one may be received before Close.
	Ended   chan error
	servers []*http.Server
}

// Open opens doors. They are all open, or none is.
func Open(doors ...*Door) (*Serving, error) {
	for i, d := range doors {
		err := d.open()
		if err != nil {
			for _, opened := range doors[:i] {
				closeAll(opened.listeners)
			}
			return nil, err
		}
	}
	s := &Serving{Ended: make(chan error)}
	for _, d := range doors {
		for _, l := range d.listeners {
			s.start(d, l)
		}
	}
	return s, nil
}

// open checks the door's config file and listens on its addresses.
func (d *Door) open() error {
	if err := web.Validate(*d.Flags.WebConfigFile); err != nil {
		return fmt.Errorf("read %s: %w", *d.Flags.WebConfigFile, err)
	}
	var err error
	if d.Flags.WebSystemdSocket != nil && *d.Flags.WebSystemdSocket {
		d.Logger.Info("Listening on systemd activated listeners instead of port listeners.")
		d.listeners, err = systemdListeners()
	} else {
		d.listeners, err = listen(*d.Flags.WebListenAddresses)
	}
	if err != nil {
		return err
	}
	if d.Watch != nil {
		for i, l := range d.listeners {
			d.listeners[i] = d.Watch(l)
		}
	}
	return nil
}

// start serves one of a door's listeners, and returns when connections are accepted: so
// the log names addresses in the order of the flags.
func (s *Serving) start(d *Door, l net.Listener) {
	server := d.Server()
	begun := make(chan struct{})
	begin := sync.OnceFunc(func() { close(begun) })
	outermost := func() {
		if d.Outermost != nil {
			server.Handler = d.Outermost(server.Handler)
		}
	}
	beforeServing(server, begin, openProbes(server), outermost)
	s.servers = append(s.servers, server)
	go func() {
		err := web.Serve(l, server, d.Flags, d.Logger)
		begin()
		s.Ended <- err
	}()
	<-begun
}

// Shutdown lets requests finish until ctx ends, then cuts them off, and returns when
// nothing is served any more.
func (s *Serving) Shutdown(ctx context.Context) (cut error, err error) {
	cuts := make([]error, len(s.servers))
	var all sync.WaitGroup
	for i, server := range s.servers {
		all.Go(func() {
			if cuts[i] = server.Shutdown(ctx); cuts[i] != nil {
				server.Close()
			}
		})
	}
	all.Wait()
	return errors.Join(cuts...), s.wait(len(s.servers))
}

// Close ends all servers at once, of which some number has ended by itself.
func (s *Serving) Close(ended int) error {
	for _, server := range s.servers {
		server.Close()
	}
	return s.wait(len(s.servers) - ended)
}

// wait returns what that many servers ended with, unless they were told to.
func (s *Serving) wait(n int) error {
	var errs []error
	for range n {
		if err := <-s.Ended; !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// beforeServing calls functions when all is ready for the first connection.
func beforeServing(server *http.Server, calls ...func()) {
	server.BaseContext = func(net.Listener) context.Context {
		for _, call := range calls {
			call()
		}
		return context.Background()
	}
}
