package samples

import (
	"math"
	"slices"
	"time"
)

// StartAt makes a log that is empty begin at a position, with samples that came at that time. Replay comes next,
// and then the log may be used.
func (l *Log) StartAt(position uint64, came time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made = time.Now().Add(-max(0, time.Since(came)))
	l.first, l.end = position-position%l.size, position
	if position > l.first {
		l.segments = append(l.segments, newSegment(l.size))
	}
	for _, s := range l.scrapers {
		s.splits = []*split{newSplit(s, 1, position)}
	}
}

// Replay takes a batch that came at that time, whatever room there is. Of gateways that come
// with it nothing is written: that comes by ReplayFirsts, and where it does not, with their next push.
func (l *Log) Replay(b Arrived) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.arrivals.note(l.end, b.Time.Sub(l.made))
	f := l.follower(b.Time)
	l.copyLocked(b.Columns, b.Runs, &f)
	for _, n := range l.coming {
		account, a := l.accountLocked(n.gateway), l.lifeLocked(n.gateway)
		a.coming = 0
		if a.first == 0 {
			*a = life{first: n.least, own: a.own, seen: f.tick, report: f.tick, reports: 1}
			account.spacing = math.MaxUint32
		}
		account.due = 1
	}
	l.coming = l.coming[:0]
}

// ReplayFirsts takes samples that the log had written itself when gateways came, likewise.
func (l *Log) ReplayFirsts(b Arrived) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.arrivals.note(l.end, b.Time.Sub(l.made))
	l.copyLocked(b.Columns, b.Runs, nil)
	due := l.tickOf(b.Time) + hour
	at := 0
	for _, r := range b.Runs {
		for range r.Samples {
			l.noteLastLocked(b, at)
			if a := l.lifeLocked(r.Gateway); a.first != 0 {
				a.note = b.Times[at]
				l.accountLocked(r.Gateway).due = due
			}
			at++
		}
	}
}

func (l *Log) noteLastLocked(b Arrived, i int) {
	id := b.IDs[i]
	if int(id) >= len(l.last) {
		l.growLastLocked(id)
	}
	l.last[id] = max(l.last[id], b.Times[i])
}

// ReplayEnd takes the markers of a gateway that had ended, likewise.
func (l *Log) ReplayEnd(gateway uint32, b Arrived) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.arrivals.note(l.end, b.Time.Sub(l.made))
	l.copyLocked(b.Columns, b.Runs, nil)
	a := l.lifeLocked(gateway)
	for i, id := range b.IDs {
		l.noteLastLocked(b, i)
		l.last[id] = -b.Times[i]
		a.ended = max(a.ended, b.Times[i])
	}
	a.first = 0
	l.accountLocked(gateway).due = 0
}

// Revive notes what was known of a gateway when something of it was written.
func (l *Log) Revive(gateway uint32, known Life) {
	l.mu.Lock()
	defer l.mu.Unlock()
	account, a := l.accountLocked(gateway), l.lifeLocked(gateway)
	if a.first == 0 && known.First != 0 {
		account.due, account.spacing = 1, math.MaxUint32
	}
	a.first, a.ended, a.note = known.First, known.Ended, known.Note
	if known.First == 0 {
		account.due = 0
	}
}

// Place is how far a scraper is.
type Place struct {
	Scraper string
	Floor   uint64   // it has everything before
	Parts   []uint64 // where each part of its series is, as it divided them last
}

// Places returns how far each scraper is.
func (l *Log) Places() []Place {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.placesLocked()
}

func (l *Log) placesLocked() (places []Place) {
	for _, s := range l.scrapers {
		p := Place{Scraper: s.name, Floor: s.floor()}
		for _, part := range s.splits[0].parts {
			at := part.cursors[0].position
			for _, c := range part.cursors {
				at = min(at, c.position)
			}
			p.Parts = append(p.Parts, max(at, p.Floor))
		}
		places = append(places, p)
	}
	return places
}

// SetPlaces puts scrapers where they were, or at the end where that is not so far yet, and
// says whether all are where they were. One that is not known there begins where the one furthest behind is.
func (l *Log) SetPlaces(places []Place) (there bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	least := Place{Floor: l.first}
	for i, p := range places {
		if i == 0 || p.Floor < least.Floor {
			least.Floor = p.Floor
		}
	}
	there = true
	for _, s := range l.scrapers {
		p := least
		if i := slices.IndexFunc(places, func(p Place) bool { return p.Scraper == s.name }); i >= 0 {
			p = places[i]
		}
		there = there && p.Floor <= l.end
		floor := min(p.Floor, l.end)
		sp := newSplit(s, max(1, len(p.Parts)), floor)
		for i, at := range p.Parts {
			there = there && at <= l.end
			sp.parts[i].cursors[0].position = min(max(at, floor), l.end)
		}
		s.splits = []*split{sp}
	}
	l.dropLocked()
	return there
}

// Floor is the position before which every scraper has everything.
func (l *Log) Floor() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.floorLocked()
}
