package web

import "time"

// pace is how many samples a scraper is given at once: as many as it may have, or
// fewer when it could not take so many in its time. So one that was away for hours,
// or is at the end of a slow line, catches up step by step instead of timing out
// each time.
type pace struct{ size, most int }

// smallestBite is what any scraper has to be able to take.
const smallestBite = 10_000

func newPace(most int) pace { return pace{most, most} }

// cutOff notes that writing a response of so many samples failed or timed out.
func (p *pace) cutOff(samples int) {
	p.size = max(min(p.size, samples/2), min(smallestBite, p.most))
}

// took notes that a response of so many samples was written in a part of the
// scraper's time: the next has at most twice as many, and at most what fits half
// of the time at the same pace.
func (p *pace) took(samples int, elapsed, timeout time.Duration) {
	if samples < smallestBite {
		return // says little
	}
	fits := float64(samples) * float64(timeout) / 2 / float64(max(elapsed, 1))
	next := min(max(p.size, 2*samples), p.most)
	if fits < float64(next) {
		next = max(int(fits), min(smallestBite, p.most))
	}
	p.size = next
}
