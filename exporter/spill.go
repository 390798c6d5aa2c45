package exporter

import (
	"slices"
	"time"

	"github.com/hubring/hubring/internal/spool"
)

// What the router does for the spooler.

// checkSpillLocked asks for room when three quarters of the memory are in use, so
// that Submit seldom finds it full.
func (r *router) checkSpillLocked() {
	if r.cfg.SpoolDir != "" && r.memoryLocked() > r.cfg.MaxQueueBytes/4*3 {
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
	return !r.closed && r.memoryLocked() > r.cfg.MaxQueueBytes/2
}

// takeToSpill makes the oldest parcels in memory busy, up to so many bytes, and
// returns them. They stay where they are in their lanes.
func (r *router) takeToSpill(limit int) []*parcel {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := map[*lane]bool{}
	var parcels []*parcel
	size := 0
	for p := r.inMemory.first; p != nil && size < limit; p = p.newer {
		if p.unfit || p.lane.busy > 0 && !taken[p.lane] {
			continue
		}
		taken[p.lane] = true
		p.lane.leaveLocked()
		p.lane.busy++
		r.occupyLocked(p)
		parcels = append(parcels, p)
		size += p.memory
	}
	return parcels
}

// spilled frees the memory of those of the parcels that are on disk now, and lets
// go of all.
func (r *router) spilled(parcels, written []*parcel) {
	r.mu.Lock()
	defer r.mu.Unlock()
	after := r.onDisk.last
	for _, p := range slices.Backward(written) { // so that no place is looked for from the end each time
		r.vacateLocked(p)
		p.lane.weighLocked(0, -p.memory)
		r.inMemory.removeLocked(p)
		p.lane.spilledLocked(p)
		p.unload()
		r.occupyLocked(p)
		r.onDisk.addFromLocked(p, after)
		after = p.older
		r.account.spilled += uint64(p.samples)
	}
	for _, p := range parcels {
		r.vacateLocked(p)
		r.freeLocked(p.lane)
	}
}

// dropOnDisk drops the oldest parcel on disk that is not being sent, if that is
// the policy and there is one. Its lane may be busy: the spooler itself holds many.
func (r *router) dropOnDisk() bool {
	if r.cfg.Overflow != DropOldest {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.onDisk.idleLocked()
	if p == nil {
		return false
	}
	r.dropWaitingLocked(p, overflow)
	return true
}

// noteDisk notes whether the disk can be used.
func (r *router) noteDisk(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.diskError = err
}

// discardLocked remembers the record of a parcel that was dropped.
func (r *router) discardLocked(p *parcel) {
	r.discards = append(r.discards, p.ref)
	r.askToSpill()
}

// takeDiscards returns the records that are to be marked.
func (r *router) takeDiscards() []spool.Ref {
	r.mu.Lock()
	defer r.mu.Unlock()
	refs := r.discards
	r.discards = nil
	return refs
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
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for _, o := range r.outboxes {
		if len(parcels) > 0 {
			o.pace.start(now)
		}
	}
	for i, p := range parcels {
		p.seq = uint64(i) + 1
		if p.born.After(now) { // the clock was set back since
			p.born = now
		}
		p.lane = r.laneLocked(p.key)
		r.onDisk.addLocked(p)
		samples += p.samples
	}
	for i := len(parcels) - 1; i >= 0; i-- {
		p := parcels[i]
		p.lane.leaveLocked()
		p.lane.putBackLocked(p)
		p.lane.enterLocked(r.routeLocked(p.key))
	}
	r.account.restored += uint64(samples)
	return samples
}
