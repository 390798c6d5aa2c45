package exporter

import "time"

// What each hub is to be told, when, and what it made of it.

const (
	// endsAtOnce and endsBytes bound a request. A hub writes something for each series of
	// each gateway, so the number is well below the 10,000 that it accepts.
	endsAtOnce = 2000
	fewestEnds = 50 // at once, when larger requests failed
	endsBytes  = 1 << 20
	// endsTimeout bounds a request's time, like that of a probe.
	endsTimeout = 2 * time.Second

	// deafTime is how long a hub is spared that does not know of ends, unless it restarts.
	deafTime = 10 * time.Minute
	// formerTime is for how long a hub that left the ring is told.
	formerTime = 10 * time.Minute
)

// notices is what one hub is to be told. It outlives the hub's outbox, which is another
// one at another address.
type notices struct {
	hub  queueHub      // where it is, or was
	wake chan struct{} // capacity 1: the teller is to look again

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
	tried    bool      // failed since the router was closed
	patience time.Time // until when samples wait, once they do; zero when the hub was told something

	deaf   time.Time // does not know of ends, until then
	leftAt time.Time // of the ring; zero while it is in it
	manned bool      // has a teller
	gone   bool      // nobody tells it anything any more
}

// signal wakes the teller.
func (n *notices) signal() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// noticesLocked returns those for a hub that is in the ring.
func (r *router) noticesLocked(hub queueHub) *notices {
	n := r.ends.hubs[hub.name]
	if n == nil {
		n = &notices{wake: make(chan struct{}, 1), waiting: map[*end]struct{}{}, most: endsAtOnce}
		r.ends.hubs[hub.name] = n
	}
	if n.hub.url != hub.url || !n.leftAt.IsZero() {
		n.startAnew()
	}
	n.hub, n.leftAt = hub, time.Time{}
	return n
}

// startAnew forgets all failures: this is another program, or it was away.
func (n *notices) startAnew() {
	n.failures, n.retryAt, n.parked, n.patience, n.deaf, n.most = 0, time.Time{}, false, time.Time{}, time.Time{}, endsAtOnce
	n.signal()
}

// formerLocked notes that a hub has left the ring.
func (r *router) formerLocked(name string, now time.Time) {
	if n := r.ends.hubs[name]; n != nil && n.leftAt.IsZero() {
		n.leftAt = now
		n.signal()
	}
}

// man reports whether the notices of an outbox have no teller, and that they have one now.
func (r *router) man(o *outbox) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.set.tellEnds || o.notices.manned {
		return false
	}
	o.notices.manned = true
	return true
}

// line is an end as it is told.
type line struct {
	end *end
	at  int64
}

// key is the gateway's.
func (l line) key() string { return l.end.of.key }

// longestLine is how long the line of an end may be.
func longestLine(key string) int { return 3*len(key) + len(" -9223372036854775808\n") }

// nextTell decides what the teller of n does. With transmit come the hub and what to tell it.
func (r *router) nextTell(n *notices, now time.Time) (t task, hub queueHub, lines []line, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait = -1
	if !n.leftAt.IsZero() {
		if wait = n.leftAt.Add(formerTime).Sub(now); wait <= 0 {
			r.forgetHubLocked(n)
			return stop, queueHub{}, nil, 0
		}
	}
	r.ripenLocked(n, now, r.closed)
	if len(n.later) > 0 {
		wait = soonest(wait, max(0, n.later[0].due.Sub(now)))
	}
	if len(n.waiting) == 0 {
		return sleep, queueHub{}, nil, wait
	}
	if o := r.byName[n.hub.name]; n.parked && o != nil && o.down && !r.closed {
		return sleep, queueHub{}, nil, wait
	}
	ready := n.retryAt.Sub(now)
	if !r.closed && !n.hurry && len(n.waiting) < n.most {
		ready = max(ready, n.since.Add(r.set.batchWait).Sub(now))
	}
	if ready > 0 {
		return sleep, queueHub{}, nil, soonest(wait, ready)
	}
	size := 0
	for e := range n.waiting {
		size += longestLine(e.of.key)
		if len(lines) == n.most || size > endsBytes {
			break
		}
		delete(n.waiting, e)
		e.state = endFlying
		lines = append(lines, line{e, e.at})
	}
	n.flying = len(lines)
	n.hurry = false
	return transmit, n.hub, lines, 0
}

// heard is what a hub made of being told.
type heard int

const (
	heardAll heard = iota
	// heardUnknown: it does not know the request.
	heardUnknown
	// heardNothing: it finds the request wrong, and would again. One of several ends may
	// be at fault.
	heardNothing
	// heardFailure: it may be told again.
	heardFailure
	// heardCut: Run's flush is over.
	heardCut
)

// fate is what becomes of so many ends in a request; false if they are to be told again.
func (h heard) fate(ends int) (endFate, bool) {
	switch h {
	case heardAll:
		return endTold, true
	case heardUnknown:
		return endUnsupported, true
	case heardNothing:
		return endDropped, ends == 1
	default:
		return 0, false
	}
}

// landedEnds notes how a request ended. After a failure the hub is left alone for retryAfter at least.
func (r *router) landedEnds(n *notices, lines []line, res heard, retryAfter time.Duration, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n.flying = 0
	for _, l := range lines {
		if e := l.end; e.state == endFlying { // or it was put off, or overtaken
			if fate, ok := res.fate(len(lines)); ok {
				r.finishEndLocked(e, fate)
			} else {
				r.waitLocked(e, now)
			}
		}
	}
	switch res {
	case heardAll:
		n.failures, n.retryAt, n.parked, n.patience = 0, time.Time{}, false, time.Time{}
		n.most = min(2*n.most, endsAtOnce)
	case heardUnknown:
		n.deaf = now.Add(deafTime)
		r.ripenLocked(n, now, true)
		for e := range n.waiting {
			r.finishEndLocked(e, endUnsupported)
		}
	case heardFailure:
		n.failures++
		n.retryAt = now.Add(max(retryAfter, backoff(n.failures, r.set.minBackoff, r.set.maxBackoff, r.set.random)))
		n.parked, n.tried = true, r.closed
		n.most = max(n.most/2, fewestEnds)
	case heardNothing: // the one that is at fault is found by halving, as among samples
		n.failures++
		n.retryAt = now.Add(backoff(n.failures, r.set.minBackoff, r.set.maxBackoff, r.set.random))
		n.tried = r.closed
		n.most = max(min(n.most, len(lines))/2, 1)
	case heardCut:
	}
	if o := r.byName[n.hub.name]; o != nil {
		o.signal() // samples may have waited for this
	}
	r.checkDrainedLocked()
}

// forgetHubLocked gives up a hub that left the ring.
func (r *router) forgetHubLocked(n *notices) {
	n.gone = true
	delete(r.ends.hubs, n.hub.name)
	r.ripenLocked(n, time.Time{}, true)
	for e := range n.waiting {
		r.finishEndLocked(e, endDropped)
	}
	r.checkDrainedLocked()
}
