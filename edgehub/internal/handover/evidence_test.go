package handover

import (
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

func TestNextScrapeOnTheConnectionTells(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...option) {
		h := serve(t, options...)
		p := h.dial()
		assert.Equal(t, "scrape 1\n", p.scrape("/a"))
		h.awaitWritten(1)
		h.undecided()
		for n := range 300 { // at once, but not before it has read
			assert.Equal(t, fmt.Sprintf("scrape %d\n", n+2), p.scrape("/a"))
			h.becomes(fmt.Sprintf("%d taken", n+1))
		}
		h.undecided()
	})
}

func TestOrderlyEndTells(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...option) {
		h := serve(t, options...)
		for n := range 100 {
			p := h.dial()
			p.scrape("/a")
			p.Close()
			h.becomes(fmt.Sprintf("%d taken", n+1))
		}
	})
}

// What lies unread when a program closes the connection is lost, though its system has
// acknowledged it.
func TestUnreadIsLost(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...option) {
		h := serve(t, options...)
		p := h.dial()
		p.scrape("/probe")
		p.get("/a")
		h.awaitWritten(1)
		p.Close()
		h.becomes("1 lost, written: true")
	})
}

// A client that closes the connection before the response is there closes it in order,
// since nothing lies unread. What is written then does not arrive.
func TestEndBeforeTheResponse(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...option) {
		for _, header := range []string{"", "Connection: close\r\n"} {
			h := serve(t, options...)
			p := h.dial()
			h.set(func() {
				h.before = func(r *http.Request) {
					p.Close()
					<-r.Context().Done() // the server has seen it
				}
			})
			p.send("GET /a HTTP/1.1\r\nHost: hub\r\n" + header + "\r\n")
			h.becomes("1 lost") // its last bytes may meet the reset that the first ones brought
		}
	})
}

// The end of a connection on which a response is not out yet tells of those before.
func TestEndTellsOfWhatWasReadBefore(t *testing.T) {
	h := serve(t)
	p := h.dial()
	p.scrape("/a")
	h.set(func() {
		h.before = func(r *http.Request) {
			p.Close()
			<-r.Context().Done()
		}
	})
	p.get("/b")
	h.become("1 taken", "2 lost")
}

// closings are requests behind whose response the connection ends.
var closings = map[string]string{
	"HTTP/1.1": "GET /a HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n",
	"HTTP/1.0": "GET /a HTTP/1.0\r\n\r\n",
	"HTTP/1.0, which asks for the connection to be kept": "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	"the hub drains": "GET /a HTTP/1.1\r\nHost: hub\r\n\r\n",
}

// everyClosing runs a test with each of them.
func everyClosing(t *testing.T, test func(t *testing.T, h *hub, p *peer, request string)) {
	everywhere(t, func(t *testing.T, options ...option) {
		for name, request := range closings {
			t.Run(name, func(t *testing.T) {
				h := serve(t, options...)
				h.set(func() { h.closing = strings.Contains(name, "drains") })
				test(t, h, h.dial(), request)
			})
		}
	})
}

// Where the connection ends behind the response, its end tells, and the response is
// whole for every client.
func TestOrderlyEndOfAConnectionThatTheServerCloses(t *testing.T) {
	everyClosing(t, func(t *testing.T, h *hub, p *peer, request string) {
		p.send(request)
		text, answer := p.read() // under TLS and HTTP/1.0 the end of the body is that of TLS
		assert.True(t, answer.Close)
		assert.Equal(t, "scrape 1\n", text)
		h.awaitWritten(1)
		h.undecided()
		p.Close()
		h.becomes("1 taken")
	})
}

func TestUnreadIsLostWhereTheServerCloses(t *testing.T) {
	everyClosing(t, func(_ *testing.T, h *hub, p *peer, request string) {
		p.scrape("/probe")
		p.send(request)
		h.awaitWritten(1)
		p.Close()
		h.becomes("1 lost, written: true")
	})
}

