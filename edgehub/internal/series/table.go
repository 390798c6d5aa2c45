package series

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxSpellings is how many are remembered for one series or family.
const maxSpellings = 4

// Limits bound a table.
type Limits struct {
	Series        int   // that it may know, and families
	GatewaySeries int   // of one gateway; those of no gateway are bounded by Series only
	TableBytes    int64 // the text of all series, their other spellings and the HELP and TYPE lines
}

// traits are what the table knows of a series.
type traits struct {
	canonical uint32 // number of its canonical spelling; 0 where the series' number is free
	group     uint32 // equal for the series of one histogram or summary
	seen      uint32 // when last added or written, in Unix seconds
	aliases   uint8  // spellings other than the canonical one
	own       bool   // the hub itself writes it
}

// traitsPage is how many traits are allocated together.
const traitsPage = 256

// register has the traits of series by their numbers. Its pages are not moved.
type register struct {
	pages []*[traitsPage]traits
	len   int
}

func (r *register) at(id ID) *traits { return &r.pages[id/traitsPage][id%traitsPage] }

// extend makes it so long.
func (r *register) extend(length int) {
	for r.len = length; len(r.pages)*traitsPage < length; {
		r.pages = append(r.pages, new([traitsPage]traits))
	}
}

// all yields the traits of each number.
func (r *register) all(yield func(ID, *traits) bool) {
	for id := range ID(r.len) {
		if !yield(id, r.at(id)) {
			return
		}
	}
}

// Table interns series. A lookup takes no lock. New names wait in a push until it
// is read to its end and then come in together, under the lock. What expires goes
// by a new table taking the place of the old, with the same numbers for what
// stays (expire.go), so a table only grows.
type Table struct {
	Index *Index
	// Generation counts the tables that took each other's place.
	Generation uint64

	limits   Limits
	own      *Own // nil for none
	mu       sync.Mutex
	bytes    int64 // the text of all spellings, as if each were written down, and of HELP lines
	traits   register
	series   int // but for the hub's own
	free     []ID
	odd      map[ID]oddity // the series with a bound that is no number
	quoted   int           // series with a name that only a scraper for UTF-8 names reads
	families map[string]*family
	homes    map[string]*family // by the name of a series
	members  map[string]*member // by the name of the gateway
	enlisted []*member          // by number, less one; nil where the number is free
	vacant   []uint32           // numbers of gateways that are free
	rank     *Ranking           // nil when it must be made anew
	replaced bool               // by another table
}

// NewTable makes an empty table. Own is nil for a hub that writes no series of its own.
func NewTable(limits Limits, own *Own) *Table { return newTable(limits, own, 0) }

func newTable(limits Limits, own *Own, room int) *Table {
	return &Table{
		Index:    newIndex(room),
		limits:   limits,
		own:      own,
		odd:      map[ID]oddity{},
		families: map[string]*family{},
		homes:    map[string]*family{},
		members:  map[string]*member{},
	}
}

// ErrReplaced says that another table has taken the place of this one since a push got
// its numbers from it: the push is to be read again.
var ErrReplaced = errors.New("BUG: a push outlived its table and was not read again")

// FullError is the reason to refuse a push for want of room.
type FullError struct {
	Reason string // in one word
	text   string
}

func (e *FullError) Error() string { return e.text }

func (t *Table) knows(text []byte) bool {
	return t.Index.Find(Text, t.Index.Hash(Text, text), text) != 0
}

// Learn takes in the names that a push brought: all of them, or none and an error
// when there is no room for all, which is a *FullError, or admit returns one. It calls admit
// when each name has its owner, and sets the number of each series then. Before anybody can find
// the first series of a gateway it calls arrived, where there is one.
func (t *Table) Learn(names *Newcomers, now time.Time, admit func() error, arrived func([]Arrival)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.replaced {
		return ErrReplaced
	}
	err := t.checkRoom(names)
	if err == nil {
		err = admit()
	}
	if err != nil {
		t.forgetNewMembers(names)
		return err
	}
	if arrivals := t.arrive(names, now); len(arrivals) > 0 && arrived != nil {
		arrived(arrivals)
	}
	for i := range names.List {
		if i%reachSize == 0 {
			t.Index.reach(names.List[i:min(i+reachSize, len(names.List))])
		}
		n := &names.List[i]
		// Another push may have brought it, or an earlier line of this one.
		if number := t.Index.Find(n.Format, n.Hash, n.Raw); number != 0 {
			n.ID = t.Index.At(number).ID
		} else if n.Kind == OfSeries {
			n.ID = t.addSpelling(names, n, now)
		} else {
			t.describe(names, n)
		}
	}
	return nil
}

