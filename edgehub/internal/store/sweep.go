package store

import (
	"time"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// Sweep forgets idle series, four times in the time after which a series counts
// as idle. Before their numbers become free it calls forget with the series that
// stay, by number. It may take as long as a new table of all series takes.
func (s *Store) Sweep(now time.Time, forget func(keep []bool)) {
	last := s.lastSweep.Load()
	if now.Unix()-last < int64(s.idle/time.Second)/4 || !s.lastSweep.CompareAndSwap(last, now.Unix()) {
		return
	}
	s.Expire(now.Add(-s.idle), forget)
}

// Expire forgets the series that were last seen before a time and have no sample
// that waits, and returns how many.
func (s *Store) Expire(before time.Time, forget func(keep []bool)) int {
	n := s.Table().Expire(before, &waiting{store: s, forget: forget})
	s.expired.Add(uint64(n))
	return n
}

// waiting is what the table has to know of the log.
type waiting struct {
	store  *Store
	forget func(keep []bool)
	end    uint64 // of what was marked
}

// Mark implements series.Waiting.
func (w *waiting) Mark(keep []bool) { w.end = w.store.Log.Mark(keep) }

// Holds implements series.Waiting.
func (w *waiting) Holds(gateway uint32) bool { return w.store.Log.Holds(gateway) }

// Replace implements series.Waiting.
func (w *waiting) Replace(next *series.Table, keep []bool) bool {
	w.forget(keep)
	return w.store.Log.Replace(next.Generation, w.end, keep, func() { w.store.table.Store(next) })
}
