package queue

import "time"

// What each hub is to be told, when, and what it made of it.

const (
	// endsAtOnce and endsBytes bound a request. A hub writes something for each series of
	// each gateway, so the number is well below the 10,000 that it accepts.
	endsAtOnce = 2000
	fewestEnds = 50 // at once, when larger requests failed
	endsBytes  = 1 << 20
	// EndsTimeout bounds a request's time, like that of a probe.
	EndsTimeout = 2 * time.Second

	// DeafTime is how long a hub is spared that does not know of ends, unless it restarts.
	DeafTime = 10 * time.Minute
	// formerTime is for how long a hub that left the ring is told.
	formerTime = 10 * time.Minute
)

// Notices is what one hub is to be told. It outlives the hub's outbox, which is another
// one at another address.
type Notices struct {
	hub  Hub           // where it is, or was
	Wake chan struct{} // capacity 1: the teller is to look again

	later   []ripening // in the order of their times
	waiting map[*end]struct{}
	since   time.Time // when the first of them came
	flying  int       // ends in the request under way
	untold  int       // ends that are in later, waiting or flying
	most    int       // in a request
	hurry   bool      // samples wait

	failures int // in a row
	retryAt  time.Time
	parked   bool      // failed, and is not tried again before a probe succeeds if the hub is down
	tried    bool      // failed since the queue was closed
	patience time.Time // until when samples wait, once they do; zero when the hub was told something

	deaf   time.Time // does not know of ends, until then
	leftAt time.Time // of the ring; zero while it is in it
	manned bool      // has a teller
	gone   bool      // nobody tells it anything any more
}

// signal wakes the teller.
func (n *Notices) signal() {
	select {
	case n.Wake <- struct{}{}:
	default:
	}
}

// noticesLocked returns those for a hub that is in the ring.
func (q *Queue) noticesLocked(hub Hub) *Notices {
	n := q.ends.hubs[hub.Name]
	if n == nil {
		n = &Notices{Wake: make(chan struct{}, 1), waiting: map[*end]struct{}{}, most: endsAtOnce}
		q.ends.hubs[hub.Name] = n
	}
	if n.hub.URL != hub.URL || !n.leftAt.IsZero() {
		n.startAnew()
	}
	n.hub, n.leftAt = hub, time.Time{}
	return n
}

// startAnew forgets all failures: this is another program, or it was away.
func (n *Notices) startAnew() {
	n.failures, n.retryAt, n.parked, n.patience, n.deaf, n.most = 0, time.Time{}, false, time.Time{}, time.Time{}, endsAtOnce
	n.signal()
}

// formerLocked notes that a hub has left the ring.
func (q *Queue) formerLocked(name string, now time.Time) {
	if n := q.ends.hubs[name]; n != nil && n.leftAt.IsZero() {
		n.leftAt = now
		n.signal()
	}
}

// Man reports whether the notices of an outbox have no teller, and that they have one now.
func (q *Queue) Man(o *Outbox) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.set.TellEnds || o.Notices.manned {
		return false
	}
	o.Notices.manned = true
	return true
}

// Line is an end as it is told.
type Line struct {
	end *end
	At  int64
}

// Key is the gateway's.
func (l Line) Key() string { return l.end.of.key }

// longestLine is how long the line of an end may be.
func longestLine(key string) int { return 3*len(key) + len(" -9223372036854775808\n") }

