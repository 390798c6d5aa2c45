package queue

import (
	"slices"
	"time"

	"github.com/hubring/hubring/exporter/internal/reason"
)

// What the queue does for who spills.

// checkSpillLocked asks for room when three quarters of the memory are in use, so
// that Submit seldom finds it full.
func (q *Queue) checkSpillLocked() {
	if q.set.Disk && q.memoryLocked() > q.set.MaxBytes/4*3 {
		q.askToSpill()
	}
}

func (q *Queue) askToSpill() {
	select {
	case q.ToSpill <- struct{}{}:
	default:
	}
}

// WantsSpill reports whether more than half of the memory is in use.
func (q *Queue) WantsSpill() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.closed && q.memoryLocked() > q.set.MaxBytes/2
}

// TakeToSpill makes the oldest parcels in memory busy, up to so many bytes, and
// returns them. They stay where they are in their lanes.
func (q *Queue) TakeToSpill(limit int) (parcels []*Parcel) {
	for limit > 0 {
		some := q.takeSomeToSpill(limit)
		if len(some) == 0 {
			break
		}
		for _, p := range some {
			limit -= p.memory
		}
		parcels = append(parcels, some...)
	}
	return parcels
}

func (q *Queue) takeSomeToSpill(limit int) (parcels []*Parcel) {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := 0
	for p := q.inMemory.first; p != nil && size < limit && len(parcels) < lanesAtOnce; p = p.newer {
		if p.Unfit || p.busy || p.Lane.busy > 0 {
			continue
		}
		for _, next := range q.takeRunLocked(p, lanesAtOnce-len(parcels)) {
			parcels = append(parcels, next)
			size += next.memory
		}
	}
	return parcels
}

// Stored is a parcel that was written to disk, and where, in the words of who wrote it.
type Stored struct {
	Parcel *Parcel
	At     any
}

// Spilled frees the memory of those of the parcels that are on disk now, and lets
// go of all.
func (q *Queue) Spilled(parcels []*Parcel, written []Stored) {
	for some := range backwards(parcels) {
		written = q.spilledSome(some, written)
	}
}

// spilledSome does so for some, of which the latest that was written is the last of
// written. It returns the rest of these.
func (q *Queue) spilledSome(parcels []*Parcel, written []Stored) []Stored {
	q.mu.Lock()
	defer q.mu.Unlock()
	after := q.onDisk.last
	for _, p := range slices.Backward(parcels) {
		switch last := len(written) - 1; {
		case p.Within != nil:
			q.absorbLocked(p)
		case last >= 0 && written[last].Parcel == p:
			after = q.toDiskLocked(p, written[last].At, after)
			written = written[:last]
		}
	}
	for _, p := range parcels {
		if p.Within == nil {
			q.vacateLocked(p)
		}
		q.freeLocked(p.Lane)
	}
	return written
}

// toDiskLocked notes that a busy parcel is on disk now. It returns the one that is older
// than it there: no place is looked for from the end each time.
func (q *Queue) toDiskLocked(p *Parcel, at any, after *Parcel) *Parcel {
	q.vacateLocked(p)
	p.Lane.weighLocked(0, -p.memory)
	q.inMemory.removeLocked(p)
	p.Lane.spilledLocked(p, at)
	p.unload()
	q.onDisk.addFromLocked(p, after)
	q.occupyLocked(p)
	q.account.Spilled += uint64(p.Samples)
	return p.older
}

// DropOnDisk drops the oldest parcel on disk that is not being sent, if that is
// the policy and there is one. Its lane may be busy: the spooler itself holds many.
func (q *Queue) DropOnDisk() bool {
	if !q.set.DropOldest {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.onDisk.idleLocked()
	if p == nil {
		p = q.inMemory.keptLocked()
	}
	if p == nil {
		return false
	}
	q.dropWaitingLocked(p, reason.Overflow)
	return true
}

// NoteDisk notes what is wrong with the disk, or nil, and whether that is that it is full.
func (q *Queue) NoteDisk(err error, full bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.diskError, q.diskFull = err, full
}

// discardLocked remembers the record of a parcel that was dropped.
func (q *Queue) discardLocked(p *Parcel) {
	q.discards = append(q.discards, p.Record())
	q.askToSpill()
}

// TakeDiscards returns the records that are to be marked.
func (q *Queue) TakeDiscards() []any {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.discards
	q.discards = nil
	return all
}

// RecordsOnDisk returns those of all parcels on disk.
func (q *Queue) RecordsOnDisk() (all []any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for p := q.onDisk.first; p != nil; p = p.newer {
		all = append(all, p.Disk)
	}
	return all
}

// DropGone drops the parcels with these records, once nobody sends any more, and returns
// their samples.
func (q *Queue) DropGone(gone map[any]bool) (samples int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for p := q.onDisk.first; p != nil; {
		next := p.newer
		if gone[p.Disk] {
			samples += p.Samples
			q.dropWaitingLocked(p, reason.SpoolDamaged)
		}
		p = next
	}
	q.discards = nil // there is nothing to mark
	q.gone += samples
	return samples
}

// KeptOnDisk returns how many samples are on disk.
func (q *Queue) KeptOnDisk() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.onDisk.samples
}

// Restore queues parcels that an earlier Run left on disk, in their order, before
// all others. It returns their samples.
func (q *Queue) Restore(parcels []*Parcel, now time.Time) (samples int) {
	seq := uint64(1)
	for some := range slices.Chunk(parcels, lanesAtOnce) {
		samples += q.restoreSome(some, seq, now)
		seq += uint64(len(some))
	}
	q.Cut(parcels)
	return samples
}

// restoreSome makes parcels known, the first of which has the number. They are busy until
// all are.
func (q *Queue) restoreSome(parcels []*Parcel, seq uint64, now time.Time) (samples int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, o := range q.outboxes {
		o.pace.start(now)
	}
	for i, p := range parcels {
		p.seq = seq + uint64(i)
		if p.Born.After(now) { // the clock was set back since
			p.Born = now
		}
		p.Lane = q.laneLocked(p.Key)
		p.Lane.leaveLocked()
		p.Lane.busy++
		q.onDisk.addLocked(p)
		q.occupyLocked(p)
		samples += p.Samples
	}
	q.account.Restored += uint64(samples)
	return samples
}
