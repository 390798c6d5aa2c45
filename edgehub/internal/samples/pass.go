package samples

import (
	"reflect"
	"time"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// Another hub may take what scrapers have not got: then scrapers pass it. What it does not take is put behind the end,
// so that a cursor stays one number.

// Missing is a stretch of the log in which there is something that no scraper is known to have.
type Missing struct {
	View           // from the scraper on that is furthest behind
	Lead   uint64  // some scraper has everything before
	Places []Place // how far scrapers are
}

// Missing returns the beginning of what no scraper is known to have, at most so many samples, if their numbers are those of the
// table of a generation.
func (l *Log) Missing(most int, generation uint64) (m Missing, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if generation != l.generation {
		return Missing{}, false
	}
	lead, _ := l.leadLocked()
	return Missing{l.viewLocked(l.floorLocked(), min(l.end, lead+uint64(most))), lead, l.placesLocked()}, true
}

// Again puts samples that are in the log behind its end, too, whatever room there is. Pass comes next.
func (l *Log) Again(generation uint64, batch *Columns, runs []Run, now time.Time) (Stretch, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if generation != l.generation {
		return Stretch{}, series.ErrReplaced
	}
	again := Stretch{*batch, runs, l.end}
	l.arrivals.note(l.end, now.Sub(l.made))
	l.copyLocked(batch, runs, nil)
	return again, nil
}

// Pass moves all scrapers behind a position, and notes how many samples each was left behind by that. It does nothing and
// returns false where they are not at those places any more.
func (l *Log) Pass(places []Place, to uint64, left []int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !reflect.DeepEqual(places, l.placesLocked()) {
		return false
	}
	for i, s := range l.scrapers {
		s.leftBehind += float64(left[i])
		for _, sp := range s.splits {
			for _, p := range sp.parts {
				for _, c := range p.cursors {
					l.raiseLocked(c, to)
				}
			}
		}
	}
	l.dropLocked()
	l.movedLocked()
	return true
}

// BeginAnew has the next sample of each gateway that is here count as its first one: another hub has what came before, and
// queries have to know that the gateway is back.
func (l *Log) BeginAnew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.lives {
		if l.lives[i].first != 0 {
			l.lives[i].anew, l.accounts[i].due = true, 1
		}
	}
}

// End is the position behind the last sample.
func (l *Log) End() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}
