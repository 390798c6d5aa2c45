package queue

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"github.com/hubring/hubring/exporter/internal/reason"
)

// Who may have how much of the queue.
//
// Three quarters are anybody's: a hub that fails alone has as much as there is. The last
// quarter is divided evenly among the hubs, and each part is for what waits for its hub and for nothing else.
// So whatever other hubs do, there is room for what a healthy one has under way, and when all are down
// the whole queue is used. Gateways of which hubs take no more count apart from their hubs, as one
// hub that has no part of its own.
//
// When a Submit needs some of the last quarter, a gateway may have no more than twice an even share of what
// its hub could have, among those of which something is queued, and no more than three quarters of it; one of which
// nothing is queued may have that in any case, however many others there are. That is
// how an edge hub divides its room among gateways. Among hubs it would not do, since they are few: twice the even share
// of one in two is everything.
//
// With DropOldest nobody is refused, and room is made by those who have most.

const (
	// lastPart is which part of the queue is kept for the hubs, one of so many: small enough
	// that one outage has nearly all, and large enough for what healthy hubs have under way. The
	// spooler is asked for room when it is begun.
	lastPart = 4
	// fairShare is how many times an even share a gateway may have, as in an edge hub.
	fairShare = 2
)

// share is what the lanes of one hub, or all those that hubs refuse, have of the queue. The
// router's mutex guards it.
type share struct {
	common *int // bytes that all shares together have beyond their own parts
	own    int  // bytes that are for nobody else
	memory int  // bytes of MaxQueueBytes
	idle   int  // of memory, what may be dropped to make room: it waits in memory
	lanes  int
	// bySize has the lanes with something idle, by how many bits its size has.
	bySize [bits.UintSize + 1]laneRing

	arriving, newcomers int // bytes, and lanes, of the Submit that is being judged
}

// beyondLocked returns how much a share that had so much would have beyond its own part.
func (s *share) beyondLocked(memory int) int { return max(0, memory-s.own) }

func (s *share) addLocked(memory int) {
	*s.common += s.beyondLocked(s.memory+memory) - s.beyondLocked(s.memory)
	s.memory += memory
}

// ownLocked gives a share its own part.
func (s *share) ownLocked(bytes int) {
	before := s.beyondLocked(s.memory)
	s.own = bytes
	*s.common += s.beyondLocked(s.memory) - before
}

// divideLocked gives each hub its part of what is kept.
func (q *Queue) divideLocked() {
	kept := q.set.MaxBytes / lastPart
	for _, o := range q.outboxes {
		o.share.ownLocked(kept / len(q.outboxes))
	}
	if len(q.outboxes) > 0 {
		kept = 0
	}
	q.limbo.share.ownLocked(kept)
}

// laneRing is the lane whose turn is next of a ring of lanes, or nil.
type laneRing struct{ first *Lane }

func (r *laneRing) add(l *Lane) {
	if r.first == nil {
		r.first, l.before, l.after = l, l, l
		return
	}
	l.after, l.before = r.first, r.first.before
	l.before.after, l.after.before = l, l
}

func (r *laneRing) remove(l *Lane) {
	if l.after == l {
		r.first = nil
	} else {
		l.before.after, l.after.before = l.after, l.before
		if r.first == l {
			r.first = l.after
		}
	}
	l.before, l.after = nil, nil
}

// countLocked makes the lane count in a share from now on.
func (l *Lane) countLocked(in *share) {
	if l.in == in {
		return
	}
	memory, idle := l.memory, l.idle
	l.weighLocked(-memory, -idle)
	if l.in != nil {
		l.in.lanes--
	}
	l.in = in
	if in != nil {
		in.lanes++
	}
	l.weighLocked(memory, idle)
}

// weighLocked notes that the lane has so much more of the queue.
func (l *Lane) weighLocked(memory, idle int) {
	before := bits.Len(uint(l.idle))
	l.memory += memory
	l.idle += idle
	if l.in == nil {
		return
	}
	l.in.addLocked(memory)
	l.in.idle += idle
	after := bits.Len(uint(l.idle))
	if before == after {
		return
	}
	if before > 0 {
		l.in.bySize[before].remove(l)
	}
	if after > 0 {
		l.in.bySize[after].add(l)
	}
}

// largestLocked returns the lane that is to make room: no other one has twice as much.
// Those that are about alike take turns.
func (s *share) largestLocked() *Lane {
	for size := bits.Len(uint(s.idle)); size > 0; size-- {
		if ring := &s.bySize[size]; ring.first != nil {
			l := ring.first
			ring.first = l.after
			return l
		}
	}
	return nil
}

// occupyLocked makes a parcel busy.
func (q *Queue) occupyLocked(p *Parcel) {
	p.busy = true
	q.busyBytes += p.memory
	if !p.OnDisk() {
		p.Lane.weighLocked(0, -p.memory)
	}
}

// vacateLocked ends that.
func (q *Queue) vacateLocked(p *Parcel) {
	p.busy = false
	q.busyBytes -= p.memory
	if !p.OnDisk() {
		p.Lane.weighLocked(0, p.memory)
	}
}

