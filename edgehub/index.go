package edgehub

import (
	"hash/maphash"
	"sync/atomic"
)

// spelling is how a sender writes a series, or a whole TYPE or HELP line, then
// id is noSeries. next is the spelling that followed it last time: the guess for
// the next line. Only next changes once a spelling is in an index. A spelling
// without raw is not in one, so it neither guesses nor is a guess.
type spelling struct {
	raw     string
	id      seriesID
	gateway *gateway
	next    atomic.Pointer[spelling]
}

// chunkSize is the number of spellings that are allocated together.
const chunkSize = 256

// index finds spellings by their bytes. Readers take no lock and may miss what is
// being added; whoever adds holds the table's lock. Nothing is ever taken out.
//
// It is a hash table with linear probing (D. Knuth, The Art of Computer
// Programming, vol. 3, 6.4). A slot holds the hash in its upper half and the
// spelling's number, from 1, in the lower, so that a slot of another hash costs
// no look at its spelling, the table grows without hashing anything again, and
// the garbage collector has nothing to follow. The hash is seeded, so that no
// sender can choose names that collide.
type index struct {
	seed   maphash.Seed
	slots  atomic.Pointer[[]atomic.Uint64]
	chunks atomic.Pointer[[]*[chunkSize]spelling]
	count  int
}

func newIndex(room int) *index {
	size := 1024
	for size*3 < room*4 {
		size *= 2
	}
	x := &index{seed: maphash.MakeSeed()}
	slots := make([]atomic.Uint64, size)
	x.slots.Store(&slots)
	x.chunks.Store(new([]*[chunkSize]spelling))
	return x
}

func (x *index) hash(raw []byte) uint32 { return uint32(maphash.Bytes(x.seed, raw)) }

// find returns the spelling with these bytes, whose hash it is given, or nil.
func (x *index) find(hash uint32, raw []byte) *spelling {
	slots := *x.slots.Load()
	mask := uint32(len(slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		slot := slots[i].Load()
		if slot == 0 {
			return nil
		}
		if uint32(slot>>32) != hash {
			continue
		}
		// Its chunk was stored before the slot was.
		if sp := x.at(uint32(slot) - 1); sp.raw == string(raw) {
			return sp
		}
	}
}

func (x *index) at(number uint32) *spelling {
	return &(*x.chunks.Load())[number/chunkSize][number%chunkSize]
}

// add puts in a spelling that is not there yet.
func (x *index) add(hash uint32, raw string, id seriesID, g *gateway) *spelling {
	if x.count%chunkSize == 0 {
		chunks := append(*x.chunks.Load(), new([chunkSize]spelling))
		x.chunks.Store(&chunks)
	}
	sp := x.at(uint32(x.count))
	sp.raw, sp.id, sp.gateway = raw, id, g
	x.count++
	slots := *x.slots.Load()
	if x.count*4 > len(slots)*3 {
		slots = x.grow(slots)
	}
	place(slots, uint64(hash)<<32|uint64(x.count))
	return sp
}

func (x *index) grow(old []atomic.Uint64) []atomic.Uint64 {
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

// all yields every spelling. Nothing may be added meanwhile.
func (x *index) all(yield func(*spelling) bool) {
	for number := range x.count {
		if !yield(x.at(uint32(number))) {
			return
		}
	}
}
