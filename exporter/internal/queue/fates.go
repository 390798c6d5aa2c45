package queue

import (
	"iter"
	"slices"
	"time"

	"github.com/hubring/hubring/exporter/internal/reason"
)

// What senders say of the parcels of a request.

// Sent counts what goes into a request of a flight.
func (q *Queue) Sent(o *Outbox, f *Flight, part []*Parcel) {
	samples := 0
	for _, p := range part {
		samples += p.Samples
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if f.Life != o.life { // what it finds from now on is true of the hub that returned
		f.Life = o.life
		o.current++
	}
	o.account.Sent += uint64(samples)
}

// Delivered notes that the hub took a part of a request.
func (q *Queue) Delivered(o *Outbox, part []*Parcel, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range part {
		o.account.Delivered += uint64(p.Samples)
		p.ack.acknowledged(p)
		q.arrivedLocked(o, p, now)
		l := p.Lane
		if q.partLocked(p) {
			continue
		}
		if p.Of != nil {
			p = p.Of
		}
		l.until, l.crowded = time.Time{}, false
		q.settledLocked(p)
		q.freeLocked(l)
	}
	o.deliveredLocked(now)
}

// Rejected drops a parcel that the hub refused.
func (q *Queue) Rejected(o *Outbox, p *Parcel, why reason.Reason, detail string, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropLocked(p, why)
	p.ack.rejected(Refusal{Gateway: p.Key, Samples: p.Samples, Why: why, Hub: o.Hub.Name, Detail: detail})
	l := p.Lane
	if q.partLocked(p) {
		return
	}
	if p.Of != nil {
		p = p.Of
	}
	q.settledLocked(p)
	q.freeLocked(l)
	if l.busy == 0 {
		q.stillGoneLocked(o, l.key, now)
	}
}

// Damaged drops a parcel that could not be read from disk again.
func (q *Queue) Damaged(p *Parcel) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropLocked(p, reason.SpoolDamaged)
	p.ack.lost(p)
	l := p.Lane
	q.settledLocked(p)
	q.freeLocked(l)
}

// heldShare is the part of MaxQueueBytes, one of so many, that a gateway may fill
// that its hub refuses.
const heldShare = 16

// Held puts back parcels of gateways of which the hub takes no more now, of these
// and no others. They wait. What one of them has beyond its part of the queue is
// dropped, oldest first: it must not fill what is everybody's.
func (q *Queue) Held(parcels []*Parcel, wait time.Duration, now time.Time) (dropped int) {
	for some := range backwards(parcels) {
		dropped += q.heldSome(some, wait, now)
	}
	return dropped
}

func (q *Queue) heldSome(parcels []*Parcel, wait time.Duration, now time.Time) (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range parcels {
		p.Lane.crowded = true
	}
	q.postponedLocked(parcels, wait, now)
	for _, p := range parcels {
		l := p.Lane
		for l.busy == 0 && l.first != nil && l.sizeLocked() > q.set.MaxBytes/heldShare {
			dropped += l.first.Samples
			q.dropWaitingLocked(l.first, reason.Rejected429)
		}
	}
	return dropped
}

// Postponed puts back parcels of gateways that are to wait.
func (q *Queue) Postponed(parcels []*Parcel, wait time.Duration, now time.Time) {
	for some := range backwards(parcels) {
		q.mu.Lock()
		q.postponedLocked(some, wait, now)
		q.mu.Unlock()
	}
}

func (q *Queue) postponedLocked(parcels []*Parcel, wait time.Duration, now time.Time) {
	for _, p := range parcels {
		p.Lane.until = now.Add(wait)
	}
	q.unsentLocked(parcels)
}

// backwards returns the parcels in parts that are small enough to be worked on without
// letting the mutex go, the last part first: each parcel is put back before those that come
// after it. A lane is free when all parts of it are through.
func backwards(parcels []*Parcel) iter.Seq[[]*Parcel] {
	return func(yield func([]*Parcel) bool) {
		for len(parcels) > 0 {
			at := max(0, len(parcels)-lanesAtOnce)
			if !yield(parcels[at:]) {
				return
			}
			parcels = parcels[:at]
		}
	}
}

// unsentLocked puts back what is left of a request, which goes where it belongs
// now.
func (q *Queue) unsentLocked(left []*Parcel) {
	for _, p := range slices.Backward(left) {
		p.Lane.putBackLocked(p)
		q.vacateLocked(p)
	}
	for _, p := range left {
		if p.OnDisk() {
			p.unload()
		}
		q.freeLocked(p.Lane)
	}
	q.checkSpillLocked() // while all was being sent there was nothing to spill
}

// Cut puts back what is left of a request that Run's end cut off.
func (q *Queue) Cut(left []*Parcel) {
	for some := range backwards(left) {
		q.mu.Lock()
		q.unsentLocked(some)
		q.mu.Unlock()
	}
}
