package exporter

import (
	"container/heap"
	"slices"
	"time"
)

// lane is one gateway's queued parcels, in the order of submission. The router
// has a lane for each gateway of which something is queued. Its mutex guards all
// of it.
//
// While a lane is busy, with parcels in a request or being written to disk, it
// is in no outbox, and nothing more of it is taken. That alone keeps a gateway's
// samples in order, wherever they are sent.
type lane struct {
	key         string
	first, last *parcel // what waits, linked by parcel.next
	bytes       int     // the lengths of what waits
	samples     int     // of what waits
	parcels     int     // that wait
	busy        int     // parcels in a request, or being written to disk

	at    *outbox   // where it waits, or nil
	place int       // in at.waiting, or -1
	until time.Time // the hub refused this gateway: it is in at.held before
}

// pushLocked appends a parcel.
func (l *lane) pushLocked(p *parcel) {
	if l.last == nil {
		l.first = p
	} else {
		l.last.next = p
	}
	l.last = p
	l.bytes += p.bytes
	l.samples += p.samples
	l.parcels++
}

// popLocked takes the first parcel out.
func (l *lane) popLocked() *parcel {
	p := l.first
	l.first, p.next = p.next, nil
	if l.first == nil {
		l.last = nil
	}
	l.bytes -= p.bytes
	l.samples -= p.samples
	l.parcels--
	return p
}

// sizeLocked returns about how much of a queue the lane fills, in bytes of memory
// or disk.
func (l *lane) sizeLocked() int { return l.bytes + l.parcels*parcelOverhead }

// removeLocked takes out a parcel that waits. It is the first one, as a rule.
func (l *lane) removeLocked(p *parcel) {
	if p == l.first {
		l.popLocked()
		return
	}
	before := l.first
	for before.next != p {
		before = before.next
	}
	before.next, p.next = p.next, nil
	if l.last == p {
		l.last = before
	}
	l.bytes -= p.bytes
	l.samples -= p.samples
	l.parcels--
}

// putBackLocked puts a parcel before all others.
func (l *lane) putBackLocked(p *parcel) {
	p.busy = false
	p.next = l.first
	l.first = p
	if l.last == nil {
		l.last = p
	}
	l.bytes += p.bytes
	l.samples += p.samples
	l.parcels++
}

// laneHeap has the lane with the oldest parcel first. It implements
// heap.Interface.
type laneHeap []*lane

func (h laneHeap) Len() int           { return len(h) }
func (h laneHeap) Less(i, j int) bool { return h[i].first.seq < h[j].first.seq }

func (h laneHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements heap.Interface.
func (h *laneHeap) Push(x any) {
	l := x.(*lane)
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

// enterLocked makes the lane wait in o, if it is not busy and has something.
func (l *lane) enterLocked(o *outbox) {
	if l.first != nil && l.busy == 0 {
		l.joinLocked(o)
		o.signal()
	}
}

// joinLocked puts the lane into o.
func (l *lane) joinLocked(o *outbox) {
	l.at = o
	o.bytes += l.bytes
	o.samples += l.samples
	if l.until.IsZero() {
		heap.Push(&o.waiting, l)
	} else {
		l.place = -1
		o.held = append(o.held, l)
	}
}

// leaveLocked takes the lane out of the outbox in which it waits.
func (l *lane) leaveLocked() {
	o := l.at
	if o == nil {
		return
	}
	if l.place >= 0 {
		heap.Remove(&o.waiting, l.place)
	} else {
		o.held = slices.DeleteFunc(o.held, func(other *lane) bool { return other == l })
	}
	o.bytes -= l.bytes
	o.samples -= l.samples
	l.at = nil
}
