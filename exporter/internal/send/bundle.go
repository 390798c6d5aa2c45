package send

import (
	"encoding/binary"
	"slices"

	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/internal/framing"
)

// A record of several parcels, which the queue chose, holds them one behind the other.

// appendBundle writes the bodies of parcels, each behind its number of samples and its length.
func appendBundle(dst []byte, bundle []*queue.Parcel) []byte {
	var body []byte
	for _, p := range bundle {
		body = appendBody(body[:0], p)
		dst = binary.AppendUvarint(dst, uint64(p.Samples))
		dst = binary.AppendUvarint(dst, uint64(len(body)))
		dst = append(dst, body...)
	}
	return dst
}

// readBundle returns the parcels of a record, which have what their bodies say.
func readBundle(record []byte) (bundle []*queue.Parcel, err error) {
	r := framing.Reader{Rest: record}
	for len(r.Rest) > 0 {
		p := &queue.Parcel{}
		p.Samples = int(r.Uvarint())
		body := r.Text()
		if r.Bad || p.Samples <= 0 {
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
func joinBundle(p *queue.Parcel, bundle []*queue.Parcel) {
	at := map[string]int{}
	var families []wire.Header
	var lines [][]byte
	p.Oldest = queue.NoTime
	for _, part := range bundle {
		start := 0
		for i, f := range part.Body.Shape.Families {
			n, ok := at[f.Name]
			if !ok {
				n = len(families)
				at[f.Name] = n
				families, lines = append(families, f), append(lines, nil)
			}
			lines[n] = append(lines[n], part.Body.Text[start:part.Body.Ends[i]]...)
			start = part.Body.Ends[i]
		}
		p.Oldest = min(p.Oldest, part.Oldest)
	}
	p.Body = &wire.Body{Key: p.Key, Shape: wire.NewShape(families), Samples: p.Samples, Composite: p.Composite, Oldest: p.Oldest}
	for _, l := range lines {
		p.Body.Text = append(p.Body.Text, l...)
		p.Body.Ends = append(p.Body.Ends, len(p.Body.Text))
	}
}

// wholes puts bundles in the place of parts that are left of them.
func wholes(parcels []*queue.Parcel) []*queue.Parcel {
	for i, p := range parcels {
		if p.Of != nil {
			parcels[i] = p.Of
		}
	}
	return slices.Compact(parcels)
}

// apart returns the parts of a bundle that are left.
func (s *Spooler) apart(p *queue.Parcel) ([]*queue.Parcel, error) {
	text, err := s.store.Body(recordOf(p).ref, nil)
	if err != nil {
		return nil, err
	}
	bundle, err := readBundle(text)
	if err != nil {
		return nil, err
	}
	for _, part := range bundle {
		part.PartOf(p)
	}
	return bundle[p.From:], nil
}

// renew writes what is left of bundles that were taken apart, so that the next Run does not find the
// rest. What cannot be written may come again.
func (s *Spooler) renew(parcels []*queue.Parcel) {
	for _, p := range parcels {
		if p.From == 0 {
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
		recordOf(p).ref, p.From = ref, 0
	}
}

// write appends a record of parcels, and makes the first one stand for all.
func (s *Spooler) write(bundle []*queue.Parcel) (*record, error) {
	p := bundle[0]
	head := headingOf(p)
	head.bundle = len(bundle) > 1
	for _, p := range bundle[1:] {
		head.samples += p.Samples
		head.bytes += p.Bytes
		head.composite = head.composite || p.Composite
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
	p.Composite = head.composite
	for _, follower := range bundle[1:] {
		follower.Within = p
	}
	return &record{ref, head.bundle}, nil
}
