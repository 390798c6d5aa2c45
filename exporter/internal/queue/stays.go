package queue

import (
	"slices"
	"time"
)

// Where each gateway is: the hub that acknowledged its latest samples, and those that may
// have something of it still.

const (
	// maxStayBytes bounds the memory for where gateways are. When it is full any one
	// is forgotten for a new one: if that one moves nobody is told.
	maxStayBytes = 16 << 20
	stayOverhead = 160 // of the struct and its place in the map
)

// stay is where a gateway is. The queue's mutex guards it.
type stay struct {
	key  string
	at   *Notices // of the hub that acknowledged its latest samples; nil while there is none
	left []*end   // what other hubs have not been told, at most one each
}

// stayLocked returns where a gateway is, or nil if there is no room to remember it.
func (q *Queue) stayLocked(key string) *stay {
	if s := q.ends.stays[key]; s != nil {
		return s
	}
	size := len(key) + stayOverhead
	if !q.makeRoomForStayLocked(size) {
		return nil
	}
	s := &stay{key: key}
	q.ends.stays[key] = s
	q.ends.stayBytes += size
	return s
}

// makeRoomForStayLocked looks at a few only: those that have an end stay.
func (q *Queue) makeRoomForStayLocked(size int) bool {
	const few = 8
	looked := 0
	for key, s := range q.ends.stays {
		if q.ends.stayBytes+size <= maxStayBytes || looked == few {
			break
		}
		looked++
		if len(s.left) == 0 {
			delete(q.ends.stays, key)
			q.ends.stayBytes -= len(key) + stayOverhead
		}
	}
	return q.ends.stayBytes+size <= maxStayBytes
}

// arrivedLocked notes that a hub acknowledged a parcel.
func (q *Queue) arrivedLocked(o *Outbox, p *Parcel, now time.Time) {
	if !q.set.TellEnds {
		return
	}
	here := o.Notices
	s := q.stayLocked(p.Key)
	if s == nil || s.at == here && len(s.left) == 0 { // as nearly always
		return
	}
	if s.at != here {
		if s.at != nil && s.at.hub.Name != here.hub.Name {
			q.openEndLocked(s, s.at)
		}
		s.at = here
	}
	for _, e := range slices.Clone(s.left) {
		switch {
		case e.to.hub.Name == here.hub.Name:
			q.finishEndLocked(e, EndOvertaken)
		case e.state == endOpen:
			e.at = min(e.at, p.Oldest)
			q.queueEndLocked(e, now)
		default:
			e.at = min(e.at, p.Oldest)
		}
	}
}

// Doubted notes that a hub may have taken parcels in, though it did not say so.
func (q *Queue) Doubted(o *Outbox, part []*Parcel) {
	if !q.set.TellEnds {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range part {
		if s := q.stayLocked(p.Key); s != nil && s.at != o.Notices {
			q.openEndLocked(s, o.Notices)
		}
	}
}
