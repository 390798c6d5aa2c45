package series

import "sync/atomic"

// leastSlots is how many slots a table begins with.
const leastSlots = 1024

// slots is a hash table of numbers that are not 0, with linear probing (D. Knuth, The Art of
// Computer Programming, vol. 3, 6.4). Readers take no lock and may miss what is being added;
// whoever adds holds a lock. Nothing is ever taken out.
//
// A slot holds the hash in its upper half and the number in the lower, so that a slot of
// another hash costs no look at what has the number, and the table grows without hashing
// anything again. A hash's place is its share of the table, so that the order of the slots
// stays when it grows: the old ones are read and the new ones written front to back, so that it
// can grow by small steps.
type slots struct {
	table atomic.Pointer[[]uint64]
	count int
}

// newSlots makes a table with room for so many numbers.
func newSlots(room int) *slots {
	s := &slots{}
	table := make([]uint64, max(leastSlots, room+room/2))
	s.table.Store(&table)
	return s
}

// home is where a hash is looked for first.
func home(table []uint64, hash uint32) int { return int(uint64(hash) * uint64(len(table)) >> 32) }

// probe steps through the numbers with a hash.
type probe struct {
	table []uint64
	at    int
	hash  uint32
}

func (s *slots) probe(hash uint32) probe {
	table := *s.table.Load()
	return probe{table, home(table, hash), hash}
}

// next returns the next number with the hash, or 0 behind the last.
func (p *probe) next() uint32 {
	for {
		slot := atomic.LoadUint64(&p.table[p.at])
		if p.at++; p.at == len(p.table) {
			p.at = 0
		}
		if slot == 0 || uint32(slot>>32) == p.hash {
			return uint32(slot)
		}
	}
}

// add puts in a number. What has it is there for readers already.
func (s *slots) add(hash, number uint32) {
	table := *s.table.Load()
	if s.count++; s.count*4 > len(table)*3 {
		table = s.grow(table)
	}
	atomic.StoreUint64(free(table, hash), uint64(hash)<<32|uint64(number))
}

func (s *slots) grow(old []uint64) []uint64 {
	table := make([]uint64, len(old)+len(old)/2)
	for _, slot := range old {
		if slot != 0 {
			*free(table, uint32(slot>>32)) = slot // nobody reads it yet
		}
	}
	s.table.Store(&table)
	return table
}

// free returns the slot where a hash goes.
func free(table []uint64, hash uint32) *uint64 {
	at := home(table, hash)
	for table[at] != 0 {
		if at++; at == len(table) {
			at = 0
		}
	}
	return &table[at]
}

// reach loads the slot where the search for a hash begins.
func (s *slots) reach(hash uint32) {
	table := *s.table.Load()
	atomic.LoadUint64(&table[home(table, hash)])
}
