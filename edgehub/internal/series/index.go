package series

import (
	"hash/maphash"
	"sync/atomic"
)

// Format says how a spelling is to be read. The same bytes may mean different
// series in different formats, so it is a part of the key.
type Format uint8

// Text is the text format.
const Text Format = 0

// maxFormats and maxGateways share a number of a spelling between them.
const (
	formatBits  = 4
	maxGateways = 1<<(32-formatBits) - 1
)

// Spelling is how a sender writes a series, or a whole TYPE or HELP line, then
// ID is None. Only what followed it last time (chain.go) changes once a
// spelling is in an index. It refers to others by their numbers, so that the
// garbage collector has nothing to follow.
type Spelling struct {
	ID      ID
	frame   ref           // what is written, but for the name of the gateway
	owner   uint32        // number of its gateway, and above that its format
	comment atomic.Uint32 // the TYPE or HELP line that came right behind it
	series  atomic.Uint32 // the series that came next behind it; only a series has one
}

// Gateway is the number of the series' gateway.
func (sp *Spelling) Gateway() uint32 { return sp.owner & maxGateways }

// Frame is equal for spellings that differ in nothing but the name of their gateway, and that in
// the label by which they are the gateway's: any other would be the same in both.
func (sp *Spelling) Frame() Frame { return Frame(sp.frame) }

func (sp *Spelling) format() Format { return Format(sp.owner >> (32 - formatBits)) }

// Index finds spellings by their bytes, and numbers them from 1. Readers take no
// lock and may miss what is being added; whoever adds holds the table's lock.
// Nothing is ever taken out. Hashes are seeded, so that no sender can choose names
// that collide.
type Index struct {
	seed  maphash.Seed
	slots *slots // of the numbers, by the hash of the bytes
	pages atomic.Pointer[pages]
	count uint32

	// For whoever adds.
	arena     arena
	frames    *slots            // of refs, by the hash of the frame
	followers [1 << 10]follower // by the frame before
	last      ref               // frame that was added
}

func newIndex(room int) *Index {
	x := &Index{seed: maphash.MakeSeed(), slots: newSlots(room), frames: newSlots(0)}
	x.pages.Store(new(pages))
	return x
}

// Hash is the hash that Find and a Newcomer need.
func (x *Index) Hash(f Format, raw []byte) uint32 {
	return uint32(maphash.Bytes(x.seed, raw)) ^ uint32(f)*0x9e3779b9
}

// Find returns the number of the spelling with these bytes, whose hash it is
// given, or 0.
func (x *Index) Find(f Format, hash uint32, raw []byte) uint32 {
	for found := x.slots.probe(hash); ; {
		number := found.next()
		if number == 0 {
			return 0
		}
		// Its pages were stored before the slot was.
		r := x.Reader()
		if sp := r.pages.at(number); sp.format() == f && r.Begins(raw, sp) == len(raw) {
			return number
		}
	}
}

// reachSize is how many newcomers are looked for at a time.
const reachSize = 32

// reach loads the slots where the searches for some newcomers begin. They lie all
// over the memory; loaded one after the other each would be waited for. Those for frames
// do where fleets do not share them.
func (x *Index) reach(names []Newcomer) {
	for i := range names {
		x.slots.reach(names[i].Hash)
	}
	if x.frames.count < manyFrames {
		return
	}
	for i := range names {
		if n := &names[i]; n.Kind == OfSeries {
			x.frames.reach(x.frameHash(n.cut(n.Raw)))
		}
	}
}

// manyFrames have slots that no cache of a processor's core holds.
const manyFrames = 1 << 16

// At returns the spelling with a number.
func (x *Index) At(number uint32) *Spelling { return x.pages.Load().at(number) }

// call says how a gateway is called. It has its name before it has a spelling.
func (x *Index) call(gateway uint32, name string) {
	for int(gateway/namePage) >= len(x.pages.Load().names) {
		next := *x.pages.Load()
		next.names = append(next.names, new([namePage]ref))
		x.pages.Store(&next)
	}
	x.pages.Load().names[gateway/namePage][gateway%namePage] = x.keep([]byte(name), nil)
}

// add puts in a spelling that is not there yet, and returns its number.
func (x *Index) add(f Format, hash uint32, p pieces, id ID, gateway uint32) uint32 {
	if x.count%spellingPage == 0 {
		next := *x.pages.Load()
		next.spellings = append(next.spellings, new([spellingPage]Spelling))
		x.pages.Store(&next)
	}
	frame := x.frame(p)
	x.count++
	sp := x.At(x.count)
	sp.ID, sp.frame, sp.owner = id, frame, gateway|uint32(f)<<(32-formatBits)
	x.slots.add(hash, x.count)
	return x.count
}

// all yields every spelling and its number. Nothing may be added meanwhile.
func (x *Index) all(yield func(uint32, *Spelling) bool) {
	for number := uint32(1); number <= x.count; number++ {
		if !yield(number, x.At(number)) {
			return
		}
	}
}
