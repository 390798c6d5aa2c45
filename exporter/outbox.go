package exporter

import (
	"sync/atomic"
	"time"
)

// outbox is what waits for one hub, and whether the hub takes it. The router's
// mutex guards all of it but wake and what is atomic.
type outbox struct {
	hub  queueHub
	wake chan struct{} // capacity 1: something changed, look again; who does wakes the next if there is more

	waiting   laneHeap  // lanes with something to send, the oldest first
	young     youngHeap // of waiting, those that came since the hub was last found down
	held      heldHeap  // lanes of gateways that the hub refused, until their time
	bytes     int       // the bodies of both
	samples   int       // of both
	heldBytes int       // the bodies of held
	flights   int       // requests under way
	current   int       // of those, with a request since the hub was found alive
	urgentTo  uint64    // somebody waits for the answer to what is older: no waiting for others
	retired   bool      // left the ring; its senders end
	weight    float64   // of the hub in the ring, which may change

	calls atomic.Pointer[string] // by which name the hub calls itself, nil unless it is another than ours for it

	breaker
	pace    pace
	steady  meter  // bytes submitted of gateways whose home this is
	share   share  // of those that wait for the hub or are in its requests, and that it does not refuse
	crowded *share // of those that hubs refuse, also other ones
	account *hubAccount
	notices *notices // the hub's; nil in limbo
}

func newOutbox(hub queueHub, account *hubAccount, crowded *share) *outbox {
	return &outbox{hub: hub, account: account, crowded: crowded, share: share{common: crowded.common}, wake: make(chan struct{}, 1)}
}

// signal wakes a sender.
func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// task is what a sender does next.
type task int

const (
	sleep task = iota // for a time, or until woken
	transmit
	probe
	stop
)

// flight is the parcels of one sender that are on their way to the hub, in one
// request or several. life is the hub's when the latest of them began.
type flight struct {
	batch []*parcel
	life  int
	room  int // bytes that may be added to batch before it is sent
}

// next decides what a sender of o does. With transmit comes what to send; with sleep
// for how long, or a negative duration if only a signal can end it.
func (r *router) next(o *outbox, now time.Time) (t task, f flight, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o.retired || r.closed && r.inMemory.first == nil && r.onDisk.first == nil {
		o.signal() // the other senders, too
		return stop, flight{}, 0
	}
	if o.down {
		return r.nextProbeLocked(o, now)
	}
	wait = o.readmitLocked(now)
	head := r.headLocked(o)
	if head == nil && len(o.waiting) > 0 { // there are more strays
		return sleep, flight{}, 0
	}
	if head == nil && o.held.Len() == 0 && o.flights == 0 && r.unchecked == 0 {
		o.pace.on = false // there is nothing to catch up with
	}
	if head == nil || o.trial && o.current > 0 {
		return sleep, flight{}, wait
	}
	if ready := r.readyInLocked(o, now); ready > 0 {
		return sleep, flight{}, soonest(wait, ready)
	}
	limit := r.set.batchBytes
	if o.pace.on && !r.closed {
		allowed, wait := o.pace.allow(r.paceLocked(o, now), now)
		if wait > 0 {
			return sleep, flight{}, wait
		}
		limit = min(limit, allowed)
	}
	if first := r.endsFirstLocked(o, head, now); first > 0 {
		return sleep, flight{}, soonest(wait, first)
	}
	f = flight{life: o.life, room: limit}
	r.takeLocked(o, &f, now)
	o.flights++
	o.current++
	o.account.flights++
	return transmit, f, 0
}

// fill adds more to a flight that has room. It reports whether there may be yet
// more.
func (r *router) fill(o *outbox, f *flight, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.room == 0 {
		return false
	}
	if o.down || o.retired {
		o.fullLocked(f)
		return false
	}
	r.takeLocked(o, f, now)
	return f.room > 0
}

// soonest returns the shorter of two waits, of which a negative one is none.
func soonest(a, b time.Duration) time.Duration {
	if a < 0 {
		return b
	}
	return min(a, b)
}

// readmitLocked lets the held lanes wait with the others whose time has come, and
// returns how long the next one has. It is negative if there is none.
func (o *outbox) readmitLocked(now time.Time) (wait time.Duration) {
	for range lanesAtOnce {
		if o.held.Len() == 0 {
			return -1
		}
		l := o.held.laneHeap[0]
		if left := l.until.Sub(now); left > 0 {
			return left
		}
		l.leaveLocked()
		l.until = time.Time{}
		l.joinLocked(o)
	}
	return 0
}

// readyInLocked returns how long the parcels that wait may do so, for others to
// share their request. 0 means that they are to be sent now: also if memory is scarce, or others
// would be refused for their sake.
func (r *router) readyInLocked(o *outbox, now time.Time) time.Duration {
	oldest := o.waiting[0].first
	if o.bytes-o.heldBytes >= r.set.batchBytes || oldest.seq < max(r.flushTo, o.urgentTo) || r.memoryLocked() > r.set.maxBytes/2 {
		return 0
	}
	return max(oldest.born.Add(r.set.batchWait).Sub(now), 0)
}

// takenAtOnce is how many parcels are taken before the router's mutex is let go for
// others.
const takenAtOnce = 256

// takeLocked makes parcels busy and adds them to a flight as far as it has room,
// at least one to an empty one: the oldest of all that wait. The flight has room
// still if there are so many of them that the rest is to be taken later.
func (r *router) takeLocked(o *outbox, f *flight, now time.Time) {
	size, taken := 0, len(f.batch)
	for _, p := range f.batch { // the rest of its lanes is nobody else's
		if l := p.lane; l.first != nil && l.at == nil {
			l.joinLocked(o)
		}
	}
	for len(f.batch) < taken+takenAtOnce {
		l := r.headLocked(o)
		if l == nil {
			break
		}
		if len(f.batch) > 0 && (size+l.first.bytes > f.room || r.endsFirstLocked(o, l, now) > 0) {
			break
		}
		p := l.popLocked()
		o.bytes -= p.bytes
		o.samples -= p.samples
		l.fixLocked()
		l.busy++
		r.occupyLocked(p)
		size += p.bytes
		f.batch = append(f.batch, p)
	}
	more := len(o.waiting) > 0
	for _, p := range f.batch { // nothing more of their lanes until these are settled
		p.lane.leaveLocked()
	}
	if o.pace.on {
		o.pace.spend(size, now)
		others := o.flights
		if taken > 0 { // this one is counted
			others--
		}
		// It has caught up when this is all there is. A slow hub goes on at a
		// pace, which it does not feel.
		o.pace.on = more || others > 0 || r.unchecked > 0
	}
	f.room -= size
	if len(f.batch) < taken+takenAtOnce || f.room <= 0 {
		o.fullLocked(f)
	}
}

// fullLocked ends the taking for a flight.
func (o *outbox) fullLocked(f *flight) {
	f.room = 0
	if len(o.waiting) > 0 {
		o.signal() // another sender may have a request to make of the rest
	}
}

// landed notes that a flight is over, in whatever way. It reports whether the hub is in the
// ring no more.
func (r *router) landed(o *outbox, f flight) (left bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.flights--
	if f.life == o.life {
		o.current--
	}
	o.account.flights--
	if len(o.waiting) > 0 {
		o.signal()
	}
	return o.retired && r.byName[o.hub.name] == nil
}
