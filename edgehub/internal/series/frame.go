package series

import (
	"bytes"
	"hash/maphash"
	"math/bits"
)

// The gateways of a fleet have the same series: what they write differs in the gateway's name
// and in nothing else. So a spelling is kept as its gateway and its frame, which is what stands
// before the name and behind it, and the spellings of a whole fleet are few frames.
//
// The name is cut out where it is the value of a label to the letter, so behind it there is a
// quote at least. Where there is no such label, or the name needs escapes, the frame is the whole
// text and nothing is behind it.

// Frame is the number of a frame in an index. None has 0.
type Frame uint32

// pieces is a text as the index keeps it: a frame around the name of its gateway.
type pieces struct {
	before []byte
	name   string
	behind []byte
}

// whole is a text of which no name is cut out.
func whole(text []byte) pieces { return pieces{before: text} }

// cut cuts the gateway's name out of a text. It is looked for at a place first.
func (m *member) cut(text []byte, first int) pieces {
	name := m.name
	if name == "" || !m.plain {
		return whole(text)
	}
	for at, from := first, 0; ; at = from {
		if isValue(text, name, at) {
			return pieces{text[:at], name, text[at+len(name):]}
		}
		next := bytes.Index(text[from:], []byte(`="`))
		if next < 0 {
			return whole(text)
		}
		from += next + len(`="`)
	}
}

// isValue says whether a name stands at a place as the value of a label.
func isValue(text []byte, name string, at int) bool {
	end := at + len(name)
	return at >= 2 && end < len(text) && text[at-2] == '=' && text[at-1] == '"' && text[end] == '"' && string(text[at:end]) == name
}

// follower is the frame that came behind another one.
type follower struct{ of, frame ref }

// frame returns the frame of a text. Those of whole texts are hardly ever shared, and not looked
// for. Gateways mostly come with their frames in the same order.
func (x *Index) frame(p pieces) ref {
	if len(p.behind) == 0 {
		return x.keep(p.before, p.behind)
	}
	next := &x.followers[x.last%ref(len(x.followers))]
	if next.of != x.last || next.frame == 0 || !x.isFrame(next.frame, p) {
		*next = follower{x.last, x.findFrame(p, x.frameHash(p))}
	}
	x.last = next.frame
	return x.last
}

func (x *Index) isFrame(r ref, p pieces) bool {
	k := textAt(x.arena.blocks, r)
	return bytes.Equal(k.before(), p.before) && bytes.Equal(k.behind(), p.behind)
}

// findFrame finds a frame by its hash, or keeps it.
func (x *Index) findFrame(p pieces, hash uint32) ref {
	for found := x.frames.probe(hash); ; {
		r := ref(found.next())
		if r == 0 {
			r = x.keep(p.before, p.behind)
			x.frames.add(hash, uint32(r))
			return r
		}
		if x.isFrame(r, p) {
			return r
		}
	}
}

// frameHash is the hash of a text's frame.
func (x *Index) frameHash(p pieces) uint32 {
	return uint32((maphash.Bytes(x.seed, p.before) + bits.RotateLeft64(maphash.Bytes(x.seed, p.behind), 1)) >> 32)
}

// keep keeps a text where readers find it.
func (x *Index) keep(before, behind []byte) ref {
	blocks := len(x.arena.blocks)
	r := x.arena.keep(before, behind)
	if len(x.arena.blocks) > blocks {
		next := *x.pages.Load()
		next.blocks = x.arena.blocks
		x.pages.Store(&next)
	}
	return r
}
