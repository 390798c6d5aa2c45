package queue

import (
	"time"
)

// breaker says whether a hub is stepped over, and until when. It opens with a
// push that fails, and closes when a probe succeeds: the hub says that it is ready, and
// takes a push of nothing. Then the hub is on trial: it gets one request at a time until it has taken one.
type breaker struct {
	down      bool // stepped over
	trial     bool
	probing   bool // a sender asks
	life      int  // how often the hub was found alive
	failures  int  // in a row, probes included
	downSince time.Time
	retryAt   time.Time // of the next probe
	probedAt  time.Time // of the last one
	lastError string
	errorAt   time.Time
	takenAt   time.Time // when samples were last acknowledged
}

// putOffLocked sets the time of the next probe.
func (b *breaker) putOffLocked(set *Settings, retryAfter time.Duration, now time.Time) time.Duration {
	// Only delivered samples set failures to 0: a hub may take pushes of nothing
	// and no others.
	b.failures++
	wait := max(backoff(b.failures, set.MinBackoff, set.MaxBackoff, set.Random), retryAfter)
	b.retryAt = now.Add(wait)
	return wait
}

// nextProbeLocked decides what a sender of a hub does that is down.
func (q *Queue) nextProbeLocked(o *Outbox, now time.Time) (t Task, f Flight, wait time.Duration) {
	if o.probing {
		return Sleep, Flight{}, -1
	}
	wait = o.retryAt.Sub(now)
	if q.closed {
		wait = min(wait, o.probedAt.Add(flushProbeWait).Sub(now))
	}
	if wait > 0 {
		return Sleep, Flight{}, wait
	}
	o.probing, o.probedAt = true, now
	return Probe, Flight{}, 0
}

// Failed notes that a request failed: the hub is stepped over for the time
// returned, and what is left of the request and everything that waits for the hub
// goes to the next living hub of its own walk. It reports whether that is news:
// another request may have failed before, or the hub was found alive since the
// request began.
func (q *Queue) Failed(o *Outbox, life int, left []*Parcel, detail string, retryAfter time.Duration, now time.Time) (wait time.Duration, m *Moves, news bool) {
	wait, news = q.down(o, life, detail, retryAfter, now)
	m = newMoves()
	for some := range backwards(left) {
		q.putBack(o, some, m)
	}
	q.reroute(m)
	return wait, m, news
}

// down is failed before anything is moved.
func (q *Queue) down(o *Outbox, life int, detail string, retryAfter time.Duration, now time.Time) (wait time.Duration, news bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	o.lastError, o.errorAt = detail, now
	if news = !o.down && !o.retired && life == o.life; news {
		o.down, o.trial, o.downSince = true, false, now
		o.pace.on = false
		wait = o.putOffLocked(&q.set, retryAfter, now)
		q.changedLocked()
	} else if until := now.Add(retryAfter); o.down && o.retryAt.Before(until) {
		o.retryAt = until
	}
	o.signal()
	return wait, news
}

// putBack puts back a part of what is left of a request.
func (q *Queue) putBack(o *Outbox, left []*Parcel, m *Moves) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range left {
		if to := q.routeLocked(p.Key); to != o {
			o.account.Rerouted += uint64(p.Samples)
			m.add(to.Hub.Name, p.Key, p.Samples)
		}
	}
	q.unsentLocked(left)
}

// StillDown notes that a probe failed, too.
func (q *Queue) StillDown(o *Outbox, detail string, retryAfter time.Duration, now time.Time) (wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	o.probing = false
	o.lastError, o.errorAt = detail, now
	o.signal()
	return o.putOffLocked(&q.set, retryAfter, now)
}

// Alive notes that a probe found the hub: its gateways come home. What has piled
// up for it comes at a pace, see Config.CatchUp. It returns nil if the hub has left the ring.
func (q *Queue) Alive(o *Outbox, now time.Time) (since time.Time, m *Moves) {
	since, known := q.up(o, now)
	if !known {
		return since, nil
	}
	m = newMoves()
	q.reroute(m)
	o.signal()
	return since, m
}

// up is alive before anything is moved. It reports whether the hub is in the ring.
func (q *Queue) up(o *Outbox, now time.Time) (since time.Time, known bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if o.retired {
		return o.downSince, false
	}
	o.down, o.probing, o.trial = false, false, true
	o.life++
	o.current = 0
	o.Notices.startAnew()
	o.pace.start(now)
	q.changedLocked()
	o.signal()
	return o.downSince, true
}

// ProbeCut notes that Run's end cut a probe off.
func (q *Queue) ProbeCut(o *Outbox) {
	q.mu.Lock()
	defer q.mu.Unlock()
	o.probing = false
}

// deliveredLocked notes that the hub took something.
func (b *breaker) deliveredLocked(now time.Time) {
	b.takenAt = now
	if !b.down {
		b.failures, b.trial = 0, false
	}
}

// paceLocked returns how fast a hub may be sent what has piled up for it, in
// bytes per second: a multiple of what comes in for it all the time. That is its
// own gateways' share. It is more if the hub stands in for others, but not at
// once: hubs that went down together come back one by one, and the first must
// not get the load of all.
func (q *Queue) paceLocked(o *Outbox, now time.Time) float64 {
	usual, known := o.steady.perSecond(now)
	total, totalKnown := q.total.perSecond(now)
	if !known && totalKnown {
		usual, known = total/float64(max(len(q.outboxes), 1)), true
	}
	if !known {
		usual = float64(q.set.BatchBytes)
	}
	if now.Sub(o.pace.since) > sparedBackoffs*q.set.MaxBackoff {
		usual = max(usual, total*q.standInLocked(o))
	}
	return max(q.set.CatchUp*usual, leastPace(usual, now.Sub(o.pace.since)))
}

// sparedBackoffs is for how long a hub that returned is spared the load of
// others, in units of MaxBackoff. Within one a hub is found that is back.
const sparedBackoffs = 2

// standInLocked returns which part of everything a living hub gets while others
// are down; 0 if none is, or if nobody stands in for them.
func (q *Queue) standInLocked(o *Outbox) float64 {
	if q.set.WaitForOwner {
		return 0
	}
	living, down := 0.0, false
	for _, other := range q.outboxes {
		if other.down {
			down = true
		} else {
			living += other.weight
		}
	}
	if !down {
		return 0
	}
	return o.weight / max(living, o.weight)
}

// Takes reports whether a hub has acknowledged samples since a time.
func (q *Queue) Takes(hub string, since time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	o := q.byName[hub]
	return o != nil && o.takenAt.After(since)
}
