package exporter

import "time"

// parcel is one gateway's encoded samples of one Submit: the unit that is
// queued, sent, retried and rerouted. Its samples are not changed after it was
// built; seq and born are set when it is queued.
type parcel struct {
	key     string // of the ring; "" for no gateway
	body    []byte // the text format
	chunks  []chunk
	samples int
	// composite says that a summary or histogram is in it, which is more than
	// one line to a parser.
	composite bool

	seq  uint64 // place in the order of submission
	born time.Time
}

// chunk is the part of a parcel's body that belongs to one family. It is in
// two: a request of several parcels has the header of a family once.
type chunk struct {
	name    string
	kind    kind
	header  int // offset of HELP and TYPE in the body
	samples int // offset of the first sample
	end     int // offset after the last sample
}

// What managing a parcel and a chunk takes, in bytes: the struct, and for a
// parcel the pointer in its outbox.
const (
	parcelOverhead = 128
	chunkOverhead  = 48
)

// size is the memory that the parcel takes, in bytes, including what is kept to
// manage it.
func (p *parcel) size() int {
	n := parcelOverhead + len(p.key) + cap(p.body)
	for i := range p.chunks {
		n += chunkOverhead + len(p.chunks[i].name)
	}
	return n
}

// claims says which names a request uses, and as what. Senders may disagree on
// a family's type, and one may use a name that is part of another's histogram.
// Receivers that parse a request as a whole, as prometheus-edge-hub does, refuse
// all of it then. So what disagrees goes into different requests.
type claims map[string]kind

// allow reports whether a family fits to what is claimed already.
func (c claims) allow(name string, k kind) bool {
	if got, ok := c[name]; ok && got != k {
		return false
	}
	var scratch [128]byte
	for _, suffix := range k.suffixes() {
		part := append(append(scratch[:0], name...), suffix...)
		if got, ok := c[string(part)]; ok && got != partOf {
			return false
		}
	}
	return true
}

// add claims the names of a family.
func (c claims) add(name string, k kind) {
	if _, ok := c[name]; ok {
		return
	}
	c[name] = k
	for _, suffix := range k.suffixes() {
		c[name+suffix] = partOf
	}
}

// allowAll reports whether every family of a parcel fits.
func (c claims) allowAll(p *parcel) bool {
	for i := range p.chunks {
		if !c.allow(p.chunks[i].name, p.chunks[i].kind) {
			return false
		}
	}
	return true
}

// addAll claims the names of every family of a parcel.
func (c claims) addAll(p *parcel) {
	for i := range p.chunks {
		c.add(p.chunks[i].name, p.chunks[i].kind)
	}
}

// joiner writes the parcels of a request one after the other, family by family:
// each family is one group with one header, as the text format demands. Within a
// family the order of the parcels is kept. Its zero value is ready for use.
type joiner struct {
	family map[string]int // name to index in heads and tails
	heads  []int          // of each family, its first reference
	tails  []int
	refs   []chunkRef
}

// chunkRef is a chunk in a list of those of its family.
type chunkRef struct {
	parcel *parcel
	chunk  *chunk
	next   int // index in refs, 0 at the end: a list's head is never a next
}

// join appends the body of the request to dst.
func (j *joiner) join(dst []byte, batch []*parcel) []byte {
	if j.family == nil {
		j.family = map[string]int{}
	}
	for _, p := range batch {
		for i := range p.chunks {
			j.add(p, &p.chunks[i])
		}
	}
	for _, head := range j.heads {
		first := j.refs[head]
		dst = append(dst, first.parcel.body[first.chunk.header:first.chunk.samples]...)
		for at := head; ; at = j.refs[at].next {
			r := j.refs[at]
			dst = append(dst, r.parcel.body[r.chunk.samples:r.chunk.end]...)
			if r.next == 0 {
				break
			}
		}
	}
	clear(j.family)
	clear(j.refs) // or the parcels would live on
	j.heads, j.tails, j.refs = j.heads[:0], j.tails[:0], j.refs[:0]
	return dst
}

func (j *joiner) add(p *parcel, c *chunk) {
	at := len(j.refs)
	j.refs = append(j.refs, chunkRef{parcel: p, chunk: c})
	if f, ok := j.family[c.name]; ok {
		j.refs[j.tails[f]].next = at
		j.tails[f] = at
		return
	}
	j.family[c.name] = len(j.heads)
	j.heads = append(j.heads, at)
	j.tails = append(j.tails, at)
}
