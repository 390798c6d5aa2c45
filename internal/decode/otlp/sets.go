package otlp

import "bytes"

// The metrics of a scope have mostly the same sets of attributes, in the same order. So the labels that a point's attributes became are kept
// by its place in the metric, and a point of the next metric whose attributes have the same bytes has the same labels.

const (
	maxSets      = 64   // places
	maxSetLabels = 1024 // bytes for each that are kept from one request to the next
)

// set is the labels of the last point at a place.
type set struct {
	raw        []byte // its attributes as they came, one behind the other; part of the request
	labels     []byte // with those of the resource and the scope
	generation uint64 // of these
	except     string // the label that was left out
}

// beginPoint begins a point, of whose labels one is left out that its series have otherwise.
func (r *reader) beginPoint(except string) {
	r.attributes, r.exemplars = r.attributes[:0], r.exemplars[:0]
	r.except, r.raw, r.known, r.set = except, nil, false, nil
	if r.place < maxSets {
		r.set = &r.sets[r.place]
		r.place++
		r.places = max(r.places, r.place)
	}
}

// attribute takes an attribute of the point, which was read of a message that began with the bytes that are given. With the first one it takes
// all of a known set.
func (r *reader) attribute(m *message, from []byte) error {
	s := r.set
	switch {
	case s == nil:
	case r.known: // one more than the set has
		if err := r.spread(); err != nil {
			return err
		}
	case r.raw == nil && s.generation == r.generation && s.except == r.except && bytes.HasPrefix(from, s.raw):
		r.known, m.rest = true, from[len(s.raw):]
		return nil
	case r.raw == nil:
		r.raw, r.behind = from[:len(from)-len(m.rest)], len(m.rest)
	case len(from) == r.behind:
		r.raw, r.behind = r.raw[:len(r.raw)+len(from)-len(m.rest)], len(m.rest)
	default: // something stands between them
		r.set = nil
	}
	return r.addAttribute(m.bytes)
}

// spread reads the attributes of the set, which are not all of the point's.
func (r *reader) spread() error {
	m := message{rest: r.set.raw}
	for m.next() {
		if err := r.addAttribute(m.bytes); err != nil {
			return err
		}
	}
	r.known, r.set = false, nil
	return nil
}

// label writes the labels of the point, from its attributes and what its resource and scope have.
func (r *reader) label() error {
	s := r.set
	if r.known {
		r.base = append(r.base[:0], s.labels...)
		return nil
	}
	r.base = r.base[:0]
	if err := r.appendAttributes(r.except); err != nil {
		return err
	}
	for _, p := range r.promote {
		if p.label.point != r.point && p.label.fixed != r.generation && p.label.name != r.except {
			r.base = append(r.base, r.promise[p.from:p.to]...)
		}
	}
	r.base = append(r.base, r.fixed...)
	if s != nil && r.raw != nil {
		*s = set{r.raw, append(s.labels[:0], r.base...), r.generation, r.except}
	}
	return nil
}

// forgetSets lets the request go.
func (r *reader) forgetSets() {
	r.raw, r.set = nil, nil
	for i := range r.sets[:r.places] {
		s := &r.sets[i]
		*s = set{labels: s.labels[:0]}
		if cap(s.labels) > maxSetLabels {
			s.labels = nil
		}
	}
	r.places = 0
}
