package handover

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pipes is a listener in memory. Its connections have no addresses to tell them by, and
// no halves.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.done)
	return nil
}

func (p *pipes) Addr() net.Addr { return nil }

// overPipes runs a test with a clock of its own.
func overPipes(t *testing.T, test func(t *testing.T, h *hub)) {
	synctest.Test(t, func(t *testing.T) {
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		h := serveOn(t, l)
		h.dialer = func() net.Conn {
			client, conn := net.Pipe()
			l.conns <- conn
			return client
		}
		t.Cleanup(h.stop)
		test(t, h)
	})
}

// forGood is a peer that a test with its own clock does not give up.
func (h *hub) forGood() *peer {
	p := h.dial()
	require.NoError(h.t, p.SetDeadline(time.Time{}))
	return p
}

// endsAfter says whether the hub closes the connection of a client that waits for that
// long, and not sooner.
func (p *peer) endsAfter(d time.Duration) {
	p.t.Helper()
	start := time.Now()
	_, err := io.Copy(io.Discard, p.in)
	assert.NoError(p.t, err)
	assert.Equal(p.t, d, time.Since(start))
}

// A client that has what it wants and neither closes the connection nor asks again
// says nothing. It is waited for as long as its scrape may take, and a second.
func TestEndThatNeverComes(t *testing.T) {
	overPipes(t, func(_ *testing.T, h *hub) {
		p := h.forGood()
		p.scrape("/a", "Connection: close")
		synctest.Wait()
		h.undecided()
		p.endsAfter(patience + lingering)
		synctest.Wait()
		h.becomes("1 lost, written: true")
	})
}

// What a client that neither closes nor reads was sent is lost, too.
func TestClientThatSendsOn(t *testing.T) {
	h := serve(t)
	h.set(func() { h.limit = 0 })
	p := h.dial()
	p.scrape("/a", "Connection: close")
	go func() {
		for {
			if _, err := io.WriteString(p, "more"); err != nil {
				return
			}
		}
	}()
	h.becomes("1 lost, written: true")
}

// The server's bound for an idle connection is not for one that waits for the next
// scrape.
func TestIdleConnectionOfAScraper(t *testing.T) {
	overPipes(t, func(_ *testing.T, h *hub) {
		p := h.forGood()
		p.scrape("/probe")
		p.endsAfter(h.server.IdleTimeout)

		p = h.forGood()
		p.scrape("/a")
		for n := range 3 {
			time.Sleep(time.Hour)
			p.scrape("/a")
			synctest.Wait()
			h.becomes([]string{"1 taken", "2 taken", "3 taken"}[n])
		}
		p.endsAfter(owedIdle + lingering)
		synctest.Wait()
		h.becomes("4 lost, written: true")
	})
}

// Once nothing is owed the server's bound counts again.
func TestIdleConnectionThatOwesNoMore(t *testing.T) {
	overPipes(t, func(_ *testing.T, h *hub) {
		p := h.forGood()
		p.scrape("/a")
		time.Sleep(time.Minute)
		q := h.forGood()
		q.scrape("/a")
		synctest.Wait()
		h.becomes("1 taken")
		p.endsAfter(h.server.IdleTimeout - time.Minute)
		time.Sleep(time.Hour)

		r := h.forGood()
		r.scrape("/a")
		synctest.Wait()
		h.becomes("2 taken")
		q.endsAfter(0)
	})
}

// Nor is it for one that begins a request and does not go on.
func TestIdleConnectionThatBegins(t *testing.T) {
	for begin, within := range map[string]time.Duration{"G": headerTime, "GET /a": patience} {
		overPipes(t, func(_ *testing.T, h *hub) {
			p := h.forGood()
			p.scrape("/a")
			time.Sleep(time.Hour)
			p.send(begin)
			p.endsAfter(within + lingering)
		})
	}
}

// A server that shuts down closes the connections that are idle. What their clients
// have read they show by closing them, too.
func TestShutdown(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...option) {
		for name, test := range map[string]struct {
			client func(h *hub, p *peer)
			within time.Duration
			want   string
		}{
			"read": {func(_ *hub, p *peer) {
				p.in.ReadByte() // it notices
				p.Close()
			}, time.Minute, "1 taken"},
			"unread":       {func(h *hub, p *peer) { p.get("/b"); h.awaitWritten(2); p.Close() }, 0, "1 lost, written: true"},
			"never closed": {func(*hub, *peer) {}, 100 * time.Millisecond, "1 lost, written: true"},
		} {
			t.Run(name, func(t *testing.T) {
				h := serve(t, options...)
				p := h.dial()
				p.scrape("/a")
				h.awaitWritten(1)
				if name == "unread" {
					test.client(h, p)
					h.become(test.want, "2 lost, written: true")
					return
				}
				require.NoError(t, h.server.Shutdown(t.Context()))
				assert.Empty(t, h.outcomes, "Shutdown does not wait for the client")
				test.client(h, p)
				ctx, end := context.WithTimeout(t.Context(), test.within)
				defer end()
				h.desk.Close(ctx)
				assert.Len(t, h.outcomes, 1, "Close waits for it, or gives it up")
				h.becomes(test.want)
			})
		}
	})
}

// So does one that keeps no connections any more. It had not said so before.
func TestServerThatKeepsNoConnections(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...option) {
		h := serve(t, options...)
		h.set(func() { h.before = func(*http.Request) { h.server.SetKeepAlivesEnabled(false) } })
		p := h.dial()
		assert.Equal(t, "scrape 1\n", p.scrape("/a"))
		p.Close()
		h.becomes("1 taken")
	})
}

// Server.Close cuts off what is under way.
func TestServerIsClosedDuringAScrape(t *testing.T) {
	h := serve(t)
	h.set(func() { h.after = func(*http.Request) { h.server.Close() } })
	h.dial().get("/a")
	h.becomes("1 lost, written: false")
}

