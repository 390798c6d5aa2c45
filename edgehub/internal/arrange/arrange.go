package arrange

import (
	"cmp"
	"math"
	"runtime"
	"slices"

	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
)

// Point is a sample within its series. Its time is in milliseconds since the epoch.
type Point struct {
	Time  int64
	Value float64
}

// share is where the points of a series begin and how many there are.
type share struct{ from, count uint32 }

// Arrangement is a stretch of the log in the order in which it is written.
type Arrangement struct {
	Rank *series.Ranking
	// From and To are the positions of the log that it goes from and to.
	From, To uint64
	// Tally is what a cursor passes with it.
	Tally samples.Tally
	// SetAside is how many samples of the series that are set aside it passes; nil for none.
	SetAside map[series.ID]int

	view   samples.View
	choice Choice
	points []Point
	shares []share // by series number
}

// Where a series has no place in the points, this says why.
const (
	elsewhere = math.MaxUint32 - iota // another response has it
	setAside                          // none has it
)

// Arrange sorts a view by counting: one pass to count the samples of each
// series, one to put them in place. Samples outside the span of times are left
// out and counted.
func Arrange(v samples.View, rank *series.Ranking, c Choice) *Arrangement {
	a := &Arrangement{
		Rank: rank, From: v.From, To: v.To,
		view: v, choice: c,
		shares: make([]share, rank.Numbers()),
	}
	place := make([]uint32, rank.Numbers())
	c.mark(rank, place)
	if c.One {
		a.onlyOne(place)
	}
	a.count(place)
	next := uint32(0)
	for _, id := range rank.Order {
		a.shares[id].from = next
		if place[id] < setAside {
			place[id] = next
		}
		next += a.shares[id].count
	}
	a.points = make([]Point, next)
	for s := range a.view.Samples(func(id series.ID) bool { return place[id] < setAside }) {
		for i, id := range s.IDs {
			if t := s.Times[i]; t >= c.Oldest && t <= c.Newest && place[id] < setAside {
				a.points[place[id]] = Point{t, s.Values[i]}
				place[id]++
			}
		}
		runtime.Gosched() // pushes first
	}
	return a
}

// count counts the samples of each series of the choice, and ends the view where
// they are enough.
func (a *Arrangement) count(place []uint32) {
	position := a.view.From
	for s := range a.view.Keys() {
		read := a.countIn(s, place, a.choice.Most-(a.Tally.Passed-a.Tally.SetAside))
		position += uint64(read)
		if read < s.Len() {
			a.end(position)
			return
		}
	}
}

func (a *Arrangement) end(position uint64) { a.To, a.view.To = position, position }

// countIn counts at most so many samples. It returns on how many it spent them.
func (a *Arrangement) countIn(s samples.Columns, place []uint32, most int) (read int) {
	oldest, newest, counted := a.choice.Oldest, a.choice.Newest, 0
	for i, id := range s.IDs {
		if place[id] >= setAside {
			if place[id] == elsewhere {
				continue
			}
			a.Tally.Passed++ // it takes no place in the response
			a.Tally.SetAside++
			if a.SetAside == nil {
				a.SetAside = map[series.ID]int{}
			}
			a.SetAside[id]++
			continue
		}
		if counted == most {
			a.Tally.Passed += counted
			return i - a.begun(s, place, i)
		}
		counted++
		switch t := s.Times[i]; {
		case t < oldest:
			a.Tally.TooOld++
		case t > newest:
			a.Tally.Ahead++
		default:
			a.shares[id].count++
		}
	}
	a.Tally.Passed += counted
	return s.Len()
}

// begun takes back the samples right before one that are of its histogram or summary and of
// its time, so that these stay together, unless nothing else is there. It returns how many.
func (a *Arrangement) begun(s samples.Columns, place []uint32, i int) (n int) {
	group, t := a.Rank.Group(s.IDs[i]), s.Times[i]
	for n < i {
		id := s.IDs[i-n-1]
		if place[id] >= setAside || id == s.IDs[i] || s.Times[i-n-1] != t || a.Rank.Group(id) != group {
			break
		}
		n++
	}
	if n >= a.Tally.Passed {
		return 0
	}
	a.Tally.Passed -= n
	switch {
	case t < a.choice.Oldest:
		a.Tally.TooOld -= n
	case t > a.choice.Newest:
		a.Tally.Ahead -= n
	default:
		for _, id := range s.IDs[i-n : i] {
			a.shares[id].count--
		}
	}
	return n
}

// Samples is the number of samples to be written.
func (a *Arrangement) Samples() int { return len(a.points) }

// Count is the number of samples of a series. Those of one time become one with the first
// call of Of.
func (a *Arrangement) Count(id series.ID) int { return int(a.shares[id].count) }

// Holds says whether a series has samples in the arrangement.
func (a *Arrangement) Holds(id series.ID) bool {
	return int(id) < len(a.shares) && a.shares[id].count > 0
}

// Last returns the point of a series that is the last by its time, markers aside, and whether
// there is one.
func (a *Arrangement) Last(id series.ID) (last Point, is bool) {
	s := a.shares[id]
	for _, p := range a.points[s.from : s.from+s.count] {
		if (!is || p.Time >= last.Time) && !samples.IsMarker(p.Value) {
			last, is = p, true
		}
	}
	return last, is
}

// Of returns the points of a series by ascending time. Where two have the same
// time the one that came last stays, but no marker in a sample's place.
func (a *Arrangement) Of(id series.ID) []Point {
	s := &a.shares[id]
	points := a.points[s.from : s.from+s.count]
	if len(points) >= 2 && !ascending(points) {
		points = sortPoints(points)
		s.count = uint32(len(points))
	}
	return points
}

func sortPoints(points []Point) []Point {
	slices.SortStableFunc(points, func(p, q Point) int { return cmp.Compare(p.Time, q.Time) })
	kept := points[:1]
	for _, p := range points[1:] {
		if last := &kept[len(kept)-1]; last.Time != p.Time {
			kept = append(kept, p)
		} else if !samples.IsMarker(p.Value) {
			*last = p
		}
	}
	return kept
}

// ascending says whether no two points are out of order or of equal time.
func ascending(points []Point) bool {
	for i := 1; i < len(points); i++ {
		if points[i].Time <= points[i-1].Time {
			return false
		}
	}
	return true
}
