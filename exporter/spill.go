package exporter

import (
	"slices"
	"time"

	"github.com/hubring/hubring/exporter/internal/reason"
)

// What the router does for the spooler.

// checkSpillLocked asks for room when three quarters of the memory are in use, so
// that Submit seldom finds it full.
func (r *router) checkSpillLocked() {
	if r.set.disk && r.memoryLocked() > r.set.maxBytes/4*3 {
		r.askToSpill()
	}
}

func (r *router) askToSpill() {
	select {
	case r.spill <- struct{}{}:
	default:
	}
}

// wantsSpill reports whether more than half of the memory is in use.
func (r *router) wantsSpill() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.closed && r.memoryLocked() > r.set.maxBytes/2
}

// takeToSpill makes the oldest parcels in memory busy, up to so many bytes, and
// returns them. They stay where they are in their lanes.
func (r *router) takeToSpill(limit int) (parcels []*parcel) {
	for limit > 0 {
		some := r.takeSomeToSpill(limit)
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

func (r *router) takeSomeToSpill(limit int) (parcels []*parcel) {
	r.mu.Lock()
	defer r.mu.Unlock()
	size := 0
	for p := r.inMemory.first; p != nil && size < limit && len(parcels) < lanesAtOnce; p = p.newer {
		if p.unfit || p.busy || p.lane.busy > 0 {
			continue
		}
		for _, q := range r.takeRunLocked(p, lanesAtOnce-len(parcels)) {
			parcels = append(parcels, q)
			size += q.memory
		}
	}
	return parcels
}

// stored is a parcel that was written to disk, and where, in the words of who wrote it.
type stored struct {
	parcel *parcel
	at     any
}

// spilled frees the memory of those of the parcels that are on disk now, and lets
// go of all.
func (r *router) spilled(parcels []*parcel, written []stored) {
	for some := range backwards(parcels) {
		written = r.spilledSome(some, written)
	}
}

// spilledSome does so for some, of which the latest that was written is the last of
// written. It returns the rest of these.
func (r *router) spilledSome(parcels []*parcel, written []stored) []stored {
	r.mu.Lock()
	defer r.mu.Unlock()
	after := r.onDisk.last
	for _, p := range slices.Backward(parcels) {
		switch last := len(written) - 1; {
		case p.within != nil:
			r.absorbLocked(p)
		case last >= 0 && written[last].parcel == p:
			after = r.toDiskLocked(p, written[last].at, after)
			written = written[:last]
		}
	}
	for _, p := range parcels {
		if p.within == nil {
			r.vacateLocked(p)
		}
		r.freeLocked(p.lane)
	}
	return written
}

// toDiskLocked notes that a busy parcel is on disk now. It returns the one that is older
// than it there: no place is looked for from the end each time.
func (r *router) toDiskLocked(p *parcel, at any, after *parcel) *parcel {
	r.vacateLocked(p)
	p.lane.weighLocked(0, -p.memory)
	r.inMemory.removeLocked(p)
	p.lane.spilledLocked(p, at)
	p.unload()
	r.onDisk.addFromLocked(p, after)
	r.occupyLocked(p)
	r.account.spilled += uint64(p.samples)
	return p.older
}

// dropOnDisk drops the oldest parcel on disk that is not being sent, if that is
// the policy and there is one. Its lane may be busy: the spooler itself holds many.
func (r *router) dropOnDisk() bool {
	if !r.set.dropOldest {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.onDisk.idleLocked()
	if p == nil {
		return false
	}
	r.dropWaitingLocked(p, reason.Overflow)
	return true
}

// noteDisk notes what is wrong with the disk, or nil, and whether that is that it is full.
func (r *router) noteDisk(err error, full bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.diskError, r.diskFull = err, full
}

// discardLocked remembers the record of a parcel that was dropped.
func (r *router) discardLocked(p *parcel) {
	r.discards = append(r.discards, p.disk)
	r.askToSpill()
}

// takeDiscards returns the records that are to be marked.
func (r *router) takeDiscards() []any {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.discards
	r.discards = nil
	return all
}

// recordsOnDisk returns those of all parcels on disk.
func (r *router) recordsOnDisk() (all []any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := r.onDisk.first; p != nil; p = p.newer {
		all = append(all, p.disk)
	}
	return all
}

// dropGone drops the parcels with these records, once nobody sends any more, and returns
// their samples.
func (r *router) dropGone(gone map[any]bool) (samples int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := r.onDisk.first; p != nil; {
		next := p.newer
		if gone[p.disk] {
			samples += p.samples
			r.dropWaitingLocked(p, reason.SpoolDamaged)
		}
		p = next
	}
	r.discards = nil // there is nothing to mark
	r.gone += samples
	return samples
}

// keptOnDisk returns how many samples are on disk.
func (r *router) keptOnDisk() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.onDisk.samples
}

// restore queues parcels that an earlier Run left on disk, in their order, before
// all others. It returns their samples.
func (r *router) restore(parcels []*parcel) (samples int) {
	seq := uint64(1)
	for some := range slices.Chunk(parcels, lanesAtOnce) {
		samples += r.restoreSome(some, seq)
		seq += uint64(len(some))
	}
	r.cut(parcels)
	return samples
}

// restoreSome makes parcels known, the first of which has the number. They are busy until
// all are.
func (r *router) restoreSome(parcels []*parcel, seq uint64) (samples int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for _, o := range r.outboxes {
		o.pace.start(now)
	}
	for i, p := range parcels {
		p.seq = seq + uint64(i)
		if p.born.After(now) { // the clock was set back since
			p.born = now
		}
		p.lane = r.laneLocked(p.key)
		p.lane.leaveLocked()
		p.lane.busy++
		r.onDisk.addLocked(p)
		r.occupyLocked(p)
		samples += p.samples
	}
	r.account.restored += uint64(samples)
	return samples
}
