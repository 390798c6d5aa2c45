package edgehub

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubring/hubring/internal/exposition"
)

// seriesID is a series' number in the table. Numbers of expired series are used
// again.
type seriesID uint32

const noSeries seriesID = 1<<32 - 1

// series is one series, interned.
type series struct {
	text      string // canonical
	name      string
	family    *family
	odd       bool // a bound of it is no number
	spellings int  // remembered for it
	seen      time.Time
}

// spelling is how a sender writes a series, or a whole TYPE or HELP line
// (then id is noSeries). next is the spelling that followed it last time: the
// guess for the next line. It may be read and written without the lock. A loose
// spelling is not in the table, so it neither guesses nor is a guess.
type spelling struct {
	raw    string
	id     seriesID
	loose  bool
	family *family
	next   atomic.Pointer[spelling]
}

// table interns series. Its methods may be called from any goroutine; a lookup
// takes the lock for reading, and a right guess takes none.
type table struct {
	maxSeries int
	limits    exposition.Limits

	mu        sync.RWMutex
	spellings map[string]*spelling
	byText    map[string]seriesID
	families  map[string]*family
	byID      []*series // nil where a number is free
	free      []seriesID
	rank      *ranking // nil when it must be made anew
}

func newTable(cfg Config) *table {
	return &table{
		maxSeries: cfg.MaxSeries,
		limits:    exposition.Limits{SeriesBytes: cfg.MaxSeriesBytes, Labels: cfg.MaxLabels},
		spellings: map[string]*spelling{},
		byText:    map[string]seriesID{},
		families:  map[string]*family{},
	}
}

// lookup finds a spelling that was seen before. It does not allocate.
func (t *table) lookup(raw []byte) (*spelling, bool) {
	t.mu.RLock()
	sp, ok := t.spellings[string(raw)]
	t.mu.RUnlock()
	return sp, ok
}

// intern checks a spelling that was not seen before and returns its series, a
// new one if need be.
func (t *table) intern(raw []byte, now time.Time) (*spelling, error) {
	parsed, err := exposition.NewSeriesParser(t.limits).Parse(raw)
	if err != nil {
		return nil, err
	}
	if parsed.Quoted {
		return nil, fmt.Errorf("series %.100q: a name in quotes is not supported", raw)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if sp, ok := t.spellings[string(raw)]; ok {
		return sp, nil
	}
	id, ok := t.byText[string(parsed.Text)]
	if !ok {
		if len(t.byText) >= t.maxSeries {
			return nil, errSeriesFull(t.maxSeries)
		}
		id = t.add(parsed, now)
	}
	s := t.byID[id]
	sp := &spelling{raw: string(raw), id: id, loose: s.spellings >= maxSpellings}
	if !sp.loose {
		s.spellings++
		if sp.raw == s.text {
			sp.raw = s.text
		}
		t.spellings[sp.raw] = sp
	}
	return sp, nil
}

func (t *table) add(parsed exposition.Series, now time.Time) seriesID {
	text, name := string(parsed.Text), string(parsed.Name)
	f := t.homeFamily(name)
	var id seriesID
	if n := len(t.free); n > 0 {
		id, t.free = t.free[n-1], t.free[:n-1]
	} else {
		id = seriesID(len(t.byID))
		t.byID = append(t.byID, nil)
	}
	s := &series{text: text, name: name, family: f, odd: parsed.OddBound, seen: now}
	if s.odd {
		t.markOdd(s, 1)
	}
	t.byID[id] = s
	t.byText[text] = id
	f.members = append(f.members, id)
	t.rank = nil
	return id
}

func (t *table) size() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.byText)
}

// ranking is the order in which series are written: family by family, in the
// order of the families' names, and within a family as they were first seen,
// which keeps the buckets of a histogram as their sender sorted them. It does
// not change once made.
type ranking struct {
	families []rankedFamily
	order    []seriesID
	series   []*series // by number
}

type rankedFamily struct {
	metadata []byte // its HELP and TYPE lines
	from, to int    // its series in order
}

// ranked returns the ranking of all series that the table holds now.
func (t *table) ranked() *ranking {
	t.mu.RLock()
	r := t.rank
	t.mu.RUnlock()
	if r != nil {
		return r
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rank != nil {
		return t.rank
	}
	r = &ranking{order: make([]seriesID, 0, len(t.byText)), series: t.byID[:len(t.byID):len(t.byID)]}
	for _, f := range t.sortFamilies() {
		from := len(r.order)
		r.order = append(r.order, f.members...)
		r.families = append(r.families, rankedFamily{t.appendMetadata(nil, f), from, len(r.order)})
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

func errSeriesFull(limit int) error {
	return &fullError{"series_limit", fmt.Sprintf("the hub knows %d series already, which is its limit", limit)}
}
