package edgehub

import "time"

// scraper is one that gets every sample once, in one response or split over
// several: then each part of the series has a cursor of its own. The log's lock
// guards it.
type scraper struct {
	name  string
	parts []*cursor

	leftBehind float64 // samples that it was left behind, for several parts about
	trails     bool    // it is left behind now
	trailing   float64 // leftBehind when that began
	gaps       bool    // it was left behind, ever
	spare      bool    // another one is known to have what is held for it
}

// cursor is how far one part of a scraper has read. The log's lock guards it.
type cursor struct {
	position uint64
	held     columns // passed, but still to be written: see onlyFirst
	shared   bool    // what is held is that of all parts
	moved    uint64  // how often
	scrapes  int     // under way
	bite     bite    // how much it is given at once
	former   bool    // the scraper is split in another way now
}

func newScraper(cfg Config, name string) *scraper {
	return &scraper{name: name, parts: []*cursor{{bite: newBite(cfg.MaxScrapeSamples)}}}
}

// behind is how many samples of a log that ends there the scraper has not passed,
// and those that it has but are still to be written.
func (s *scraper) behind(end uint64) int {
	return int(end-min(s.floor(), end)) + s.holding()
}

// holding is how many samples are held for the parts.
func (s *scraper) holding() (samples int) {
	for held := range s.holds {
		samples += held.len()
	}
	return samples
}

// holds yields what is held for the parts: what they share once, and what each has
// of its own.
func (s *scraper) holds(yield func(columns) bool) {
	shared := false
	for _, c := range s.parts {
		if c.shared && shared {
			continue
		}
		shared = shared || c.shared
		if c.held.len() > 0 && !yield(c.held) {
			return
		}
	}
}

// held is what is held for all parts.
func (s *scraper) held() columns {
	var all columns
	for held := range s.holds {
		all = all.joined(held)
	}
	return all
}

// giveUp gives up the oldest samples, so many: of what is held for it at most so many,
// then of the log. It returns how many of them no part had: exactly for one part,
// about for several, as their series have about as many each.
func (s *scraper) giveUp(samples, ofHeld int) float64 {
	lost := min(samples, ofHeld)
	if lost > 0 {
		held := s.held()
		for _, c := range s.parts {
			c.held, c.shared = held.part(lost, held.len()), true
			c.moved++ // a scrape that read more must not bring it back
		}
	}
	to, passed := s.floor()+uint64(samples-lost), 0
	for _, c := range s.parts {
		if c.position < to {
			passed += int(to - c.position)
			c.position = to
		}
	}
	return float64(lost) + float64(passed)/float64(len(s.parts))
}

// floor is the position of the part that is furthest behind.
func (s *scraper) floor() uint64 {
	floor := s.parts[0].position
	for _, c := range s.parts[1:] {
		floor = min(floor, c.position)
	}
	return floor
}

// top is the position of the part that is furthest.
func (s *scraper) top() uint64 {
	top := s.parts[0].position
	for _, c := range s.parts[1:] {
		top = max(top, c.position)
	}
	return top
}

// cursor returns the cursor of a part, from 0, of so many. When the scraper comes
// with another number of parts than before they all begin where the one
// furthest behind was: some samples come again, none is left out.
func (l *log) cursor(s *scraper, part, parts, most int) (c *cursor, resplit bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(s.parts) == parts {
		return s.parts[part], false
	}
	floor, held := s.floor(), s.held()
	for _, old := range s.parts {
		old.former = true
	}
	s.parts = make([]*cursor, parts)
	for i := range s.parts {
		s.parts[i] = &cursor{position: floor, held: held, shared: true, bite: newBite(most)}
	}
	return s.parts[part], true
}

// advance moves a cursor to the end of what was read, never back, and keeps for it
// what could not be written yet. It returns what the cursor passed that way, and
// whether it moved.
func (l *log) advance(c *cursor, a *arrangement) (passed tally, moved bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// What is held changes with each move, so of two scrapes that read the same of
	// it only one counts.
	holds := a.rest.len() > 0 || a.view.held.len() > 0
	if c.former || holds && c.moved != a.view.moved || !holds && a.view.to <= c.position {
		return tally{}, false
	}
	passed = a.since(c.position)
	c.moved++
	c.held, c.shared = a.rest, false
	c.position = max(c.position, a.view.to)
	l.dropLocked()
	l.movedLocked()
	return passed, true
}

// enter says whether a cursor may be scraped once more, besides the scrapes of it
// that are under way: one that the scraper has given up may still hang.
func (l *log) enter(c *cursor) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.scrapes >= maxScrapesOfOne {
		return false
	}
	c.scrapes++
	return true
}

// leave ends what enter began.
func (l *log) leave(c *cursor) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.scrapes--
}

// took notes that a response of so many samples was written in a part of the
// scraper's time, and taken.
func (l *log) took(c *cursor, samples int, elapsed, timeout time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.bite.took(samples, elapsed, timeout)
}

// cutOff notes that a response of so many samples did not get through.
func (l *log) cutOff(c *cursor, samples int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.bite.cutOff(samples)
}
