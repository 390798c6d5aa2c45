package samples

import "slices"

// Tally is what a response takes from a log: samples, and how many of them are not
// written to the scraper.
type Tally struct {
	Passed   int // all of the following, too
	TooOld   int
	Ahead    int // too far in the future
	SetAside int
}

// Offer is what was written to a scraper, which may or may not have it. While it is open
// its samples wait for nobody else: they are in no push's way.
type Offer struct {
	c        *Cursor
	from, to uint64
	tally    Tally
	void     bool // the cursor has moved some other way: it moves nothing more
	closed   bool
}

// maxOffers is how many may be open of one cursor.
const maxOffers = 8

// Offer notes that the samples from where a cursor is to a position are written to its
// scraper. It returns nil if the cursor has moved since they were read at from.
func (l *Log) Offer(c *Cursor, from, to uint64, t Tally) *Offer {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := &Offer{c: c, from: from, to: to, tally: t}
	if c.position != from {
		o.void = true
	}
	if len(c.offers) == maxOffers {
		l.withdrawLocked(c.offers[0])
	}
	c.offers = append(c.offers, o)
	l.dropLocked()
	return o
}

// Take notes that the scraper has what it was offered, and moves the cursor behind it.
// It returns what the cursor passed that way, and whether it moved: not where another
// response from the same place was faster.
func (l *Log) Take(o *Offer) (passed Tally, moved bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o.closed || o.void {
		l.closeLocked(o)
		return Tally{}, false
	}
	l.closeLocked(o)
	for _, other := range o.c.offers {
		if other.from < o.to {
			other.void = true
		}
	}
	o.c.position = max(o.c.position, o.to)
	l.dropLocked()
	l.movedLocked()
	return o.tally, true
}

// Withdraw notes that the scraper has not got what it was offered. It returns how many
// samples are gone for good, since they had to make room meanwhile and nobody else has
// them. Those that another scraper has it was left behind.
func (l *Log) Withdraw(o *Offer) (letGo int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.withdrawLocked(o)
}

func (l *Log) withdrawLocked(o *Offer) (letGo int) {
	open := !o.closed && !o.void
	l.closeLocked(o)
	again := func(other *Offer) bool { return !other.void && other.from == o.from }
	if gone := min(o.c.position, o.to); open && gone > o.from && !slices.ContainsFunc(o.c.offers, again) {
		lost := int(uint64(o.tally.Passed) * (gone - o.from) / (o.to - o.from))
		if of := o.c.part.split.of; l.othersHave(of, gone) {
			of.leftBehind += float64(lost)
		} else {
			letGo = lost
		}
	}
	l.dropLocked()
	l.movedLocked()
	return letGo
}

// othersHave says whether another scraper has every sample before a position.
func (l *Log) othersHave(s *scraper, position uint64) bool {
	return slices.ContainsFunc(l.scrapers, func(o *scraper) bool { return o != s && o.floor() >= position })
}

func (l *Log) closeLocked(o *Offer) {
	o.closed = true
	if i := slices.Index(o.c.offers, o); i >= 0 {
		o.c.offers = slices.Delete(o.c.offers, i, i+1)
	}
}
