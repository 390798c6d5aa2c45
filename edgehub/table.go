package edgehub

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubring/hubring/internal/exposition"
)

// seriesID is a series' number in the table. Numbers of expired series are used
// again.
type seriesID uint32

const noSeries seriesID = 1<<32 - 1

// traits are what the table knows of a series.
type traits struct {
	canonical uint32 // number of its canonical spelling; 0 where the series' number is free
	group     uint32 // equal for the series of one histogram or summary
	seen      uint32 // when last added or scraped, in Unix seconds
	aliases   uint8  // spellings other than the canonical one
}

// table interns series. A lookup takes no lock. New names wait in a push until it
// is read to its end and then come in together, under the lock. What expires goes
// by a new table taking the place of the old, with the same numbers for what
// stays (expire.go), so a table only grows.
type table struct {
	cfg   Config
	index *index

	mu       sync.Mutex
	arena    arena
	traits   []traits // by series number
	series   int
	free     []seriesID
	odd      map[seriesID]oddity // the series with a bound that is no number
	quoted   int                 // series with a name that only a scraper for UTF-8 names reads
	families map[string]*family
	homes    map[string]*family         // by the name of a series
	members  map[string]*member         // by the name of the gateway
	enlisted []*member                  // by number, less one
	gateways atomic.Pointer[[]*gateway] // by number; read without the lock
	rank     *ranking                   // nil when it must be made anew
	replaced bool                       // by another table
}

func newTable(cfg Config, room int) *table {
	t := &table{
		cfg:      cfg,
		index:    newIndex(room),
		odd:      map[seriesID]oddity{},
		families: map[string]*family{},
		homes:    map[string]*family{},
		members:  map[string]*member{},
	}
	t.gateways.Store(new([]*gateway))
	return t
}

func (t *table) knows(text []byte) bool { return t.index.find(t.index.hash(text), text) != 0 }

// learn takes in the names that a push brought: all of them, or none and an error
// when there is no room for all or admit returns one. It calls admit when each
// name has its owner, and sets the number of each series then.
func (t *table) learn(names *newcomers, now time.Time, admit func() error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.replaced {
		return errReplaced
	}
	err := t.checkRoom(names)
	if err == nil {
		err = admit()
	}
	if err != nil {
		t.forgetNewMembers(names)
		return err
	}
	for i := range names.list {
		if i%reachSize == 0 {
			t.index.reach(names.list[i:min(i+reachSize, len(names.list))])
		}
		n := &names.list[i]
		// Another push may have brought it, or an earlier line of this one.
		if number := t.index.find(n.hash, n.raw); number != 0 {
			n.id = t.index.at(number).id
		} else if n.kind == seriesLine {
			n.id = t.addSpelling(names, n, now)
		} else {
			t.describe(names, n)
		}
	}
	return nil
}

// addSpelling adds a spelling and, if need be, its series.
func (t *table) addSpelling(names *newcomers, n *newcomer, now time.Time) seriesID {
	text := names.bytes(n, n.text)
	if n.canonical() {
		return t.addSeries(names, n, n.hash, text, now)
	}
	hash := t.index.hash(text)
	var id seriesID
	if known := t.index.find(hash, text); known != 0 {
		id = t.index.at(known).id
	} else {
		id = t.addSeries(names, n, hash, text, now)
	}
	// After a few, other ways to write a series are not remembered; such a
	// spelling is parsed each time.
	if known := &t.traits[id]; known.aliases < maxSpellings-1 {
		known.aliases++
		t.index.add(n.hash, t.arena.keep(n.raw), id, n.owner.number)
	}
	return id
}

// addSeries adds a series under its canonical text.
func (t *table) addSeries(names *newcomers, n *newcomer, hash uint32, text []byte, now time.Time) seriesID {
	t.enlist(n.owner)
	id := t.number()
	t.traits[id] = traits{
		canonical: t.index.add(hash, t.arena.keep(text), id, n.owner.number),
		group:     n.group,
		seen:      uint32(now.Unix()),
	}
	name := names.bytes(n, n.name)
	f := t.homeFamily(name)
	f.members = append(f.members, id)
	if n.odd {
		t.odd[id] = t.oddityOf(string(name))
		t.countOdd(t.odd[id], 1)
	}
	if n.quoted {
		t.quoted++
	}
	t.series++
	t.rank = nil
	return id
}

// number returns a number that no series has.
func (t *table) number() seriesID {
	if n := len(t.free); n > 0 {
		id := t.free[n-1]
		t.free = t.free[:n-1]
		return id
	}
	if len(t.traits) == cap(t.traits) {
		t.traits = slices.Grow(t.traits, len(t.traits)+1)
	}
	t.traits = append(t.traits, traits{})
	return seriesID(len(t.traits) - 1)
}

