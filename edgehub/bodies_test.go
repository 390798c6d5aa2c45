package edgehub

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/body"
)

// holds waits until all bodies take so many bytes.
func (s *server) holds(want int64) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return s.room.Used() == want }, 10*time.Second, time.Millisecond,
		"want %d", want)
}

// More slow senders than there are places, each of which announces the largest
// body there may be, keep no other out.
func TestSlowSendersKeepNobodyOut(t *testing.T) {
	s := serve(t, Config{})
	for range DefaultConfig().MaxPushes + 20 {
		slow := s.dial()
		slow.announce(int(DefaultConfig().MaxBodyBytes))
		slow.send("x")
	}
	s.push(at("x", 1, 0))
	s.do("POST", "/metrics", zipped(t, at("x", 2, 1)), "Content-Encoding", "gzip")
	assert.Equal(t, at("x", 1, 0)+at("x", 2, 1), s.scrape())
}

// overPipe runs a test against a hub in a bubble of time.
func overPipe(t *testing.T, cfg Config, test func(*testing.T, *Hub, *sender)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, cfg)
		listener, server := make(pipes), h.HTTPServer()
		done := make(chan error, 1)
		go func() { done <- server.Serve(listener) }()
		client, accepted := net.Pipe()
		listener <- accepted
		test(t, h, &sender{t, client, bufio.NewReader(client)})
		client.Close()
		close(listener)
		assert.ErrorIs(t, <-done, net.ErrClosed)
		server.Close()
	})
}

const pushHead = "POST /metrics HTTP/1.1\r\nHost: hub\r\nContent-Length: 12\r\n\r\n"

func TestSenderThatPausesIsRefused(t *testing.T) {
	overPipe(t, Config{}, func(t *testing.T, h *Hub, c *sender) {
		start := time.Now()
		c.send(pushHead + "x 1\n")
		time.Sleep(body.MaxPause - time.Second)
		c.send("x 2\n")
		answer, text := c.answer()
		assert.Equal(t, http.StatusRequestTimeout, answer.StatusCode)
		assert.True(t, answer.Close)
		assert.Equal(t, "the body paused for more than 10s or took more than 1m0s\n", text)
		assert.Equal(t, 2*body.MaxPause-time.Second, time.Since(start))
		assert.Zero(t, h.Stats().Received)
		synctest.Wait()
		assert.Zero(t, h.room.Used())
		_, err := c.in.ReadByte()
		assert.ErrorIs(t, err, io.EOF, "the connection is still open")
	})
}

func TestSenderThatTricklesIsRefusedInTime(t *testing.T) {
	overPipe(t, Config{BodyTimeout: 21 * time.Second}, func(t *testing.T, h *Hub, c *sender) {
		start := time.Now()
		c.send(pushHead)
		for range 3 {
			c.send("x")
			time.Sleep(7*time.Second - time.Nanosecond)
		}
		answer, _ := c.answer()
		assert.Equal(t, http.StatusRequestTimeout, answer.StatusCode)
		assert.Equal(t, 21*time.Second, time.Since(start))
		assert.Zero(t, h.Stats().Received)
	})
}

func TestSenderThatTakesItsTimeIsServed(t *testing.T) {
	overPipe(t, Config{}, func(t *testing.T, h *Hub, c *sender) {
		for range 2 { // on one connection: no deadline is left behind
			c.send(pushHead)
			for range 3 {
				time.Sleep(body.MaxPause - time.Nanosecond)
				c.send("x 1\n")
			}
			answer, text := c.answer()
			assert.Equal(t, http.StatusOK, answer.StatusCode, text)
			time.Sleep(2 * time.Minute)
		}
		assert.EqualValues(t, 6, h.Stats().Received)
	})
}

// Over a real connection, too; and what was read of the body is counted.
func TestSlowBodyIsCounted(t *testing.T) {
	s := serve(t, Config{BodyTimeout: 50 * time.Millisecond})
	c := s.dial()
	c.send(pushHead + "x 1\n# x\nx")
	answer, _ := c.answer()
	assert.Equal(t, http.StatusRequestTimeout, answer.StatusCode)
	s.rejected("too_slow", 1, 2)
	assert.Empty(t, s.scrape())
}

// A header that does not come is waited for no longer than a body.
func TestSlowHeaderIsCutOff(t *testing.T) {
	s := serve(t, Config{HeaderTimeout: 50 * time.Millisecond})
	for _, head := range []string{"", "P", "POST /metrics HTTP/1.1\r\nHost: hub\r\n"} {
		c := s.dial()
		c.send(head)
		_, err := io.ReadAll(c.in)
		assert.NoError(t, err, "%q", head)
	}
	s.push("x 1\n")
}

