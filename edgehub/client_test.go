package edgehub

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// another is one more client of the same hub, with a connection of its own.
func (s *server) another() *server {
	other := *s
	other.client = &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1, DisableCompression: true}}
	s.t.Cleanup(other.client.CloseIdleConnections)
	return &other
}

// sender is a connection over which a test sends what it likes, when it likes.
type sender struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

// dial opens a connection to a hub.
func (s *server) dial() *sender {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(s.t, err)
	s.t.Cleanup(func() { conn.Close() })
	return &sender{s.t, conn, bufio.NewReader(conn)}
}

func (c *sender) send(text string) {
	c.t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(c.t, err)
}

// announce sends the header of a push of so many bytes and waits until the hub
// reads its body, which it tells by 100 Continue.
func (c *sender) announce(length int) {
	c.t.Helper()
	c.send(fmt.Sprintf("POST /metrics HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", length))
	line, err := c.in.ReadString('\n')
	require.NoError(c.t, err)
	require.Equal(c.t, "HTTP/1.1 100 Continue\r\n", line)
	_, err = c.in.ReadString('\n')
	require.NoError(c.t, err)
}

// ask sends a GET with a scraper's header.
func (c *sender) ask(seconds float64) {
	c.t.Helper()
	c.send(fmt.Sprintf("GET /metrics HTTP/1.1\r\nHost: hub\r\n%s: %v\r\n\r\n", scrapeTimeout, seconds))
}

// answer waits for the hub's answer.
func (c *sender) answer() (*http.Response, string) {
	c.t.Helper()
	r, err := http.ReadResponse(c.in, nil)
	require.NoError(c.t, err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	require.NoError(c.t, err)
	return r, string(text)
}

// reset ends the connection as a system does whose program was killed.
func (c *sender) reset() {
	c.t.Helper()
	require.NoError(c.t, c.Conn.(*net.TCPConn).SetLinger(0))
	require.NoError(c.t, c.Close())
}

// pipes is a listener for connections in memory, whose time a test controls.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }

// overPipes runs a test against a hub in a bubble of time. Nothing but the test's own
// connections reaches it.
func overPipes(t *testing.T, cfg Config, test func(t *testing.T, h *Hub, dial func() *sender)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, cfg)
		listener, server := make(pipes), h.HTTPServer()
		done := make(chan error, 1)
		go func() { done <- server.Serve(h.Listener(listener)) }()
		var clients []net.Conn
		test(t, h, func() *sender {
			client, accepted := net.Pipe()
			clients = append(clients, client)
			listener <- accepted
			return &sender{t, client, bufio.NewReader(client)}
		})
		for _, c := range clients {
			c.Close()
		}
		close(listener)
		assert.ErrorIs(t, <-done, net.ErrClosed)
		synctest.Wait()
	})
}

// says asserts that the hub's own metrics have these lines.
func (s *server) says(lines ...string) {
	s.t.Helper()
	internal := s.get("/internal")
	for _, line := range lines {
		if strings.Contains(internal, line+"\n") {
			continue
		}
		name, _, _ := strings.Cut(line, " ")
		name, _, _ = strings.Cut(name, "{")
		var instead []string
		for other := range strings.Lines(internal) {
			if strings.HasPrefix(other, name) {
				instead = append(instead, other)
			}
		}
		assert.Fail(s.t, "the hub does not say "+line, "but %q", instead)
	}
}

// rejected asserts what the hub counted of refused pushes for a reason.
func (s *server) rejected(reason string, pushes, samples int) {
	s.t.Helper()
	s.says(fmt.Sprintf("edgehub_pushes_rejected_total{reason=%q} %d", reason, pushes),
		fmt.Sprintf("edgehub_samples_rejected_total{reason=%q} %d", reason, samples))
}

// awaitInternal waits until the hub's own metrics have a line.
func (s *server) awaitInternal(line string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return strings.Contains(s.get("/internal"), line+"\n") },
		10*time.Second, 2*time.Millisecond, "%s", line)
}

// awaitScrapes waits until the hub has written so many scrapes.
func (s *server) awaitScrapes(n int) {
	s.t.Helper()
	s.awaitInternal(fmt.Sprintf("edgehub_scrape_duration_seconds_count %d", n))
}

// awaitAborted waits until the hub knows of so many responses that nobody has.
func (s *server) awaitAborted(n int) {
	s.t.Helper()
	s.awaitInternal(fmt.Sprintf("edgehub_scrapes_aborted_total %d", n))
}

// awaitBehind waits until so many samples are not known to have arrived.
func (s *server) awaitBehind(samples int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return s.Stats().Behind == samples }, 10*time.Second, time.Millisecond,
		"want %d", samples)
}

func zipped(t testing.TB, text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}

func partPath(part, parts int, more string) string {
	return fmt.Sprintf("/metrics?part=%d&parts=%d%s", part, parts, more)
}

// lines yields the samples of a response.
func lines(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			if line[0] != '#' && !yield(line) {
				return
			}
		}
	}
}
