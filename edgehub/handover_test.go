package edgehub

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
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
	_, err = fmt.Fprintf(conn, "GET /metrics HTTP/1.1\r\nHost: hub\r\n%s: %v\r\n%s\r\n", scrapeTimeout, seconds, header)
	require.NoError(t, err)
	return conn, bufio.NewReader(conn)
}

// await waits until the hub has that many samples pending.
func (s *server) await(pending int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return s.Stats().Pending == pending }, 10*time.Second, time.Millisecond)
}

// A scraper that reads all and closes its connection in order has it, whether it asked for
// the end or not, and in HTTP/1.0.
func TestOrderlyEndConfirms(t *testing.T) {
	for _, request := range []string{
		"GET /metrics HTTP/1.1\r\nHost: hub\r\n" + scrapeTimeout + ": 10\r\n\r\n",
		"GET /metrics HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n" + scrapeTimeout + ": 10\r\n\r\n",
		"GET /metrics HTTP/1.0\r\n" + scrapeTimeout + ": 10\r\n\r\n",
		"GET /metrics?drain=1 HTTP/1.1\r\nHost: hub\r\n\r\n",
		"POST /metrics?drain=1 HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\n\r\n",
	} {
		s := serve(t, Config{})
		s.push(at("x", 1, 0))
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		require.NoError(t, err)
		_, err = io.WriteString(conn, request)
		require.NoError(t, err)
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		assert.Equal(t, at("x", 1, 0), string(text), request)
		assert.Equal(t, 1, s.Stats().Behind, request)
		assert.Zero(t, s.Stats().Pending, "what was handed over is in nobody's way")
		require.NoError(t, conn.Close())
		s.awaitBehind(0)
		assert.EqualValues(t, 1, s.Stats().Scraped, request)
	}
}