// enlist counts one more series of a gateway.
func (t *table) enlist(m *member) {
	if m.series == 0 {
		gateways := append(*t.gateways.Load(), m.gateway)
		t.gateways.Store(&gateways)
		m.number = uint32(len(gateways))
		t.enlisted = append(t.enlisted, m)
	}
	m.series++
}

// gateway returns the gateway with a number, from 1.
func (t *table) gateway(number uint32) *gateway { return (*t.gateways.Load())[number-1] }

// member returns the gateway of that name, a new one if need be.
func (t *table) member(name []byte) *member {
	m, ok := t.members[string(name)]
	if !ok {
		m = &member{gateway: &gateway{name: string(name)}}
		t.members[m.name] = m
	}
	return m
}

// forgetNewMembers takes out the gateways that are there for a push that was
// refused.
func (t *table) forgetNewMembers(names *newcomers) {
	for i := range names.list {
		if m := names.list[i].owner; m != nil && m.series == 0 {
			delete(t.members, m.name)
		}
	}
}

func (t *table) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.series
}

func (t *table) bytes() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.arena.bytes
}

// checkRoom checks that all of a push's new names fit. It counts too much where a name
// is there twice or known by its canonical text, so it looks closer before it
// refuses.
func (t *table) checkRoom(names *newcomers) error {
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
func (t *table) fits(names *newcomers, isNew func(text []byte) bool) error {
	series, bytes := t.series, t.arena.bytes
	var touched []*member
	var last *member
	for i := range names.list {
		n := &names.list[i]
		bytes += int64(len(n.raw))
		if n.kind != seriesLine {
			continue
		}
		if name := names.bytes(n, n.gateway); last == nil || last.name != string(name) {
			last = t.member(name)
		}
		n.owner = last
		text := names.bytes(n, n.text)
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
	case series > t.cfg.MaxSeries:
		err = &fullError{"series_limit", fmt.Sprintf(
			"the hub knows %d series, with this push it were %d, and the limit is %d", t.series, series, t.cfg.MaxSeries)}
	case bytes > t.cfg.MaxTableBytes:
		err = &fullError{"table_bytes", fmt.Sprintf(
			"the names of the hub's series take %d bytes, with this push it were %d, and the limit is %d", t.arena.bytes, bytes, t.cfg.MaxTableBytes)}
	case len(t.families)+len(names.list) > t.cfg.MaxSeries && t.familiesWith(names) > t.cfg.MaxSeries:
		err = &fullError{"series_limit", fmt.Sprintf("the hub knows %d families, and the limit is %d", len(t.families), t.cfg.MaxSeries)}
	}
	for _, m := range touched {
		m.coming = 0
	}
	return err
}

// checkMembers checks that each of the gateways has room for what is coming.
func (t *table) checkMembers(members []*member) error {
	for _, g := range members {
		if limit := t.cfg.MaxGatewaySeries; g.name != "" && g.series+g.coming > limit {
			return &fullError{"gateway_series", fmt.Sprintf(
				"%s has %d series, with this push it were %d, and the limit is %d", g, g.series, g.series+g.coming, limit)}
		}
	}
	return nil
}

// ranking is the order in which series are written: family by family, in the
// order of the families' names, and within a family as they were first seen,
// which keeps the buckets of a histogram as their sender sorted them. It does
// not change once made.
type ranking struct {
	families []rankedFamily
	order    []seriesID
	traits   []traits // by series number
	chunks   []*chunk
	quoted   bool // some need a scraper for UTF-8 names
}

type rankedFamily struct {
	metadata []byte // its HELP and TYPE lines
	escaped  []byte // the same with a classic name, or nil
	from, to int    // its series in order
}

// text is the canonical text of a series.
func (r *ranking) text(id seriesID) string {
	return spellingAt(r.chunks, r.traits[id].canonical).raw
}

// ranked returns the ranking of all series that the table holds now.
func (t *table) ranked() *ranking {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rank != nil {
		return t.rank
	}
	r := &ranking{order: make([]seriesID, 0, t.series), traits: slices.Clip(t.traits), chunks: *t.index.chunks.Load(), quoted: t.quoted > 0}
	for _, f := range t.sortFamilies() {
		from := len(r.order)
		r.order = append(r.order, f.members...)
		ranked := rankedFamily{metadata: t.appendMetadata(nil, f, f.name), from: from, to: len(r.order)}
		if !exposition.ValidMetricName(f.name) {
			legacy := exposition.AppendLegacyName(nil, f.name)
			ranked.escaped = t.appendMetadata(nil, f, string(legacy))
		}
		r.families = append(r.families, ranked)
	}
	t.rank = r
	return r
}

// fullError is the reason to refuse a push for want of room.
type fullError struct {
	reason string // label of the counter
	text   string
}

func (e *fullError) Error() string { return e.text }
