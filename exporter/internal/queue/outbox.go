package queue

import (
	"sync/atomic"
	"time"
)

// Outbox is what waits for one hub, and whether the hub takes it. The queue's
// mutex guards all of it but wake and what is atomic.
type Outbox struct {
	Hub  Hub
	Wake chan struct{} // capacity 1: something changed, look again; who does wakes the next if there is more

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

	Calls atomic.Pointer[string] // by which name the hub calls itself, nil unless it is another than ours for it

	breaker
	pace    pace
	steady  meter  // bytes submitted of gateways whose home this is
	share   share  // of those that wait for the hub or are in its requests, and that it does not refuse
	crowded *share // of those that hubs refuse, also other ones
	account *HubAccount
	Notices *Notices // the hub's; nil in limbo
}

func newOutbox(hub Hub, account *HubAccount, crowded *share) *Outbox {
	return &Outbox{Hub: hub, account: account, crowded: crowded, share: share{common: crowded.common}, Wake: make(chan struct{}, 1)}
}

// signal wakes a sender.
func (o *Outbox) signal() {
	select {
	case o.Wake <- struct{}{}:
	default:
	}
}

// Task is what a sender or a teller does next.
type Task int

// What there is to do.
const (
	Sleep    Task = iota // for a time, or until woken
	Transmit             // what comes with it
	Probe                // ask the hub whether it lives
	Stop                 // for good
)

// Flight is the parcels of one sender that are on their way to the hub, in one
// request or several. Life is the hub's when the latest of them began.
type Flight struct {
	Batch []*Parcel
	Life  int
	room  int // bytes that may be added to batch before it is sent
}

// Next decides what a sender of o does. With transmit comes what to send; with sleep
// for how long, or a negative duration if only a signal can end it.
func (q *Queue) Next(o *Outbox, now time.Time) (t Task, f Flight, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if o.retired || q.closed && q.inMemory.first == nil && q.onDisk.first == nil {
		o.signal() // the other senders, too
		return Stop, Flight{}, 0
	}
	if o.down {
		return q.nextProbeLocked(o, now)
	}
	wait = o.readmitLocked(now)
	head := q.headLocked(o)
	if head == nil && len(o.waiting) > 0 { // there are more strays
		return Sleep, Flight{}, 0
	}
	if head == nil && o.held.Len() == 0 && o.flights == 0 && q.unchecked == 0 {
		o.pace.on = false // there is nothing to catch up with
	}
	if head == nil || o.trial && o.current > 0 {
		return Sleep, Flight{}, wait
	}
	if ready := q.readyInLocked(o, now); ready > 0 {
		return Sleep, Flight{}, soonest(wait, ready)
	}
	limit := q.set.BatchBytes
	if o.pace.on && !q.closed {
		allowed, wait := o.pace.allow(q.paceLocked(o, now), now)
		if wait > 0 {
			return Sleep, Flight{}, wait
		}
		limit = min(limit, allowed)
	}
	if first := q.endsFirstLocked(o, head, now); first > 0 {
		return Sleep, Flight{}, soonest(wait, first)
	}
	f = Flight{Life: o.life, room: limit}
	q.takeLocked(o, &f, now)
	o.flights++
	o.current++
	o.account.flights++
	return Transmit, f, 0
}

// Fill adds more to a flight that has room. It reports whether there may be yet
// more.
func (q *Queue) Fill(o *Outbox, f *Flight, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if f.room == 0 {
		return false
	}
	if o.down || o.retired {
		o.fullLocked(f)
		return false
	}
	q.takeLocked(o, f, now)
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
func (o *Outbox) readmitLocked(now time.Time) (wait time.Duration) {
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
func (q *Queue) readyInLocked(o *Outbox, now time.Time) time.Duration {
	oldest := o.waiting[0].first
	if o.bytes-o.heldBytes >= q.set.BatchBytes || oldest.seq < max(q.flushTo, o.urgentTo) || q.memoryLocked() > q.set.MaxBytes/2 {
		return 0
	}
	return max(oldest.Born.Add(q.set.BatchWait).Sub(now), 0)
}

// takenAtOnce is how many parcels are taken before the queue's mutex is let go for
// others.
const takenAtOnce = 256

// takeLocked makes parcels busy and adds them to a flight as far as it has room,
// at least one to an empty one: the oldest of all that wait. The flight has room
// still if there are so many of them that the rest is to be taken later.
func (q *Queue) takeLocked(o *Outbox, f *Flight, now time.Time) {
	size, taken := 0, len(f.Batch)
	for _, p := range f.Batch { // the rest of its lanes is nobody else's
		if l := p.Lane; l.first != nil && l.at == nil {
			l.joinLocked(o)
		}
	}
	for len(f.Batch) < taken+takenAtOnce {
		l := q.headLocked(o)
		if l == nil {
			break
		}
		if len(f.Batch) > 0 && (size+l.first.Bytes > f.room || q.endsFirstLocked(o, l, now) > 0) {
			break
		}
		p := l.popLocked()
		o.bytes -= p.Bytes
		o.samples -= p.Samples
		l.fixLocked()
		l.busy++
		q.occupyLocked(p)
		size += p.Bytes
		f.Batch = append(f.Batch, p)
	}
	more := len(o.waiting) > 0
	for _, p := range f.Batch { // nothing more of their lanes until these are settled
		p.Lane.leaveLocked()
	}
	if o.pace.on {
		o.pace.spend(size, now)
		others := o.flights
		if taken > 0 { // this one is counted
			others--
		}
		// It has caught up when this is all there is. A slow hub goes on at a
		// pace, which it does not feel.
		o.pace.on = more || others > 0 || q.unchecked > 0
	}
	f.room -= size
	if len(f.Batch) < taken+takenAtOnce || f.room <= 0 {
		o.fullLocked(f)
	}
}

// fullLocked ends the taking for a flight.
func (o *Outbox) fullLocked(f *Flight) {
	f.room = 0
	if len(o.waiting) > 0 {
		o.signal() // another sender may have a request to make of the rest
	}
}

// Landed notes that a flight is over, in whatever way. It reports whether the hub is in the
// ring no more.
func (q *Queue) Landed(o *Outbox, f Flight) (left bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	o.flights--
	if f.Life == o.life {
		o.current--
	}
	o.account.flights--
	if len(o.waiting) > 0 {
		o.signal()
	}
	return o.retired && q.byName[o.Hub.Name] == nil
}
