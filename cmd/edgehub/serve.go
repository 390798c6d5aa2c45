package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/mdlayher/vsock"
	"github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/net/netutil"

	"github.com/hubring/hubring/edgehub"
)

// door is a set of addresses behind which the same is served.
type door struct {
	flags     *web.FlagConfig
	server    func() *http.Server
	watch     func(net.Listener) net.Listener
	pprof     bool
	logger    *slog.Logger
	listeners []net.Listener
}

// serving is what serves the doors of a hub, each listener by a server of its own: the
// toolkit writes to the server that it is given.
type serving struct {
	servers []*http.Server
	ended   chan error // gets what each server ended with
}

// serve opens the doors that the options name. They are all open, or none is.
func serve(hub *edgehub.Hub, o options, logger *slog.Logger) (*serving, error) {
	doors := []*door{{flags: o.web, server: hub.HTTPServer, watch: hub.Listener, pprof: o.pprof, logger: logger}}
	if o.twoDoors() {
		doors = []*door{
			{flags: o.web, server: hub.PushServer, watch: hub.Listener, logger: logger},
			{flags: o.scrapeWeb, server: hub.ScrapeServer, watch: hub.Listener, pprof: o.pprof, logger: logger.With("door", "scrape")},
		}
	}
	if o.calls() {
		bounded := func(l net.Listener) net.Listener { return netutil.LimitListener(l, o.hub.MaxConnections) }
		doors = append(doors, &door{flags: o.grpcWeb, server: hub.GRPCServer, watch: bounded, logger: logger.With("door", "grpc")})
	}
	for i, d := range doors {
		err := d.open()
		if err != nil {
			for _, opened := range doors[:i] {
				closeAll(opened.listeners)
			}
			return nil, err
		}
	}
	s := &serving{ended: make(chan error)}
	for _, d := range doors {
		for _, l := range d.listeners {
			s.start(hub, d, l)
		}
	}
	return s, nil
}

// start serves one of a door's listeners, and returns when connections are accepted: so
// the log names addresses in the order of the flags.
func (s *serving) start(hub *edgehub.Hub, d *door, l net.Listener) {
	server := d.server()
	if d.pprof {
		server.Handler = withPprof(server.Handler)
	}
	begun := make(chan struct{})
	begin := sync.OnceFunc(func() { close(begun) })
	beforeServing(server, begin, openProbes(server), signAll(hub, server))
	s.servers = append(s.servers, server)
	go func() {
		err := web.Serve(l, server, d.flags, d.logger)
		begin()
		s.ended <- err
	}()
	<-begun
}

// open checks the door's config file and listens on its addresses.
func (d *door) open() error {
	if err := web.Validate(*d.flags.WebConfigFile); err != nil {
		return fmt.Errorf("read %s: %w", *d.flags.WebConfigFile, err)
	}
	var err error
	if d.flags.WebSystemdSocket != nil && *d.flags.WebSystemdSocket {
		d.logger.Info("Listening on systemd activated listeners instead of port listeners.")
		d.listeners, err = systemdListeners()
	} else {
		d.listeners, err = listen(*d.flags.WebListenAddresses)
	}
	if err != nil {
		return err
	}
	for i, l := range d.listeners {
		d.listeners[i] = d.watch(l)
	}
	return nil
}

// systemdListeners returns the sockets that systemd opened for the process.
func systemdListeners() ([]net.Listener, error) {
	listeners, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("take over the sockets of systemd: %w", err)
	}
	if len(listeners) == 0 {
		return nil, errors.New("--web.systemd-socket is set, but systemd handed over no socket")
	}
	return listeners, nil
}

// listen listens on addresses of the forms that the toolkit knows, all or none.
func listen(addresses []string) (listeners []net.Listener, err error) {
	for _, address := range addresses {
		l, err := listenOn(address)
		if err != nil {
			closeAll(listeners)
			return nil, err
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

func listenOn(address string) (net.Listener, error) {
	if !strings.HasPrefix(address, "vsock://") {
		return net.Listen("tcp", address)
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(u.Port(), 10, 32)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return vsock.Listen(uint32(port), nil)
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		_ = l.Close() // nothing was served on it
	}
}

// shutdown lets requests finish until ctx ends, then cuts them off, and returns when
// nothing is served any more.
func (s *serving) shutdown(ctx context.Context) (cut error, err error) {
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

// close ends all servers at once, of which some number has ended by itself.
func (s *serving) close(ended int) error {
	for _, server := range s.servers {
		server.Close()
	}
	return s.wait(len(s.servers) - ended)
}

// wait returns what that many servers ended with, unless they were told to.
func (s *serving) wait(n int) error {
	var errs []error
	for range n {
		if err := <-s.ended; !errors.Is(err, http.ErrServerClosed) {
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

// openProbes lets probes pass in front of the passwords and the rate limit of a web config
// file, which a kubelet knows nothing of. The toolkit puts its handler in front of the
// server's when it is told to serve, so what openProbes returns is called after that.
func openProbes(server *http.Server) func() {
	open := server.Handler
	return func() {
		guarded := server.Handler
		server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if isProbe(r) {
				open.ServeHTTP(w, r)
				return
			}
			guarded.ServeHTTP(w, r)
		})
	}
}

// signAll makes the answers of what is in front of the hub say that they are its own, so that
// an exporter whose password is wrong is told so by a hub. What it returns is called when the
// toolkit has put its handler there.
func signAll(hub *edgehub.Hub, server *http.Server) func() {
	return func() { server.Handler = hub.Sign(server.Handler) }
}

// isProbe takes no path that only looks like a probe's to one who reads it in another way.
func isProbe(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.URL.RawPath == "" &&
		(r.URL.Path == "/-/healthy" || r.URL.Path == "/-/ready")
}

// withPprof serves /debug/pprof/ beside the hub.
func withPprof(hub http.Handler) http.Handler {
	const path = "/debug/pprof/"
	profiles := http.NewServeMux()
	profiles.HandleFunc(path, pprof.Index)
	profiles.HandleFunc(path+"cmdline", pprof.Cmdline)
	profiles.HandleFunc(path+"profile", pprof.Profile)
	profiles.HandleFunc(path+"symbol", pprof.Symbol)
	profiles.HandleFunc(path+"trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, path) {
			profiles.ServeHTTP(w, r)
			return
		}
		hub.ServeHTTP(w, r)
	})
}
