package edgehub

import (
	"cmp"
	"math"
	"runtime"
	"slices"
)

// point is a sample within its series.
type point struct {
	time  int64
	value float64
}

// choice says which samples of a view are to be written.
type choice struct {
	part, parts    int   // of the series; part counts from 0
	most           int   // samples
	oldest, newest int64 // in milliseconds
	onlyFirst      bool  // of each series, the others are for the next time
}

var everything = choice{parts: 1, most: math.MaxInt, oldest: math.MinInt64, newest: math.MaxInt64}

// share is where the points of a series begin and how many there are.
type share struct{ from, count uint32 }

// arrangement is a stretch of the log in the order in which it is written: by
// family, by series, by time.
type arrangement struct {
	view   view // ends where the samples were enough
	rank   *ranking
	points []point
	shares []share // by series number
	choice choice
	passed int // samples of the part in the view, but for those held before
	tooOld int
	ahead  int
	rest   columns // left for the next time, once it is written
}

const otherPart = math.MaxUint32

// arrange sorts a view by counting: one pass to count the samples of each
// series, one to put them in place. Samples outside the span of times are left
// out and counted.
func arrange(v view, rank *ranking, c choice) *arrangement {
	a := &arrangement{
		view:   v,
		choice: c,
		rank:   rank,
		shares: make([]share, len(rank.traits)),
	}
	place := make([]uint32, len(rank.traits))
	if c.parts > 1 {
		rank.mark(place, c.part, c.parts)
	}
	a.count(place)
	next := uint32(0)
	for _, id := range rank.order {
		a.shares[id].from = next
		if place[id] != otherPart {
			place[id] = next
		}
		next += a.shares[id].count
	}
	a.points = make([]point, next)
	for s := range a.view.stretches() {
		for i, id := range s.ids {
			if t := s.times[i]; t >= c.oldest && t <= c.newest && place[id] != otherPart {
				a.points[place[id]] = point{t, s.values[i]}
				place[id]++
			}
		}
		runtime.Gosched() // pushes first
	}
	return a
}

// mark marks the series that are not of a part.
func (r *ranking) mark(place []uint32, part, parts int) {
	for _, id := range r.order {
		if r.partOf(id, parts) != part {
			place[id] = otherPart
		}
	}
}

// partOf maps a series' hash onto the parts, without a division.
func (r *ranking) partOf(id seriesID, parts int) int {
	return int(uint64(r.traits[id].group) * uint64(parts) >> 32)
}

// count counts the samples of each series of the part, and ends the view where
// they are enough. What was held before is not bounded again.
func (a *arrangement) count(place []uint32) {
	a.countIn(a.view.held, place, math.MaxInt)
	position := a.view.from
	for s := range a.view.logged() {
		n, read := a.countIn(s, place, a.choice.most-a.passed)
		a.passed += n
		position += uint64(read)
		if read < s.len() {
			a.view.to = position
			return
		}
	}
}

// countIn counts at most so many samples. It returns how many it counted and on
// how many it spent them.
func (a *arrangement) countIn(s columns, place []uint32, most int) (counted, read int) {
	oldest, newest := a.choice.oldest, a.choice.newest
	for i, id := range s.ids {
		if place[id] == otherPart {
			continue
		}
		if counted == most {
			return counted, i
		}
		counted++
		switch t := s.times[i]; {
		case t < oldest:
			a.tooOld++
		case t > newest:
			a.ahead++
		default:
			a.shares[id].count++
		}
	}
	return counted, s.len()
}

// tally is what a cursor passes: samples, and how many of them are dropped.
type tally struct{ passed, tooOld, ahead int }

// since is the tally of the part's samples from a position to the end of the view.
func (a *arrangement) since(position uint64) tally {
	if position <= a.view.from {
		return tally{a.passed, a.tooOld, a.ahead}
	}
	var n tally
	rest := a.view
	rest.from = position
	for s := range rest.logged() {
		for i, id := range s.ids {
			if a.choice.parts > 1 && a.rank.partOf(id, a.choice.parts) != a.choice.part {
				continue
			}
			n.passed++
			switch t := s.times[i]; {
			case t < a.choice.oldest:
				n.tooOld++
			case t > a.choice.newest:
				n.ahead++
			}
		}
	}
	return n
}

// of returns the points of a series by ascending time. Where two have the same
// time the one that came last stays. It may be called once for each series.
func (a *arrangement) of(id seriesID) []point {
	s := a.shares[id]
	points := a.points[s.from : s.from+s.count]
	if len(points) >= 2 && !ascending(points) {
		points = sortPoints(points)
	}
	if a.choice.onlyFirst && len(points) > 1 {
		for _, p := range points[1:] {
			a.rest.add(id, p.time, p.value)
		}
		points = points[:1]
	}
	return points
}

func sortPoints(points []point) []point {
	slices.SortStableFunc(points, func(p, q point) int { return cmp.Compare(p.time, q.time) })
	kept := points[:1]
	for _, p := range points[1:] {
		if last := &kept[len(kept)-1]; last.time == p.time {
			*last = p
		} else {
			kept = append(kept, p)
		}
	}
	return kept
}

// ascending says whether no two points are out of order or of equal time.
func ascending(points []point) bool {
	for i := 1; i < len(points); i++ {
		if points[i].time <= points[i-1].time {
			return false
		}
	}
	return true
}
