package queue

import (
	"time"
)

// flushProbeWait bounds the wait for the next probe while Run flushes: there is little
// time left, and a probe is cheap.
const flushProbeWait = time.Second

// backoff returns how long to step over a hub that failed n times in a row:
// lowest, doubled for each failure after the first, at most highest. A random
// part of up to a half is taken off, so that controllers that lost a hub
// together do not return to it together.
func backoff(n int, lowest, highest time.Duration, random func(int64) int64) time.Duration {
	d := highest
	if shift := max(n-1, 0); shift < 32 && lowest < highest>>shift {
		d = lowest << shift
	}
	return d - time.Duration(random(int64(d)/2+1))
}
