package series

import "time"

// Waiting is what Expire has to ask of whoever holds samples, and to tell.
type Waiting interface {
	// Mark marks the series that have samples, by number.
	Mark(keep []bool)
	// Holds says whether samples of a gateway are there.
	Holds(gateway uint32) bool
	// Replace puts next in the table's place, unless a series that is not to be kept
	// has got samples since Mark. Readers of the old table are not disturbed.
	Replace(next *Table, keep []bool) bool
}

// Expire forgets the series that were last seen before a time and have no sample, and
// returns how many. It makes a table without them, which takes the place of this
// one: a scrape goes on with the old table, and a push that began with it is read
// again.
func (t *Table) Expire(before time.Time, w Waiting) int {
	t.mu.Lock() // no new names meanwhile
	defer t.mu.Unlock()
	if t.replaced {
		return 0
	}
	keep := t.seenSince(before)
	w.Mark(keep)
	t.keepOwn(keep)
	forgotten, own := t.count(keep)
	if forgotten == 0 && own == 0 && !t.hasEmptyFamily() {
		return 0
	}
	if !w.Replace(t.rebuild(keep, w.Holds), keep) {
		return 0 // one came back meanwhile; the next time tries again
	}
	t.replaced = true
	return forgotten // counted before: the new table is everybody's now
}

// seenSince marks the series that were seen since a time, by number.
func (t *Table) seenSince(before time.Time) []bool {
	keep := make([]bool, t.traits.len)
	for id, s := range t.traits.all {
		keep[id] = s.canonical != 0 && int64(s.seen) >= before.Unix() && !s.own
	}
	return keep
}

// count is the number of series that are not to be kept, and of the hub's own likewise.
func (t *Table) count(keep []bool) (others, own int) {
	for id, s := range t.traits.all {
		switch {
		case keep[id] || s.canonical == 0:
		case s.own:
			own++
		default:
			others++
		}
	}
	return others, own
}

// rebuild makes a table of the series to be kept, under the same numbers. Gateways keep
// theirs, too, those without series as long as samples of them are there. How
// HELP and TYPE lines were written, and what follows what, it learns anew.
func (t *Table) rebuild(keep []bool, holds func(gateway uint32) bool) *Table {
	n := newTable(t.limits, t.own, t.series)
	n.Generation = t.Generation + 1
	n.quoted = t.quoted
	n.traits.extend(len(keep))
	n.carryMembers(t.enlisted, keep)
	for name, f := range t.families {
		n.carryFamily(name, f, keep)
	}
	var text []byte
	for number, sp := range t.Index.all {
		if sp.ID != None && keep[sp.ID] {
			text = t.Index.pages.Load().appendText(text[:0], sp)
			n.carrySpelling(number, sp, text, t)
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
			n.free = append(n.free, ID(id))
		}
	}
	for _, m := range n.enlisted {
		if m != nil && m.series == 0 && m.own == None && !holds(m.number) {
			n.forget(m)
		}
	}
	n.dropFamilies()
	return n
}

// carryMembers takes in the gateways of another table, still without series.
func (t *Table) carryMembers(enlisted []*member, keep []bool) {
	t.enlisted = make([]*member, len(enlisted))
	for i, m := range enlisted {
		if m == nil {
			t.vacant = append(t.vacant, uint32(i+1))
			continue
		}
		c := newMember(m.name)
		c.number = m.number
		if m.own != None && keep[m.own] {
			c.own = m.own
		}
		t.enlisted[i], t.members[c.name] = c, c
		t.Index.call(c.number, c.name)
	}
}

func (t *Table) carryFamily(name string, f *family, keep []bool) {
	c := &family{name: f.name, kind: f.kind, help: f.help, odd: f.odd, members: make([]ID, 0, len(f.members))}
	for _, id := range f.members {
		if keep[id] {
			c.members = append(c.members, id)
		}
	}
	t.bytes += int64(len(c.help))
	t.families[name] = c
}

// carrySpelling takes in a spelling of another table, of which this is the text. The
// canonical one comes before the others, as it did there.
func (t *Table) carrySpelling(number uint32, sp *Spelling, text []byte, from *Table) {
	known, old := t.traits.at(sp.ID), from.traits.at(sp.ID)
	if number == old.canonical {
		if !old.own {
			t.enlisted[sp.Gateway()-1].series++
			t.series++
		}
		known.group, known.seen, known.own = old.group, old.seen, old.own
	} else {
		known.aliases++
	}
	added := t.add(sp.format(), t.Index.Hash(sp.format(), text), from.Index.pages.Load().pieces(sp), sp.ID, sp.Gateway())
	if number == old.canonical {
		known.canonical = added
	}
}

func (f *family) empty() bool { return len(f.members) == 0 && f.odd == 0 }

func (t *Table) hasEmptyFamily() bool {
	for _, f := range t.families {
		if f.empty() {
			return true
		}
	}
	return false
}

// dropFamilies forgets families that have no series.
func (t *Table) dropFamilies() {
	for name, f := range t.families {
		if f.empty() {
			delete(t.families, name)
		}
	}
	clear(t.homes)
}

// Touch notes that series were written to a scraper, as written says by number.
func (t *Table) Touch(now time.Time, written func(ID) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, s := range t.traits.all {
		if written(id) {
			s.seen = uint32(now.Unix())
		}
	}
}
