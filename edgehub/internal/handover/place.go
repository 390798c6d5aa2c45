package handover

import (
	"cmp"
	"fmt"
	"net"
	"time"
)

// place is that of a connection among those that are open. Senders have a bound
// of their own, which leaves the spare ones to others. An idle connection costs its
// client nothing, so it keeps nobody out: where all places are taken, the new
// one gets that of an idle one. Only where all are at work the new one is closed.
//
// The same goes for the places of senders, as long as half of those who have one are idle:
// so many senders can take turns, and a flood of pushes that never end leaves the
// other half to those who were there.
type place struct {
	busy   int       // handlers that are at work: one, or with HTTP/2 several
	served bool      // it sent a request and was not one too many
	sender bool      // it pushed
	since  time.Time // it was opened, or the last handler ended
	gone   bool      // closed, perhaps by the desk before the server knows
}

// admit finds a new connection a place, and an address that no other has. It returns
// false if there is no place.
func (d *Desk) admit(c *Conn) (remote net.Addr, ok bool) {
	d.mu.Lock()
	c.since = time.Now()
	remote = c.conn.RemoteAddr()
	d.accepts++
	if _, taken := d.open[c.at]; taken { // they are sockets without names, or pipes
		remote = numbered{remote, fmt.Sprintf("%s#%d", remote, d.accepts)}
		c.at.remote = remote.String()
	}
	var leaves *Conn
	if len(d.open) >= d.cfg.MaxSenders+d.cfg.Spare {
		if leaves = d.idlestLocked(func(*Conn) bool { return true }); leaves == nil {
			leaves = c
		}
		d.removeLocked(leaves)
	}
	if leaves != c {
		d.open[c.at] = c
	}
	d.mu.Unlock()
	if leaves != nil {
		d.refused.Add(1)
		leaves.cutOff()
	}
	return remote, leaves != c
}

// MaySend makes a connection a sender's until it is closed. Where there are as
// many as there may be, it gets the place of the one that is idle for longest, which
// is closed. It returns false if too many are at work for that. A connection that is
// not watched may always send.
func (c *Conn) MaySend() bool {
	if c == nil {
		return true
	}
	d := c.desk
	d.mu.Lock()
	var leaves *Conn
	if !c.sender && !c.gone {
		if d.senders >= d.cfg.MaxSenders {
			leaves = d.idleSenderLocked()
		}
		if d.senders < d.cfg.MaxSenders {
			c.sender = true
			d.senders++
		}
	}
	c.served = c.sender
	may := c.sender
	d.mu.Unlock()
	if leaves != nil {
		d.refused.Add(1)
		leaves.cutOff()
	}
	return may
}

// idleSenderLocked takes the place of the sender that is idle for longest, if that may
// be, and returns it.
func (d *Desk) idleSenderLocked() *Conn {
	idle := 0
	idlest := d.idlestLocked(func(c *Conn) bool {
		if c.sender {
			idle++
		}
		return c.sender
	})
	if idlest == nil || 2*idle < d.senders {
		return nil
	}
	d.removeLocked(idlest)
	return idlest
}

// idlestLocked is the connection, of those that are idle and may, whose place
// another one gets, or nil.
func (d *Desk) idlestLocked(may func(*Conn) bool) *Conn {
	var idlest *Conn
	for _, c := range d.open {
		if c.busy == 0 && may(c) && (idlest == nil || c.idlerThan(idlest)) {
			idlest = c
		}
	}
	return idlest
}

// idlerThan orders connections by who goes first: who never sent a request, then
// others than senders, then senders, at last a scraper whose response would come
// again; and of these who is idle for longest.
func (c *Conn) idlerThan(other *Conn) bool {
	return cmp.Or(c.rank()-other.rank(), c.since.Compare(other.since)) < 0
}

func (c *Conn) rank() int {
	switch {
	case c.owes():
		return 3
	case c.sender:
		return 2
	case c.served:
		return 1
	}
	return 0
}

// begin notes that a handler is at work. It returns false if the connection is
// closed already.
func (d *Desk) begin(c *Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.gone {
		return false
	}
	c.busy++
	c.served = true
	return true
}

func (d *Desk) end(c *Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c.busy--
	c.since = time.Now()
}

// forget gives up the place of a connection.
func (d *Desk) forget(c *Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.removeLocked(c)
}

func (d *Desk) removeLocked(c *Conn) {
	d.leaveLocked(c)
	if c.gone {
		return
	}
	c.gone = true
	delete(d.open, c.at)
}

// leave gives up a sender's place.
func (d *Desk) leave(c *Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leaveLocked(c)
}

func (d *Desk) leaveLocked(c *Conn) {
	if c.sender {
		c.sender = false
		d.senders--
	}
}
