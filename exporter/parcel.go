package exporter

import (
	"slices"
	"strings"
	"time"

	"github.com/hubring/hubring/internal/exposition"
	"github.com/hubring/hubring/internal/spool"
)

// parcel is one gateway's encoded samples of one Submit: the unit that is
// queued, sent, retried and rerouted. Its samples are not changed after it was
// built; seq and born are set when it is queued. Whoever learns its fate releases
// it.
type parcel struct {
	key     string // of the ring; "" for no gateway
	body    []byte // its samples in the text format, family by family; nil when released
	ends    []int  // where in body each family ends
	shape   *shape // which families they are
	samples int
	memory  int // see size
	// composite says that a summary or histogram is in it, which is more than
	// one line to a parser.
	composite bool
	oldest    int64 // the smallest timestamp of a sample, in ms; 0 if not known

	buffer *buffer // that body and ends belong to

	// What follows is the router's, and guarded by its mutex.
	seq          uint64 // place in the order of submission
	born         time.Time
	bytes        int      // see length
	lane         *lane    // the gateway's
	busy         bool     // in a request, or being written to disk
	before, next *parcel  // in the lane
	list         *backlog // in memory or on disk
	older, newer *parcel  // in the list
	ack          *receipt // who waits for it, or nil

	spilled bool // the body is on disk; here it is only while a request is made of it
	ref     spool.Ref
	unfit   bool // too large for the disk
}

// shape is which families a parcel has, in their order. Gateways of one kind
// report the same ones, so parcels share their shapes, and what depends on it is
// worked out once for many. It is not changed after it was built.
type shape struct {
	families []header
	text     int // length of all headers as text, in bytes
	bytes    int // of memory
}

// header is what is said about a family before its samples.
type header struct {
	name string
	kind kind
	help string
}

// append appends the HELP and TYPE lines.
func (h *header) append(dst []byte) []byte {
	if h.help != "" {
		dst = append(dst, "# HELP "...)
		dst = append(dst, h.name...)
		dst = append(dst, ' ')
		dst = exposition.AppendHelp(dst, h.help)
		dst = append(dst, '\n')
	}
	dst = append(dst, "# TYPE "...)
	dst = append(dst, h.name...)
	dst = append(dst, ' ')
	dst = append(dst, h.kind.String()...)
	return append(dst, '\n')
}

// equal reports whether two shapes have the same families.
func (s *shape) equal(other *shape) bool {
	return s == other || other != nil && slices.Equal(s.families, other.families)
}

// newShape returns a shape with strings of its own: the caller's would keep its
// whole report alive.
func newShape(families []header) *shape {
	length := 0
	for _, f := range families {
		length += len(f.name) + len(f.help)
	}
	var all strings.Builder
	all.Grow(length)
	for _, f := range families {
		all.WriteString(f.name)
		all.WriteString(f.help)
	}
	s := &shape{families: make([]header, len(families)), bytes: length + headerBytes*len(families)}
	rest := all.String()
	var line []byte
	for i, f := range families {
		name, help := len(f.name), len(f.name)+len(f.help)
		s.families[i] = header{rest[:name], f.kind, rest[name:help]}
		rest = rest[help:]
		line = f.append(line[:0])
		s.text += len(line)
	}
	return s
}

// What managing a parcel, the end of a family and a header of a shape takes, in
// bytes: the struct, and for a parcel the buffer and a lane.
const (
	parcelOverhead  = 400
	spilledOverhead = 300 // of a parcel that is on disk
	endBytes        = 8
	headerBytes     = 40
)

// newParcel returns a parcel with copies of body and ends.
func newParcel(key string, body []byte, ends []int, of *shape) *parcel {
	b := newBuffer(body, ends)
	return &parcel{
		key: key, body: b.body, ends: b.ends, shape: of, buffer: b,
		memory: parcelOverhead + len(key) + cap(b.body) + endBytes*cap(b.ends) + of.bytes,
	}
}

// size is the memory that the parcel takes until it is released, in bytes,
// including what is kept to manage it. A shape is counted for each parcel, as if
// no other had it.
func (p *parcel) size() int { return p.memory }

// length is how long a request with this parcel alone is, in bytes. One of
// several is no longer than their sum.
func (p *parcel) length() int { return len(p.body) + p.shape.text }

// release gives the memory back to the next parcels. It is called once, when the
// parcel's fate is known and nobody reads it any more; another call does nothing.
func (p *parcel) release() {
	b := p.buffer
	p.body, p.ends, p.shape, p.buffer = nil, nil, nil, nil
	if b != nil {
		b.release()
	}
}

// unload frees the memory of a body that is on disk.
func (p *parcel) unload() {
	p.release()
	p.memory = spilledOverhead + len(p.key)
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
	runs   []run
	of     *shape // of the parcel that was added last
	places []int  // its families' indices in groups
}

// group is a family of the request: its header, which is that of the first parcel
// that has it, and a list of runs, by their indices.
type group struct {
	header     *header
	head, tail int
}

// run is what one parcel has of a family.
type run struct {
	lines []byte
	next  int // index in runs, 0 at the end: a list's head is never a next
}

// join appends the body of the request to dst.
func (j *joiner) join(dst []byte, batch []*parcel) []byte {
	for _, p := range batch {
		j.add(p)
	}
	for _, g := range j.groups {
		dst = g.header.append(dst)
		for at := g.head; ; {
			r := &j.runs[at]
			dst = append(dst, r.lines...)
			if at = r.next; at == 0 {
				break
			}
		}
	}
	j.reset()
	return dst
}

// add puts the lines of a parcel to those of their families.
func (j *joiner) add(p *parcel) {
	if !p.shape.equal(j.of) {
		j.place(p.shape)
	}
	start := 0
	for i, end := range p.ends {
		at := len(j.runs)
		j.runs = append(j.runs, run{lines: p.body[start:end]})
		start = end
		g := &j.groups[j.places[i]]
		if g.head < 0 {
			g.head = at
		} else {
			j.runs[g.tail].next = at
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
	for i := range s.families {
		h := &s.families[i]
		at, ok := j.family[h.name]
		if !ok {
			at = len(j.groups)
			j.family[h.name] = at
			j.groups = append(j.groups, group{header: h, head: -1})
		}
		j.places = append(j.places, at)
	}
}

// reset forgets the parcels, or they would live on.
func (j *joiner) reset() {
	clear(j.family)
	clear(j.groups)
	clear(j.runs)
	j.of, j.places, j.groups, j.runs = nil, j.places[:0], j.groups[:0], j.runs[:0]
}
