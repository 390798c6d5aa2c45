package edgehub

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/exposition"
)

// drain begins a Drain that a test can wait for, and waits until no push is let in.
func (s *server) drain() <-chan error {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	done := make(chan error, 1)
	go func() {
		defer cancel()
		done <- s.Drain(ctx)
	}()
	s.awaitNotReady()
	s.t.Cleanup(cancel)
	return done
}

// still says that a Drain goes on. It must not end by what the test did before.
func still(t *testing.T, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		t.Fatal("the drain is over:", err)
	default:
	}
}

// From the call on pushes are refused, so that their senders go elsewhere at
// once; one scrape takes what there is, and that is all.
func TestDrainRefusesPushesAndWaitsForAScrape(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	done := s.drain()

	answer, text := s.do("POST", "/metrics", at("x", 2, 1))
	assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	assert.Equal(t, "stopping", answer.Header.Get(exposition.ReasonHeader))
	assert.Equal(t, "5", answer.Header.Get("Retry-After"))
	assert.True(t, answer.Close)
	assert.Equal(t, "the hub is stopping and takes no more; push to another one\n", text)
	answer, text = s.do("GET", "/-/ready", "")
	assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	assert.Equal(t, "edgehub is stopping.\n", text)
	assert.Equal(t, "edgehub is healthy.\n", s.get("/-/healthy"))
	assert.Equal(t, at("x", 1, 0), s.get("/metrics"), "who looks takes nothing")
	s.rejected("stopping", 1, 0)
	still(t, done)

	answer, text = s.do("GET", "/metrics", "", scrapeTimeout, "10")
	assert.Equal(t, at("x", 1, 0), text)
	assert.True(t, answer.Close)
	require.NoError(t, <-done)
	assert.Zero(t, s.Stats().Pending)
	require.NoError(t, s.Drain(t.Context()), "once more")
}

func TestDrainOfAnEmptyHubIsQuickAndQuiet(t *testing.T) {
	var log bytes.Buffer
	h, err := New(Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.NoError(t, h.Drain(ctx))
	assert.Empty(t, log.String())
}

// A push that is under way is finished and scraped.
func TestDrainFinishesPushes(t *testing.T) {
	s := serve(t, Config{})
	c := s.dial()
	c.announce(len(at("x", 1, 0)))
	done := s.drain()
	assert.Empty(t, s.scrape())
	still(t, done)
	c.send(at("x", 1, 0))
	answer, _ := c.answer()
	require.Equal(t, http.StatusOK, answer.StatusCode)
	still(t, done)
	assert.Equal(t, at("x", 1, 0), s.scrape())
	require.NoError(t, <-done)
}

// Where its sender stalls to the end that is said, since it has no answer.
func TestDrainDuringAPush(t *testing.T) {
	s := serve(t, Config{})
	s.dial().announce(10)
	ctx, end := context.WithCancel(t.Context())
	end()
	err := s.Drain(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "0 samples wait for a scrape, 1 pushes are under way")
}

// What was handed over just before is neither believed at once nor given up: the
// scraper confirms it with its next scrape, or by the end of its connection.
func TestDrainWaitsForTheConfirmation(t *testing.T) {
	for _, comesBack := range []bool{true, false} {
		s := serve(t, Config{})
		s.push(at("x", 1, 0))
		scraper := s.another()
		assert.Equal(t, at("x", 1, 0), scraper.scrape())
		done := s.drain()
		still(t, done)
		assert.Equal(t, 1, s.Stats().Unsure)
		if comesBack {
			assert.Empty(t, scraper.scrape())
		} else {
			scraper.client.CloseIdleConnections() // in order, with all read
		}
		require.NoError(t, <-done)
		assert.EqualValues(t, 1, s.Stats().Scraped)
	}
}

// All parts of all scrapers have to have everything.
func TestDrainWaitsForEveryCursorAndPart(t *testing.T) {
	s := serve(t, Config{Cursors: []string{"a", "b"}})
	s.push(string(fleet(50, 1, base)))
	scrape := func(path string) {
		t.Helper()
		answer, _ := s.do("GET", path, "", scrapeTimeout, "10")
		require.Equal(t, http.StatusOK, answer.StatusCode)
	}
	done := s.drain()
	scrape("/metrics?cursor=a")
	scrape(partPath(1, 2, "&cursor=b"))
	lacks := func() string { return behind(s.store.Log.Lags()) }
	require.Eventually(t, func() bool { return lacks() == "b 2/2" }, 10*time.Second, time.Millisecond, lacks())
	still(t, done)
	scrape(partPath(2, 2, "&cursor=b"))
	require.NoError(t, <-done)
	assert.EqualValues(t, 100, s.Stats().Scraped)
}

// Several responses are needed where one does not hold everything.
func TestDrainInBites(t *testing.T) {
	s := serve(t, Config{MaxScrapeSamples: 2})
	s.push(at("x", 1, 0) + at("x", 2, 1) + at("x", 3, 2))
	done := s.drain()
	assert.Equal(t, at("x", 1, 0)+at("x", 2, 1), s.scrape())
	s.await(1)
	still(t, done)
	assert.Equal(t, at("x", 3, 2), s.scrape())
	require.NoError(t, <-done)
}

// A scraper that gives up while the last response lies in its socket's buffer has
// nothing, and gets it again.
func TestLastScrapeThatIsGivenUpComesAgain(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	done := s.drain()
	conn, _ := rawScrape(t, s, 10, "")
	s.awaitScrapes(1)
	require.NoError(t, conn.Close()) // unread
	s.awaitAborted(1)
	still(t, done)
	assert.Equal(t, 1, s.Stats().Pending)
	assert.Equal(t, at("x", 1, 0), s.scrape())
	require.NoError(t, <-done)
}

// Under TLS a scraper says that it closes the connection, whether or not it has
// read what came.
func TestLastScrapeThatIsGivenUpUnderTLS(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	conn := s.underTLS()
	done := s.drain()
	_, err := fmt.Fprintf(conn, "GET /metrics HTTP/1.1\r\nHost: hub\r\n%s: 10\r\n\r\n", scrapeTimeout)
	require.NoError(t, err)
	s.awaitScrapes(1)
	require.NoError(t, conn.Close()) // unread
	s.awaitAborted(1)
	still(t, done)
	assert.Equal(t, at("x", 1, 0), s.scrape())
	require.NoError(t, <-done)
}

// byteByByte is a connection of which nothing is read before it is needed.
type byteByByte struct{ net.Conn }

func (c byteByByte) Read(b []byte) (int, error) { return c.Conn.Read(b[:min(1, len(b))]) }

// underTLS serves the hub under TLS, too, and returns a client's connection.
func (s *server) underTLS() *tls.Conn {
	s.t.Helper()
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(s.t, err)
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(tls.NewListener(s.Listener(listener), certified.TLS)) }()
	trust := certified.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.ServerName = "example.com" // which the certificate is for
	plain, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(s.t, err)
	conn := tls.Client(byteByByte{plain}, trust)
	s.t.Cleanup(func() {
		conn.Close()
		s.http.Close()
		assert.ErrorIs(s.t, <-served, http.ErrServerClosed)
	})
	return conn
}

