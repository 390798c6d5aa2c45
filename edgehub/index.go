package edgehub

import (
	"hash/maphash"
	"sync/atomic"
)

// spelling is how a sender writes a series, or a whole TYPE or HELP line, then
// id is noSeries. Only what followed it last time (chain.go) changes once a
// spelling is in an index. It refers to others by their numbers, so that the
// garbage collector has little to follow.
type spelling struct {
	raw     string
	id      seriesID
	gateway uint32        // number of its gateway
	comment atomic.Uint32 // the TYPE or HELP line that came right behind it
	series  atomic.Uint32 // the series that came next behind it; only a series has one
}

// chunkSize is the number of spellings that are allocated together.
const chunkSize = 256

type chunk [chunkSize]spelling

// index finds spellings by their bytes, and numbers them from 1. Readers take no
// lock and may miss what is being added; whoever adds holds the table's lock.
// Nothing is ever taken out.
//
// It is a hash table with linear probing (D. Knuth, The Art of Computer
// Programming, vol. 3, 6.4). A slot holds the hash in its upper half and the
// spelling's number in the lower, so that a slot of another hash costs no look at
// its spelling and the table grows without hashing anything again. The hash is
// seeded, so that no sender can choose names that collide.
type index struct {
	seed   maphash.Seed
	slots  atomic.Pointer[[]atomic.Uint64]
	chunks atomic.Pointer[[]*chunk]
	count  uint32
}

func newIndex(room int) *index {
	size := 1024
	for size*3 < room*4 {
		size *= 2
	}
	x := &index{seed: maphash.MakeSeed()}
	slots := make([]atomic.Uint64, size)
	x.slots.Store(&slots)
	x.chunks.Store(new([]*chunk))
	return x
}

func (x *index) hash(raw []byte) uint32 { return uint32(maphash.Bytes(x.seed, raw)) }

// find returns the number of the spelling with these bytes, whose hash it is
// given, or 0.
func (x *index) find(hash uint32, raw []byte) uint32 {
	slots := *x.slots.Load()
	mask := uint32(len(slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		slot := slots[i].Load()
		if slot == 0 {
			return 0
		}
		// Its chunk was stored before the slot was.
		if number := uint32(slot); uint32(slot>>32) == hash && x.at(number).raw == string(raw) {
			return number
		}
	}
}

// reachSize is how many newcomers are looked for at a time.
const reachSize = 32

// reach loads the slots where the searches for some newcomers begin. They lie all
// over the memory; loaded one after the other each would be waited for.
func (x *index) reach(names []newcomer) {
	slots := *x.slots.Load()
	mask := uint32(len(slots) - 1)
	for i := range names {
		slots[names[i].hash&mask].Load()
	}
}

// at returns the spelling with a number.
func (x *index) at(number uint32) *spelling { return spellingAt(*x.chunks.Load(), number) }

func spellingAt(chunks []*chunk, number uint32) *spelling {
	number--
	return &chunks[number/chunkSize][number%chunkSize]
}

// add puts in a spelling that is not there yet, and returns its number.
func (x *index) add(hash uint32, raw string, id seriesID, gateway uint32) uint32 {
	if x.count%chunkSize == 0 {
		chunks := append(*x.chunks.Load(), new(chunk))
		x.chunks.Store(&chunks)
	}
	x.count++
	sp := x.at(x.count)
	sp.raw, sp.id, sp.gateway = raw, id, gateway
	slots := *x.slots.Load()
	if int(x.count)*4 > len(slots)*3 {
		slots = x.grow(slots)
	}
	place(slots, uint64(hash)<<32|uint64(x.count))
	return x.count
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

// all yields every spelling and its number. Nothing may be added meanwhile.
func (x *index) all(yield func(uint32, *spelling) bool) {
	for number := uint32(1); number <= x.count; number++ {
		if !yield(number, x.at(number)) {
			return
		}
	}
}
