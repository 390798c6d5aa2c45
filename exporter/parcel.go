package exporter

import (
	"slices"
	"strings"
	"time"
)

// parcel is one gateway's encoded samples of one Submit: the unit that is
// queued, sent, retried and rerouted. Its samples are not changed after it was
// built; seq and born are set when it is queued. Whoever learns its fate releases
// it.
type parcel struct {
	key     string // of the ring; "" for no gateway
	body    []byte // the text format; nil when released
	chunks  []chunk
	shape   *shape // what the chunks are of
	samples int
	bytes   int // see size
	// composite says that a summary or histogram is in it, which is more than
	// one line to a parser.
	composite bool

	seq  uint64 // place in the order of submission
	born time.Time

	buffer *buffer // that body and chunks belong to
}

// chunk is the part of a parcel's body that belongs to one family. It is in
// two: a request of several parcels has the header of a family once.
type chunk struct {
	header  int // offset of HELP and TYPE in the body
	samples int // offset of the first sample
	end     int // offset after the last sample
}

// shape is which families a parcel has, in their order. Gateways of one kind
// report the same ones, so parcels share their shapes, and what depends on it is
// worked out once for many. It is not changed after it was built.
type shape struct {
	families []named
	bytes    int // of memory
}

// named is a family's name and type.
type named struct {
	name string
	kind kind
}

// equal reports whether two shapes have the same families.
func (s *shape) equal(other *shape) bool {
	return s == other || other != nil && slices.Equal(s.families, other.families)
}

// newShape returns a shape with strings of its own: the caller's would keep its
// whole report alive.
func newShape(families []named) *shape {
	length := 0
	for _, f := range families {
		length += len(f.name)
	}
	var all strings.Builder
	all.Grow(length)
	for _, f := range families {
		all.WriteString(f.name)
	}
	s := &shape{families: make([]named, len(families)), bytes: length + namedBytes*len(families)}
	rest := all.String()
	for i, f := range families {
		s.families[i] = named{rest[:len(f.name)], f.kind}
		rest = rest[len(f.name):]
	}
	return s
}

// What managing a parcel, a chunk and a family of a shape takes, in bytes: the
// struct, and for a parcel the buffer and the pointer in its outbox.
const (
	parcelOverhead = 208
	chunkBytes     = 24
	namedBytes     = 24
)

// newParcel returns a parcel with copies of the body and the chunks.
func newParcel(key string, body []byte, chunks []chunk, of *shape) *parcel {
	b := newBuffer(body, chunks)
	return &parcel{
		key: key, body: b.body, chunks: b.chunks, shape: of, buffer: b,
		bytes: parcelOverhead + len(key) + cap(b.body) + chunkBytes*cap(b.chunks) + of.bytes,
	}
}

// size is the memory that the parcel takes until it is released, in bytes,
// including what is kept to manage it. A shape is counted for each parcel, as if
// no other had it.
func (p *parcel) size() int { return p.bytes }

// release gives the memory back to the next parcels. It is called once, when the
// parcel's fate is known and nobody reads it any more; another call does nothing.
func (p *parcel) release() {
	b := p.buffer
	p.body, p.chunks, p.shape, p.buffer = nil, nil, nil, nil
	if b != nil {
		b.release()
	}
}

// claims says which names a request uses, and as what. Senders may disagree on
// a family's type, and one may use a name that is part of another's histogram.
// Receivers that parse a request as a whole, as prometheus-edge-hub does, refuse
// all of it then. So what disagrees goes into different requests. Its zero value
// is ready for use.
type claims struct {
	kinds map[string]kind
	last  *shape // claimed already
}

// allow reports whether a family fits to what is claimed already.
func (c *claims) allow(name string, k kind) bool {
	if got, ok := c.kinds[name]; ok && got != k {
		return false
	}
	var scratch [128]byte
	for _, suffix := range k.suffixes() {
		part := append(append(scratch[:0], name...), suffix...)
		if got, ok := c.kinds[string(part)]; ok && got != partOf {
			return false
		}
	}
	return true
}

// add claims the names of a family.
func (c *claims) add(name string, k kind) {
	if _, ok := c.kinds[name]; ok {
		return
	}
	if c.kinds == nil {
		c.kinds = map[string]kind{}
	}
	c.kinds[name] = k
	for _, suffix := range k.suffixes() {
		c.kinds[name+suffix] = partOf
	}
}

// allowAll reports whether every family of a parcel fits.
func (c *claims) allowAll(p *parcel) bool {
	if p.shape.equal(c.last) {
		return true
	}
	for _, f := range p.shape.families {
		if !c.allow(f.name, f.kind) {
			return false
		}
	}
	return true
}

// addAll claims the names of every family of a parcel.
func (c *claims) addAll(p *parcel) {
	if p.shape.equal(c.last) {
		return
	}
	c.last = p.shape
	for _, f := range p.shape.families {
		c.add(f.name, f.kind)
	}
}

// reset gives up all claims.
func (c *claims) reset() {
	clear(c.kinds)
	c.last = nil
}

// joiner writes the parcels of a request one after the other, family by family:
// each family is one group with one header, as the text format demands. Within a
// family the order of the parcels is kept. Its zero value is ready for use.
type joiner struct {
	family map[string]int // name to index in groups
	groups []group
	refs   []chunkRef
	of     *shape // of the parcel that was added last
	places []int  // its families' indices in groups
}

// group is a family of the request: a list of chunks, by their indices in refs.
type group struct{ head, tail int }

// chunkRef is a chunk in a list of those of its family.
type chunkRef struct {
	parcel *parcel
	chunk  chunk
	next   int // index in refs, 0 at the end: a list's head is never a next
}

// join appends the body of the request to dst.
func (j *joiner) join(dst []byte, batch []*parcel) []byte {
	for _, p := range batch {
		j.add(p)
	}
	for _, g := range j.groups {
		first := &j.refs[g.head]
		dst = append(dst, first.parcel.body[first.chunk.header:first.chunk.samples]...)
		for at := g.head; ; {
			r := &j.refs[at]
			dst = append(dst, r.parcel.body[r.chunk.samples:r.chunk.end]...)
			if at = r.next; at == 0 {
				break
			}
		}
	}
	j.reset()
	return dst
}

// add puts the chunks of a parcel to those of their families.
func (j *joiner) add(p *parcel) {
	if !p.shape.equal(j.of) {
		j.place(p.shape)
	}
	for i, c := range p.chunks {
		at := len(j.refs)
		j.refs = append(j.refs, chunkRef{parcel: p, chunk: c})
		g := &j.groups[j.places[i]]
		if g.head < 0 {
			g.head = at
		} else {
			j.refs[g.tail].next = at
		}
		g.tail = at
	}
}

// place looks up the groups for the families of a shape. New ones are empty.
func (j *joiner) place(s *shape) {
	if j.family == nil {
		j.family = map[string]int{}
	}
	j.of, j.places = s, j.places[:0]
	for _, f := range s.families {
		at, ok := j.family[f.name]
		if !ok {
			at = len(j.groups)
			j.family[f.name] = at
			j.groups = append(j.groups, group{head: -1})
		}
		j.places = append(j.places, at)
	}
}

// reset forgets the parcels, or they would live on.
func (j *joiner) reset() {
	clear(j.family)
	clear(j.refs)
	j.of, j.places, j.groups, j.refs = nil, j.places[:0], j.groups[:0], j.refs[:0]
}