// Under TLS, too, a scraper that has read the response closes the connection in order.
// The hub must have sent it nothing more, since that would lie unread.
func TestLastScrapeUnderTLS(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	scraper := s.underTLS()
	done := s.drain()
	fmt.Fprintf(scraper, "GET /metrics HTTP/1.1\r\nHost: hub\r\n%s: 10\r\n\r\n", scrapeTimeout)
	answer, err := http.ReadResponse(bufio.NewReader(scraper), nil)
	require.NoError(t, err)
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, at("x", 1, 0), string(text))
	s.awaitScrapes(1)
	require.NoError(t, scraper.Close())
	require.NoError(t, <-done)
	assert.Contains(t, s.get("/internal"), "edgehub_scrapes_aborted_total 0\n")
}

// allWritten says whether a scraper owes an answer to what was written.
// The last response is a whole one for any client, compressed and over TLS, too.
func TestLastScrapeIsComplete(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	var body strings.Builder
	for i := range int64(20_000) { // several writes
		body.WriteString(at("x", i, i))
	}
	for _, encrypted := range []bool{false, true} {
		h := newHub(t, Config{})
		ingestAt(t, h, []byte(body.String()))
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		server, url, client := h.HTTPServer(), "http://"+listener.Addr().String(), &http.Client{Transport: &http.Transport{}}
		if !encrypted {
			listener = h.Listener(listener)
		} else {
			listener = tls.NewListener(h.Listener(listener), certified.TLS)
			url, client = strings.Replace(url, "http:", "https:", 1), certified.Client()
		}
		served := make(chan error, 1)
		go func() { served <- server.Serve(listener) }()
		done := make(chan error, 1)
		go func() { done <- h.Drain(t.Context()) }()
		<-h.web.CloseEntrance()
		assert.Equal(t, body.String(), scrapeFor(t, client, url)) // the client asks for gzip by itself
		require.NoError(t, <-done)
		client.CloseIdleConnections()
		require.NoError(t, server.Shutdown(t.Context()))
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	}
}

// scrapeFor scrapes the hub at a URL for the last time.
func scrapeFor(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url+"/metrics", nil)
	require.NoError(t, err)
	r.Header.Set(scrapeTimeout, "10")
	answer, err := client.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	assert.True(t, answer.Close)
	assert.NotEmpty(t, answer.Header.Get("Date"))
	assert.Equal(t, exposition.ContentType, answer.Header.Get("Content-Type"))
	return string(text)
}

// One that asks with ?drain=1, in HTTP/1.0 or over somebody else's server has what
// is written.
// Where no scraper comes the hub says all the time what it waits for, and in the
// end what is lost.
func TestDrainWithoutAScraper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		h, err := New(Config{Logger: slog.New(slog.NewTextHandler(&log, nil)), Cursors: []string{"a", "b"}})
		require.NoError(t, err)
		ingestAt(t, h, []byte("x 1\ny 1\n"))
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		err = h.Drain(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "drain the hub: 2 samples wait for a scrape, 0 pushes are under way: ")
		assert.Equal(t, 12*time.Second, time.Since(begin))
		assert.Equal(t, 3, strings.Count(log.String(), "waiting for a scrape of what was pushed"), log.String())
		assert.Contains(t, log.String(), `samples=2 pushes_under_way=0 last_scrape=never behind="a, b" up_to=7s`)
	})
}

// At the end of its time the hub believes that a scraper has what was written to it,
// which is all that is left to do.
// A scraper that neither closes the connection nor goes on, as one that is halted,
// has nothing once its time is over.
// A response that is still being written when the time is over is believed once it is.
// A client that closes only when the hub does has everything, too.
func TestLastScrapeOfAClientThatReadsToTheEnd(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	done := s.drain()
	begin := time.Now()
	conn, r := rawScrape(t, s, 30, "")
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.Contains(t, string(text), at("x", 1, 0))
	require.NoError(t, conn.Close())
	require.NoError(t, <-done)
	assert.Less(t, time.Since(begin), 20*time.Second, "the hub waited for the client")
}

// awaitNotReady waits until the hub says that it stops.
func (s *server) awaitNotReady() {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		answer, _ := s.another().do("GET", "/-/ready", "")
		return answer.StatusCode == http.StatusServiceUnavailable
	}, 10*time.Second, time.Millisecond)
}
