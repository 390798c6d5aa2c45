package handover

import (
	"net/http"
	"time"
)

const (
	// maxLedgers bounds the keys that are remembered. The caller has far fewer; should
	// it not, the one is forgotten that was not scraped for longest.
	maxLedgers = 1 << 13
	// finishing is how long a newer scrape waits for what is about to happen with an
	// older response: the server writes its last bytes, the other side's system
	// acknowledges them, which it may put off for 200 ms, or the end of the
	// connection is read.
	finishing = 300 * time.Millisecond
	// doubted is how many responses a client gets with the connection's end behind
	// them, after one that was written is lost. Proxies may reset a connection that
	// was idle, HAProxy does. That looks like a client that was halted and gives up, so
	// the next scrape, an interval away, would never find the connection. The end that
	// the hub brings about is answered in order, and at once.
	doubted = 100
)

// ledger is the account of a key. Desk.mu guards it.
type ledger struct {
	owed        map[*owed]struct{} // those whose function has not returned yet
	unconfirmed int                // responses that were written and lost, running
	visited     uint64
	doubt       client // the last one that did not take what was written
	doubts      int    // how many more of its responses end the connection
	clients     turns[client]
	conns       turns[*Conn]
}

func (d *Desk) ledgerLocked(key any) *ledger {
	if l, ok := d.ledgers[key]; ok {
		return l
	}
	if len(d.ledgers) >= maxLedgers {
		d.forgetOldestLocked()
	}
	l := &ledger{owed: map[*owed]struct{}{}}
	d.ledgers[key] = l
	return l
}

func (d *Desk) forgetOldestLocked() {
	var oldest *ledger
	var of any
	for key, l := range d.ledgers {
		if len(l.owed) == 0 && (oldest == nil || l.visited < oldest.visited) {
			oldest, of = l, key
		}
	}
	delete(d.ledgers, of)
}

// Settle notes that a scrape of key begins: r is that. Call it before what the scrape
// will hold is read. When it returns the same client's older responses of the key are
// settled, and their functions have returned: on the same connection it has what was
// written; on another one that it still holds, what its system has acknowledged.
// The caller must hold no lock that those functions need.
//
// A scrape whose client is gone already settles nothing: it may be older than what was
// answered meanwhile.
func (d *Desk) Settle(key any, r *http.Request) {
	c := d.Of(r)
	if c.gaveUp() {
		return
	}
	who := clientOf(c, r)
	d.mu.Lock()
	d.visits++
	visit := d.visits
	l := d.ledgerLocked(key)
	l.visited = visit
	notices := d.noticesLocked(l, key, c, who, r)
	ending := l.doubts > 0 && l.doubt == who
	if ending {
		l.doubts--
	}
	var older []*owed
	for o := range l.owed {
		if o.client == who {
			older = append(older, o)
		}
	}
	d.mu.Unlock()
	c.scrapes(key, visit, ending)
	end := time.Now().Add(finishing)
	for _, o := range older {
		d.settle(o, c, end)
	}
	for _, n := range notices {
		d.cfg.Notice(n)
	}
}

// settle settles a response since its client scrapes again, over c. It waits until end
// for what is about to happen.
func (d *Desk) settle(o *owed, c *Conn, end time.Time) {
	if o.conn != c {
		o.awaitArrival(end)
	}
	over := o.conn
	over.mu.Lock()
	known := false
	done := over.settleLocked(func(other *owed) (settled, taken bool) {
		if other != o {
			return false, false
		}
		known = true
		if over == c {
			return o.written && !c.pipelined, true
		}
		return true, over.hasLocked(o) && !ends(bare(over.conn))
	})
	over.mu.Unlock()
	d.report(done)
	if !known { // somebody else is about to report it
		<-o.told
	}
}

// awaitArrival waits until a response is written and acknowledged, or something is told
// of it: where its connection has ended, who reads it does that.
func (o *owed) awaitArrival(end time.Time) {
	over := o.conn
	for time.Now().Before(end) {
		over.mu.Lock()
		arrived := over.hasLocked(o)
		over.mu.Unlock()
		if arrived && !ends(bare(over.conn)) {
			return
		}
		select {
		case <-o.told:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// owe puts a response on the account of its key and on that of its connection. It is
// lost at once if the client has scraped the key again already, since the scrape that
// the response belongs to.
func (d *Desk) owe(o *owed, visit uint64) []outcome {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.ledgerLocked(o.Key)
	l.owed[o] = struct{}{}
	superseded := visit > 0 && l.clients.visited(o.client) > visit
	c := o.conn
	c.mu.Lock() // not later: who finds it on the one account finds it on the other
	defer c.mu.Unlock()
	c.owed = append(c.owed, o)
	lost := o
	switch {
	case c.broken || c.closed:
		return c.breakLocked()
	case superseded:
	case len(c.owed) > maxOwed:
		lost = c.owed[0]
	default:
		return nil
	}
	return c.settleLocked(func(other *owed) (settled, taken bool) { return other == lost, false })
}

// close takes a response off the account of its key.
func (d *Desk) close(o outcome) {
	d.mu.Lock()
	l := d.ledgerLocked(o.Key)
	delete(l.owed, o.owed)
	var notices []Notice
	switch {
	case o.taken:
		l.unconfirmed = 0
	case o.written:
		l.doubt, l.doubts = o.client, doubted
		if l.unconfirmed++; l.unconfirmed == unconfirmedRunning {
			l.unconfirmed = 0
			notices = append(notices, Notice{Kind: Unconfirmed, Key: o.Key, Text: o.client.String()})
		}
	}
	d.mu.Unlock()
	for _, n := range notices {
		d.cfg.Notice(n)
	}
}
