package samples

import (
	"sort"
	"time"
)

// arrivals remembers when the samples of a log came in, to the second, or coarser
// where much waits for long. Its times are since the log was made: a clock that is set
// back changes no age.
type arrivals struct {
	marks []arrival
	step  time.Duration // between two
}

type arrival struct {
	position uint64
	time     time.Duration
}

const (
	arrivalStep = time.Second // when little waits
	maxArrivals = 8192
)

// note says that the samples from a position on arrive now.
func (a *arrivals) note(position uint64, now time.Duration) {
	n := len(a.marks)
	if n <= 1 {
		a.step = arrivalStep
	}
	if n > 0 && now < a.marks[n-1].time+a.step {
		return
	}
	if n >= maxArrivals {
		a.step *= 2
		kept := a.marks[:0]
		for i := 0; i < len(a.marks); i += 2 {
			kept = append(kept, a.marks[i])
		}
		a.marks = kept
	}
	a.marks = append(a.marks, arrival{position, now})
}

// of is when the sample at a position came in, or a little before.
func (a *arrivals) of(position uint64) (at time.Duration, known bool) {
	i := a.after(position)
	if i == 0 {
		return 0, false
	}
	return a.marks[i-1].time, true
}

// forget drops what lies before a position.
func (a *arrivals) forget(position uint64) {
	if drop := a.after(position) - 1; drop > 0 {
		a.marks = append(a.marks[:0], a.marks[drop:]...)
	}
}

// after is the index of the first mark behind a position.
func (a *arrivals) after(position uint64) int {
	return sort.Search(len(a.marks), func(i int) bool { return a.marks[i].position > position })
}
