package exportertest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/hubring/hubring/internal/exposition"
)

// Hub is an edge hub that does as it is told and remembers what came. It is an
// http.Handler: put it behind a server of httptest, or into a Network. It serves
// POST /metrics, POST /gateways/ended, GET /-/ready and GET /-/healthy. All methods may
// be called at any time, by several goroutines.
type Hub struct {
	opts   options
	closed chan struct{}
	close  sync.Once
	turn   chan struct{} // whoever holds its one place takes a push in

	mu       sync.Mutex
	script   []Reply // of the next pushes
	always   Reply   // of those after
	ready    Reply
	ended    Reply
	poison   string
	unsaid   bool // answers do not tell that gzip is read
	onPush   func(Push, []byte)
	onEnded  func([]End)
	frozen   chan struct{} // nil, or closed when the hub thaws
	pushes   tail[Push]
	samples  tail[Sample]
	requests tail[Request]
	ends     tail[End]
	arrived  int           // samples taken in since Reset
	answered int           // pushes done with since Reset
	news     chan struct{} // nil, or closed when arrived or answered changes
}

// Option changes what NewHub makes.
type Option func(*options)

type options struct {
	samples, pushes int
	bodyBytes       int64
}

// KeepSamples makes the hub remember the last n samples only, none if n is 0.
// Wait counts all the same. Without it, all are remembered.
func KeepSamples(n int) Option { return func(o *options) { o.samples = n } }

// KeepPushes makes the hub remember the last n pushes, the last n requests and the last
// n ends only. Without it, all are remembered.
func KeepPushes(n int) Option { return func(o *options) { o.pushes = n } }

// LimitBody makes the hub answer 413 to bodies of more than n bytes, before or after
// decompression, which must be positive. Without it, the limit is 64 MiB.
func LimitBody(n int64) Option { return func(o *options) { o.bodyBytes = n } }

// NewHub returns a hub that is well. It starts no goroutine.
func NewHub(opts ...Option) *Hub {
	o := options{samples: -1, pushes: -1, bodyBytes: 64 << 20}
	for _, opt := range opts {
		opt(&o)
	}
	h := &Hub{opts: o, closed: make(chan struct{}), turn: make(chan struct{}, 1)}
	h.samples.limit, h.pushes.limit, h.requests.limit, h.ends.limit = o.samples, o.pushes, o.pushes, o.pushes
	return h
}

// Close ends all waiting, that of Delay and Hang, now and in the future: those
// connections are cut. Call it before the Close of a server of httptest, which waits
// for requests under way. A Network cuts its hubs' connections itself.
func (h *Hub) Close() { h.close.Do(func() { close(h.closed) }) }

// ServeHTTP implements http.Handler. To cut a connection it panics with
// http.ErrAbortHandler, which net/http's servers expect.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch path, isGet := r.URL.Path, r.Method == http.MethodGet || r.Method == http.MethodHead; {
	case path == "/metrics" && r.Method == http.MethodPost:
		h.push(w, r)
	case path == "/metrics":
		w.Header().Set("Allow", http.MethodPost)
		h.note(r)
		h.write(w, Reply{Status: http.StatusMethodNotAllowed, Body: "a fake hub takes pushes only\n"})
	case path == "/gateways/ended" && r.Method == http.MethodPost:
		h.serveEnded(w, r)
	case path == "/-/ready" && isGet:
		h.probe(w, r)
	case path == "/-/healthy" && isGet:
		h.note(r)
		h.write(w, Reply{})
	default:
		h.note(r)
		h.write(w, Reply{Status: http.StatusNotFound, Body: "no such page\n"})
	}
}

// note remembers a request.
func (h *Hub) note(r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.noteLocked(r)
}

func (h *Hub) noteLocked(r *http.Request) {
	h.requests.add(Request{At: time.Now(), Method: r.Method, Path: r.URL.Path})
}

// probe serves GET /-/ready.
func (h *Hub) probe(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	reply := h.ready
	h.noteLocked(r)
	h.mu.Unlock()
	if !h.wait(r.Context(), reply) || reply.Lost || reply.CutAfter != 0 {
		abort(w, r)
	}
	h.write(w, reply)
}

// wait lets the time pass that a reply takes, and returns false when there is no
// answer to be given any more.
func (h *Hub) wait(ctx context.Context, reply Reply) bool {
	if !reply.Hang && reply.Delay <= 0 {
		return true
	}
	var over <-chan time.Time
	if !reply.Hang {
		timer := time.NewTimer(reply.Delay)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
		return true
	case <-ctx.Done():
	case <-h.closed:
	}
	return false
}

// write answers.
func (h *Hub) write(w http.ResponseWriter, reply Reply) {
	header := w.Header()
	if !reply.Stranger {
		h.sign(header, reply.Status)
	}
	for k, v := range reply.Header {
		header[http.CanonicalHeaderKey(k)] = v
	}
	if header.Get("Content-Type") == "" && reply.Body != "" {
		header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	if reply.Status != 0 {
		w.WriteHeader(reply.Status)
	}
	io.WriteString(w, reply.Body) //nolint:errcheck // a client that is gone is not told
}

// sign adds what a hub says in each of its answers.
func (h *Hub) sign(header http.Header, status int) {
	header.Set(exposition.HubHeader, exposition.HubID{Version: "exportertest"}.String())
	if why := reasons[status]; why != "" {
		header.Set(exposition.ReasonHeader, why)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.unsaid {
		header.Set("Accept-Encoding", "gzip")
	}
}

// reasons are those for which a hub refuses samples, by the status.
var reasons = map[int]string{
	http.StatusBadRequest:            "malformed",
	http.StatusRequestEntityTooLarge: "body_too_large",
	http.StatusUnsupportedMediaType:  "encoding",
	http.StatusUnprocessableEntity:   "malformed",
}

// abort cuts the connection that a request came by, and does not return.
func abort(w http.ResponseWriter, r *http.Request) {
	if conn := connOf(r.Context()); conn != nil {
		conn.reset()
	} else if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, as when the hub's process ends
		}
		conn.Close()
	}
	panic(http.ErrAbortHandler)
}

// freeze makes the hub take nothing in, or go on.
func (h *Hub) freeze(frozen bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case frozen && h.frozen == nil:
		h.frozen = make(chan struct{})
	case !frozen && h.frozen != nil:
		close(h.frozen)
		h.frozen = nil
	}
}

// errCut says that a push ended without an answer.
var errCut = errors.New("the connection is cut")

// refusal is an answer to a push that the hub finds wrong.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return strconv.Itoa(r.status) + ": " + r.text }
