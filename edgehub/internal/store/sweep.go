package store

import (
	"time"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// Sweep forgets idle series, four times in the time after which a series counts
// as idle. Before their numbers become free it calls forget with the series that
// stay, by number. It may take as long as a new table of all series takes, or go on by itself where there is a disk to wait for.
func (s *Store) Sweep(now time.Time, forget func(keep []bool)) {
	if !s.due(&s.lastSweep, s.idle/4, now) {
		return
	}
	if s.disk == nil {
		s.Expire(now.Add(-s.idle), forget)
		return
	}
	s.sealers.Go(func() { s.Expire(now.Add(-s.idle), forget) }) // who sweeps is a scrape, and does not wait for the disk
}

// Expire forgets the series that were last seen before a time and have no sample
// that waits, and returns how many.
func (s *Store) Expire(before time.Time, forget func(keep []bool)) int {
	n := 0
	s.disk.between(func() {
		if s.disk.settled() {
			n = s.Table().Expire(before, &waiting{store: s, forget: forget})
		}
	})
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
	if !w.store.Log.Replace(next.Generation, w.end, keep, func() { w.store.table.Store(next) }) {
		return false
	}
	if d := w.store.disk; d != nil && d.journal != nil {
		d.journal.Forget(keep)
	}
	return true
}