// Under TLS what looks like its last word is sent when something follows.
func TestWordThatIsNotTheLast(t *testing.T) {
	word := make([]byte, alertRecord)
	word[0] = recordApplication
	for name, next := range map[string]func(w net.Conn){
		"a write follows": func(w net.Conn) { w.Write([]byte("more")) },
		"a read follows":  func(w net.Conn) { w.Read(make([]byte, 1)) },
	} {
		t.Run(name, func(t *testing.T) {
			d := NewDesk(Config{MaxSenders: 1})
			client, conn := net.Pipe()
			c := d.watch(conn)
			remote, ok := d.admit(c)
			require.True(t, ok)
			c.tls, c.framed, c.owed = tls.VersionTLS13, true, []*owed{newOwed(c)}
			w := &watched{conn, c, remote}
			n, err := w.Write(word)
			require.NoError(t, err)
			require.Equal(t, len(word), n)
			done := make(chan struct{})
			go func() { defer close(done); next(w) }()
			got := make([]byte, len(word))
			_, err = io.ReadFull(client, got)
			require.NoError(t, err)
			assert.Equal(t, word, got)
			client.Close()
			<-done
			d.forget(c)
			c.cutOff()
			d.crew.wait(t.Context())
		})
	}
}

func newOwed(c *Conn) *owed {
	return &owed{
		Response: &Response{Key: "a", Taken: func() {}, Lost: func(bool) {}},
		conn:     c, told: make(chan struct{}),
	}
}

// What is cut off is no end, also where a body ends with its connection.
func TestAbort(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...option) {
		for _, request := range closings {
			h := serve(t, options...)
			h.set(func() { h.aborts = true })
			p := h.dial()
			p.send(request)
			h.becomes("1 aborted")
			_, err := io.ReadAll(p.in)
			assert.ErrorIs(t, err, syscall.ECONNRESET)
			require.Eventually(t, func() bool { return h.desk.Open() == 0 }, patience, time.Millisecond)
		}
	})
}

// The desk may also lie over TLS. Then TLS ends before the connection does, and only
// that tells.
func TestDeskOverTLS(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h := serveOn(t, tls.NewListener(l, certified.TLS))
	t.Cleanup(h.stop)
	trust := certified.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.ServerName = "example.com"
	h.dialer = func() net.Conn {
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		return tls.Client(bitByBit{conn}, trust)
	}
	for _, header := range []string{"User-Agent: one", "Connection: close"} {
		p := h.dial()
		p.scrape("/a", header)
		h.awaitWritten(1)
		p.Close()
		assert.Contains(t, <-h.outcomes, "taken")
	}
	p := h.dial()
	p.scrape("/probe")
	p.get("/a")
	h.awaitWritten(1)
	p.Close()
	assert.Contains(t, <-h.outcomes, "lost")
}

// Where the desk does not watch, what is written has to do.
func TestUnwatched(t *testing.T) {
	h := serve(t)
	plain := &http.Server{Handler: h.desk.Handler(h)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go plain.Serve(l)
	defer plain.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	p := &peer{Conn: conn, t: t}
	defer conn.Close()
	p.send("GET /a HTTP/1.0\r\n\r\n")
	h.becomes("1 taken")
	assert.EqualValues(t, 1, h.desk.Unwatched())
	assert.Zero(t, h.desk.Senders())
}

// So it does over HTTP/2, where others share the connection.
func TestSharedConnections(t *testing.T) {
	h := serve(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	shared := httptest.NewUnstartedServer(h.desk.Handler(h))
	shared.Listener.Close()
	shared.Listener = h.desk.Listen(l)
	shared.EnableHTTP2 = true
	shared.Config.ErrorLog = h.server.ErrorLog
	shared.StartTLS()
	defer shared.Close()
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			answer, err := shared.Client().Get(shared.URL + "/a")
			if assert.NoError(t, err) {
				assert.Equal(t, 2, answer.ProtoMajor)
				answer.Body.Close()
			}
		})
	}
	group.Wait()
	h.become("1 taken", "2 taken", "3 taken", "4 taken", "5 taken")
	answer, err := shared.Client().Post(shared.URL+"/push", "", strings.NewReader("x"))
	require.NoError(t, err)
	answer.Body.Close()
	assert.Equal(t, 1, h.desk.Senders())
	assert.Zero(t, h.desk.Unwatched())
}

// bareWriter can do nothing but write.
type bareWriter struct{ header http.Header }

func (w bareWriter) Header() http.Header       { return w.header }
func (bareWriter) Write(b []byte) (int, error) { return len(b), nil }
func (bareWriter) WriteHeader(int)             {}

func TestWriterThatCanOnlyWrite(t *testing.T) {
	d := NewDesk(Config{})
	r, err := http.NewRequest(http.MethodGet, "/", nil)
	require.NoError(t, err)
	d.Settle("a", r)
	w := d.Response(bareWriter{http.Header{}}, r, time.Now(), true)
	_, err = io.WriteString(w, "x")
	require.NoError(t, err)
	require.NoError(t, http.NewResponseController(w).Flush())
	taken := false
	w.Owe(&Response{Key: "a", Taken: func() { taken = true }, Lost: func(bool) { t.Error("lost") }})
	assert.True(t, taken)
	assert.Equal(t, "close", w.Header().Get("Connection"))
	assert.Panics(t, w.Abort)

	failing := &Answer{ResponseWriter: failingWriter{w}}
	assert.ErrorIs(t, http.NewResponseController(failing).Flush(), errFlush)
}

type failingWriter struct{ http.ResponseWriter }

var errFlush = errors.New("it is gone")

func (failingWriter) FlushError() error { return errFlush }
