package queue

import (
	"container/heap"
	"time"
)

// Lane is one gateway's queued parcels, in the order of submission. The queue
// has a lane for each gateway of which something is queued. Its mutex guards all
// of it.
//
// While a lane is busy, with parcels in a request or being written to disk, it
// is in no outbox, and nothing more of it is taken. That alone keeps a gateway's
// samples in order, wherever they are sent.
type Lane struct {
	key         string
	index       int     // in Queue.all
	first, last *Parcel // what waits, linked by parcel.next and parcel.before
	loaded      *Parcel // the first of those that is not on disk, or nil
	bytes       int     // the lengths of what waits
	samples     int     // of what waits
	parcels     int     // that wait
	busy        int     // parcels in a request, or being written to disk

	at      *Outbox   // where it waits, or nil
	place   int       // in at.waiting or at.held, or -1
	young   int       // in at.young, or -1
	until   time.Time // it is in at.held before
	crowded bool      // the hub that was asked last takes no more of this gateway

	in            *share // in which it counts, from when it first waited
	memory, idle  int    // its part of that
	before, after *Lane  // in a ring of in.bySize
}

// pushLocked appends a parcel.
func (l *Lane) pushLocked(p *Parcel) {
	p.before = l.last
	if l.last == nil {
		l.first = p
	} else {
		l.last.next = p
	}
	l.last = p
	if l.loaded == nil {
		l.loaded = p
	}
	l.countParcelLocked(p, 1)
}

// putBackLocked puts a parcel before all others.
func (l *Lane) putBackLocked(p *Parcel) {
	p.next = l.first
	if l.first == nil {
		l.last = p
	} else {
		l.first.before = p
	}
	l.first = p
	if !p.OnDisk() {
		l.loaded = p
	}
	l.countParcelLocked(p, 1)
}

// popLocked takes the first parcel out.
func (l *Lane) popLocked() *Parcel {
	p := l.first
	l.removeLocked(p)
	return p
}

// removeLocked takes out a parcel that waits.
func (l *Lane) removeLocked(p *Parcel) {
	if p == l.loaded {
		l.passLoadedLocked()
	}
	if p.before == nil {
		l.first = p.next
	} else {
		p.before.next = p.next
	}
	if p.next == nil {
		l.last = p.before
	} else {
		p.next.before = p.before
	}
	p.before, p.next = nil, nil
	l.countParcelLocked(p, -1)
}

func (l *Lane) countParcelLocked(p *Parcel, sign int) {
	l.bytes += sign * p.Bytes
	l.samples += sign * p.Samples
	l.parcels += sign
}

// spilledLocked notes that a parcel which waits is on disk now.
func (l *Lane) spilledLocked(p *Parcel, at any) {
	p.Disk, p.Kept = at, nil
	if p == l.loaded {
		l.passLoadedLocked()
	}
}

func (l *Lane) passLoadedLocked() {
	p := l.loaded.next
	for p != nil && p.OnDisk() {
		p = p.next
	}
	l.loaded = p
}

// oldestIdleLocked returns the oldest parcel that waits in memory and is not being written
// to disk, or nil.
func (l *Lane) oldestIdleLocked() *Parcel {
	p := l.loaded
	for p != nil && (p.busy || p.OnDisk()) {
		p = p.next
	}
	return p
}

// sizeLocked returns about how much of a queue the lane fills, in bytes of memory
// or disk.
func (l *Lane) sizeLocked() int { return l.bytes + l.parcels*parcelOverhead }

// laneHeap has the lane with the oldest parcel first. It implements
// heap.Interface.
type laneHeap []*Lane

func (h laneHeap) Len() int           { return len(h) }
func (h laneHeap) Less(i, j int) bool { return h[i].first.seq < h[j].first.seq }

func (h laneHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements heap.Interface.
func (h *laneHeap) Push(x any) {
	l := x.(*Lane)
	l.place = len(*h)
	*h = append(*h, l)
}

// Pop implements heap.Interface.
func (h *laneHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	l.place = -1
	return l
}

// heldHeap has the lane first whose time comes first.
type heldHeap struct{ laneHeap }

// Less implements heap.Interface.
func (h heldHeap) Less(i, j int) bool { return h.laneHeap[i].until.Before(h.laneHeap[j].until) }

// youngHeap has the lane first whose oldest parcel is the youngest.
type youngHeap []*Lane

func (h youngHeap) Len() int           { return len(h) }
func (h youngHeap) Less(i, j int) bool { return h[i].first.seq > h[j].first.seq }

func (h youngHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].young, h[j].young = i, j
}

// Push implements heap.Interface.
func (h *youngHeap) Push(x any) {
	l := x.(*Lane)
	l.young = len(*h)
	*h = append(*h, l)
}

// Pop implements heap.Interface.
func (h *youngHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	l.young = -1
	return l
}

// enterLocked makes the lane wait in o, if it is not busy and has something.
func (l *Lane) enterLocked(o *Outbox) {
	if l.first != nil && l.busy == 0 {
		l.joinLocked(o)
		o.signal()
	}
}

// joinLocked puts the lane into o.
func (l *Lane) joinLocked(o *Outbox) {
	l.at = o
	if l.crowded {
		l.countLocked(o.crowded)
	} else {
		l.countLocked(&o.share)
	}
	o.bytes += l.bytes
	o.samples += l.samples
	if l.until.IsZero() {
		heap.Push(&o.waiting, l)
		l.rankLocked()
	} else {
		heap.Push(&o.held, l)
		o.heldBytes += l.bytes
	}
}

// leaveLocked takes the lane out of the outbox in which it waits.
func (l *Lane) leaveLocked() {
	o := l.at
	if o == nil {
		return
	}
	if l.until.IsZero() {
		heap.Remove(&o.waiting, l.place)
		if l.young >= 0 {
			heap.Remove(&o.young, l.young)
		}
	} else {
		heap.Remove(&o.held, l.place)
		o.heldBytes -= l.bytes
	}
	o.bytes -= l.bytes
	o.samples -= l.samples
	l.at = nil
}

// rankLocked puts a lane that waits into the order in which a hub catches up, if it does or
// will.
func (l *Lane) rankLocked() {
	if o := l.at; l.young < 0 && l.until.IsZero() && (o.down || o.pace.on) {
		heap.Push(&o.young, l)
	}
}

// fixLocked puts a lane in its places of which a parcel was taken.
func (l *Lane) fixLocked() {
	if l.first == nil {
		l.leaveLocked()
		return
	}
	heap.Fix(&l.at.waiting, l.place)
	if l.young >= 0 {
		heap.Fix(&l.at.young, l.young)
	}
}
