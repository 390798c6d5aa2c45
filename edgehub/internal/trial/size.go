package trial

import "math"

const (
	firstWait = 30  // full responses before a larger one is tried
	lastWait  = 240 // as many at most
)

// size finds out how many samples the server takes at once: the most that are
// allowed, until it refuses. Then it searches between what was stored and what was
// refused, and later tries more with care.
type size struct {
	most int // allowed
	now  int // offered

	low, high int  // the largest that was stored, the smallest that was refused; 0: none
	guess     bool // refused without a reason, and nothing was stored since: the server may just be broken
	judged    bool // something was stored since: what is refused now is too large
	wait      int  // full responses before more is tried
	full      int  // full responses so far
	climb     int  // eighths to grow by while it climbs; 0: it does not
}

func newSize(most int) size { return size{most: most, now: most, wait: firstWait} }

// stored notes that a response of so many samples was stored.
func (s *size) stored(n int) {
	switch {
	case s.now == s.most:
		// Whatever there was could have been offered, and was taken.
		*s = newSize(s.most)
		return
	case s.guess:
		s.guess, s.judged = false, true
		s.low, s.high, s.now = n, 0, s.most
		return
	}
	s.low = max(s.low, n)
	if s.high <= s.low {
		s.high = 0
	}
	if n < s.now {
		return // says nothing of what is offered
	}
	switch {
	case s.climb > 0:
		s.climb *= 2
		s.grow()
	case s.high > 0 && s.wide():
		s.now = s.between()
	default:
		if s.full++; s.full >= s.wait {
			s.climb, s.high = 1, 0
			s.grow()
		}
	}
}

// grow offers more, by so many eighths.
func (s *size) grow() { s.now = min(s.most, s.now+max(1, s.now*min(s.climb, 8)/8)) }

// refused notes that a response of so many samples was not stored, and no series is
// suspected for it. told says that the server gave its size as the reason.
func (s *size) refused(n int, told bool) {
	s.full = 0
	if s.climb > 0 {
		s.climb, s.wait = 0, min(2*s.wait, lastWait)
	}
	if told {
		s.guess, s.judged = false, true
	}
	if !s.judged {
		s.guess = true
		s.now = max(1, min(n, s.now)/4)
		return
	}
	if n <= s.low {
		s.low = 0 // what was stored then says nothing of now
	}
	if s.high == 0 || n < s.high {
		s.high = n
	}
	switch {
	case s.low == 0 && told:
		s.now = max(1, n/2)
	case s.low == 0:
		s.now = max(1, n/4)
	case s.wide():
		s.now = s.between()
	default:
		s.now = s.low
	}
}

// tooMany notes that so many samples were refused for nothing but their number, while
// others were stored, at most so many at once.
func (s *size) tooMany(refused, stored int) {
	if stored < refused {
		s.low = max(s.low, stored)
	}
	s.refused(refused, true)
}

// wide says whether it is worth to look between what was stored and what was refused.
func (s *size) wide() bool { return s.high-s.low > max(1, s.low/16) }

// between is the geometric mean: the two may be far apart.
func (s *size) between() int {
	return min(max(int(math.Sqrt(float64(s.low)*float64(s.high))), s.low+1), s.high-1)
}
