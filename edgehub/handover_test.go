package edgehub

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/logtest"
)

// A response that fits the sockets' buffers is written although nobody reads it. Who
// has read one says so by scraping again, and by nothing else on the connection.
func TestScraperThatGivesUpGetsItAgain(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	c := s.dial()
	c.ask(10)
	s.awaitScrapes(1)
	require.NoError(t, c.Close())
	s.awaitAborted(1)
	s.says(`edgehub_handovers_unconfirmed_total{cursor=""} 1`)

	c = s.dial()
	c.ask(10)
	_, text := c.answer()
	assert.Equal(t, at("x", 1, 0), text)
	assert.Equal(t, 1, s.Stats().Unsure)
}

// A probe, a look, a sender and a scraper of another cursor on a scraper's connection say
// nothing of what it has.
func TestOthersOnTheConnectionSayNothing(t *testing.T) {
	s := serve(t, Config{Cursors: []string{"a", "b"}})
	s.push(at("x", 1, 0))
	assert.Equal(t, at("x", 1, 0), s.get("/metrics?drain=1&cursor=a"))
	s.get("/-/ready")
	s.get("/metrics?cursor=a")
	s.push("y 1\n")
	s.get("/metrics?drain=1&cursor=b")
	assert.Zero(t, s.Stats().Scraped)
	s.get("/metrics?drain=1&cursor=a")
	assert.EqualValues(t, 1, s.Stats().Scraped)
}

// However long a scraper stays away, its time does not tell what it has.
func TestTheClockSaysNothing(t *testing.T) {
	overPipes(t, Config{}, func(t *testing.T, h *Hub, dial func() *sender) {
		ingestAt(t, h, []byte("x 1\n"))
		c := dial()
		c.ask(10)
		c.answer()
		time.Sleep(time.Hour) // of the bubble
		synctest.Wait()
		assert.Equal(t, 1, h.Stats().Unsure)
		assert.Zero(t, h.Stats().Scraped)
		c.ask(10)
		_, text := c.answer()
		assert.Empty(t, text)
		assert.EqualValues(t, 1, h.Stats().Scraped)
	})
}

// The end of a connection confirms where the hub or the protocol ends it, too, if it is
// in order; a reset does not.
func TestEndOfAClosingConnection(t *testing.T) {
	for _, request := range []string{
		"GET /metrics HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n" + scrapeTimeout + ": 10\r\n\r\n",
		"GET /metrics HTTP/1.0\r\n" + scrapeTimeout + ": 10\r\n\r\n",
		"GET /metrics HTTP/1.0\r\n" + scrapeTimeout + ": 10\r\nConnection: keep-alive\r\n\r\n",
		"GET /metrics?drain=1 HTTP/1.0\r\n\r\n",
	} {
		s := serve(t, Config{})
		s.push(at("x", 1, 0))
		c := s.dial()
		c.send(request)
		s.awaitScrapes(1)
		require.NoError(t, c.Close()) // unread
		s.awaitAborted(1)
		assert.Equal(t, 1, s.Stats().Pending, request)

		c = s.dial()
		c.send(request)
		_, text := c.answer()
		assert.Equal(t, at("x", 1, 0), text, request)
		assert.Equal(t, 1, s.Stats().Unsure, request)
		require.NoError(t, c.Close())
		s.awaitBehind(0)
	}
}

// A hub that is about to stop believes no more than before. Its server's end of the
// connection is answered by the scraper's, which tells.
func TestRetireSaysNothing(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	s.scrape()
	s.Retire()
	answer, _ := s.do("HEAD", "/-/ready", "")
	assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	assert.Equal(t, 1, s.Stats().Unsure)
	require.NoError(t, s.http.Shutdown(t.Context()))
	s.client.CloseIdleConnections()
	s.awaitBehind(0)
}

// Nor does the server keep the connection of a scrape that comes after it began to
// shut down.
func TestScrapeWhileTheServerShutsDown(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	s.Retire()
	s.http.SetKeepAlivesEnabled(false)
	assert.Equal(t, at("x", 1, 0), s.another().scrape())
	s.awaitBehind(0)
}

// Under a server of somebody else's the handler's end has to do.
func TestHandlerAlone(t *testing.T) {
	h := newHub(t, Config{})
	ingestAt(t, h, []byte(at("x", 1, 0)))
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set(scrapeTimeout, "10")
	w := httptest.NewRecorder()
	h.Handler().ServeHTTP(w, r)
	assert.Equal(t, at("x", 1, 0), w.Body.String())
	assert.Zero(t, h.Stats().Behind)
}

