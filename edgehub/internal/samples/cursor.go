package samples

import "slices"

// Cursor is how far one reader has read: a position, which only grows. The log's lock
// guards it.
type Cursor struct {
	position uint64
	part     *part
	offers   []*Offer // that are open
}

// part is one part of a scraper's series. Where some of its series come later than the
// others, they have a cursor of their own.
type part struct {
	split   *split
	cursors []*Cursor // the first is for all that have none of their own
}

// split is one way in which a scraper's series are divided, into one part or several.
type split struct {
	of    *scraper
	parts []*part
}

// scraper is one that gets every sample once, in one response or split over several.
// Who comes with another number of parts reads on as another split, from where the
// scraper was; each split by itself gets everything.
type scraper struct {
	name   string
	splits []*split // the one that came last is the first

	gaveUp     uint64  // position before which it gave samples up, or 0
	leftBehind float64 // samples that it was left behind, for several parts about
	trails     bool    // it is left behind now
	trailing   float64 // leftBehind when that began
}

// maxSplits is how many ways of dividing its series are remembered of a scraper.
const maxSplits = 3

func newScraper(name string) *scraper {
	s := &scraper{name: name}
	s.splits = []*split{newSplit(s, 1, 0)}
	return s
}

func newSplit(of *scraper, parts int, position uint64) *split {
	s := &split{of: of}
	for range parts {
		p := &part{split: s}
		p.cursors = []*Cursor{{part: p, position: position}}
		s.parts = append(s.parts, p)
	}
	return s
}

// floor is the position before which the scraper has everything.
func (s *scraper) floor() (floor uint64) {
	for _, sp := range s.splits {
		floor = max(floor, sp.least((*Cursor).at))
	}
	return floor
}

// handed is the position before which it has, or was handed, everything. What is on its
// way counts up to a limit, so that the log is bounded whatever becomes of it.
func (s *scraper) handed(limit int) (handed uint64) {
	for _, sp := range s.splits {
		handed = max(handed, sp.least((*Cursor).handed))
	}
	return min(handed, s.floor()+uint64(limit))
}

// least is the least position of a split's cursors.
func (s *split) least(of func(*Cursor) uint64) uint64 {
	least := of(s.parts[0].cursors[0])
	for _, p := range s.parts {
		for _, c := range p.cursors {
			least = min(least, of(c))
		}
	}
	return least
}

func (c *Cursor) at() uint64 { return c.position }

// handed is the position up to which the cursor's scraper has, or was handed, the samples.
func (c *Cursor) handed() uint64 {
	to := c.position
	for _, o := range c.offers {
		if !o.void {
			to = max(to, o.to)
		}
	}
	return to
}

// Cursor returns the cursor of a part, from 0, of so many of the scraper with a number,
// and whether it comes with another number of parts than the last time. Then the parts
// begin where the one furthest behind was, unless they were further themselves: some
// samples come again, none is left out.
func (l *Log) Cursor(scraper, part, parts int) (c *Cursor, resplit bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.scrapers[scraper]
	i := slices.IndexFunc(s.splits, func(sp *split) bool { return len(sp.parts) == parts })
	if i == 0 {
		return s.splits[0].parts[part].cursors[0], false
	}
	floor := s.floor()
	var sp *split
	if i > 0 {
		sp = s.splits[i]
		s.splits = slices.Delete(s.splits, i, i+1)
		for _, p := range sp.parts {
			for _, c := range p.cursors {
				l.raiseLocked(c, floor)
			}
		}
	} else {
		sp = newSplit(s, parts, floor)
		if len(s.splits) == maxSplits {
			s.splits = s.splits[:maxSplits-1]
		}
	}
	s.splits = slices.Insert(s.splits, 0, sp)
	l.dropLocked()
	return sp.parts[part].cursors[0], true
}

// raiseLocked moves a cursor to where others of its scraper are.
func (l *Log) raiseLocked(c *Cursor, to uint64) {
	if c.position < to {
		c.position = to
		for _, o := range c.offers {
			o.void = true
		}
	}
}

// Fork returns another cursor at the place of c, for some of its series that are to come
// later. Drop ends it.
func (l *Log) Fork(c *Cursor) *Cursor {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := &Cursor{part: c.part, position: c.position}
	c.part.cursors = append(c.part.cursors, f)
	return f
}

// Drop ends a cursor that Fork made.
func (l *Log) Drop(f *Cursor) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(f.part.cursors, f); i > 0 {
		f.part.cursors = slices.Delete(f.part.cursors, i, i+1)
		f.offers = nil
		l.dropLocked()
		l.movedLocked()
	}
}

// At is the position of a cursor.
func (l *Log) At(c *Cursor) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return c.position
}

// Splits returns into how many parts a scraper divides its series: the ways that are
// remembered, the last one first.
func (l *Log) Splits(scraper int) (parts []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, sp := range l.scrapers[scraper].splits {
		parts = append(parts, len(sp.parts))
	}
	return parts
}
