package handover

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to come.
const patience = 10 * time.Second

// hub is a server whose scrapes are handed over.
type hub struct {
	t        *testing.T
	desk     *Desk
	server   *http.Server
	listener net.Listener
	dialer   func() net.Conn
	tls      *tls.Config // of clients, if it is served under TLS
	outcomes chan string // one for each response: what became of which

	mu      sync.Mutex
	scrapes int
	closing bool
	aborts  bool
	limit   time.Duration       // of a response
	first   func(*http.Request) // a scrape is noted
	before  func(*http.Request) // a response is written
	after   func(*http.Request) // it is owed
	notices []Notice
}

type option func(*hub, *Config)

// underTLS serves the hub under TLS of a version.
func underTLS(version uint16) option {
	return func(h *hub, _ *Config) { h.tls = &tls.Config{MaxVersion: version} }
}

func serve(t *testing.T, options ...option) *hub {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h := serveOn(t, l, options...)
	t.Cleanup(h.stop)
	h.dialer = func() net.Conn {
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		return conn
	}
	return h
}

// serveOn serves a hub until stop.
func serveOn(t *testing.T, l net.Listener, options ...option) *hub {
	h := &hub{t: t, outcomes: make(chan string, 10_000), limit: patience}
	cfg := Config{MaxSenders: 100, Spare: 20}
	for _, o := range options {
		o(h, &cfg)
	}
	cfg.Notice = func(n Notice) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.notices = append(h.notices, n)
	}
	h.desk = NewDesk(cfg)
	h.listener = h.desk.Listen(l)
	if h.tls != nil {
		certified := httptest.NewTLSServer(nil)
		certified.Close()
		version := h.tls.MaxVersion
		h.tls = certified.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		h.tls.ServerName = "example.com" // which the certificate is for
		h.tls.MaxVersion = version
		h.listener = tls.NewListener(h.listener, certified.TLS)
	}
	h.server = &http.Server{
		Handler: h.desk.Handler(h), IdleTimeout: 5 * time.Minute, ReadHeaderTimeout: patience,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	go h.server.Serve(h.listener)
	return h
}

func (h *hub) stop() {
	h.server.Close()
	ended, end := context.WithCancel(context.Background())
	end()
	h.desk.Close(ended)
	assert.Zero(h.t, h.desk.Open())
	assert.Zero(h.t, h.desk.Senders())
	assert.Empty(h.t, h.desk.accounts())
}

// accounts are the responses about which nothing is told.
func (d *Desk) accounts() (all []*owed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.ledgers {
		for o := range l.owed {
			all = append(all, o)
		}
	}
	return all
}

// set changes what the handler goes by.
func (h *hub) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

func (h *hub) scraped() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.scrapes
}

// ServeHTTP answers a scrape of /KEY with its number, a push, or a probe.
func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/probe":
		io.WriteString(w, "ready")
		return
	case "/push":
		if !h.desk.Of(r).MaySend() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		io.Copy(io.Discard, r.Body)
		return
	}
	key := strings.TrimPrefix(r.URL.Path, "/")
	h.mu.Lock()
	first := h.first
	h.mu.Unlock()
	if first != nil {
		first(r)
	}
	h.desk.Settle(key, r)
	h.mu.Lock()
	h.scrapes++
	n, limit, closing, aborts, before, after := h.scrapes, h.limit, h.closing, h.aborts, h.before, h.after
	h.mu.Unlock()
	out := h.desk.Response(w, r, time.Now().Add(limit), closing)
	if before != nil {
		before(r)
	}
	size, _ := strconv.Atoi(r.URL.Query().Get("size"))
	_, err := fmt.Fprintf(out, "scrape %d\n%s", n, strings.Repeat("x", size))
	if err == nil && r.URL.Query().Get("flush") != "no" {
		err = http.NewResponseController(out).Flush()
	}
	if err != nil || aborts {
		h.outcomes <- fmt.Sprintf("%d aborted", n)
		out.Abort()
	}
	watched := out.conn != nil
	out.Owe(&Response{
		Key:   key,
		Taken: func() { h.outcome(key, watched, fmt.Sprintf("%d taken", n)) },
		Lost:  func(written bool) { h.outcome(key, watched, fmt.Sprintf("%d lost, written: %v", n, written)) },
	})
	if after != nil {
		after(r)
	}
}

