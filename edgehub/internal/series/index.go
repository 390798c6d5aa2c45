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
// garbage collector has little to follow.
type Spelling struct {
	Raw     string
	ID      ID
	owner   uint32        // number of its gateway, and above that its format
	comment atomic.Uint32 // the TYPE or HELP line that came right behind it
	series  atomic.Uint32 // the series that came next behind it; only a series has one
}

// Gateway is the number of the series' gateway.
func (sp *Spelling) Gateway() uint32 { return sp.owner & maxGateways }

func (sp *Spelling) format() Format { return Format(sp.owner >> (32 - formatBits)) }

// chunkSize is the number of spellings that are allocated together.
const chunkSize = 256

// Chunk is a stretch of spellings.
type Chunk [chunkSize]Spelling

// Index finds spellings by their bytes, and numbers them from 1. Readers take no
// lock and may miss what is being added; whoever adds holds the table's lock.
// Nothing is ever taken out.
//
// It is a hash table with linear probing (D. Knuth, The Art of Computer
// Programming, vol. 3, 6.4). A slot holds the hash in its upper half and the
// spelling's number in the lower, so that a slot of another hash costs no look at
// its spelling and the table grows without hashing anything again. The hash is
// seeded, so that no sender can choose names that collide.
type Index struct {
	seed   maphash.Seed
	slots  atomic.Pointer[[]atomic.Uint64]
	chunks atomic.Pointer[[]*Chunk]
	count  uint32
}

func newIndex(room int) *Index {
	size := 1024
	for size*3 < room*4 {
		size *= 2
	}
	x := &Index{seed: maphash.MakeSeed()}
	slots := make([]atomic.Uint64, size)
	x.slots.Store(&slots)
	x.chunks.Store(new([]*Chunk))
	return x
}

// Hash is the hash that Find and a Newcomer need.
func (x *Index) Hash(f Format, raw []byte) uint32 {
	return uint32(maphash.Bytes(x.seed, raw)) ^ uint32(f)*0x9e3779b9
}

// Find returns the number of the spelling with these bytes, whose hash it is
// given, or 0.
func (x *Index) Find(f Format, hash uint32, raw []byte) uint32 {
	slots := *x.slots.Load()
	mask := uint32(len(slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		slot := slots[i].Load()
		if slot == 0 {
			return 0
		}
		if uint32(slot>>32) != hash {
			continue
		}
		// Its chunk was stored before the slot was.
		if sp := x.At(uint32(slot)); sp.Raw == string(raw) && sp.format() == f {
			return uint32(slot)
		}
	}
}

// reachSize is how many newcomers are looked for at a time.
const reachSize = 32

// reach loads the slots where the searches for some newcomers begin. They lie all
// over the memory; loaded one after the other each would be waited for.
func (x *Index) reach(names []Newcomer) {
	slots := *x.slots.Load()
	mask := uint32(len(slots) - 1)
	for i := range names {
		slots[names[i].Hash&mask].Load()
	}
}

// At returns the spelling with a number.
func (x *Index) At(number uint32) *Spelling { return At(*x.chunks.Load(), number) }

// Chunks returns the spellings that there are now, for At: a reader of many saves a
// look.
func (x *Index) Chunks() []*Chunk { return *x.chunks.Load() }

// Reaches says whether the spelling with a number is in chunks.
func Reaches(chunks []*Chunk, number uint32) bool { return int(number) <= len(chunks)*chunkSize }

// At returns the spelling with a number that chunks reach.
func At(chunks []*Chunk, number uint32) *Spelling {
	number--
	return &chunks[number/chunkSize][number%chunkSize]
}

// add puts in a spelling that is not there yet, and returns its number.
func (x *Index) add(f Format, hash uint32, raw string, id ID, gateway uint32) uint32 {
	if x.count%chunkSize == 0 {
		chunks := append(*x.chunks.Load(), new(Chunk))
		x.chunks.Store(&chunks)
	}
	x.count++
	sp := x.At(x.count)
	sp.Raw, sp.ID, sp.owner = raw, id, gateway|uint32(f)<<(32-formatBits)
	slots := *x.slots.Load()
	if int(x.count)*4 > len(slots)*3 {
		slots = x.grow(slots)
	}
	place(slots, uint64(hash)<<32|uint64(x.count))
	return x.count
}

func (x *Index) grow(old []atomic.Uint64) []atomic.Uint64 {
	slots := make([]atomic.Uint64, 2*len(old))
	for i := range old {
		if slot := old[i].Load(); slot != 0 {
			place(slots, slot)
		}
	}
	x.slots.Store(&slots)
	return slots
}

func place(slots []atomic.Uint64, slot uint64) {
	mask := uint32(len(slots) - 1)
	i := uint32(slot>>32) & mask
	for slots[i].Load() != 0 {
		i = (i + 1) & mask
	}
	slots[i].Store(slot)
}

// all yields every spelling and its number. Nothing may be added meanwhile.
func (x *Index) all(yield func(uint32, *Spelling) bool) {
	for number := uint32(1); number <= x.count; number++ {
		if !yield(number, x.At(number)) {
			return
		}
	}
}