// Senders that are at work keep their places, and one more is refused; one that is idle
// gives its place away. Whoever does not push gets through.
func TestSendersConnectionsAreLimited(t *testing.T) {
	s := serve(t, Config{MaxConnections: 2})
	busy := []*sender{s.dial(), s.dial()}
	for _, c := range busy {
		c.announce(len(at("x", 1, 0)))
	}
	third := s.another()
	assert.Equal(t, "edgehub is ready.\n", third.get("/-/ready"))
	assert.Empty(t, s.another().scrape())
	answer, text := third.do("POST", "/metrics", at("x", 3, 2))
	assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	assert.Equal(t, "senders hold 2 connections, which is the limit\n", text)
	assert.Equal(t, "5", answer.Header.Get("Retry-After"))
	assert.True(t, answer.Close)
	third.rejected("too_many_connections", 1, 0)
	third.says("edgehub_connections 2", "edgehub_limit_connections 2", "edgehub_connections_refused_total 0")

	for i, c := range busy { // who is in stays in
		c.send(at("x", 1, int64(i)))
		answer, _ := c.answer()
		assert.Equal(t, http.StatusOK, answer.StatusCode)
	}
	require.Eventually(t, func() bool { // the hub may not know yet that they are idle
		answer, _ := third.do("POST", "/metrics", at("x", 3, 2))
		return answer.StatusCode == http.StatusOK
	}, 10*time.Second, time.Millisecond)
	third.says("edgehub_connections 2", "edgehub_connections_refused_total 1")
}

// The answer does not wait for a body that is not read.
func TestSurplusSenderIsAnsweredAtOnce(t *testing.T) {
	overPipes(t, Config{MaxConnections: 1}, func(t *testing.T, _ *Hub, dial func() *sender) {
		dial().announce(10)
		start, c := time.Now(), dial()
		c.send("POST /metrics HTTP/1.1\r\nHost: hub\r\nContent-Length: 100\r\n\r\n")
		answer, _ := c.answer()
		assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
		assert.Zero(t, time.Since(start))
		_, err := c.in.ReadByte()
		assert.ErrorIs(t, err, io.EOF)
		assert.Equal(t, time.Second, time.Since(start), "the connection is closed soon")
	})
}

// On a listener of somebody else's the hub knows no connections, and takes pushes.
func TestPushOverAnotherListener(t *testing.T) {
	s := serve(t, Config{MaxConnections: 1})
	plain := &http.Server{Handler: s.Handler()}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- plain.Serve(listener) }()
	defer func() { plain.Close(); <-served }()
	for range 3 {
		other := s.another()
		other.url = "http://" + listener.Addr().String()
		other.push("x 1\n")
	}
	assert.Zero(t, s.desk.Senders())
}

// However long scrapers say that they wait, and however many never ask again, a
// new connection gets a place.
func TestEndlessScrapesKeepNobodyOut(t *testing.T) {
	s := serve(t, Config{MaxConnections: 1})
	for range 1 + spareConnections {
		c := s.dial()
		c.ask(1e9)
		answer, _ := c.answer()
		require.Equal(t, http.StatusOK, answer.StatusCode)
	}
	require.Equal(t, 1+spareConnections, s.desk.Open())
	require.Eventually(t, func() bool { // once a handler has ended
		answer, err := s.client.Post(s.url+"/metrics", "text/plain", http.NoBody)
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}, 10*time.Second, time.Millisecond)
}

// Two scrapers that divide a cursor's series into different numbers of parts take turns.
// Both go on, no sample is left out, and the hub names it.
func TestTwoScrapersWithDifferentParts(t *testing.T) {
	j := &logtest.Buffer{}
	s := serve(t, Config{Logger: j.Logger()})
	whole, split := s.another(), s.another()
	const rounds, series = 20, 50
	got := map[string]bool{}
	var last [2]int // the rounds in which each got something
	for round := range rounds {
		s.push(string(fleet(series, 1, base+int64(round))))
		for i, text := range []string{
			whole.scrape(),
			split.get(partPath(1, 2, "&drain=1")) + split.get(partPath(2, 2, "&drain=1")),
		} {
			for line := range lines(text) {
				got[line] = true
				last[i] = round
			}
		}
	}
	assert.Len(t, got, rounds*series)
	assert.Equal(t, [2]int{rounds - 1, rounds - 1}, last, "one of them gets nothing any more")
	assert.Less(t, s.Stats().Behind, 3*series, "the cursor does not move")
	assert.Contains(t, j.String(), `msg="two scrapers share a cursor`)
	assert.Contains(t, j.String(), "they divide its series into different numbers of parts")
	assert.Equal(t, 1, j.Count("two scrapers share a cursor"))
	assert.NotContains(t, s.get("/internal"), "edgehub_scraper_conflicts_total{cursor=\"\"} 0\n")
	s.says("edgehub_scrape_resplits_total 39")
}
