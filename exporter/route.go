package exporter

import (
	"cmp"
	"fmt"
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
	if !owner.down || r.cfg.Failover == WaitForOwner {
		return owner
	}
	if next := r.ring.First(key, r.livesLocked); next >= 0 {
		return r.outboxes[next]
	}
	return owner
}

// livesLocked reports whether the hub of this index is not down.
func (r *router) livesLocked(hub int) bool { return !r.outboxes[hub].down }

// rerouteLocked moves the lanes that wait in o and belong elsewhere.
func (r *router) rerouteLocked(o *outbox, m *moves) {
	type departure struct {
		lane *lane
		to   *outbox
	}
	var leaving []departure
	for _, lanes := range []laneHeap{o.waiting, o.held.laneHeap} {
		for _, l := range lanes {
			if to := r.routeLocked(l.key); to != o {
				leaving = append(leaving, departure{l, to})
			}
		}
	}
	for _, d := range leaving {
		l := d.lane
		l.leaveLocked()
		l.until, l.crowded = time.Time{}, false
		l.enterLocked(d.to)
		o.account.rerouted += uint64(l.samples)
		m.add(d.to.hub.Name, l.key, l.samples)
	}
}

// arriveLocked brings home what waits elsewhere and belongs to o, except what is
// busy: that is routed when it is free.
func (r *router) arriveLocked(o *outbox, m *moves) {
	for _, other := range r.outboxes {
		if other != o {
			r.rerouteLocked(other, m)
		}
	}
}

// setHubs makes the ring be of these hubs, which are valid. It returns the
// outboxes that are new: each needs its senders. Those of hubs that left end
// when their requests under way are over.
func (r *router) setHubs(hubs []Hub, ring *hashring.Ring) (joined []*outbox, m *moves) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.outboxes
	r.ring, r.outboxes = ring, make([]*outbox, 0, len(hubs))
	known := r.byName
	r.byName = make(map[string]*outbox, len(hubs))
	for _, hub := range hubs {
		o := known[hub.Name]
		switch {
		case o == nil:
			o = newOutbox(hub, r.account.hub(hub.Name), &r.crowded)
			joined = append(joined, o)
			r.metrics.know(hub.Name)
		case o.hub.URL != hub.URL: // another address: nothing of the old is true of it
			fresh := newOutbox(hub, o.account, &r.crowded)
			fresh.steady = o.steady
			o = fresh
			joined = append(joined, o)
		}
		o.weight = cmp.Or(hub.Weight, 1)
		o.notices = r.noticesLocked(hub)
		r.byName[hub.Name] = o
	}
	for _, node := range ring.Nodes() {
		r.outboxes = append(r.outboxes, r.byName[node.Name])
	}
	r.divideLocked()
	m = newMoves()
	for _, o := range append(before, r.limbo) {
		if r.byName[o.hub.Name] != o && o != r.limbo {
			o.retired = true
			o.share.ownLocked(0)
			o.signal()
			if r.byName[o.hub.Name] == nil {
				r.metrics.forget(o.hub.Name)
				r.formerLocked(o.hub.Name, time.Now())
			}
		}
		r.rerouteLocked(o, m)
	}
	for _, o := range joined {
		if len(o.waiting) > 0 {
			o.pace.start(time.Now())
		}
	}
	r.account.sumUp(func(name string) bool { return r.byName[name] != nil })
	return joined, m
}

// current returns the outboxes of the ring.
func (r *router) current() []*outbox {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.outboxes)
}

// fingerprint returns the ring's, as text.
func (r *router) fingerprint() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fingerprintText(r.ring)
}

func fingerprintText(ring *hashring.Ring) string {
	if ring == nil {
		return ""
	}
	return fmt.Sprintf("%016x", ring.Fingerprint())
}
