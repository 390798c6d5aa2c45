package handover

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func places(senders, spare int) option {
	return func(_ *hub, cfg *Config) { cfg.MaxSenders, cfg.Spare = senders, spare }
}

const (
	push     = "POST /push HTTP/1.1\r\nHost: hub\r\nContent-Length: 1\r\n\r\nx"
	slowPush = "POST /push HTTP/1.1\r\nHost: hub\r\nContent-Length: 100\r\n\r\nx"
)

func (p *peer) push() int {
	p.t.Helper()
	p.send(push)
	_, answer := p.read()
	return answer.StatusCode
}

// ended waits until the hub has closed the connection.
func (p *peer) ended() {
	p.t.Helper()
	_, err := p.in.ReadByte()
	var timeout net.Error
	if assert.Error(p.t, err) && assert.NotErrorAs(p.t, err, &timeout) {
		return
	}
	assert.False(p.t, timeout.Timeout(), "it is open")
}

// Senders that are idle keep no other sender out; those that are at work do.
func TestSendersAreBounded(t *testing.T) {
	h := serve(t, places(2, 64))
	first, second := h.dial(), h.dial()
	require.Equal(t, http.StatusOK, first.push())
	require.Equal(t, http.StatusOK, second.push())
	require.Equal(t, http.StatusOK, first.push())
	assert.Equal(t, 2, h.desk.Senders())

	third := h.dial()
	require.Equal(t, http.StatusOK, third.push())
	second.ended() // it was idle for longest
	assert.Equal(t, 2, h.desk.Senders())
	assert.EqualValues(t, 1, h.desk.Refused())
	require.Equal(t, http.StatusOK, first.push())

	for _, p := range []*peer{first, third} {
		p.send(slowPush)
	}
	h.awaitBusy(2)
	fourth := h.dial()
	require.Equal(t, http.StatusServiceUnavailable, fourth.push())
	assert.EqualValues(t, 1, h.desk.Refused())
	fourth.scrape("/a") // as anybody else

	first.Close()
	require.Eventually(t, func() bool { return h.desk.Senders() == 1 }, patience, time.Millisecond)
	require.Equal(t, http.StatusOK, fourth.push())
}

// awaitBusy waits until that many handlers are at work.
func (h *hub) awaitBusy(n int) {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		busy := 0
		h.desk.mu.Lock()
		defer h.desk.mu.Unlock()
		for _, c := range h.desk.open {
			busy += c.busy
		}
		return busy == n
	}, patience, time.Millisecond)
}

// Neither silent connections, nor halves of headers, nor slow pushes, nor those
// that are one too many keep a scrape, a probe or a sender out.
func TestFloodKeepsNobodyOut(t *testing.T) {
	h := serve(t, places(5, 64))
	sender := h.dial()
	require.Equal(t, http.StatusOK, sender.push())
	for range 4 {
		h.dial().send(slowPush)
	}
	h.awaitBusy(4)
	for i := range 400 {
		switch p := h.dial(); i % 3 {
		case 0:
			p.send("GET / HTTP/1.1\r\nHost: ")
		case 1:
			io.WriteString(p, slowPush) // may have been cut off
		}
		if i%40 == 0 {
			require.Equal(t, http.StatusOK, sender.push())
			assert.Equal(t, "ready", h.dial().scrape("/probe"))
			h.dial().scrape("/a")
		}
	}
	assert.Greater(t, h.desk.Refused(), uint64(200))
	assert.LessOrEqual(t, h.desk.Open(), 5+64)
	assert.Equal(t, 5, h.desk.Senders())
}

// opened is a connection in memory that has a place, or not, and a test whether it was
// closed.
func opened(t *testing.T, d *Desk) (c *Conn, closed func() bool) {
	client, conn := net.Pipe()
	t.Cleanup(func() { client.Close(); conn.Close() })
	c = d.watch(conn)
	_, ok := d.admit(c)
	closed = func() bool { return conn.SetDeadline(time.Time{}) != nil } // there is no other error
	assert.Equal(t, !ok, closed())
	return c, closed
}

func TestWhichConnectionMakesRoom(t *testing.T) {
	const spare = 64
	d := NewDesk(Config{MaxSenders: 1, Spare: spare})
	var all []*Conn
	var closed []func() bool
	for range 1 + spare {
		c, isClosed := opened(t, d)
		require.True(t, d.begin(c))
		all, closed = append(all, c), append(closed, isClosed)
	}
	require.True(t, all[0].MaySend())
	more := func(refused bool) {
		t.Helper()
		before := d.Refused()
		c, isClosed := opened(t, d)
		assert.Equal(t, refused, isClosed())
		assert.Equal(t, !refused, d.begin(c))
		assert.Equal(t, before+1, d.Refused())
		assert.Equal(t, 1+spare, d.Open())
	}
	more(true) // all are at work
	require.False(t, all[3].MaySend(), "the one sender is at work")

	d.end(all[0])
	d.end(all[1])
	lost := make(chan bool, 1)
	o := newOwed(all[1])
	o.Lost = func(bool) { lost <- true }
	all[1].owed = []*owed{o} // a scraper is still taking
	silent, silentClosed := opened(t, d)
	assert.True(t, closed[0](), "a sender that is idle makes room where nobody else can")
	assert.Zero(t, d.Senders())
	assert.False(t, d.begin(all[0]), "its next request is not taken")

	require.True(t, all[2].MaySend())
	require.False(t, all[3].MaySend())
	start := time.Now()
	silent.since = start
	for i, c := range all[2:6] {
		d.end(c)
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
	assert.True(t, <-lost)
	more(true)
	d.Close(t.Context())
}

// A request that comes in when its connection was given away is not taken.
func TestRequestOnALostConnectionIsNotTaken(t *testing.T) {
	h := serve(t)
	p := h.dial()
	p.send("POST /push HTTP/1.1\r\nHost: hub\r\nContent-Length: 4\r\n")
	require.Eventually(t, func() bool { return h.desk.Open() == 1 }, patience, time.Millisecond)
	c := h.desk.all()[0]
	h.desk.forget(c)
	h.desk.mu.Lock() // the server knows it by its address still
	h.desk.open[c.at] = c
	h.desk.mu.Unlock()
	p.send("\r\nx 1\n")
	p.ended()
	assert.Zero(t, h.desk.Senders())
	h.desk.mu.Lock()
	delete(h.desk.open, c.at)
	h.desk.mu.Unlock()
}

// Connections without addresses of their own are told apart all the same.
func TestConnectionsWithoutAddresses(t *testing.T) {
	overPipes(t, func(t *testing.T, h *hub) {
		p, q := h.forGood(), h.forGood()
		p.scrape("/a")
		q.scrape("/b")
		p.scrape("/a")
		q.scrape("/b")
		h.become("1 taken", "2 taken")
		assert.Zero(t, h.desk.Unwatched())
		p.Close()
		q.Close()
	})
}

// Neither is an unwatched connection bounded, nor one that another desk watches.
func TestUnwatchedMaySend(t *testing.T) {
	assert.True(t, (*Conn)(nil).MaySend())
	h := serve(t)
	other := NewDesk(Config{})
	h.set(func() {
		h.before = func(r *http.Request) { assert.NotNil(t, h.desk.Of(r)); assert.Nil(t, other.Of(r)) }
	})
	h.dial().scrape("/a")
}