// outcome is what became of a response of key. A watched one has to be on the account
// until this has returned: a newer scrape waits for those that it finds there.
func (h *hub) outcome(key string, watched bool, text string) {
	if watched {
		h.desk.mu.Lock()
		owed := len(h.desk.ledgers[key].owed)
		h.desk.mu.Unlock()
		assert.NotZero(h.t, owed, "a scrape that begins now does not wait for what is told: %s", text)
	}
	h.outcomes <- text
}

// becomes waits for what becomes of one response, and then the next. Want is how it
// begins.
func (h *hub) becomes(want ...string) {
	h.t.Helper()
	for _, w := range want {
		select {
		case got := <-h.outcomes:
			assert.True(h.t, strings.HasPrefix(got, w), "want: %s, got: %s", w, got)
		case <-time.After(patience):
			h.t.Fatal("nothing tells what became of a response, want:", w)
		}
	}
}

// become waits for what becomes of responses, in any order.
func (h *hub) become(want ...string) {
	h.t.Helper()
	var all []string
	for range want {
		select {
		case got := <-h.outcomes:
			all = append(all, got)
		case <-time.After(patience):
			h.t.Fatal("nothing tells what became of a response, want:", want, "got:", all)
		}
	}
	slices.Sort(all)
	slices.Sort(want)
	for i, w := range want {
		assert.True(h.t, strings.HasPrefix(all[i], w), "want: %s, got: %s", want, all)
	}
}

// undecided says that nothing has become of any response so far.
func (h *hub) undecided() {
	h.t.Helper()
	select {
	case got := <-h.outcomes:
		h.t.Fatal("too early:", got)
	default:
	}
}

// awaitWritten waits until that many responses are written and owed.
func (h *hub) awaitWritten(n int) {
	h.t.Helper()
	require.Eventually(h.t, func() bool { return h.written() == n }, patience, time.Millisecond)
}

func (h *hub) written() (n int) {
	for _, o := range h.desk.accounts() {
		o.conn.mu.Lock()
		if o.written && slices.Contains(o.conn.owed, o) {
			n++
		}
		o.conn.mu.Unlock()
	}
	return n
}

// peer is a client with one connection.
type peer struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader
}

func (h *hub) dial() *peer {
	h.t.Helper()
	conn := h.dialer()
	p := &peer{Conn: conn, t: h.t}
	if h.tls != nil {
		p.Conn = tls.Client(bitByBit{conn}, h.tls)
	}
	p.in = bufio.NewReader(p.Conn)
	require.NoError(h.t, p.SetDeadline(time.Now().Add(patience)))
	h.t.Cleanup(func() { p.Close() })
	return p
}

// bitByBit is a connection of which not much is read before it is needed.
type bitByBit struct{ net.Conn }

func (c bitByBit) Read(b []byte) (int, error) { return c.Conn.Read(b[:min(512, len(b))]) }

func (p *peer) tcp() *net.TCPConn {
	if t, ok := p.Conn.(*tls.Conn); ok {
		return t.NetConn().(bitByBit).Conn.(*net.TCPConn)
	}
	return p.Conn.(*net.TCPConn)
}

func (p *peer) send(text string) {
	p.t.Helper()
	_, err := io.WriteString(p, text)
	require.NoError(p.t, err)
}

// get sends a request with headers.
func (p *peer) get(path string, headers ...string) {
	p.t.Helper()
	p.send("GET " + path + " HTTP/1.1\r\nHost: hub\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n")
}

// read reads an answer to its end.
func (p *peer) read() (text string, answer *http.Response) {
	p.t.Helper()
	answer, err := http.ReadResponse(p.in, nil)
	require.NoError(p.t, err)
	body, err := io.ReadAll(answer.Body)
	require.NoError(p.t, err)
	return string(body), answer
}

func (p *peer) scrape(path string, headers ...string) string {
	p.t.Helper()
	p.get(path, headers...)
	text, answer := p.read()
	require.Equal(p.t, http.StatusOK, answer.StatusCode)
	return text
}

// everywhere runs a test over plain connections and under TLS.
func everywhere(t *testing.T, test func(t *testing.T, options ...option)) {
	t.Run("plain", func(t *testing.T) { test(t) })
	t.Run("TLS 1.2", func(t *testing.T) { test(t, underTLS(tls.VersionTLS12)) })
	t.Run("TLS 1.3", func(t *testing.T) { test(t, underTLS(tls.VersionTLS13)) })
}
