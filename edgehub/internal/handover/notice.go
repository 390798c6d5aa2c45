package handover

import (
	"cmp"
	"fmt"
	"net/http"
	"time"
)

// Kind is what a notice is about.
type Kind string

const (
	// Conflict is two scrapers on one key: each gets what the other one lacks.
	Conflict Kind = "conflict"
	// Proxied is a scrape that comes through a proxy, or over a connection that
	// somebody shares: its end, or the next request, may be the proxy's.
	Proxied Kind = "proxied"
	// Unconfirmed is a response that was written whole and lost, for the third time
	// running: its client gets the same again and again.
	Unconfirmed Kind = "unconfirmed"
)

const (
	unconfirmedRunning = 3
	// alternating is how long ago a client may have scraped that takes turns with another.
	alternating = time.Hour
	// longestText bounds what a client can have the desk say and remember.
	longestText = 200
)

// Notice is something that the desk noticed about scrapers.
type Notice struct {
	Kind Kind
	Key  any
	Text string // what was seen, for a log line
}

// client is who scrapes: the port is another one for each connection.
type client struct{ host, agent string }

func clientOf(c *Conn, r *http.Request) client {
	if c != nil {
		return client{c.host, clip(r.UserAgent())}
	}
	return client{hostOf(r.RemoteAddr), clip(r.UserAgent())}
}

func (c client) String() string { return fmt.Sprintf("%s (%q)", c.host, c.agent) }

func clip(s string) string { return s[:min(len(s), longestText)] }

// traits are what the requests of a connection have in common.
type traits struct {
	requests int
	agent    string
	agents   bool // more than one
	key      any  // of the first scrape
	ofKey    int  // its scrapes
}

func (t *traits) note(r *http.Request) {
	agent := clip(r.UserAgent())
	if t.requests == 0 {
		t.agent = agent
	}
	t.agents = t.agents || t.agent != agent
	t.requests++
}

// scrapes notes that the request that is under way is a scrape, and whether its
// response has to end the connection.
func (c *Conn) scrapes(key any, visit uint64, ending bool) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.visit, c.ending = visit, ending
	if c.key == nil {
		c.key = key
	}
	if c.key == key {
		c.ofKey++
	}
}

// serves says whether a connection is open and has served nothing but a key.
func (c *Conn) serves(key any) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.closed && c.end == nil && c.key == key && c.ofKey == c.requests
}

// turns are who came last, and before.
type turns[T comparable] struct {
	last, before turn[T]
}

type turn[T comparable] struct {
	who   T
	at    time.Time
	visit uint64 // 0 if there was none
}

// take notes who comes. It returns true if somebody else came in between, who
// has been there as well, and who that was.
func (t *turns[T]) take(who T, visit uint64, now time.Time) (other turn[T], again bool) {
	this := turn[T]{who, now, visit}
	if t.last.visit == 0 || t.last.who == who {
		t.last = this
		return other, false
	}
	again = t.before.visit > 0 && t.before.who == who && now.Sub(t.before.at) < alternating
	t.before, t.last = t.last, this
	return t.before, again
}

// visited is the last visit of somebody who is remembered.
func (t *turns[T]) visited(who T) uint64 {
	for _, turn := range []turn[T]{t.last, t.before} {
		if turn.visit > 0 && turn.who == who {
			return turn.visit
		}
	}
	return 0
}

// noticesLocked is what a scrape that begins shows. Desk.mu is held.
func (d *Desk) noticesLocked(l *ledger, key any, c *Conn, who client, r *http.Request) (notices []Notice) {
	now := time.Now()
	if other, again := l.clients.take(who, l.visited, now); again {
		notices = append(notices, Notice{Conflict, key, fmt.Sprintf("%s and %s take turns", who, other.who)})
	}
	text := proxied(r)
	if c != nil {
		if other, again := l.conns.take(c, l.visited, now); again && len(notices) == 0 && other.who.serves(key) && c.servesBut(key) {
			notices = append(notices, Notice{Conflict, key, fmt.Sprintf("two connections of %s take turns, and both stay open", who)})
		}
		text = cmp.Or(text, c.shared(c.sender))
	}
	if text != "" {
		notices = append(notices, Notice{Proxied, key, fmt.Sprintf("%s: %s", who, text)})
	}
	return notices
}

// servesBut says whether a connection has served nothing but a key, up to the request
// that is under way.
func (c *Conn) servesBut(key any) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.key == key && c.ofKey == c.requests-1
}

// proxied says what shows that a scrape comes through a proxy, or nothing.
func proxied(r *http.Request) string {
	for _, name := range []string{"Via", "X-Forwarded-For", "Forwarded"} {
		if value := r.Header.Get(name); value != "" {
			return fmt.Sprintf("%s: %.100q", name, value)
		}
	}
	if !r.ProtoAtLeast(1, 1) {
		return r.Proto
	}
	return ""
}

// shared says what shows that a connection is that of several clients, or nothing.
func (c *Conn) shared(sender bool) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.agents:
		return fmt.Sprintf("the connection was %.100q's before", c.agent)
	case sender:
		return "the connection is a sender's, too"
	}
	return ""
}
