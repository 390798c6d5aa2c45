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
		switch {
		case !other.overlaps(o):
		case other.from < o.from:
			// The cursor had to give up what is before: the other may still bring that.
			other.tally, other.to = other.tally.share(o.from-other.from, other.to-other.from), o.from
		case other.to > o.to && o.c.position > o.to:
			// The cursor had to give up more than this: the other may still bring it.
			other.from, other.tally = o.to, other.tally.less(o.tally)
		default:
			other.void = true
		}
	}
	o.c.position = max(o.c.position, o.to)
	l.dropLocked()
	l.movedLocked()
	return o.tally, true
}

// overlaps says whether an offer that may still move its cursor has samples of another.
func (o *Offer) overlaps(other *Offer) bool {
	return !o.void && o.from < other.to && other.from < o.to
}

// less is a tally without what another one that begins at the same place has counted.
func (t Tally) less(u Tally) Tally {
	return Tally{max(0, t.Passed-u.Passed), max(0, t.TooOld-u.TooOld), max(0, t.Ahead-u.Ahead), max(0, t.SetAside-u.SetAside)}
}

// share is a part of a tally, about.
func (t Tally) share(part, of uint64) Tally {
	scale := func(n int) int { return int(uint64(n) * part / of) }
	return Tally{scale(t.Passed), scale(t.TooOld), scale(t.Ahead), scale(t.SetAside)}
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
	if gone := min(o.c.position, o.to); open {
		for from, to := o.alone(o.from, gone); from < to; from, to = o.alone(to, gone) {
			lost := o.tally.share(to-from, o.to-o.from).Passed
			if of := o.c.part.split.of; l.othersHave(of, from, to) {
				of.leftBehind += float64(lost)
			} else {
				letGo += lost
			}
		}
	}
	l.dropLocked()
	l.movedLocked()
	return letGo
}

// alone is the first stretch between two positions that no other response on its way may bring.
func (o *Offer) alone(from, to uint64) (uint64, uint64) {
	for moved := true; moved; {
		moved = false
		for _, other := range o.c.offers {
			if other.overlaps(o) && other.from <= from && from < other.to {
				from, moved = other.to, true
			}
		}
	}
	for _, other := range o.c.offers {
		if other.overlaps(o) && from < other.from {
			to = min(to, other.from)
		}
	}
	return from, to
}

// othersHave says whether another scraper has every sample between two positions, as far as is
// known: one that gave samples up, also those that this one was about to get, may have given up these.
func (l *Log) othersHave(s *scraper, from, to uint64) bool {
	return slices.ContainsFunc(l.scrapers, func(o *scraper) bool {
		return o != s && o.floor() >= to && o.gaveUp <= from
	})
}

func (l *Log) closeLocked(o *Offer) {
	o.closed = true
	if i := slices.Index(o.c.offers, o); i >= 0 {
		o.c.offers = slices.Delete(o.c.offers, i, i+1)
	}
}
