package edgehub

import "time"

// sweep expires idle series, four times in the time after which a series counts
// as idle.
func (h *Hub) sweep(now time.Time) {
	last := h.lastSweep.Load()
	if now.Unix()-last < int64(h.cfg.IdleSeries/time.Second)/4 || !h.lastSweep.CompareAndSwap(last, now.Unix()) {
		return
	}
	h.metrics.expired.Add(float64(h.expire(now.Add(-h.cfg.IdleSeries))))
}

// expire forgets the series that were last seen before a time and have no sample
// in the log, and returns how many. It makes a table without them and puts it in
// the place of the old one, whose readers are not disturbed: a scrape goes on
// with the old table, and a push that began with it is read again.
func (h *Hub) expire(before time.Time) int {
	old := h.table.Load()
	old.mu.Lock() // no new names meanwhile
	defer old.mu.Unlock()
	if old.replaced {
		return 0
	}
	keep := old.seenSince(before)
	v, _ := h.log.readWaiting()
	keepAll(keep, v)
	if old.count(keep) == 0 && !old.hasEmptyFamily() {
		return 0
	}
	next := old.rebuild(keep)
	if !h.log.replace(next, v.to, keep) {
		return 0 // one came back meanwhile; the next sweep tries again
	}
	h.table.Store(next)
	old.replaced = true
	return old.series - next.series
}

// replace makes t the table of the samples to come, unless a sample that was
// appended since a position is of a series that t does not keep.
func (l *log) replace(t *table, since uint64, keep []bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.viewLocked(max(since, l.first), l.end)
	for s := range v.stretches() {
		for _, id := range s.ids {
			if !keep[id] {
				return false
			}
		}
	}
	l.table = t
	return true
}

func keepAll(keep []bool, v view) {
	for s := range v.stretches() {
		for _, id := range s.ids {
			keep[id] = true
		}
	}
}

// seenSince marks the series that were seen since a time, by number.
func (t *table) seenSince(before time.Time) []bool {
	keep := make([]bool, len(t.traits))
	for id, s := range t.traits {
		keep[id] = s.canonical != 0 && int64(s.seen) >= before.Unix()
	}
	return keep
}

// count is the number of series that are not to be kept.
func (t *table) count(keep []bool) int {
	n := t.series
	for id := range keep {
		if keep[id] {
			n--
		}
	}
	return n
}

// rebuild makes a table of the series to be kept, under the same numbers. How
// HELP and TYPE lines were written, and what follows what, it learns anew.
func (t *table) rebuild(keep []bool) *table {
	n := newTable(t.cfg, t.series)
	n.traits, n.quoted = make([]traits, len(keep)), t.quoted
	for name, f := range t.families {
		n.carryFamily(name, f, keep)
	}
	for number, sp := range t.index.all {
		if sp.id != noSeries && keep[sp.id] {
			n.carrySpelling(number, sp, t)
		}
	}
	for id, o := range t.odd {
		if keep[id] {
			n.odd[id] = o
		} else {
			n.countOdd(o, -1)
		}
	}
	for id := range keep {
		if !keep[id] {
			n.free = append(n.free, seriesID(id))
		}
	}
	n.dropFamilies()
	return n
}

func (t *table) carryFamily(name string, f *family, keep []bool) {
	c := &family{name: f.name, kind: f.kind, help: f.help, odd: f.odd, members: make([]seriesID, 0, len(f.members))}
	for _, id := range f.members {
		if keep[id] {
			c.members = append(c.members, id)
		}
	}
	t.arena.bytes += int64(len(c.help))
	t.families[name] = c
}

// carrySpelling takes in a spelling of another table. The canonical one comes before
// the others, as it did there.
func (t *table) carrySpelling(number uint32, sp *spelling, from *table) {
	g, known, old := from.gateway(sp.gateway), &t.traits[sp.id], from.traits[sp.id]
	m, ok := t.members[g.name]
	if !ok {
		m = &member{gateway: g}
		t.members[g.name] = m
	}
	if number == old.canonical {
		t.enlist(m)
		t.series++
		known.group, known.seen = old.group, old.seen
	} else {
		known.aliases++
	}
	raw := t.arena.keep([]byte(sp.raw))
	added := t.index.add(t.index.hash([]byte(raw)), raw, sp.id, m.number)
	if number == old.canonical {
		known.canonical = added
	}
}

func (f *family) empty() bool { return len(f.members) == 0 && f.odd == 0 }

func (t *table) hasEmptyFamily() bool {
	for _, f := range t.families {
		if f.empty() {
			return true
		}
	}
	return false
}

// dropFamilies forgets families that have no series.
func (t *table) dropFamilies() {
	for name, f := range t.families {
		if f.empty() {
			delete(t.families, name)
		}
	}
	clear(t.homes)
}

// touch notes that the series that had a share of a scrape were scraped.
func (t *table) touch(shares []share, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, s := range shares {
		if s.count > 0 && id < len(t.traits) {
			t.traits[id].seen = uint32(now.Unix())
		}
	}
}
