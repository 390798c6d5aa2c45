package handover

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// texts are those of the notices of a kind.
func (h *hub) texts(kind Kind) (texts []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.notices {
		if n.Kind == kind {
			texts = append(texts, fmt.Sprint(n.Key, ": ", n.Text))
		}
	}
	return texts
}

func (h *hub) once(path string, headers ...string) {
	h.t.Helper()
	p := h.dial()
	p.scrape(path, headers...)
	p.Close()
}

// Two clients that take turns on a key are noticed, whether or not they keep their
// connections. One that follows another is not.
func TestTwoClientsOnAKey(t *testing.T) {
	h := serve(t)
	one, two, three := "User-Agent: one", "User-Agent: two", "User-Agent: three"
	h.once("/a", one)
	h.once("/a", one)
	h.once("/a", two)
	h.once("/b", one)
	h.once("/a", two)
	h.once("/a", three)
	assert.Empty(t, h.texts(Conflict))
	h.once("/a", two)
	h.once("/a", two)
	h.once("/a", three)
	assert.Equal(t, []string{
		`a: 127.0.0.1 ("two") and 127.0.0.1 ("three") take turns`,
		`a: 127.0.0.1 ("three") and 127.0.0.1 ("two") take turns`,
	}, h.texts(Conflict))
}

// A client that comes back after long is one that took its place again.
func TestClientThatComesBack(t *testing.T) {
	overPipes(t, func(t *testing.T, h *hub) {
		scrape := func(agent string) {
			p := h.forGood()
			p.scrape("/a", "User-Agent: "+agent)
			p.Close()
			synctest.Wait()
		}
		scrape("one")
		scrape("two")
		time.Sleep(alternating)
		scrape("one")
		assert.Empty(t, h.texts(Conflict))
	})
}

// Two clients that look alike are noticed by their connections, both of which
// stay open and serve nothing else.
func TestTwoConnectionsOnAKey(t *testing.T) {
	for name, test := range map[string]struct {
		between func(p, q *peer)
		noticed bool
	}{
		"both stay open":                 {func(_, _ *peer) {}, true},
		"the one has other keys, too":    {func(p, _ *peer) { p.scrape("/b") }, false},
		"the other has other keys, too":  {func(_, q *peer) { q.scrape("/b") }, false},
		"the other is asked for more":    {func(_, q *peer) { q.scrape("/probe") }, false},
		"the other is closed afterwards": {func(_, q *peer) { q.Close() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t)
			p, q := h.dial(), h.dial()
			p.scrape("/a")
			q.scrape("/a")
			test.between(p, q)
			if strings.Contains(name, "closed") {
				require.Eventually(t, func() bool { return h.desk.Open() == 1 }, patience, time.Millisecond)
			}
			p.scrape("/a")
			if test.noticed {
				assert.Equal(t, []string{`a: two connections of 127.0.0.1 ("") take turns, and both stay open`}, h.texts(Conflict))
			} else {
				assert.Empty(t, h.texts(Conflict))
			}
		})
	}
}

func TestProxies(t *testing.T) {
	check := func(want string, scrape func(p *peer)) {
		t.Helper()
		h := serve(t)
		scrape(h.dial())
		texts := h.texts(Proxied)
		if want == "" {
			assert.Empty(t, texts)
		} else if assert.Len(t, texts, 1) {
			assert.Contains(t, texts[0], `a: 127.0.0.1 ("`)
			assert.Contains(t, texts[0], want)
		}
	}
	check("", func(p *peer) { p.scrape("/a"); p.scrape("/probe"); p.scrape("/a") })
	check(`Via: "1.1 squid"`, func(p *peer) { p.scrape("/a", "Via: 1.1 squid") })
	check(`X-Forwarded-For: "10.0.0.1"`, func(p *peer) { p.scrape("/a", "X-Forwarded-For: 10.0.0.1") })
	check(`Forwarded: "for=10.0.0.1"`, func(p *peer) { p.scrape("/a", "Forwarded: for=10.0.0.1") })
	check("HTTP/1.0", func(p *peer) { p.send("GET /a HTTP/1.0\r\n\r\n"); p.read() })
	check(`the connection was "kube-probe"'s before`, func(p *peer) { p.scrape("/probe", "User-Agent: kube-probe"); p.scrape("/a") })
	check("the connection is a sender's, too", func(p *peer) { p.push(); p.scrape("/a") })
	check("", func(p *peer) { p.scrape("/probe", "Via: 1.1 squid") })
}

// A response that is written and lost for the third time running is noticed, but not
// one that could not be written, or that others got meanwhile.
func TestUnconfirmed(t *testing.T) {
	h := serve(t)
	lose := func(n int) {
		t.Helper()
		p := h.dial()
		p.get("/a")
		h.awaitWritten(1)
		p.Close()
		h.becomes(fmt.Sprintf("%d lost, written: true", n))
	}
	lose(1)
	lose(2)
	h.once("/a")
	h.becomes("3 taken")
	lose(4)
	lose(5)
	h.set(func() { h.after = func(*http.Request) { panic(http.ErrAbortHandler) } })
	h.dial().get("/a")
	h.becomes("6 lost, written: false")
	h.set(func() { h.after = nil })
	assert.Empty(t, h.texts(Unconfirmed))
	lose(7)
	require.Eventually(t, func() bool { return len(h.texts(Unconfirmed)) == 1 }, patience, time.Millisecond)
	assert.Equal(t, []string{`a: 127.0.0.1 ("")`}, h.texts(Unconfirmed))
	lose(8)
	lose(9)
	require.Eventually(t, func() bool { return len(h.desk.accounts()) == 0 }, patience, time.Millisecond)
	assert.Len(t, h.texts(Unconfirmed), 1)
}

// What a client says of itself is bounded, and so are the keys.
func TestNoticingIsBounded(t *testing.T) {
	d := NewDesk(Config{})
	r, err := http.NewRequest(http.MethodGet, "/", nil)
	require.NoError(t, err)
	r.Header.Set("User-Agent", strings.Repeat("x", 1<<16))
	r.RemoteAddr = "[::1]:1"
	for key := range maxLedgers + 10 {
		d.Settle(key, r)
	}
	assert.Len(t, d.ledgers, maxLedgers)
	assert.NotContains(t, d.ledgers, 9)
	assert.Contains(t, d.ledgers, 10)
	assert.Equal(t, "::1", d.ledgers[10].clients.last.who.host)
	assert.Len(t, d.ledgers[10].clients.last.who.agent, longestText)
}
