package arrange

import (
	"cmp"
	"math"
	"runtime"
	"slices"

	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/words"
)

// Point is a sample within its series. Its time is in milliseconds since the epoch.
type Point struct {
	Time  int64
	Value float64
}

// Native says whether it is a native histogram, whose value is a word.
func (p Point) Native() bool { return words.IsHistogram(p.Value) }

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
	// LeftOut is counted by who writes it.
	LeftOut LeftOut

	view   samples.View
	choice Choice
	points []Point
	shares []share // by series number
	words  map[series.ID][]follow
	cut    int
}

// LeftOut is what could not be written, in messages: a format has no place for it, or it was cut.
type LeftOut struct {
	Histograms, Exemplars, Starts int // for which the format has no place
	Cut                           int // that were not whole, but for those of Cut
}

// follow is the words that follow the point of one time.
type follow struct {
	time  int64
	words []float64
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
	position, before := a.view.From, previous{}
	for s := range a.view.Keys() {
		read := a.countIn(s, &before, place, a.choice.Most-(a.Tally.Passed-a.Tally.SetAside))
		position += uint64(read)
		if read < s.Len() {
			a.end(position)
			return
		}
		before.end(s)
	}
}

// previous is the last sample of what was yielded before, as far as something was.
type previous struct {
	is   bool
	id   series.ID
	time int64
}

func (p *previous) end(s samples.Columns) {
	n := s.Len() - 1
	*p = previous{true, s.IDs[n], s.Times[n]}
}

// goesOn says whether a sample may be a word that follows the one before it, so that nothing ends between the two. Of one that is packed
// that is told by its series and time.
func (p *previous) goesOn(s samples.Columns, i int) bool {
	if s.Values != nil && !words.Follows(s.Values[i]) {
		return false
	}
	if i > 0 {
		return s.IDs[i-1] == s.IDs[i] && s.Times[i-1] == s.Times[i]
	}
	return p.is && p.id == s.IDs[0] && p.time == s.Times[0]
}

func (a *Arrangement) end(position uint64) { a.To, a.view.To = position, position }

// countIn counts at most so many samples, and words that follow the last one. It returns on how many it spent them.
func (a *Arrangement) countIn(s samples.Columns, before *previous, place []uint32, most int) (read int) {
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
		if counted >= most && (!before.goesOn(s, i) || counted-most >= words.Most) {
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

// Last returns the point of a series that is the last number by its time, markers aside, and whether
// there is one.
func (a *Arrangement) Last(id series.ID) (last Point, is bool) {
	s := a.shares[id]
	for _, p := range a.points[s.from : s.from+s.count] {
		if (!is || p.Time >= last.Time) && !samples.IsMarker(p.Value) && !words.Is(p.Value) {
			last, is = p, true
		}
	}
	return last, is
}

// Of returns the points of a series by ascending time, without words that follow one. Where two have the same
// time the one that came last stays, but no marker in a sample's place.
func (a *Arrangement) Of(id series.ID) []Point {
	s := &a.shares[id]
	points := a.points[s.from : s.from+s.count]
	if !ascending(points) {
		points = a.sort(id, points)
		s.count = uint32(len(points))
	}
	return points
}

// Words returns what follows the point of a series and a time, for one that Of has returned.
func (a *Arrangement) Words(id series.ID, t int64) []float64 {
	if a.words == nil {
		return nil
	}
	of := a.words[id]
	if i, is := slices.BinarySearchFunc(of, t, func(f follow, t int64) int { return cmp.Compare(f.time, t) }); is {
		return of[i].words
	}
	return nil
}

// HasWords says whether a series that Of was called for has any, also such that follow nothing but are a sample.
func (a *Arrangement) HasWords() bool { return a.words != nil }

// Cut is how many times words followed nothing in the series that Of was called for, since the sample that they followed was cut off.
func (a *Arrangement) Cut() int { return a.cut }

// sort sorts points, and keeps of each time the last one, and what follows it. Exemplars that stand alone follow the next sample, or the
// last one where there is none.
func (a *Arrangement) sort(id series.ID, points []Point) []Point {
	if _, done := a.words[id]; done {
		return points
	}
	slices.SortStableFunc(points, func(p, q Point) int { return cmp.Compare(p.Time, q.Time) })
	kept := points[:0]
	var of []follow
	var alone, taken []float64 // exemplars that wait for a sample, and those of the last one
	for i := 0; i < len(points); {
		p, from := points[i], i+1
		for i = from; i < len(points) && points[i].Time == p.Time && words.Follows(points[i].Value); {
			i++
		}
		if words.Follows(p.Value) {
			if words.IsExemplar(p.Value) {
				alone = appendValues(alone, points[from-1:i])
			} else {
				a.cut++
			}
			continue
		}
		following := appendValues(nil, points[from:i])
		switch n := len(kept); {
		case samples.IsMarker(p.Value) && n > 0 && kept[n-1].Time == p.Time:
			continue
		case samples.IsMarker(p.Value):
			kept, taken = append(kept, p), nil
			continue
		case n > 0 && kept[n-1].Time == p.Time:
			kept[n-1] = p
			if m := len(of); m > 0 && of[m-1].time == p.Time {
				of = of[:m-1]
			}
		default:
			kept, taken = append(kept, p), nil
		}
		taken, alone = append(taken, alone...), nil
		if following = append(following, taken...); len(following) > 0 || p.Native() {
			of = append(of, follow{p.Time, following})
		}
	}
	of = a.place(alone, kept, of)
	if len(of) > 0 {
		if a.words == nil {
			a.words = map[series.ID][]follow{}
		}
		a.words[id] = of
	}
	return kept
}

func appendValues(dst []float64, points []Point) []float64 {
	for _, p := range points {
		dst = append(dst, p.Value)
	}
	return dst
}

// place has exemplars behind which no sample comes follow the last one.
func (a *Arrangement) place(alone []float64, kept []Point, of []follow) []follow {
	if len(alone) == 0 {
		return of
	}
	for i := len(kept) - 1; i >= 0; i-- {
		if samples.IsMarker(kept[i].Value) {
			continue
		}
		if m := len(of); m > 0 && of[m-1].time == kept[i].Time {
			of[m-1].words = append(of[m-1].words, alone...)
			return of
		}
		return append(of, follow{kept[i].Time, alone})
	}
	for _, w := range alone {
		if words.IsExemplar(w) {
			a.cut++
		}
	}
	return of
}

// ascending says whether no two points are out of order or of equal time, and none is a word.
func ascending(points []Point) bool {
	if len(points) > 0 && words.Is(points[0].Value) {
		return false
	}
	for i := 1; i < len(points); i++ {
		if points[i].Time <= points[i-1].Time || words.Is(points[i].Value) {
			return false
		}
	}
	return true
}