// addSpelling adds a spelling and, if need be, its series.
func (t *Table) addSpelling(names *Newcomers, n *Newcomer, now time.Time) ID {
	text := names.bytes(n, n.Text)
	if n.canonical() && n.Format == Text {
		return t.addSeries(names, n, n.Hash, text, now)
	}
	hash := t.Index.Hash(Text, text)
	var id ID
	if known := t.Index.Find(Text, hash, text); known != 0 {
		id = t.Index.At(known).ID
	} else {
		id = t.addSeries(names, n, hash, text, now)
	}
	// After a few, other ways to write a series are not remembered; such a
	// spelling is parsed each time.
	if known := t.traits.at(id); known.aliases < maxSpellings-1 {
		known.aliases++
		t.add(n.Format, n.Hash, n.cut(n.Raw), id, n.owner.number)
	}
	return id
}

// addSeries adds a series under its canonical text.
func (t *Table) addSeries(names *Newcomers, n *Newcomer, hash uint32, text []byte, now time.Time) ID {
	n.owner.series++
	id := t.number()
	*t.traits.at(id) = traits{
		canonical: t.add(Text, hash, n.cut(text), id, n.owner.number),
		group:     n.Group,
		seen:      uint32(now.Unix()),
	}
	name := names.bytes(n, n.Name)
	f := t.homeFamily(name)
	f.members = append(f.members, id)
	if n.Odd {
		t.odd[id] = t.oddityOf(string(name))
		t.countOdd(t.odd[id], 1)
	}
	if n.Quoted {
		t.quoted++
	}
	t.series++
	t.rank = nil
	return id
}

// number returns a number that no series has.
func (t *Table) number() ID {
	if n := len(t.free); n > 0 {
		id := t.free[n-1]
		t.free = t.free[:n-1]
		return id
	}
	t.traits.extend(t.traits.len + 1)
	return ID(t.traits.len - 1)
}

// add adds a spelling to the index.
func (t *Table) add(f Format, hash uint32, p pieces, id ID, gateway uint32) uint32 {
	t.bytes += int64(len(p.before) + len(p.name) + len(p.behind))
	return t.Index.add(f, hash, p, id, gateway)
}

// Size is the number of series, but for the hub's own.
func (t *Table) Size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.series
}

// Bytes is the text of the series and metadata.
func (t *Table) Bytes() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bytes
}

// checkRoom checks that all of a push's new names fit. It counts too much where a name
// is there twice or known by its canonical text, so it looks closer before it
// refuses.
func (t *Table) checkRoom(names *Newcomers) error {
	err := t.fits(names, func([]byte) bool { return true })
	if err == nil {
		return nil
	}
	counted := map[string]bool{}
	return t.fits(names, func(text []byte) bool {
		if counted[string(text)] || t.knows(text) {
			return false
		}
		counted[string(text)] = true
		return true
	})
}

// fits counts the series that are new, as isNew says by their text, and what all
// the names take, and compares with the limits. It sets the newcomers' owners.
func (t *Table) fits(names *Newcomers, isNew func(text []byte) bool) error {
	series, bytes := t.series, t.bytes
	var touched []*member
	var last *member
	for i := range names.List {
		n := &names.List[i]
		bytes += int64(len(n.Raw))
		if n.Kind != OfSeries {
			continue
		}
		if name := names.bytes(n, n.Gateway); last == nil || last.name != string(name) {
			last = t.member(name)
		}
		n.owner = last
		text := names.bytes(n, n.Text)
		if !isNew(text) {
			continue
		}
		if !n.canonical() {
			bytes += int64(len(text))
		}
		series++
		if last.coming == 0 {
			touched = append(touched, last)
		}
		last.coming++
	}
	err := t.checkMembers(touched)
	switch {
	case err != nil:
	case series > t.limits.Series || len(t.enlisted) > maxGateways:
		err = &FullError{"series_limit", fmt.Sprintf(
			"the hub knows %d series, with this push it were %d, and the limit is %d", t.series, series, t.limits.Series)}
	case bytes > t.limits.TableBytes:
		err = &FullError{"table_bytes", fmt.Sprintf(
			"the names of the hub's series take %d bytes, with this push it were %d, and the limit is %d", t.bytes, bytes, t.limits.TableBytes)}
	case !t.Index.arena.has(len(names.List), bytes-t.bytes):
		err = &FullError{"table_bytes", fmt.Sprintf("the names of the hub's series take %d bytes, and with this push there might be no numbers left for them", t.bytes)}
	case t.othersFamilies()+len(names.List) > t.limits.Series && t.familiesWith(names) > t.limits.Series:
		err = &FullError{"series_limit", fmt.Sprintf("the hub knows %d families, and the limit is %d", t.othersFamilies(), t.limits.Series)}
	}
	for _, m := range touched {
		m.coming = 0
	}
	return err
}

// checkMembers checks that each of the gateways has room for what is coming.
func (t *Table) checkMembers(members []*member) error {
	for _, m := range members {
		if limit := t.limits.GatewaySeries; m.name != "" && m.series+m.coming > limit {
			return &FullError{"gateway_series", fmt.Sprintf(
				"%s has %d series, with this push it were %d, and the limit is %d", Called(m.name), m.series, m.series+m.coming, limit)}
		}
	}
	return nil
}
