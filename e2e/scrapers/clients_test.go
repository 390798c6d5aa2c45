package scrapers

import (
	"testing"
)

// Clients that are no server have nobody to be asked: what becomes of the connection
// tells. Each of these reads to the end, now and then goes away unread, and comes again
// at once.

// unasked tries a row with a client by hand. scrape takes what there is or, when it is
// told to, goes away without having read it.
func unasked(t *testing.T, proto, headers string, scrape func(c *client, unread bool)) {
	t.Parallel()
	t.Run("unasked", func(t *testing.T) {
		r := startRow(t, false, nil)
		c := r.newClient(proto, headers)
		for i := range 15 {
			r.pushFor(2 * reportEvery)
			scrape(c, i%3 == 1)
		}
		r.while(func() error { return nil })
		scrape(c, false)
		scrape(c, false) // where the connection is kept, this confirms the one before
		r.settle()
		r.require(c.took)
	})
}

// eachItsOwn scrapes on a new connection.
func eachItsOwn(c *client, unread bool) {
	v := c.dial()
	defer v.leave()
	v.ask(1)
	if unread {
		v.answered()
		return
	}
	v.read()
}

func TestNewConnections(t *testing.T) { unasked(t, "1.1", "", eachItsOwn) }

func TestConnectionClose(t *testing.T) { unasked(t, "1.1", "Connection: close\r\n", eachItsOwn) }

func TestHTTP10(t *testing.T) { unasked(t, "1.0", "", eachItsOwn) }

// A client that goes away unread on the connection on which it has read before.
func TestGoesAwayUnread(t *testing.T) {
	var kept *visit
	unasked(t, "1.1", "", func(c *client, unread bool) {
		if kept == nil {
			kept = c.dial()
			t.Cleanup(kept.leave)
		}
		v := kept
		v.ask(1)
		if unread {
			v.answered()
		} else if v.read() {
			return
		}
		v.leave()
		kept = nil
	})
}

// Of two scrapes that are asked for at once, the second one says nothing about the first.
func TestPipelining(t *testing.T) {
	first := true
	unasked(t, "1.1", "", func(c *client, unread bool) {
		v := c.dial()
		defer v.leave()
		v.ask(2)
		if unread {
			v.answered()
			return
		}
		if first = !first; v.read() && !first {
			v.read()
		} // else the second answer is left unread, or is none
	})
}
