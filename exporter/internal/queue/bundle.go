package queue

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
// the fate of one, none may have a record of its own, and no two may have a summary or histogram: see sorter.
func joinable(bundle []*Parcel, bytes int, p *Parcel, limit int, claimed *wire.Claims) bool {
	return p.ack == nil && bundle[0].ack == nil && bundle[0].Kept == nil && bytes+p.Bytes <= limit && claimed.AllowAll(p.Body.Shape) &&
		!(p.Composite && slices.ContainsFunc(bundle, func(q *Parcel) bool { return q.Composite }))
}

// takeRunLocked makes the parcel that waits and those of its lane that can share its record busy.
func (q *Queue) takeRunLocked(p *Parcel, most int) (run []*Parcel) {
	var claimed wire.Claims
	bytes := 0
	p.Lane.leaveLocked()
	for ; p != nil && len(run) < most; p = p.next {
		if len(run) > 0 && (p.Unfit || p.busy || p.Record() != nil || !joinable(run, bytes, p, min(bundleBytes, q.set.BatchBytes), &claimed)) {
			break
		}
		claimed.AddAll(p.Body.Shape)
		bytes += p.Bytes
		p.follows = len(run) > 0
		p.Lane.busy++
		q.occupyLocked(p)
		run = append(run, p)
	}
	return run
}

// absorbLocked makes a busy parcel a part of the one that is before it on disk.
func (q *Queue) absorbLocked(p *Parcel) {
	head := p.Within
	q.vacateLocked(p)
	p.Lane.weighLocked(0, -p.memory)
	p.Lane.removeLocked(p)
	p.list.removeLocked(p)
	p.Release()
	head.Samples += p.Samples
	head.Bytes += p.Bytes
	q.inMemory.samples += p.Samples
	p.Lane.samples += p.Samples
	p.Lane.bytes += p.Bytes
}

// partLocked settles a part of a bundle that was taken apart, and reports whether others are
// left.
func (q *Queue) partLocked(part *Parcel) (more bool) {
	p := part.Of
	if p == nil || p.Samples == part.Samples {
		return false
	}
	p.Samples -= part.Samples
	p.list.samples -= part.Samples
	p.From++
	return true
}

// Bundles divides parcels that are to be spilled, as takeToSpill returns them.
func Bundles(parcels []*Parcel) (all [][]*Parcel) {
	for _, p := range parcels {
		if p.follows {
			all[len(all)-1] = append(all[len(all)-1], p)
		} else {
			all = append(all, []*Parcel{p})
		}
	}
	return all
}
