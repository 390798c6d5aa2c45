package exporter

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

// stay is where a gateway is. The router's mutex guards it.
type stay struct {
	key  string
	at   *notices // of the hub that acknowledged its latest samples; nil while there is none
	left []*end   // what other hubs have not been told, at most one each
}

// stayLocked returns where a gateway is, or nil if there is no room to remember it.
func (r *router) stayLocked(key string) *stay {
	if s := r.ends.stays[key]; s != nil {
		return s
	}
	size := len(key) + stayOverhead
	if !r.makeRoomForStayLocked(size) {
		return nil
	}
	s := &stay{key: key}
	r.ends.stays[key] = s
	r.ends.stayBytes += size
	return s
}

// makeRoomForStayLocked looks at a few only: those that have an end stay.
func (r *router) makeRoomForStayLocked(size int) bool {
	const few = 8
	looked := 0
	for key, s := range r.ends.stays {
		if r.ends.stayBytes+size <= maxStayBytes || looked == few {
			break
		}
		looked++
		if len(s.left) == 0 {
			delete(r.ends.stays, key)
			r.ends.stayBytes -= len(key) + stayOverhead
		}
	}
	return r.ends.stayBytes+size <= maxStayBytes
}

// arrivedLocked notes that a hub acknowledged a parcel.
func (r *router) arrivedLocked(o *outbox, p *parcel) {
	if !r.set.tellEnds {
		return
	}
	here := o.notices
	s := r.stayLocked(p.key)
	if s == nil || s.at == here && len(s.left) == 0 { // as nearly always
		return
	}
	if s.at != here {
		if s.at != nil && s.at.hub.name != here.hub.name {
			r.openEndLocked(s, s.at)
		}
		s.at = here
	}
	for _, e := range slices.Clone(s.left) {
		switch {
		case e.to.hub.name == here.hub.name:
			r.finishEndLocked(e, endOvertaken)
		case e.state == endOpen:
			e.at = min(e.at, p.oldest)
			r.queueEndLocked(e, time.Now())
		default:
			e.at = min(e.at, p.oldest)
		}
	}
}

// doubted notes that a hub may have taken parcels in, though it did not say so.
func (r *router) doubted(o *outbox, part []*parcel) {
	if !r.set.tellEnds {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range part {
		if s := r.stayLocked(p.key); s != nil && s.at != o.notices {
			r.openEndLocked(s, o.notices)
		}
	}
}
