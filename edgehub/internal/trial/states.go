package trial

import (
	"sync/atomic"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// state is what a trial knows of a series.
type state uint32

const (
	fresh   state = iota // never stored, as far as is known
	proven               // stored before
	grouped              // on trial: another place than main's has it
	aside                // set aside
)

const (
	stateBits = 2
	perWord   = 32 / stateBits
)

// states holds a state for each series, two bits each. Readers take no lock; whoever
// writes holds the trial's.
type states struct {
	words atomic.Pointer[[]atomic.Uint32]
}

func (s *states) of(id series.ID) state {
	words := s.words.Load()
	if words == nil || int(id/perWord) >= len(*words) {
		return fresh
	}
	return state((*words)[id/perWord].Load() >> (id % perWord * stateBits) & (1<<stateBits - 1))
}

func (s *states) set(id series.ID, to state) {
	word := &s.reach(id)[id/perWord]
	shift := id % perWord * stateBits
	word.Store(word.Load()&^((1<<stateBits-1)<<shift) | uint32(to)<<shift)
}

func (s *states) setAll(ids []series.ID, to state) {
	for _, id := range ids {
		s.set(id, to)
	}
}

// reach returns the words, at least up to that of a series.
func (s *states) reach(id series.ID) []atomic.Uint32 {
	var old []atomic.Uint32
	if words := s.words.Load(); words != nil {
		old = *words
	}
	need := int(id/perWord) + 1
	if need <= len(old) {
		return old
	}
	words := make([]atomic.Uint32, max(need, len(old)+len(old)/4, 64))
	for i := range old {
		words[i].Store(old[i].Load())
	}
	s.words.Store(&words)
	return words
}

// unprove makes the proven series fresh again.
func (s *states) unprove() {
	for id := range s.all(proven) {
		s.set(id, fresh)
	}
}

// all yields the series in a state that is not fresh.
func (s *states) all(in state) func(yield func(series.ID) bool) {
	return func(yield func(series.ID) bool) {
		words := s.words.Load()
		if words == nil {
			return
		}
		for i := range *words {
			word := (*words)[i].Load()
			for j := 0; word != 0; j, word = j+1, word>>stateBits {
				if state(word&(1<<stateBits-1)) == in && !yield(series.ID(i*perWord+j)) {
					return
				}
			}
		}
	}
}

// set is a set of series, a bit each.
type set []uint64

func newSet(ids []series.ID) set {
	var most series.ID
	for _, id := range ids {
		most = max(most, id)
	}
	s := make(set, most/64+1)
	for _, id := range ids {
		s[id/64] |= 1 << (id % 64)
	}
	return s
}

func (s set) has(id series.ID) bool { return int(id/64) < len(s) && s[id/64]>>(id%64)&1 != 0 }

// part returns those of ids that are in the set, and the others.
func (s set) part(ids []series.ID) (in, out []series.ID) { return divide(ids, s.has) }
