package edgehub

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

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

// A sender's connection counts while it is open, idle or not. Whoever does not
// push gets through.
func TestSendersConnectionsAreLimited(t *testing.T) {
	s := serve(t, Config{MaxConnections: 2})
	assert.Empty(t, s.another().scrape())
	s.push(at("x", 1, 0))
	second := s.another()
	second.push(at("x", 2, 1))

	third := s.another()
	assert.Equal(t, "edgehub is ready.\n", third.get("/-/ready"))
	answer, text := third.do("POST", "/metrics", at("x", 3, 2))
	assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	assert.Equal(t, "senders hold 2 connections, which is the limit\n", text)
	assert.Equal(t, "5", answer.Header.Get("Retry-After"))
	assert.True(t, answer.Close)
	third.rejected("too_many_connections", 1, 0)
	internal := third.get("/internal")
	assert.Contains(t, internal, "edgehub_connections 2\n")
	assert.Contains(t, internal, "edgehub_limit_connections 2\n")
	assert.Contains(t, internal, "edgehub_connections_refused_total 0\n")

	s.push(at("x", 4, 3)) // who is in stays in
	assert.Equal(t, at("x", 1, 0)+at("x", 2, 1)+at("x", 4, 3), third.scrape())

	second.client.CloseIdleConnections()
	require.Eventually(t, func() bool { return s.connections.sending() == 1 }, 10*time.Second, time.Millisecond)
	third.push(at("x", 5, 4))
}

// The answer does not wait for a body that is not read.
func TestSurplusSenderIsAnsweredAtOnce(t *testing.T) {
	overPipe(t, Config{MaxConnections: 1}, func(t *testing.T, h *Hub, c *sender) {
		h.connections.maySend(&connection{}) // the one that there may be
		start := time.Now()
		c.send(pushHead)
		answer, _ := c.answer()
		assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
		assert.Zero(t, time.Since(start))
		_, err := c.in.ReadByte()
		assert.ErrorIs(t, err, io.EOF)
		assert.Equal(t, lingering, time.Since(start), "the connection is closed soon")
	})
}

// Neither silent connections, nor halves of headers, nor slow pushes, nor those
// that are one too many keep a scrape, a probe or a sender out.
func TestFloodKeepsNobodyOut(t *testing.T) {
	s := serve(t, Config{MaxConnections: 5})
	s.push(at("x", 1, 0))
	for range 4 {
		slow := s.dial()
		slow.announce(100)
		slow.send("x")
	}
	for i := range 400 {
		switch c := s.dial(); i % 3 {
		case 0:
			c.send("GET / HTTP/1.1\r\nHost: ")
		case 1:
			io.WriteString(c, pushHead+"x") // may have been cut off
		}
		if i%40 == 0 {
			prober := s.another()
			assert.Equal(t, "edgehub is ready.\n", prober.get("/-/ready"))
			prober.scrape()
		}
	}
	s.push(at("x", 2, 1)) // its connection was open all the time
	assert.Contains(t, s.another().scrape(), at("x", 2, 1))
	assert.Greater(t, s.connections.refused.Load(), uint64(200))
	s.connections.mu.Lock()
	defer s.connections.mu.Unlock()
	assert.LessOrEqual(t, len(s.connections.open), 5+spareConnections)
}

// opened is a connection in memory, and a test whether it was closed.
func opened(t *testing.T, cs *connections) (c *connection, closed func() bool) {
	client, conn := net.Pipe()
	t.Cleanup(func() { client.Close(); conn.Close() })
	return cs.opened(conn), func() bool {
		return conn.SetDeadline(time.Time{}) != nil // there is no other error
	}
}

func TestWhichConnectionMakesRoom(t *testing.T) {
	cs := &connections{maxSenders: 1, open: map[net.Conn]*connection{}}
	var all []*connection
	var closed []func() bool
	for range 1 + spareConnections {
		c, isClosed := opened(t, cs)
		require.True(t, cs.begin(c))
		all, closed = append(all, c), append(closed, isClosed)
	}
	require.True(t, cs.maySend(all[0]))
	more := func(refused bool) {
		t.Helper()
		before := cs.refused.Load()
		c, isClosed := opened(t, cs)
		assert.Equal(t, refused, isClosed())
		assert.Equal(t, !refused, cs.begin(c))
		assert.Equal(t, before+1, cs.refused.Load())
		assert.Len(t, cs.open, 1+spareConnections)
	}
	more(true) // all are at work

	cs.end(all[0])
	cs.end(all[1])
	lost := 0
	all[1].owed = []*handover{{commit: func() {}, lost: func() { lost++ }}} // a scraper is still taking
	silent, silentClosed := opened(t, cs)
	assert.True(t, closed[0](), "a sender that is idle makes room where nobody else can")
	assert.Zero(t, cs.sending())
	assert.False(t, cs.begin(all[0]), "its next request is not taken")

	require.True(t, cs.maySend(all[2]))
	require.False(t, cs.maySend(all[3]))
	start := time.Now()
	silent.since = start
	for i, c := range all[2:6] {
		cs.end(c)
		c.since = start.Add(time.Duration(i-10) * time.Second)
	}
	more(false)
	assert.True(t, closed[3](), "who was one too many goes first")
	more(false)
	assert.True(t, silentClosed(), "then who said nothing, though it is younger")
	more(false)
	assert.True(t, closed[4](), "then who is idle for longest")
	more(false)
	assert.True(t, closed[5]())
	more(false)
	assert.True(t, closed[2](), "then senders")
	assert.False(t, closed[1](), "a scraper that is still taking lost its connection")
	more(false)
	assert.True(t, closed[1](), "which it does at last")
	assert.Equal(t, 1, lost)
	more(true)
}

// A request that comes in when its connection was given away is not taken.
func TestRequestOnALostConnectionIsNotTaken(t *testing.T) {
	s := serve(t, Config{})
	c := s.dial()
	c.send("POST /metrics HTTP/1.1\r\nHost: hub\r\nContent-Length: 4\r\n")
	require.Eventually(t, func() bool { return len(s.connections.all()) == 1 }, 10*time.Second, time.Millisecond)
	s.connections.forget(s.connections.all()[0])
	c.send("\r\nx 1\n")
	_, err := c.in.ReadByte()
	assert.ErrorIs(t, err, io.EOF)
	assert.Zero(t, s.Stats().Received)
	assert.Zero(t, s.connections.sending())
}

// A hub under a server of somebody else's knows no connections and takes pushes.
func TestPushWithoutHooks(t *testing.T) {
	s := serve(t, Config{MaxConnections: 1})
	plain := &http.Server{Handler: s.Handler()}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go plain.Serve(listener)
	defer plain.Close()
	for range 3 {
		other := s.another()
		other.url = "http://" + listener.Addr().String()
		other.push("x 1\n")
	}
	assert.Zero(t, s.connections.sending())
}
