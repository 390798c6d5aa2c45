package exporter

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
func (r *router) routeLocked(key string) *outbox {
	if r.ring == nil {
		return r.limbo
	}
	owner := r.byName[r.ring.Owner(key).Name]
	if !owner.down || r.set.waitForOwner {
		return owner
	}
	if next := r.ring.First(key, r.livesLocked); next >= 0 {
		return r.outboxes[next]
	}
	return owner
}

// livesLocked reports whether the hub of this index is not down.
func (r *router) livesLocked(hub int) bool { return !r.outboxes[hub].down }

// lanesAtOnce is how many lanes are looked at, or parcels put back, before the router's
// mutex is let go for others.
const lanesAtOnce = 128

// changedLocked notes that lanes may belong elsewhere than they wait. Whoever is the cause calls
// reroute when the mutex is free.
func (r *router) changedLocked() { r.unchecked = len(r.all) }

// reroute moves all lanes that wait where they do not belong, a few at a time. Others may do so
// at the same time, and find what there is to say about the rest.
func (r *router) reroute(m *moves) {
	for r.rerouteSome(m) {
		runtime.Gosched() // or nobody who waits for the mutex gets it before long
	}
}

// rerouteSome looks at some lanes. It reports whether there are more.
func (r *router) rerouteSome(m *moves) (more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range min(lanesAtOnce, r.unchecked) {
		r.unchecked--
		if l := r.all[r.unchecked]; l.at != nil { // busy ones are routed when they are free
			r.settleLocked(l, m)
		}
	}
	return r.unchecked > 0
}

// settleLocked moves a lane that waits to where it belongs. It reports whether it was elsewhere.
func (r *router) settleLocked(l *lane, m *moves) (moved bool) {
	o := l.at
	to := r.routeLocked(l.key)
	if to == o {
		l.rankLocked()
		return false
	}
	l.leaveLocked()
	l.until, l.crowded = time.Time{}, false
	l.enterLocked(to)
	o.account.rerouted += uint64(l.samples)
	m.add(to.hub.name, l.key, l.samples)
	return true
}

// headLocked returns the lane of which o sends something next: the one with the oldest parcel. A hub
// that catches up gets the one whose oldest parcel is the youngest: what is fresh first, and
// of those with a backlog one after the other, so that more and more are up to date. All are when it has caught
// up, in the same time. But while the disk is full it is the oldest one: what is oldest there shares its
// segments, and only a segment of which all is done makes room.
//
// Strays on the way to it are moved, and if they are many it returns nil before it has found one.
func (r *router) headLocked(o *outbox) *lane {
	for range lanesAtOnce {
		if len(o.waiting) == 0 {
			return nil
		}
		l := o.waiting[0]
		if o.pace.on && len(o.young) > 0 && !r.diskFull {
			l = o.young[0]
		}
		if r.unchecked == 0 || !r.settleLocked(l, nil) {
			return l
		}
	}
	return nil
}

// rememberLocked makes a new lane one of all. It is routed from now on.
func (r *router) rememberLocked(l *lane) {
	l.index = len(r.all)
	r.all = append(r.all, l)
	r.lanes[l.key] = l
}

// forgetLocked gives up a lane that has nothing.
func (r *router) forgetLocked(l *lane) {
	l.countLocked(nil)
	delete(r.lanes, l.key)
	gap := l.index
	if gap < r.unchecked { // those before unchecked stay together
		r.unchecked--
		r.fillLocked(gap, r.unchecked)
		gap = r.unchecked
	}
	last := len(r.all) - 1
	r.fillLocked(gap, last)
	r.all[last] = nil
	r.all = r.all[:last]
}

func (r *router) fillLocked(gap, from int) {
	if gap == from {
		return
	}
	r.all[gap] = r.all[from]
	r.all[gap].index = gap
}

// setHubs makes the ring be of these hubs, which are valid. It returns the
// outboxes that are new: each needs its senders. Those of hubs that left, whose names
// it returns, end when their requests under way are over.
func (r *router) setHubs(hubs []queueHub, ring *hashring.Ring) (joined []*outbox, left []string, m *moves) {
	joined, left = r.changeHubs(hubs, ring)
	m = newMoves()
	r.reroute(m)
	for _, o := range joined {
		o.signal() // what there was to catch up with is known
	}
	return joined, left, m
}

// changeHubs is setHubs before anything is moved.
func (r *router) changeHubs(hubs []queueHub, ring *hashring.Ring) (joined []*outbox, left []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.outboxes
	r.ring, r.outboxes = ring, make([]*outbox, 0, len(hubs))
	known := r.byName
	r.byName = make(map[string]*outbox, len(hubs))
	for _, hub := range hubs {
		o := known[hub.name]
		switch {
		case o == nil:
			o = newOutbox(hub, r.account.hub(hub.name), &r.crowded)
			joined = append(joined, o)
		case o.hub.url != hub.url: // another address: nothing of the old is true of it
			fresh := newOutbox(hub, o.account, &r.crowded)
			fresh.steady = o.steady
			o = fresh
			joined = append(joined, o)
		}
		o.weight = cmp.Or(hub.weight, 1)
		o.notices = r.noticesLocked(hub)
		r.byName[hub.name] = o
	}
	for _, node := range ring.Nodes() {
		r.outboxes = append(r.outboxes, r.byName[node.Name])
	}
	r.divideLocked()
	for _, o := range before {
		if r.byName[o.hub.name] == o {
			continue
		}
		o.retired = true
		o.share.ownLocked(0)
		o.signal()
		if r.byName[o.hub.name] == nil {
			left = append(left, o.hub.name)
			r.formerLocked(o.hub.name, time.Now())
		}
	}
	for _, o := range joined {
		if len(r.all) > 0 {
			o.pace.start(time.Now())
		}
	}
	r.changedLocked()
	r.account.sumUp(func(name string) bool { return r.byName[name] != nil })
	return joined, left
}

// current returns the outboxes of the ring.
func (r *router) current() []*outbox {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.outboxes)
}