// NextTell decides what the teller of n does. With transmit come the hub and what to tell it.
func (q *Queue) NextTell(n *Notices, now time.Time) (t Task, hub Hub, lines []Line, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	wait = -1
	if !n.leftAt.IsZero() {
		if wait = n.leftAt.Add(formerTime).Sub(now); wait <= 0 {
			if q.forgetHubLocked(n) {
				return Stop, Hub{}, nil, 0
			}
			return Sleep, Hub{}, nil, 0
		}
	}
	if now.Before(n.deaf) && n.untold > 0 {
		q.finishSomeLocked(n, EndUnsupported)
		q.checkDrainedLocked()
		return Sleep, Hub{}, nil, 0
	}
	q.ripenLocked(n, now, q.closed)
	if len(n.later) > 0 {
		wait = soonest(wait, max(0, n.later[0].due.Sub(now)))
		if q.closed { // there are more
			wait = 0
		}
	}
	if len(n.waiting) == 0 {
		return Sleep, Hub{}, nil, wait
	}
	if o := q.byName[n.hub.Name]; n.parked && o != nil && o.down && !q.closed {
		return Sleep, Hub{}, nil, wait
	}
	ready := n.retryAt.Sub(now)
	if !q.closed && !n.hurry && len(n.waiting) < n.most {
		ready = max(ready, n.since.Add(q.set.BatchWait).Sub(now))
	}
	if ready > 0 {
		return Sleep, Hub{}, nil, soonest(wait, ready)
	}
	size := 0
	for e := range n.waiting {
		size += longestLine(e.of.key)
		if len(lines) == n.most || size > endsBytes {
			break
		}
		delete(n.waiting, e)
		e.state = endFlying
		lines = append(lines, Line{e, e.at})
	}
	n.flying = len(lines)
	n.hurry = false
	return Transmit, n.hub, lines, 0
}

// Heard is what a hub made of being told.
type Heard int

// What a hub can make of it.
const (
	HeardAll     Heard = iota // it knows now
	HeardUnknown              // it does not know the request
	HeardNothing              // it finds the request wrong, and would again; one of several ends may be at fault
	HeardFailure              // it may be told again
	HeardCut                  // Run's flush is over
)

// fate is what becomes of so many ends in a request; false if they are to be told again.
func (h Heard) fate(ends int) (EndFate, bool) {
	switch h {
	case HeardAll:
		return EndTold, true
	case HeardUnknown:
		return EndUnsupported, true
	case HeardNothing:
		return EndDropped, ends == 1
	default:
		return 0, false
	}
}

// LandedEnds notes how a request ended. After a failure the hub is left alone for retryAfter at least.
func (q *Queue) LandedEnds(n *Notices, lines []Line, res Heard, retryAfter time.Duration, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n.flying = 0
	for _, l := range lines {
		if e := l.end; e.state == endFlying { // or it was put off, or overtaken
			if fate, ok := res.fate(len(lines)); ok {
				q.finishEndLocked(e, fate)
			} else {
				q.waitLocked(e, now)
			}
		}
	}
	switch res {
	case HeardAll:
		n.failures, n.retryAt, n.parked, n.patience = 0, time.Time{}, false, time.Time{}
		n.most = min(2*n.most, endsAtOnce)
	case HeardUnknown:
		n.deaf = now.Add(DeafTime)
		n.signal()
	case HeardFailure:
		n.failures++
		n.retryAt = now.Add(max(retryAfter, backoff(n.failures, q.set.MinBackoff, q.set.MaxBackoff, q.set.Random)))
		n.parked, n.tried = true, q.closed
		n.most = max(n.most/2, fewestEnds)
	case HeardNothing: // the one that is at fault is found by halving, as among samples
		n.failures++
		n.retryAt = now.Add(backoff(n.failures, q.set.MinBackoff, q.set.MaxBackoff, q.set.Random))
		n.tried = q.closed
		n.most = max(min(n.most, len(lines))/2, 1)
	case HeardCut:
	}
	if o := q.byName[n.hub.Name]; o != nil {
		o.signal() // samples may have waited for this
	}
	q.checkDrainedLocked()
}

// forgetHubLocked gives up a hub that left the ring. It reports false if there is more to give up.
func (q *Queue) forgetHubLocked(n *Notices) bool {
	if q.finishSomeLocked(n, EndDropped) {
		return false
	}
	n.gone = true
	delete(q.ends.hubs, n.hub.Name)
	q.checkDrainedLocked()
	return true
}