// A proxy that resets idle connections does not get the same again and again: the hub
// ends them itself, which it answers in order.
func TestClientThatResetsIdleConnections(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...option) {
		h := serve(t, options...)
		scrape := func() (closed bool) {
			p := h.dial()
			p.get("/a")
			_, answer := p.read()
			h.awaitWritten(1)
			if !answer.Close {
				p.tcp().SetLinger(0)
				p.tcp().Close()
			}
			p.Close()
			return answer.Close
		}
		assert.False(t, scrape())
		h.becomes("1 lost, written: true")
		require.True(t, scrape())
		h.becomes("2 taken")
		h.desk.mu.Lock()
		assert.Equal(t, doubted-1, h.desk.ledgers["a"].doubts)
		h.desk.ledgers["a"].doubts = 1
		h.desk.mu.Unlock()
		require.True(t, scrape())
		h.becomes("3 taken")
		assert.False(t, scrape(), "it is tried again")
		assert.Empty(t, h.texts(Unconfirmed))
	})
}

// Nobody but the client itself says something, and it only of the same key.
func TestRequestsOfOthersSayNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...option) {
		h := serve(t, options...)
		p := h.dial()
		p.scrape("/a", "User-Agent: one")
		p.scrape("/probe", "User-Agent: one")
		p.scrape("/b", "User-Agent: one")
		p.scrape("/a", "User-Agent: two")
		p.send("POST /push HTTP/1.1\r\nHost: hub\r\nUser-Agent: one\r\nContent-Length: 4\r\n\r\nx 1\n")
		p.read()
		other := h.dial()
		other.scrape("/a", "User-Agent: three")
		other.scrape("/a", "User-Agent: three")
		h.becomes("4 taken")
		h.undecided()
		p.scrape("/a", "User-Agent: one")
		h.becomes("1 taken")
		h.undecided()
	})
}

const two = "GET /a HTTP/1.1\r\nHost: hub\r\n\r\nGET /a HTTP/1.1\r\nHost: hub\r\n\r\n"

// A client that sends its next request before it has the response says nothing by
// it, then or later. The end of its connection tells.
func TestPipelining(t *testing.T) {
	for name, send := range map[string]func(h *hub, p *peer){
		"at once":       func(_ *hub, p *peer) { p.send(two) },
		"with the rest": func(_ *hub, p *peer) { p.send(two[:len(two)-20]); p.read(); p.send(two[len(two)-20:]) },
		"while the response is made": func(h *hub, p *peer) {
			h.set(func() {
				var once bool
				h.before = func(r *http.Request) {
					if once {
						return
					}
					once = true
					from := h.desk.Of(r).bytesIn()
					p.send(two[len(two)/2:])
					require.Eventually(h.t, func() bool { return h.desk.Of(r).bytesIn() > from }, patience, time.Millisecond)
				}
			})
			p.send(two[:len(two)/2])
		},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, options ...option) {
				h := serve(t, options...)
				p := h.dial()
				send(h, p)
				if name != "with the rest" {
					p.read()
				} else if h.tls != nil {
					t.Log("what a record of TLS holds is not known, so the rest counts as a request")
					p.read()
					h.becomes("1 taken")
					return
				}
				p.read()
				p.scrape("/a")
				h.awaitWritten(3)
				h.undecided()
				p.Close()
				h.becomes("1 taken", "2 taken", "3 taken")
			})
		})
	}
}

func (c *Conn) bytesIn() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.in
}

// A newer scrape settles what the client was given over another connection, before it
// reads anything.
func TestNewerScrapeOverAnotherConnection(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...option) {
		for name, test := range map[string]struct {
			leave func(h *hub, p *peer, agent string)
			want  string
		}{
			"which is open":           {func(*hub, *peer, string) {}, "taken"},
			"which it has closed":     {func(_ *hub, p *peer, _ string) { p.Close() }, "taken"},
			"which it closes unread":  {func(h *hub, p *peer, agent string) { p.get("/b", agent); h.awaitWritten(2); p.Close() }, "lost, written: true"},
			"which somebody else has": {func(_ *hub, p *peer, _ string) { p.scrape("/c") }, "taken"},
		} {
			t.Run(name, func(t *testing.T) {
				h := serve(t, options...)
				for round := range 20 {
					before, agent := h.scraped(), fmt.Sprintf("User-Agent: %d", round) // of which nothing is known
					p, q := h.dial(), h.dial()
					p.scrape("/a", agent)
					test.leave(h, p, agent)
					settled := make(chan string, 1)
					h.set(func() {
						h.before = func(r *http.Request) {
							if r.URL.Path == "/a" {
								settled <- h.outcomeOf(before + 1)
							}
						}
					})
					q.scrape("/a", agent)
					assert.Equal(t, fmt.Sprintf("%d %s", before+1, test.want), <-settled)
					h.set(func() { h.before = nil })
					p.Close()
					q.Close()
					require.Eventually(t, func() bool { return len(h.desk.accounts()) == 0 }, patience, time.Millisecond)
					for len(h.outcomes) > 0 {
						<-h.outcomes
					}
				}
			})
		}
	})
}

