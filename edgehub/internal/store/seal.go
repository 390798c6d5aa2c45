package store

import (
	"runtime/debug"
	"time"
)

// freeEvery bounds how often memory is given back, which collects garbage first.
const freeEvery = time.Minute

// seal seals what has waited for long. The columns that it leaves are most of the memory of a
// hub which nobody scrapes; the collector would let them lie until the heap has doubled.
func (s *Store) seal(now time.Time) {
	if !s.Log.Seal(now) {
		return
	}
	if s.due(&s.lastFreed, freeEvery, now) {
		debug.FreeOSMemory()
	}
}
