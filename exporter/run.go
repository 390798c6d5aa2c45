package exporter

import (
	"slices"

	"github.com/hubring/hubring/exporter/internal/wire"
)

// On disk several parcels of one gateway become one, a bundle: what stays in memory of a parcel
// is some 300 bytes, so small reports would fill the memory long before the disk. A bundle goes
// into a request as a whole. Only if a hub refuses that is it taken apart, so that no report
// answers for another one.

// bundleBytes bounds the texts of a bundle. Of 64 KiB on disk one stub is in memory, so that half of
// MaxQueueBytes of stubs stand for hundreds of times as much.
const bundleBytes = 64 << 10

// joinable reports whether a parcel may follow others in a bundle of so many bytes. Nobody may wait for
// the fate of one, and no two may have a summary or histogram: see sorter.
func joinable(bundle []*parcel, bytes int, p *parcel, limit int, claimed *wire.Claims) bool {
	return p.ack == nil && bundle[0].ack == nil && bytes+p.bytes <= limit && claimed.AllowAll(p.body.Shape) &&
		!(p.composite && slices.ContainsFunc(bundle, func(q *parcel) bool { return q.composite }))
}

// takeRunLocked makes the parcel that waits and those of its lane that can share its record busy.
func (r *router) takeRunLocked(p *parcel, most int) (run []*parcel) {
	var claimed wire.Claims
	bytes := 0
	p.lane.leaveLocked()
	for ; p != nil && len(run) < most; p = p.next {
		if len(run) > 0 && (p.unfit || p.busy || p.onDisk() || !joinable(run, bytes, p, min(bundleBytes, r.set.batchBytes), &claimed)) {
			break
		}
		claimed.AddAll(p.body.Shape)
		bytes += p.bytes
		p.follows = len(run) > 0
		p.lane.busy++
		r.occupyLocked(p)
		run = append(run, p)
	}
	return run
}

// absorbLocked makes a busy parcel a part of the one that is before it on disk.
func (r *router) absorbLocked(p *parcel) {
	head := p.within
	r.vacateLocked(p)
	p.lane.weighLocked(0, -p.memory)
	p.lane.removeLocked(p)
	p.list.removeLocked(p)
	p.release()
	head.samples += p.samples
	head.bytes += p.bytes
	r.inMemory.samples += p.samples
	p.lane.samples += p.samples
	p.lane.bytes += p.bytes
}

// partLocked settles a part of a bundle that was taken apart, and reports whether others are
// left.
func (r *router) partLocked(part *parcel) (more bool) {
	p := part.of
	if p == nil || p.samples == part.samples {
		return false
	}
	p.samples -= part.samples
	p.list.samples -= part.samples
	p.from++
	return true
}

// bundles divides parcels that are to be spilled, as takeToSpill returns them.
func bundles(parcels []*parcel) (all [][]*parcel) {
	for _, p := range parcels {
		if p.follows {
			all[len(all)-1] = append(all[len(all)-1], p)
		} else {
			all = append(all, []*parcel{p})
		}
	}
	return all
}
