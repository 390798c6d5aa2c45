package queue

import "time"

// backlog is a list of all parcels that are in one place, oldest first: those
// whose samples are in memory, or those on disk. A parcel is in one of the two
// from its submission until its fate is known, also while it is in a request.
// The queue's mutex guards it.
type backlog struct {
	first, last *Parcel // linked by parcel.older and parcel.newer
	parcels     int
	samples     int
	bytes       int // of memory for those in memory, of bodies for those on disk
}

// addLocked puts p in its place by sequence number, which is nearly always the
// last.
func (b *backlog) addLocked(p *Parcel) { b.addFromLocked(p, b.last) }

// addFromLocked is addLocked for who knows that p is older than what follows after,
// which is nil if that is the first one. p has its lane.
func (b *backlog) addFromLocked(p, after *Parcel) {
	front := b.first // the place may be nearer to the beginning
	for after != nil && after.seq > p.seq {
		if after = after.older; front.seq > p.seq {
			after = front.older
			break
		}
		front = front.newer
	}
	p.older, p.list = after, b
	if after == nil {
		p.newer, b.first = b.first, p
	} else {
		p.newer, after.newer = after.newer, p
	}
	if p.newer == nil {
		b.last = p
	} else {
		p.newer.older = p
	}
	b.parcels++
	b.samples += p.Samples
	b.bytes += p.memory
	p.Lane.weighLocked(p.memory, 0)
}

// removeLocked takes p out.
func (b *backlog) removeLocked(p *Parcel) {
	if p.older == nil {
		b.first = p.newer
	} else {
		p.older.newer = p.newer
	}
	if p.newer == nil {
		b.last = p.older
	} else {
		p.newer.older = p.older
	}
	p.older, p.newer, p.list = nil, nil, nil
	b.parcels--
	b.samples -= p.Samples
	b.bytes -= p.memory
	p.Lane.weighLocked(-p.memory, 0)
}

// idleLocked returns the oldest parcel that is not busy, or nil. Others of its
// gateway may be.
func (b *backlog) idleLocked() *Parcel {
	p := b.first
	for p != nil && p.busy {
		p = p.newer
	}
	return p
}

// keptLocked returns the oldest parcel that is not busy and has a copy on disk, or nil.
func (b *backlog) keptLocked() *Parcel {
	p := b.first
	for p != nil && (p.busy || p.Kept == nil) {
		p = p.newer
	}
	return p
}

// ageLocked returns how long the oldest parcel has been here.
func (b *backlog) ageLocked(now time.Time) time.Duration {
	if b.first == nil {
		return 0
	}
	return max(now.Sub(b.first.Born), 0)
}
