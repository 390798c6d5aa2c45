package edgehub

import (
	"fmt"
	"sync"
	"time"

	"github.com/hubring/hubring/internal/exposition"
)

// seriesID is a series' number in the table. Numbers of expired series are used
// again.
type seriesID uint32

const noSeries seriesID = 1<<32 - 1

// traits are what else the table knows of a series.
type traits struct {
	group   uint32 // equal for the series of one histogram or summary
	seen    uint32 // when last added or scraped, in Unix seconds
	aliases uint8  // spellings other than the canonical one
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
	texts    []string // canonical, by series number; empty where a number is free
	traits   []traits // by number
	series   int
	free     []seriesID
	odd      map[seriesID]string // names of the series with a bound that is no number
	quoted   int                 // series with a name that only a scraper for UTF-8 names reads
	families map[string]*family
	homes    map[string]*family // by the name of a series
	gateways map[string]*gateway
	rank     *ranking // nil when it must be made anew
	replaced bool     // by another table
}

func newTable(cfg Config, room int) *table {
	return &table{
		cfg:      cfg,
		index:    newIndex(room),
		odd:      map[seriesID]string{},
		families: map[string]*family{},
		homes:    map[string]*family{},
		gateways: map[string]*gateway{},
	}
}

// lookup finds a spelling that was seen before.
func (t *table) lookup(raw []byte) *spelling { return t.index.find(t.index.hash(raw), raw) }

// intern takes in the names that a push brought, and sets the spelling of each: all of them, or none
// and an error when there is no room for all.
func (t *table) intern(names *newcomers, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.replaced {
		return errReplaced
	}
	if err := t.checkRoom(names); err != nil {
		return err
	}
	for i := range names.list {
		n := &names.list[i]
		// Another push may have brought it, or an earlier line of this one.
		if n.spelling = t.index.find(n.hash, n.raw); n.spelling != nil {
			continue
		}
		if n.kind == seriesLine {
			n.spelling = t.internSeries(names, n, now)
		} else {
			n.spelling = t.describe(names, n)
		}
	}
	names.link()
	return nil
}

// internSeries adds a spelling and, if need be, its series.
func (t *table) internSeries(names *newcomers, n *newcomer, now time.Time) *spelling {
	text := names.bytes(n, n.text)
	if !n.canonical() {
		hash := t.index.hash(text)
		known := t.index.find(hash, text)
		if known == nil {
			known = t.addSeries(names, n, hash, text, now)
		}
		return t.alias(n, known)
	}
	return t.addSeries(names, n, n.hash, text, now)
}

// alias adds another way to write a known series. After a few they are no longer
// remembered; such a spelling is parsed each time.
func (t *table) alias(n *newcomer, known *spelling) *spelling {
	if t.traits[known.id].aliases >= maxSpellings-1 {
		return &spelling{id: known.id, gateway: known.gateway}
	}
	t.traits[known.id].aliases++
	return t.index.add(n.hash, t.arena.keep(n.raw), known.id, known.gateway)
}

// addSeries adds a series under its canonical text.
func (t *table) addSeries(names *newcomers, n *newcomer, hash uint32, text []byte, now time.Time) *spelling {
	n.owner.series++
	kept := t.arena.keep(text)
	id := t.number()
	t.texts[id], t.traits[id] = kept, traits{group: n.group, seen: uint32(now.Unix())}
	name := names.bytes(n, n.name)
	f := t.homeFamily(name)
	f.members = append(f.members, id)
	if n.odd {
		t.odd[id] = string(name)
		t.markOdd(string(name), 1)
	}
	if n.quoted {
		t.quoted++
	}
	t.series++
	t.rank = nil
	return t.index.add(hash, kept, id, n.owner)
}

// number returns a number that no series has.
func (t *table) number() seriesID {
	if n := len(t.free); n > 0 {
		id := t.free[n-1]
		t.free = t.free[:n-1]
		return id
	}
	t.texts = append(t.texts, "")
	t.traits = append(t.traits, traits{})
	return seriesID(len(t.texts) - 1)
}

func (t *table) gateway(name []byte) *gateway {
	g, ok := t.gateways[string(name)]
	if !ok {
		g = &gateway{name: string(name)}
		t.gateways[g.name] = g
	}
	return g
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
		if counted[string(text)] || t.lookup(text) != nil {
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
	var touched []*gateway
	var last *gateway
	for i := range names.list {
		n := &names.list[i]
		bytes += int64(len(n.raw))
		if n.kind != seriesLine {
			continue
		}
		if name := names.bytes(n, n.gateway); last == nil || last.name != string(name) {
			last = t.gateway(name)
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
	err := t.checkGateways(touched)
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
	for _, g := range touched {
		g.coming = 0
		if err != nil && g.series == 0 {
			delete(t.gateways, g.name)
		}
	}
	return err
}

// checkGateways checks that each of the gateways has room for what is coming.
func (t *table) checkGateways(gateways []*gateway) error {
	for _, g := range gateways {
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
	texts    []string // by series number
	traits   []traits // by series number, of which only the group is fixed
	quoted   bool     // some need a scraper for UTF-8 names
}

type rankedFamily struct {
	metadata []byte // its HELP and TYPE lines
	escaped  []byte // the same with a classic name, or nil
	from, to int    // its series in order
}

// ranked returns the ranking of all series that the table holds now.
func (t *table) ranked() *ranking {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rank != nil {
		return t.rank
	}
	n := len(t.texts)
	r := &ranking{order: make([]seriesID, 0, t.series), texts: t.texts[:n:n], traits: t.traits[:n:n], quoted: t.quoted > 0}
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
