package series

import (
	"runtime"
	"slices"
	"unsafe"
)

// Spellings and gateways' names are allocated so many at a time.
const (
	spellingPage = 512
	namePage     = 1024
)

// pages are where spellings and what they consist of lie. They only grow, by pages more. What
// there were at one time has all that was there, and what came later on the same pages.
type pages struct {
	spellings []*[spellingPage]Spelling // by number, from 1
	names     []*[namePage]ref          // of gateways, by number
	blocks    []unsafe.Pointer          // of the arena
}

// at returns the spelling with a number.
func (p *pages) at(number uint32) *Spelling {
	number--
	return &p.spellings[number/spellingPage][number%spellingPage]
}

// parts returns a spelling's frame, and the name that stands where it is split.
func (p *pages) parts(sp *Spelling) (frame, name kept) {
	frame = textAt(p.blocks, sp.frame)
	if frame.split < frame.len {
		gateway := sp.Gateway()
		name = textAt(p.blocks, p.names[gateway/namePage][gateway%namePage])
	}
	return frame, name
}

// readsWide says that this machine reads words anywhere, and their first bytes as the lowest, as differ does.
const readsWide = runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64"

// differ returns 0 for texts that are the same. Both have at least 8 bytes more. It does not stop at
// the first difference, since there is hardly ever one.
func differ(a, b unsafe.Pointer, n int) (bits uint64) {
	for ; n > wide; n -= wide {
		bits |= *(*uint64)(a) ^ *(*uint64)(b)
		a, b = unsafe.Add(a, wide), unsafe.Add(b, wide)
	}
	return bits | (*(*uint64)(a)^*(*uint64)(b))<<uint(8*(wide-n))
}

// appendText appends a spelling.
func (p *pages) appendText(dst []byte, sp *Spelling) []byte {
	frame, name := p.parts(sp)
	n, from := frame.len+name.len, len(dst)
	if cap(dst)-from < n+wide {
		dst = slices.Grow(dst, n+wide)
	}
	dst = dst[:from+n]
	at := unsafe.Add(unsafe.Pointer(unsafe.SliceData(dst)), from)
	copyWide(at, frame.at, frame.split)
	copyWide(unsafe.Add(at, frame.split), name.at, name.len)
	copyWide(unsafe.Add(at, frame.split+name.len), unsafe.Add(frame.at, frame.split), frame.len-frame.split)
	return dst
}

// copyWide copies a text where some bytes too many, which both have, do no harm.
func copyWide(dst, src unsafe.Pointer, n int) {
	for ; n > wide; n -= 2 * wide {
		*(*[2 * wide]byte)(dst) = *(*[2 * wide]byte)(src)
		dst, src = unsafe.Add(dst, 2*wide), unsafe.Add(src, 2*wide)
	}
	if n > 0 {
		*(*[wide]byte)(dst) = *(*[wide]byte)(src)
	}
}

// pieces returns a spelling as it is kept.
func (p *pages) pieces(sp *Spelling) pieces {
	frame, name := p.parts(sp)
	return pieces{frame.before(), unsafe.String((*byte)(name.at), name.len), frame.behind()}
}

// Reader reads many spellings of an index, and sees what is added meanwhile. It is for one
// goroutine.
type Reader struct {
	index *Index
	pages pages
}

// Reader returns a reader.
func (x *Index) Reader() Reader { return Reader{x, *x.pages.Load()} }

// At returns the spelling with a number.
func (r *Reader) At(number uint32) *Spelling {
	if int(number) > len(r.pages.spellings)*spellingPage {
		r.pages = *r.index.pages.Load()
	}
	return r.pages.at(number)
}

// Begins returns the length of a spelling where a text begins with it, or 0.
func (r *Reader) Begins(text []byte, sp *Spelling) int {
	if int(sp.frame>>placeBits) >= len(r.pages.blocks) {
		r.pages = *r.index.pages.Load()
	}
	frame := textAt(r.pages.blocks, sp.frame)
	name := kept{at: frame.at} // empty
	if frame.split < frame.len {
		gateway := sp.Gateway()
		if int(gateway/namePage) >= len(r.pages.names) || int(r.pages.names[gateway/namePage][gateway%namePage]>>placeBits) >= len(r.pages.blocks) {
			r.pages = *r.index.pages.Load()
		}
		name = textAt(r.pages.blocks, r.pages.names[gateway/namePage][gateway%namePage])
	}
	n, behind := frame.len+name.len, frame.split+name.len
	if !readsWide || len(text) < n+wide {
		return exactly(text, frame, name)
	}
	at := unsafe.Pointer(unsafe.SliceData(text))
	if differ(at, frame.at, frame.split)|
		differ(unsafe.Add(at, frame.split), name.at, name.len)|
		differ(unsafe.Add(at, behind), unsafe.Add(frame.at, frame.split), frame.len-frame.split) != 0 {
		return 0
	}
	return n
}

// exactly is Begins for a text behind which there may be nothing to read.
func exactly(text []byte, frame, name kept) int {
	n, behind := frame.len+name.len, frame.split+name.len
	if len(text) < n || string(text[:frame.split]) != string(frame.before()) ||
		string(text[frame.split:behind]) != string(name.bytes()) || string(text[behind:n]) != string(frame.behind()) {
		return 0
	}
	return n
}
