package main

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"

	"golang.org/x/net/netutil"

	"github.com/hubring/hubring/edgehub"
	"github.com/hubring/hubring/internal/serving"
)

// serve opens the doors that the options name. Their answers say that they are the hub's, so that an exporter whose password is wrong is told so by a hub.
func serve(hub *edgehub.Hub, o options, logger *slog.Logger) (*serving.Serving, error) {
	scrapes := hub.HTTPServer
	if o.twoDoors() {
		scrapes = hub.ScrapeServer
	}
	if o.pprof {
		scrapes = profiled(scrapes)
	}
	doors := []*serving.Door{{Flags: o.web, Server: scrapes, Watch: hub.Listener, Outermost: hub.Sign, Logger: logger}}
	if o.twoDoors() {
		doors = []*serving.Door{
			{Flags: o.web, Server: hub.PushServer, Watch: hub.Listener, Outermost: hub.Sign, Logger: logger},
			{Flags: o.scrapeWeb, Server: scrapes, Watch: hub.Listener, Outermost: hub.Sign, Logger: logger.With("door", "scrape")},
		}
	}
	if o.calls() {
		bounded := func(l net.Listener) net.Listener { return netutil.LimitListener(l, o.hub.MaxConnections) }
		doors = append(doors, &serving.Door{Flags: o.grpcWeb, Server: hub.GRPCServer, Watch: bounded, Outermost: hub.Sign, Logger: logger.With("door", "grpc")})
	}
	return serving.Open(doors...)
}

// profiled makes servers that have /debug/pprof/ as well.
func profiled(server func() *http.Server) func() *http.Server {
	return func() *http.Server {
		s := server()
		s.Handler = withPprof(s.Handler)
		return s
	}
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