// However a header trickles, its time is bounded as a whole.
func TestTricklingHeaderIsCutOff(t *testing.T) {
	overPipe(t, Config{}, func(t *testing.T, _ *Hub, c *sender) {
		start, took := time.Now(), make(chan time.Duration, 1)
		go func() {
			io.Copy(io.Discard, c)
			took <- time.Since(start)
		}()
		for err := error(nil); err == nil; time.Sleep(900 * time.Millisecond) {
			_, err = io.WriteString(c, "x")
		}
		assert.Equal(t, DefaultConfig().HeaderTimeout, <-took)
	})
}

func TestHeaderIsLimited(t *testing.T) {
	s := serve(t, Config{})
	c := s.dial()
	go io.WriteString(c, "GET / HTTP/1.1\r\nHost: hub\r\nX: "+strings.Repeat("x", 2*maxHeaderBytes))
	answer, _ := c.answer()
	assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, answer.StatusCode)
}

// What bodies take together is bounded, grows with what arrives and is given
// back.
func TestBodiesShareTheirMemory(t *testing.T) {
	const kib = 1 << 10
	s := serve(t, Config{MaxBodyBytes: 64 * kib, MaxBodiesBytes: 64 * kib})
	lines := strings.Repeat("x 1\n", 16*kib)

	slow := s.dial()
	slow.announce(64 * kib)
	s.holds(16 * kib) // what it announced is more than half of all
	slow.send(lines[:16*kib+4])
	s.holds(32 * kib)
	s.push(lines[:32*kib-4]) // beside it

	// The second needs more when half of it is there.
	answer, text := s.do("POST", "/metrics", lines[:40*kib])
	assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	assert.True(t, answer.Close)
	assert.Equal(t, "5", answer.Header.Get("Retry-After"))
	assert.Equal(t, "pushes that are being read leave no room for this one; the limit for all is 65536 bytes\n", text)
	s.rejected("bodies_bytes", 1, 8*kib)
	s.holds(32 * kib)

	slow.send(lines[16*kib+4 : 48*kib])
	s.holds(64 * kib)
	answer, _ = s.do("POST", "/metrics", "x 2\n")
	assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	s.rejected("bodies_bytes", 2, 8*kib)
	internal := s.get("/internal")
	assert.Contains(t, internal, "edgehub_bodies_bytes 65536\n")
	assert.Contains(t, internal, "edgehub_limit_bodies_bytes 65536\n")

	slow.send(lines[48*kib:])
	answer, text = slow.answer()
	require.Equal(t, http.StatusOK, answer.StatusCode, text)
	s.holds(0)
	s.push("x 2\n")
	assert.EqualValues(t, 8*kib-1+16*kib+1, s.Stats().Received)
}

// What was only announced takes half of the memory at most.
func TestAnnouncementsLeaveRoom(t *testing.T) {
	s := serve(t, Config{MaxBodyBytes: 2 << 20, MaxBodiesBytes: 4 << 20})
	for _, want := range []int64{1 << 20, 2 << 20, 2<<20 + (16 << 10), 2<<20 + 2*(16<<10)} {
		slow := s.dial()
		slow.announce(2 << 20)
		s.holds(want)
	}
}

func TestUnfinishedBodyGivesItsMemoryBack(t *testing.T) {
	s := serve(t, Config{})
	slow := s.dial()
	slow.announce(100)
	slow.send("x 1\nx 2")
	s.holds((16 << 10))
	require.NoError(t, slow.Close())
	s.holds(0)
	assert.Empty(t, s.scrape())
	require.Eventually(t, func() bool {
		return strings.Contains(s.get("/internal"), `edgehub_samples_rejected_total{reason="unreadable"} 2`)
	}, 10*time.Second, 5*time.Millisecond)
}

// A small body that becomes a large one costs no more than one that is too
// large.
func TestGzipBomb(t *testing.T) {
	s := serve(t, Config{MaxBodyBytes: 1 << 20})
	answer, text := s.do("POST", "/metrics", zipped(t, strings.Repeat("x 1\n", 16<<20)), "Content-Encoding", "gzip")
	assert.Equal(t, http.StatusRequestEntityTooLarge, answer.StatusCode)
	assert.Equal(t, "the body is larger than 1048576 bytes; send it in parts\n", text)
	assert.Contains(t, s.get("/internal"), `edgehub_pushes_rejected_total{reason="body_too_large"} 1`)
	s.holds(0)
	assert.Empty(t, s.scrape())
}

func TestGzipOfSeveralParts(t *testing.T) {
	s := serve(t, Config{})
	long := strings.Repeat("# nothing\n", (16 << 10)) // the length at the end is that of the last part
	answer, text := s.do("POST", "/metrics", zipped(t, at("x", 1, 0)+long)+zipped(t, at("x", 2, 1)), "Content-Encoding", "gzip")
	require.Equal(t, http.StatusOK, answer.StatusCode, text)
	assert.Equal(t, at("x", 1, 0)+at("x", 2, 1), s.scrape())
}
