package samples

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// Room is refused only for what no scraper has or was handed. Of several scrapers one may
// be dead while another has everything; the log remembers for the dead one as long as
// there is room to spare, and then leaves it behind: what another scraper has passed goes
// first, oldest first, whatever the policy says. What is left counts as pending, and
// for it the policy decides. What is on its way to a scraper has room besides, as much
// as the limit at most; it may not arrive, so nobody is left behind for what is on its way
// to another one. So the log holds three times the limit at most, and what is usual is
// a little more than once.
//
// A push without samples asks whether others would be taken: who was refused sends one to find out
// whether to come back. It is refused where not one sample has room, and from a refusal on until an eighth
// of the room is free, or its sender would come back for what each scrape takes, and be refused again.

// standing is how far the scrapers of a log are, together.
type standing struct {
	lead    uint64 // some scraper has every sample before it, or was handed it
	pending int    // samples that have to be kept, as nobody else has them
	most    int    // samples that the scraper furthest behind has not got, nor was handed
}

// Made is what was done to find room for a push.
type Made struct {
	LetGo int      // samples that no scraper had
	Left  []string // scrapers that are left behind from now on
}

// admitLocked says whether there is room for so many samples, and makes it where
// scrapers are behind that others are ahead of, or where that is the policy.
func (l *Log) admitLocked(generation uint64, samples int, runs []Run) (m Made, err error) {
	m, err = l.roomLocked(generation, samples, runs)
	if full := (*FullError)(nil); errors.As(err, &full) && full.Gateway == 0 {
		l.refused = l.tickOf(time.Now())
	}
	return m, err
}

func (l *Log) roomLocked(generation uint64, samples int, runs []Run) (m Made, err error) {
	if generation != l.generation {
		return Made{}, series.ErrReplaced
	}
	if samples > l.limit {
		return Made{}, &FullError{"too_many_samples", 0, fmt.Sprintf("the push has %d samples, and the limit is %d; send it in parts", samples, l.limit)}
	}
	if samples > l.limit-l.reserved {
		return Made{}, &FullError{"hub_full", 0, fmt.Sprintf("the push has %d samples, and the limit is %d", samples, l.limit)}
	}
	n := l.standingLocked()
	coming := l.reserved + samples
	if n.pending+coming <= l.limit-l.limit/reserved {
		l.full = false
	} else if err := l.fairLocked(runs); err != nil {
		return Made{}, err
	}
	if samples == 0 && !l.newest && (l.full || n.pending+coming >= l.limit) {
		return Made{}, &FullError{"hub_full", 0, fmt.Sprintf(
			"the hub is full: it holds %d samples that wait to be scraped, and the limit is %d; is the hub being scraped?", n.pending+coming, l.limit)}
	}
	if n.pending+coming > l.limit && !l.newest {
		l.full = true
		return Made{}, &FullError{"hub_full", 0, fmt.Sprintf(
			"the hub holds %d samples that wait to be scraped, this push has %d, and the limit is %d; is the hub being scraped?",
			n.pending+l.reserved, samples, l.limit)}
	}
	if n.most+coming > l.limit {
		m = l.makeRoomLocked(coming)
	}
	return m, nil
}

// makeRoomLocked makes room for so many samples: each scraper gives up the oldest that
// are too many for it, those first that another one has, but none that is only on its way
// to another one.
func (l *Log) makeRoomLocked(coming int) (m Made) {
	lead, underWay := l.leadLocked()
	for _, s := range l.scrapers {
		handed := s.handed(l.limit)
		over := int(l.end-handed) + coming - l.limit
		over -= max(0, int(underWay-max(lead, handed)))
		if over <= 0 {
			continue
		}
		s.leave(handed, handed+uint64(over), lead, &m)
	}
	l.dropLocked()
	l.movedLocked()
	return m
}

// leave gives up what lies before a position, those first that another scraper has, which are those before lead.
func (s *scraper) leave(handed, to, lead uint64, m *Made) {
	if spare := min(to, lead); spare > handed {
		if !s.trails {
			s.trails, s.trailing = true, s.leftBehind
			m.Left = append(m.Left, s.name)
		}
		s.leftBehind += s.giveUp(spare)
	}
	if to > lead {
		m.LetGo = max(m.LetGo, int(math.Round(s.giveUp(to))))
	}
}

// MakeWay gives up what lies before a position because it is in the way elsewhere: as much as
// another scraper has, and the rest where that is the policy.
func (l *Log) MakeWay(to uint64) (m Made) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lead, _ := l.leadLocked()
	if to = min(to, l.end); !l.newest {
		to = min(to, lead)
	}
	for _, s := range l.scrapers {
		if handed := s.handed(l.limit); handed < to {
			s.leave(handed, to, lead, &m)
		}
	}
	l.dropLocked()
	l.movedLocked()
	return m
}

// giveUp gives up what lies before a position. It returns how many samples that are
// which no part had nor was handed: exactly for one part, about for several, as their
// series have about as many each. Series that have a cursor of their own count with
// those of the others.
func (s *scraper) giveUp(to uint64) (samples float64) {
	s.gaveUp = max(s.gaveUp, to)
	best := math.Inf(1)
	for _, sp := range s.splits {
		passed := 0
		for _, p := range sp.parts {
			from := to
			for _, c := range p.cursors {
				if c == p.cursors[0] {
					from = min(from, c.handed())
				}
				c.position = max(c.position, to)
			}
			passed += int(to - from)
		}
		best = min(best, float64(passed)/float64(len(sp.parts)))
	}
	return best
}

// standingLocked looks at all scrapers.
func (l *Log) standingLocked() (n standing) {
	_, n.lead = l.leadLocked()
	for _, s := range l.scrapers {
		n.most = max(n.most, int(l.end-s.handed(l.limit)))
	}
	n.pending = int(l.end - n.lead)
	return n
}

// leadLocked is the position before which some scraper has everything, and that before
// which some scraper has or was handed it.
func (l *Log) leadLocked() (lead, handed uint64) {
	lead, handed = l.first, l.first
	for _, s := range l.scrapers {
		lead, handed = max(lead, s.floor()), max(handed, s.handed(l.limit))
	}
	return lead, max(handed, lead)
}

// floorLocked is the position of the scraper that is furthest behind.
func (l *Log) floorLocked() uint64 {
	floor := l.end
	for _, s := range l.scrapers {
		floor = min(floor, s.floor())
	}
	return floor
}

// CaughtUp says that the scraper with a number was left behind and is so no more, since
// half of the room would do for it, and without how many samples it is, about.
func (l *Log) CaughtUp(scraper int) (without float64, is bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.scrapers[scraper]
	if !s.trails || int(l.end-s.floor()) > l.limit/2 {
		return 0, false
	}
	s.trails = false
	return s.leftBehind - s.trailing, true
}
