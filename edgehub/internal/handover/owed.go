package handover

import "slices"

// maxOwed is how many responses a connection may owe: a scraper may ask for all parts of
// several cursors over one. One more, and the oldest is
// lost.
const maxOwed = 128

// Response is what a client was given and may or may not have. Exactly one of its
// functions is called, once. They run in Settle, in Owe where nothing can be told, or
// in a goroutine of the desk, where nothing recovers, and never under a lock of the
// desk. They must be short, and must not call the desk. Of several responses they run
// in no particular order.
type Response struct {
	// Key says what the response is one of, such as a cursor and a part: a later
	// response of the same key goes on where this one ends. It is comparable.
	Key any
	// Taken is called when the client has the response.
	Taken func()
	// Lost is called when it has not, as far as can be told. Written says that all
	// of it was written, though: then it was not too large, or too slow, for its
	// client.
	Lost func(written bool)
}

// owed is a response about which nothing is told yet.
type owed struct {
	*Response
	conn   *Conn
	client client
	told   chan struct{} // closed once its function has returned

	// Guarded by conn.mu.
	written      bool // all of it
	acknowledged bool // all of it, when a later request came
}

// outcome is what became of a response.
type outcome struct {
	*owed
	taken, written bool
}

// settleLocked takes the responses off that judge has settled.
func (c *Conn) settleLocked(judge func(*owed) (settled, taken bool)) (done []outcome) {
	c.owed = slices.DeleteFunc(c.owed, func(o *owed) bool {
		settled, taken := judge(o)
		if settled {
			done = append(done, outcome{o, taken, o.written})
		}
		return settled
	})
	if len(c.owed) == 0 && c.stretched {
		c.stretched = false
		_ = c.conn.SetReadDeadline(c.asked) // a closed one needs none
	}
	return done
}

// owes says whether a client may still be taking what was written.
func (c *Conn) owes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.owed) > 0
}

// reportLater reports what became of responses in a goroutine: the caller may be in
// the middle of something, or hold a lock.
func (d *Desk) reportLater(done []outcome) {
	if len(done) > 0 {
		d.crew.run(func() { d.report(done) })
	}
}

// report tells the owners of responses what became of them.
func (d *Desk) report(done []outcome) {
	for _, o := range done {
		d.tell(o)
	}
}

func (d *Desk) tell(o outcome) {
	defer close(o.told) // a newer scrape may wait for it
	defer d.close(o)    // not before: a newer scrape waits for what is on the account
	if o.taken {
		o.Taken()
	} else {
		o.Lost(o.written)
	}
}
