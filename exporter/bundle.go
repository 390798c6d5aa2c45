package exporter

import (
	"encoding/binary"
	"slices"

	"github.com/hubring/hubring/exporter/internal/wire"
)

// A record of several parcels, which the queue chose, holds them one behind the other.

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
		p := &parcel{}
		p.samples = int(r.number())
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
	text, err := s.store.Body(recordOf(p).ref, nil)
	if err != nil {
		return nil, err
	}
	bundle, err := readBundle(text)
	if err != nil {
		return nil, err
	}
	for _, part := range bundle {
		part.partOf(p)
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
		head := headingOf(p)
		head.bundle = true
		ref, err := s.store.Append(appendMeta(nil, head), appendBundle(nil, rest))
		if err != nil {
			continue
		}
		s.mark(recordOf(p).ref)
		recordOf(p).ref, p.from = ref, 0
	}
}

// write appends a record of parcels, and makes the first one stand for all.
func (s *spooler) write(bundle []*parcel) (*record, error) {
	p := bundle[0]
	head := headingOf(p)
	head.bundle = len(bundle) > 1
	for _, p := range bundle[1:] {
		head.samples += p.samples
		head.bytes += p.bytes
		head.composite = head.composite || p.composite
	}
	s.meta = appendMeta(s.meta[:0], head)
	if head.bundle {
		s.body = appendBundle(s.body[:0], bundle)
	} else {
		s.body = appendBody(s.body[:0], p)
	}
	ref, err := s.append(s.meta, s.body)
	if err != nil {
		return nil, err
	}
	p.composite = head.composite
	for _, follower := range bundle[1:] {
		follower.within = p
	}
	return &record{ref, head.bundle}, nil
}