// admitLocked sees to it that parcels of so many bytes and samples may be queued. If not it
// says why.
func (q *Queue) admitLocked(parcels []*Parcel, bytes, samples int) (why reason.Reason, err error) {
	limit := q.set.MaxBytes
	if bytes <= limit-limit/lastPart-q.memoryLocked() {
		return reason.Taken, nil
	}
	text := ""
	if !q.set.DropOldest {
		why, text = q.overShareLocked(parcels)
		if why == reason.Taken && bytes > limit-q.memoryLocked() { // others have moved to where they are too many
			why, text = q.fullLocked()
		}
	} else if !q.makeRoomLocked(bytes) {
		why, text = reason.QueueFull, fmt.Sprintf("%d of MaxQueueBytes %d are being sent: submit again later or raise the limit", q.busyBytes, limit)
	}
	if why == reason.Taken {
		return reason.Taken, nil
	}
	if q.set.Disk { // the next one may find some
		q.askToSpill()
	}
	return why, fmt.Errorf("%w: %d samples of %d bytes are not taken in: %s", ErrFull, samples, bytes, text)
}

// overShareLocked looks for a parcel that is of somebody who has more than his share.
func (q *Queue) overShareLocked(parcels []*Parcel) (why reason.Reason, text string) {
	left := q.set.MaxBytes - q.set.MaxBytes/lastPart - q.common
	for _, p := range parcels {
		if why, text = q.judgeLocked(p, &left); why != reason.Taken {
			break
		}
	}
	for _, p := range parcels {
		s := q.shareLocked(p.Key)
		s.arriving, s.newcomers = 0, 0
	}
	return why, text
}

// judgeLocked says whether a parcel's hub or gateway would have more than its share. left is what
// is left of what is anybody's.
func (q *Queue) judgeLocked(p *Parcel, left *int) (why reason.Reason, text string) {
	s, l, has := q.shareLocked(p.Key), q.lanes[p.Key], 0
	if l != nil {
		has = l.memory
	} else {
		s.newcomers++
	}
	limit, had := q.set.MaxBytes, s.memory+s.arriving
	room := max(s.own, had) + max(0, *left)
	s.arriving += p.memory
	*left -= s.beyondLocked(s.memory+s.arriving) - s.beyondLocked(had)
	switch {
	case *left >= 0 || s.memory+s.arriving <= s.own:
	case s == &q.crowded:
		return reason.GatewayShare, fmt.Sprintf("gateway %s is one of %d of which their hubs take no more now, with %d bytes queued, "+
			"and what is left of MaxQueueBytes %d is for others: submit again later or raise the limit", reason.Quoted(p.Key), s.lanes, s.memory, limit)
	case len(q.outboxes) <= 1: // none while no hub is known
		return q.fullLocked()
	default:
		largest := slices.MaxFunc(q.outboxes, func(a, b *Outbox) int { return cmp.Compare(a.share.memory, b.share.memory) })
		return reason.HubShare, fmt.Sprintf("what waits for hub %s has %d bytes, and what is left of MaxQueueBytes %d is for others; most of it waits for hub %s, %d bytes: "+
			"submit again later, raise the limit, or see hubring_exporter_hub_queue_samples",
			reason.Quoted(q.targetLocked(p.Key).Hub.Name), s.memory, limit, reason.Quoted(largest.Hub.Name), largest.share.memory)
	}
	most := room - room/lastPart
	if has > 0 { // who has nothing floods nothing, however many others there are
		most = min(most, fairShare*room/(s.lanes+s.newcomers))
	}
	if has+p.memory > most {
		return reason.GatewayShare, fmt.Sprintf("gateway %s has %d bytes queued, this Submit brings %d, and its share of MaxQueueBytes %d is %d now: "+
			"submit less of it, submit again later, or raise the limit", reason.Quoted(p.Key), has, p.memory, limit, most)
	}
	return reason.Taken, ""
}

func (q *Queue) fullLocked() (why reason.Reason, text string) {
	return reason.QueueFull, fmt.Sprintf("%d of MaxQueueBytes %d are in use: "+
		"submit again later, raise the limit, or see hubring_exporter_hub_up for hubs that take nothing", q.memoryLocked(), q.set.MaxBytes)
}

// shareLocked returns the share in which a gateway's samples count.
func (q *Queue) shareLocked(key string) *share {
	if l := q.lanes[key]; l != nil && l.in != nil {
		return l.in
	}
	return &q.routeLocked(key).share
}

// targetLocked returns the outbox in whose share a gateway's samples count that hubs do not
// refuse.
func (q *Queue) targetLocked(key string) *Outbox {
	if l := q.lanes[key]; l != nil && l.at != nil {
		return l.at
	}
	return q.routeLocked(key)
}

// makeRoomLocked drops until so many bytes are free, or nothing if they would not be.
func (q *Queue) makeRoomLocked(bytes int) bool {
	limit := q.set.MaxBytes
	if bytes > limit-q.busyBytes {
		return false
	}
	for bytes > limit-q.memoryLocked() {
		q.dropWaitingLocked(q.victimLocked(), reason.Overflow)
	}
	return true
}

// victimLocked returns the parcel that is to make room: the oldest in memory of the
// gateway that has most of the hub that has most. If it is those on disk that fill the
// memory, each with a little, it is the oldest of them. There has to be one.
func (q *Queue) victimLocked() *Parcel {
	if q.onDisk.bytes > q.set.MaxBytes/2 {
		if p := q.onDisk.idleLocked(); p != nil {
			return p
		}
	}
	most := &q.crowded
	for _, o := range append(q.outboxes, q.limbo) {
		if o.share.idle > most.idle {
			most = &o.share
		}
	}
	if l := most.largestLocked(); l != nil {
		return l.oldestIdleLocked()
	}
	if p := q.inMemory.idleLocked(); p != nil { // of a hub that has just left
		return p
	}
	return q.onDisk.idleLocked()
}
