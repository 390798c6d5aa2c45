package exporter

import (
	"math"
	"time"
)

const (
	// rateMemory is how long the estimate of a rate remembers: a few intervals
	// of the usual 30 s.
	rateMemory = time.Minute
	// rateKnown is after what time an estimate is relied upon.
	rateKnown = 5 * time.Second
	// slowestPace is the least that a hub which catches up is sent, in bytes
	// per second, so that a few gateways' backlog does not take for ever.
	slowestPace = 16 << 10
)

// meter estimates how much arrives per second: the average over all time, of
// which the past counts less and less (an exponentially weighted average, with
// the weights of what was before the start taken out).
type meter struct {
	amount, seconds float64 // weighted
	last            time.Time
}

// add notes that n arrived.
func (m *meter) add(n int, now time.Time) {
	m.decay(now)
	m.amount += float64(n)
}

func (m *meter) decay(now time.Time) {
	if m.last.IsZero() {
		m.last = now
	}
	passed := now.Sub(m.last).Seconds()
	if passed <= 0 {
		return
	}
	keep := math.Exp(-passed / rateMemory.Seconds())
	m.amount *= keep
	m.seconds = m.seconds*keep + rateMemory.Seconds()*(1-keep)
	m.last = now
}

// perSecond returns the estimate, and whether it can be relied upon.
func (m *meter) perSecond(now time.Time) (float64, bool) {
	m.decay(now)
	if m.seconds < rateKnown.Seconds() {
		return 0, false
	}
	return m.amount / m.seconds, true
}

// pace is a token bucket of bytes that holds back what a hub is sent while it
// catches up after a failure.
type pace struct {
	on     bool
	tokens float64
	last   time.Time
}

// start begins with an empty bucket.
func (p *pace) start(now time.Time) { *p = pace{on: true, last: now} }

// allow returns how many bytes may be sent now at a rate in bytes per second, or
// how long to wait until a request is worth while. Little is saved up, so that no
// second sees much more than the rate.
func (p *pace) allow(perSecond float64, now time.Time) (bytes int, wait time.Duration) {
	perSecond = max(perSecond, slowestPace)
	p.tokens = min(p.tokens+perSecond*now.Sub(p.last).Seconds(), perSecond/10)
	p.last = now
	if enough := perSecond / 20; p.tokens < enough {
		return 0, time.Duration((enough - p.tokens) / perSecond * float64(time.Second))
	}
	return int(p.tokens), 0
}

// spend takes tokens out. The bucket may be overdrawn, by a parcel that is larger
// than what was left.
func (p *pace) spend(bytes int) { p.tokens -= float64(bytes) }
