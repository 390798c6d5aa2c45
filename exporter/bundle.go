package exporter

import (
	"encoding/binary"
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

// appendBundle writes the bodies of parcels, each behind its number of samples and its length.
func appendBundle(dst []byte, bundle []*parcel) []byte {
	var body []byte
	for _, p := range bundle {
		body = appendBody(body[:0], p)
		dst = binary.AppendUvarint(dst, uint64(p.samples))
		dst = binary.AppendUvarint(dst, uint64(len(body)))
		dst = append(dst, body...)
	}
	return dst
}

// readBundle returns the parcels of a record, which have what their bodies say.
func readBundle(record []byte) (bundle []*parcel, err error) {
	r := reader{rest: record}
	for len(r.rest) > 0 {
		p := &parcel{samples: int(r.number())}
		body := r.bytes(r.number())
		if r.bad || p.samples <= 0 {
			return nil, errRecord
		}
		if err := readBody(body, p); err != nil {
			return nil, err
		}
		bundle = append(bundle, p)
	}
	if len(bundle) == 0 {
		return nil, errRecord
	}
	return bundle, nil
}

// joinBundle gives p the body of a bundle: each family once, and within it the lines of one
// parcel after those of the one before.
func joinBundle(p *parcel, bundle []*parcel) {
	at := map[string]int{}
	var families []wire.Header
	var lines [][]byte
	p.oldest = noTime
	for _, part := range bundle {
		start := 0
		for i, f := range part.body.Shape.Families {
			n, ok := at[f.Name]
			if !ok {
				n = len(families)
				at[f.Name] = n
				families, lines = append(families, f), append(lines, nil)
			}
			lines[n] = append(lines[n], part.body.Text[start:part.body.Ends[i]]...)
			start = part.body.Ends[i]
		}
		p.oldest = min(p.oldest, part.oldest)
	}
	p.body = &wire.Body{Key: p.key, Shape: wire.NewShape(families), Samples: p.samples, Composite: p.composite, Oldest: p.oldest}
	for _, l := range lines {
		p.body.Text = append(p.body.Text, l...)
		p.body.Ends = append(p.body.Ends, len(p.body.Text))
	}
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

// takeRunLocked makes the parcel that waits and those of its lane that can share its record busy.
func (r *router) takeRunLocked(p *parcel, most int) (run []*parcel) {
	var claimed wire.Claims
	bytes := 0
	p.lane.leaveLocked()
	for ; p != nil && len(run) < most; p = p.next {
		if len(run) > 0 && (p.unfit || p.busy || p.spilled || !joinable(run, bytes, p, min(bundleBytes, r.cfg.BatchBytes), &claimed)) {
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

// wholes puts bundles in the place of parts that are left of them.
func wholes(parcels []*parcel) []*parcel {
	for i, p := range parcels {
		if p.of != nil {
			parcels[i] = p.of
		}
	}
	return slices.Compact(parcels)
}

// apart returns the parts of a bundle that are left.
func (s *spooler) apart(p *parcel) ([]*parcel, error) {
	record, err := s.store.Body(p.ref, nil)
	if err != nil {
		return nil, err
	}
	bundle, err := readBundle(record)
	if err != nil {
		return nil, err
	}
	for _, part := range bundle {
		part.key, part.lane, part.of, part.spilled = p.key, p.lane, p, true
		part.composite, part.born = p.composite, p.born
	}
	return bundle[p.from:], nil
}

// renew writes what is left of bundles that were taken apart, so that the next Run does not find the
// rest. What cannot be written may come again.
func (s *spooler) renew(parcels []*parcel) {
	for _, p := range parcels {
		if p.from == 0 {
			continue
		}
		rest, err := s.apart(p)
		if err != nil {
			continue
		}
		ref, err := s.store.Append(appendMeta(nil, p), appendBundle(nil, rest))
		if err != nil {
			continue
		}
		s.mark(p.ref)
		p.ref, p.from = ref, 0
	}
}

// write appends a record of parcels, and makes the first one stand for all.
func (s *spooler) write(bundle []*parcel) error {
	p := bundle[0]
	head := parcel{key: p.key, born: p.born, samples: p.samples, bytes: p.bytes, composite: p.composite, bundle: len(bundle) > 1}
	for _, p := range bundle[1:] {
		head.samples += p.samples
		head.bytes += p.bytes
		head.composite = head.composite || p.composite
	}
	s.meta = appendMeta(s.meta[:0], &head)
	if head.bundle {
		s.body = appendBundle(s.body[:0], bundle)
	} else {
		s.body = appendBody(s.body[:0], p)
	}
	ref, err := s.append(s.meta, s.body)
	if err != nil {
		return err
	}
	p.ref, p.bundle, p.composite = ref, head.bundle, head.composite
	for _, follower := range bundle[1:] {
		follower.within = p
	}
	return nil
}