// outcomeOf is what has become of a response.
func (h *hub) outcomeOf(n int) string {
	for {
		select {
		case got := <-h.outcomes:
			if strings.HasPrefix(got, fmt.Sprintf("%d ", n)) {
				return got
			}
		default:
			return "nothing"
		}
	}
}

// A response that comes later than the next scrape of the same client is not the one
// that it goes on from.
func TestOvertakenScrape(t *testing.T) {
	h := serve(t)
	p, q := h.dial(), h.dial()
	begun, release := make(chan bool), make(chan bool)
	h.set(func() { h.before = func(*http.Request) { begun <- true; <-release } })
	p.get("/a")
	<-begun
	h.set(func() { h.before = nil })
	q.scrape("/a")
	h.undecided()
	release <- true
	h.becomes("1 lost, written: false")
	p.read()
	q.scrape("/a")
	h.becomes("2 taken")
}

// A scrape that its client has given up may be noted later than the one that it made
// instead, and says nothing then.
func TestScrapeThatIsGivenUpIsNotedLate(t *testing.T) {
	h := serve(t)
	p, q := h.dial(), h.dial()
	begun, release := make(chan *Conn), make(chan bool)
	h.set(func() { h.first = func(r *http.Request) { begun <- h.desk.Of(r); <-release } })
	p.get("/a")
	late := <-begun
	h.set(func() { h.first = nil })
	q.scrape("/a")
	h.awaitWritten(1)
	p.Close()
	require.Eventually(t, late.gaveUp, patience, time.Millisecond)
	release <- true
	h.becomes("2 lost")
	h.undecided()
	q.scrape("/a")
	h.becomes("1 taken")
}

// A function that panics leaves nobody waiting.
func TestFunctionThatPanics(t *testing.T) {
	d := NewDesk(Config{MaxSenders: 1})
	client, conn := net.Pipe()
	defer client.Close()
	defer conn.Close()
	o := newOwed(d.watch(conn))
	o.Taken = func() { panic("no") }
	d.ledgerLocked("a").owed[o] = struct{}{}
	assert.Panics(t, func() { d.report([]outcome{{o, true, true}}) })
	<-o.told
	assert.Empty(t, d.accounts())
}

// A connection that owes too much loses the oldest.
func TestOwedIsBounded(t *testing.T) {
	h := serve(t)
	p := h.dial()
	for n := range maxOwed + 2 {
		p.scrape(fmt.Sprintf("/key%d", n))
	}
	h.become("1 lost, written: true", "2 lost, written: true")
	h.awaitWritten(maxOwed)
	p.Close()
	for n := range maxOwed {
		h.becomes(fmt.Sprintf("%d taken", n+3))
	}
}

// The last bytes that a handler leaves to the server may fail to be written.
func TestEndOfTheResponseIsNotWritten(t *testing.T) {
	h := serve(t)
	p := h.dial()
	h.set(func() {
		h.after = func(r *http.Request) {
			c := h.desk.Of(r)
			c.conn.(*net.TCPConn).SetLinger(0)
			c.conn.Close()
		}
	})
	p.get("/a?flush=no")
	h.becomes("1 lost, written: false")
}

// A handler that does not return has cut off its response.
func TestHandlerThatPanicsCutsOff(t *testing.T) {
	h := serve(t)
	p := h.dial()
	h.set(func() { h.after = func(*http.Request) { panic(http.ErrAbortHandler) } })
	p.get("/a")
	h.becomes("1 lost, written: false")
	_, err := http.ReadResponse(p.in, nil)
	require.NoError(t, err)
	_, err = io.ReadAll(p.in)
	require.NoError(t, err)
}
