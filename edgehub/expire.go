package edgehub

import "time"

// touch notes that the series were scraped: counts tells how many samples each
// series number had.
func (t *table) touch(counts []uint32, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, n := range counts {
		if n > 0 && id < len(t.byID) && t.byID[id] != nil {
			t.byID[id].seen = now
		}
	}
}

// expire forgets the series that were last seen before a time and have no sample
// waiting, and returns how many. No push may be under way, since it may hold
// numbers that are not in the log yet. Scrapes may be: the table they read is
// replaced, not changed.
func (t *table) expire(before time.Time, waiting func(func(seriesID))) int {
	t.mu.Lock()
	defer t.mu.Unlock()

	keep := make([]bool, len(t.byID))
	waiting(func(id seriesID) { keep[id] = true })
	byID := make([]*series, len(t.byID))
	expired := 0
	for id, s := range t.byID {
		if s != nil && (keep[id] || !s.seen.Before(before)) {
			keep[id] = true
			byID[id] = s
			continue
		}
		keep[id] = false
		if s != nil {
			expired++
			if s.odd {
				t.markOdd(s, -1)
			}
			delete(t.byText, s.text)
			t.free = append(t.free, seriesID(id))
		}
	}
	if expired == 0 {
		return 0
	}
	t.byID = byID
	t.rank = nil
	t.dropMembers(keep)
	t.dropSpellings(keep)
	return expired
}

// dropMembers takes expired series out of their families, and families without
// series out of the table.
func (t *table) dropMembers(keep []bool) {
	for name, f := range t.families {
		live := make([]seriesID, 0, len(f.members))
		for _, id := range f.members {
			if keep[id] {
				live = append(live, id)
			}
		}
		f.members = live
		if len(live) == 0 && f.odd == 0 {
			f.expired = true
			delete(t.families, name)
		}
	}
}

// dropSpellings forgets how expired series and families were written, also where
// another spelling guesses one of them.
func (t *table) dropSpellings(keep []bool) {
	dead := func(sp *spelling) bool {
		if sp.family != nil {
			return sp.family.expired
		}
		return !keep[sp.id]
	}
	for raw, sp := range t.spellings {
		if dead(sp) {
			delete(t.spellings, raw)
		} else if next := sp.next.Load(); next != nil && dead(next) {
			sp.next.Store(nil)
		}
	}
}
