package queue

import (
	"cmp"
	"runtime"
	"slices"
	"time"

	"github.com/hubring/hubring/hashring"
)

// Where a lane goes, and what a change of the ring or of the living hubs moves.

// routeLocked returns the outbox for a key: the first living hub of its walk.
// The owner's is returned if none lives, or if samples are to wait for it.
func (q *Queue) routeLocked(key string) *Outbox {
	if q.ring == nil {
		return q.limbo
	}
	owner := q.byName[q.ring.Owner(key).Name]
	if !owner.down || q.set.WaitForOwner {
		return owner
	}
	if next := q.ring.First(key, q.livesLocked); next >= 0 {
		return q.outboxes[next]
	}
	return owner
}

// livesLocked reports whether the hub of this index is not down.
func (q *Queue) livesLocked(hub int) bool { return !q.outboxes[hub].down }

// lanesAtOnce is how many lanes are looked at, or parcels put back, before the queue's
// mutex is let go for others.
const lanesAtOnce = 128

// changedLocked notes that lanes may belong elsewhere than they wait. Whoever is the cause calls
// reroute when the mutex is free.
func (q *Queue) changedLocked() { q.unchecked = len(q.all) }

// reroute moves all lanes that wait where they do not belong, a few at a time. Others may do so
// at the same time, and find what there is to say about the rest.
func (q *Queue) reroute(m *Moves) {
	for q.rerouteSome(m) {
		runtime.Gosched() // or nobody who waits for the mutex gets it before long
	}
}

// rerouteSome looks at some lanes. It reports whether there are more.
func (q *Queue) rerouteSome(m *Moves) (more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for range min(lanesAtOnce, q.unchecked) {
		q.unchecked--
		if l := q.all[q.unchecked]; l.at != nil { // busy ones are routed when they are free
			q.settleLocked(l, m)
		}
	}
	return q.unchecked > 0
}

// settleLocked moves a lane that waits to where it belongs. It reports whether it was elsewhere.
func (q *Queue) settleLocked(l *Lane, m *Moves) (moved bool) {
	o := l.at
	to := q.routeLocked(l.key)
	if to == o {
		l.rankLocked()
		return false
	}
	l.leaveLocked()
	l.until, l.crowded = time.Time{}, false
	l.enterLocked(to)
	o.account.Rerouted += uint64(l.samples)
	m.add(to.Hub.Name, l.key, l.samples)
	return true
}

// headLocked returns the lane of which o sends something next: the one with the oldest parcel. A hub
// that catches up gets the one whose oldest parcel is the youngest: what is fresh first, and
// of those with a backlog one after the other, so that more and more are up to date. All are when it has caught
// up, in the same time. But while the disk is full it is the oldest one: what is oldest there shares its
// segments, and only a segment of which all is done makes room.
//
// Strays on the way to it are moved, and if they are many it returns nil before it has found one.
func (q *Queue) headLocked(o *Outbox) *Lane {
	for range lanesAtOnce {
		if len(o.waiting) == 0 {
			return nil
		}
		l := o.waiting[0]
		if o.pace.on && len(o.young) > 0 && !q.diskFull {
			l = o.young[0]
		}
		if q.unchecked == 0 || !q.settleLocked(l, nil) {
			return l
		}
	}
	return nil
}

// rememberLocked makes a new lane one of all. It is routed from now on.
func (q *Queue) rememberLocked(l *Lane) {
	l.index = len(q.all)
	q.all = append(q.all, l)
	q.lanes[l.key] = l
}

// forgetLocked gives up a lane that has nothing.
func (q *Queue) forgetLocked(l *Lane) {
	l.countLocked(nil)
	delete(q.lanes, l.key)
	gap := l.index
	if gap < q.unchecked { // those before unchecked stay together
		q.unchecked--
		q.fillLocked(gap, q.unchecked)
		gap = q.unchecked
	}
	last := len(q.all) - 1
	q.fillLocked(gap, last)
	q.all[last] = nil
	q.all = q.all[:last]
}

func (q *Queue) fillLocked(gap, from int) {
	if gap == from {
		return
	}
	q.all[gap] = q.all[from]
	q.all[gap].index = gap
}

// SetHubs makes the ring be of these hubs, which are valid. It returns the
// outboxes that are new: each needs its senders. Those of hubs that left, whose names
// it returns, end when their requests under way are over.
func (q *Queue) SetHubs(hubs []Hub, ring *hashring.Ring, now time.Time) (joined []*Outbox, left []string, m *Moves) {
	joined, left = q.changeHubs(hubs, ring, now)
	m = newMoves()
	q.reroute(m)
	for _, o := range joined {
		o.signal() // what there was to catch up with is known
	}
	return joined, left, m
}

// changeHubs is setHubs before anything is moved.
func (q *Queue) changeHubs(hubs []Hub, ring *hashring.Ring, now time.Time) (joined []*Outbox, left []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.outboxes
	q.ring, q.outboxes = ring, make([]*Outbox, 0, len(hubs))
	known := q.byName
	q.byName = make(map[string]*Outbox, len(hubs))
	for _, hub := range hubs {
		o := known[hub.Name]
		switch {
		case o == nil:
			o = newOutbox(hub, q.account.hub(hub.Name), &q.crowded)
			joined = append(joined, o)
		case o.Hub.URL != hub.URL: // another address: nothing of the old is true of it
			fresh := newOutbox(hub, o.account, &q.crowded)
			fresh.steady = o.steady
			o = fresh
			joined = append(joined, o)
		}
		o.weight = cmp.Or(hub.Weight, 1)
		o.Notices = q.noticesLocked(hub)
		q.byName[hub.Name] = o
	}
	for _, node := range ring.Nodes() {
		q.outboxes = append(q.outboxes, q.byName[node.Name])
	}
	q.divideLocked()
	for _, o := range before {
		if q.byName[o.Hub.Name] == o {
			continue
		}
		o.retired = true
		o.share.ownLocked(0)
		o.signal()
		if q.byName[o.Hub.Name] == nil {
			left = append(left, o.Hub.Name)
			q.formerLocked(o.Hub.Name, now)
		}
	}
	for _, o := range joined {
		if len(q.all) > 0 {
			o.pace.start(now)
		}
	}
	q.changedLocked()
	q.account.sumUp(func(name string) bool { return q.byName[name] != nil })
	return joined, left
}

// Current returns the outboxes of the ring.
func (q *Queue) Current() []*Outbox {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.outboxes)
}
