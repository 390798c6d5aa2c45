package edgehub

import (
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/hubring/hubring/edgehub/internal/web"
	"github.com/hubring/hubring/internal/exposition"
)

const (
	maxHeaderBytes   = 64 << 10
	idleTimeout      = 5 * time.Minute
	lookDeadline     = 20 * time.Second
	spareConnections = 64 // beside those of senders: for scrapers, probes and whoever looks
)

// Of a connection by HTTP/2. What a client sends before anybody reads it counts as no body.
const (
	maxStreams   = 100
	streamBuffer = 256 << 10
	pingAfter    = 30 * time.Second // without a word from the other end, which may be gone
)

// HTTPServer returns a server with the hub's routes and limits. The caller serves it on
// listeners that Listener returned, and ends it with Drain, after which
// scrapers have everything, and Shutdown, or with Close, which cuts off what is
// under way.
func (h *Hub) HTTPServer() *http.Server { return h.server(web.BothDoors) }

// PushServer returns a server for senders alone, and ScrapeServer one for whoever takes or
// looks at samples, for two ports instead of one. Both answer probes.
func (h *Hub) PushServer() *http.Server { return h.server(web.PushDoor) }

// ScrapeServer returns the server that goes with PushServer's.
func (h *Hub) ScrapeServer() *http.Server { return h.server(web.ScrapeDoor) }

// GRPCServer returns a server for who pushes by gRPC, as to a prometheus-edge-hub: /grpc.MetricsController/Collect takes families in, all
// of them or none. A refusal has the reason in its message: RESOURCE_EXHAUSTED says that there is no room, or that the message is too
// large, UNAVAILABLE that the hub stops or cannot take it now, INVALID_ARGUMENT that it is wrong. The server speaks HTTP/2 only, by TLS or not. It
// does not bound its connections, and the hub does not watch them: serve it on another listener than Listener's, with a bound.
func (h *Hub) GRPCServer() *http.Server {
	server := h.bounded(h.web.Collector())
	server.Protocols.SetHTTP2(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	server.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams:          maxStreams,
		MaxReceiveBufferPerConnection: streamBuffer, MaxReceiveBufferPerStream: streamBuffer,
		SendPingTimeout: pingAfter,
	}
	return server
}

// Handler returns the hub's routes, those of HTTPServer.
func (h *Hub) Handler() http.Handler { return h.Sign(h.web.Handler(web.BothDoors)) }

// Sign makes the answers of next say that they are this hub's, as those of the hub's own
// handlers and servers do: exporters believe no others. It is for what stands in front of
// these, such as a handler that asks for passwords.
func (h *Hub) Sign(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()[exposition.HubHeader] = h.id
		next.ServeHTTP(w, r)
	})
}

// Listener returns a listener whose connections the hub watches: what becomes of one tells
// whether a scraper has the response that was written to it, and the connections of
// senders are bounded. TLS goes over it (tls.NewListener). Whatever serves on it, the hub
// finds a request's connection by its addresses. On another listener a response
// counts as taken as soon as it is written.
func (h *Hub) Listener(l net.Listener) net.Listener { return h.desk.Listen(l) }

func (h *Hub) server(door web.Door) *http.Server {
	server := h.bounded(h.web.Handler(door))
	// What becomes of a response is told by its connection, so a scrape
	// needs one of its own: no HTTP/2, which would share it.
	server.Protocols.SetHTTP1(true)
	return server
}

// bounded is a server with the hub's limits, which speaks nothing yet.
func (h *Hub) bounded(handler http.Handler) *http.Server {
	server := &http.Server{
		Handler:           h.Sign(handler),
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: h.cfg.HeaderTimeout,
		ReadTimeout:       h.cfg.BodyTimeout,
		WriteTimeout:      h.cfg.BodyTimeout + lookDeadline, // begins before the body is read; a scrape sets its own
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(h.cfg.Logger.Handler(), slog.LevelDebug),
	}
	server.RegisterOnShutdown(h.Retire)
	return server
}

// Retire tells the hub that its server is about to be shut down: from then on it is not
// ready. Shutdown calls it as well.
func (h *Hub) Retire() { h.web.Retire() }
