package edgehub

import (
	"cmp"
	"slices"
)

// point is a sample within its series.
type point struct {
	time  int64
	value float64
}

// arrangement is a stretch of the log in the order in which it is written: by
// family, by series, by time.
type arrangement struct {
	rank   *ranking
	points []point
	starts []uint32 // by series number: where its points begin
	counts []uint32 // by series number: how many it has
	tooOld int
	ahead  int
}

// arrange sorts a view by counting: one pass to count the samples of each
// series, one to put them in place. Samples outside the span of times, in
// milliseconds, are left out and counted.
func arrange(v view, rank *ranking, oldest, newest int64) *arrangement {
	a := &arrangement{
		rank:   rank,
		starts: make([]uint32, len(rank.series)),
		counts: make([]uint32, len(rank.series)),
	}
	for s, r := range v.parts() {
		for i := r[0]; i < r[1]; i++ {
			switch t := s.times[i]; {
			case t < oldest:
				a.tooOld++
			case t > newest:
				a.ahead++
			default:
				a.counts[s.ids[i]]++
			}
		}
	}
	next := uint32(0)
	for _, id := range rank.order {
		a.starts[id] = next
		next += a.counts[id]
	}
	a.points = make([]point, next)
	place := slices.Clone(a.starts)
	for s, r := range v.parts() {
		for i := r[0]; i < r[1]; i++ {
			if t := s.times[i]; t >= oldest && t <= newest {
				id := s.ids[i]
				a.points[place[id]] = point{t, s.values[i]}
				place[id]++
			}
		}
	}
	return a
}

// of returns the points of a series by ascending time. Where two have the same
// time the one that came last stays. It may be called once for each series.
func (a *arrangement) of(id seriesID) []point {
	n := a.counts[id]
	points := a.points[a.starts[id] : a.starts[id]+n]
	if n < 2 || ascending(points) {
		return points
	}
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
