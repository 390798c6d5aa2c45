package edgehub

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rawScrape sends a scrape over a connection of its own.
func rawScrape(t *testing.T, s *server, seconds float64, header string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = fmt.Fprintf(conn, "GET /metrics HTTP/1.1\r\nHost: hub\r\n%s: %v\r\n%s\r\n", timeoutHeader, seconds, header)
	require.NoError(t, err)
	return conn, bufio.NewReader(conn)
}

// await waits until the hub has that many samples pending.
func (s *server) await(pending int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return s.Stats().Pending == pending }, 10*time.Second, time.Millisecond)
}

// awaitScrapes waits until the hub has answered that many scrapes.
func (s *server) awaitScrapes(n int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		return strings.Contains(s.get("/internal"), fmt.Sprintf("edgehub_scrape_duration_seconds_count %d\n", n))
	}, 10*time.Second, 5*time.Millisecond)
}

// A response that fits the sockets' buffers is written although nobody reads it.
func TestScraperThatGivesUpGetsItAgain(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	conn, _ := rawScrape(t, s, 10, "")
	s.awaitScrapes(1)
	require.NoError(t, conn.Close())
	conn, r := rawScrape(t, s, 10, "")
	_, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	s.awaitScrapes(2)
	assert.Equal(t, 1, s.Stats().Pending, "the close of the first connection moved the cursor")
	_, err = io.WriteString(conn, "GET /-/ready HTTP/1.1\r\nHost: hub\r\n\r\n")
	require.NoError(t, err)
	s.await(0)
}

// Nobody asks again, but the connection outlives the response for long.
func TestScraperThatStaysHasIt(t *testing.T) {
	s := serve(t, Config{})
	s.confirmTime = 100 * time.Millisecond
	s.push(at("x", 1, 0))
	_, r := rawScrape(t, s, 0.05, "")
	answer, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(t, err)
	assert.Equal(t, 1, s.Stats().Pending)
	s.await(0)
}

// A scraper that is halted, or whose machine is, has not taken what lies in its
// socket, though its own time is long over and its connection open. One that is
// still there when the hub would close the connection has.
func TestClockAloneSaysNothingForLong(t *testing.T) {
	for _, gone := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			h, conn := &Hub{confirmTime: confirmTime}, &connection{}
			r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			r = r.WithContext(context.WithValue(r.Context(), connectionKey{}, conn))
			var taken, lost atomic.Int32
			h.whenTaken(r, &handover{commit: func() { taken.Add(1) }, lost: func() { lost.Add(1) }})
			conn.written()
			time.Sleep(confirmTime - time.Nanosecond) // of the bubble's clock
			synctest.Wait()
			assert.Zero(t, taken.Load())
			if gone {
				conn.closed()
				assert.EqualValues(t, 1, lost.Load())
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			assert.EqualValues(t, 1, taken.Load()+lost.Load())
			assert.Equal(t, gone, taken.Load() == 0)
		})
	}
}

func TestScrapeOverAClosingConnectionTakes(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	_, r := rawScrape(t, s, 10, "Connection: close\r\n")
	_, err := io.Copy(io.Discard, r)
	require.NoError(t, err)
	s.await(0)
}

// So does one in HTTP/1.0, whose connection is closed whatever it asked for.
func TestScrapeInHTTP10Takes(t *testing.T) {
	for _, header := range []string{"", "Connection: keep-alive\r\n"} {
		s := serve(t, Config{})
		s.push(at("x", 1, 0))
		c := s.dial()
		c.send("GET /metrics HTTP/1.0\r\n" + timeoutHeader + ": 10\r\n" + header + "\r\n")
		_, text := c.answer()
		assert.Equal(t, at("x", 1, 0), text)
		s.await(0)
	}
}

// A hub that stops closes its scraper's connection itself.
func TestRetiredHubBelievesTheLastScrape(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	s.scrape()
	assert.Equal(t, 1, s.Stats().Pending)
	require.Eventually(t, func() bool { s.Retire(); return s.Stats().Pending == 0 }, 10*time.Second, time.Millisecond)
	answer, _ := s.do("HEAD", "/-/ready", "")
	assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	s.push(at("x", 2, 1))
	s.scrape()
	require.NoError(t, s.http.Shutdown(t.Context()))
	s.await(0)
}

// Nor does the server keep the connection of a scrape that comes after it began to
// shut down.
func TestScrapeWhileTheServerShutsDown(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	s.Retire()
	s.http.SetKeepAlivesEnabled(false)
	assert.Equal(t, at("x", 1, 0), s.another().scrape())
	s.await(0)
}

// Retire finds a response that is not out yet. It is believed once it is.
func TestWrittenAfterRetire(t *testing.T) {
	h := newHub(t, Config{})
	server := h.HTTPServer()
	client, conn := net.Pipe()
	defer client.Close()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r = r.WithContext(server.ConnContext(r.Context(), conn))
	taken := 0
	h.whenTaken(r, &handover{commit: func() { taken++ }, lost: func() {}})
	h.Retire()
	assert.Zero(t, taken)
	server.ConnState(conn, http.StateIdle)
	assert.Equal(t, 1, taken)
	server.ConnState(conn, http.StateClosed)
	assert.Equal(t, 1, taken)
}

// Under a server of somebody else's the handler's end has to do.
func TestHandlerAlone(t *testing.T) {
	h := newHub(t, Config{})
	_, err := h.ingest([]byte(at("x", 1, 0)), time.Now())
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set(timeoutHeader, "10")
	w := httptest.NewRecorder()
	h.Handler().ServeHTTP(w, r)
	assert.Equal(t, at("x", 1, 0), w.Body.String())
	assert.Zero(t, h.Stats().Pending)
}
