package edgehub

import (
	"fmt"
	"math"
)

// Room is refused only for what no scraper has. Of several scrapers one may be dead
// while another has everything; the log remembers for the dead one as long as there is
// room to spare, and then leaves it behind: what another scraper has passed goes
// first, oldest first, whatever the policy says. What is left counts as pending, and
// for it the policy decides.

// standing is how far the scrapers of a log are, together.
type standing struct {
	lead    uint64 // some scraper has passed every sample before it
	pending int    // samples that have to be kept, as nobody else has them
	most    int    // samples that the scraper furthest behind has not got
}

// made is what was done to find room for a push.
type made struct {
	letGo int      // samples that no scraper had
	left  []string // scrapers that are left behind from now on
}

// admitLocked says whether there is room for so many samples, and makes it where
// scrapers are behind that others are ahead of, or where that is the policy.
func (l *log) admitLocked(t *table, samples int, runs []run) (m made, err error) {
	if t != l.table {
		return made{}, errReplaced
	}
	if samples > l.limit-l.reserved {
		return made{}, &fullError{"hub_full", fmt.Sprintf("the push has %d samples, and the limit is %d", samples, l.limit)}
	}
	n := l.standingLocked()
	coming := l.reserved + samples
	if n.pending+coming > l.limit-l.limit/reserved {
		if err := fair(runs, l.limit, l.holding, l.passedLocked); err != nil {
			return made{}, err
		}
	}
	if n.pending+coming > l.limit && !l.newest {
		return made{}, &fullError{"hub_full", fmt.Sprintf(
			"the hub holds %d samples that wait to be scraped, this push has %d, and the limit is %d; is the hub being scraped?",
			n.pending+l.reserved, samples, l.limit)}
	}
	if n.most+coming > l.limit {
		m = l.makeRoomLocked(n.lead, coming)
	}
	return m, nil
}

// makeRoomLocked makes room for so many samples: each scraper gives up the oldest that
// are too many for it, those first that another one has.
func (l *log) makeRoomLocked(lead uint64, coming int) (m made) {
	for _, s := range l.scrapers {
		over := s.behind(l.end) + coming - l.limit
		if over <= 0 {
			continue
		}
		held := 0
		if s.spare {
			held = s.holding()
		}
		if spare := min(over, held+int(lead-s.floor())); spare > 0 {
			if s.leaveBehind(spare, held) {
				m.left = append(m.left, s.name)
			}
			over -= spare
		}
		if over > 0 {
			m.letGo = max(m.letGo, int(math.Round(s.giveUp(over, s.holding()))))
		}
	}
	l.dropLocked()
	l.movedLocked()
	return m
}

// standingLocked looks at all scrapers, and notes whether what is held for them is
// spare: that must not change while room is made.
func (l *log) standingLocked() (n standing) {
	n.lead = l.leadLocked()
	kept := 0 // for the one that most is held for
	for _, s := range l.scrapers {
		n.most = max(n.most, s.behind(l.end))
		held := s.holding()
		if s.spare = held > 0 && l.spareLocked(s); !s.spare {
			kept = max(kept, held)
		}
	}
	n.pending = int(l.end-n.lead) + kept
	return n
}

// spareLocked says whether all that is held for a scraper is known to be with
// another one: with one that holds nothing, was never left behind, and is no less far.
func (l *log) spareLocked(s *scraper) bool {
	for _, o := range l.scrapers {
		if o != s && !o.gaps && o.holding() == 0 && o.floor() >= s.top() {
			return true
		}
	}
	return false
}

// leadLocked is the position of the scraper that is furthest.
func (l *log) leadLocked() uint64 {
	lead := l.first
	for _, s := range l.scrapers {
		lead = max(lead, s.floor())
	}
	return lead
}

// leaveBehind gives up the oldest samples, so many, of which another scraper has
// each; at most so many of them are held ones. It says whether that begins now.
func (s *scraper) leaveBehind(samples, held int) (begins bool) {
	begins = !s.trails
	if begins {
		s.trails, s.trailing = true, s.leftBehind
	}
	s.gaps = true
	s.leftBehind += s.giveUp(samples, held)
	return begins
}

// caughtUp says that a scraper that was left behind is so no more, since half of the
// room would do for it, and without how many samples it is, about.
func (l *log) caughtUp(s *scraper) (without float64, is bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !s.trails || s.behind(l.end) > l.limit/2 {
		return 0, false
	}
	s.trails = false
	return s.leftBehind - s.trailing, true
}
