package queue

import (
	"math"
	"slices"
	"time"
)

const (
	// rateMemory is how long the estimate of a rate remembers: a few intervals
	// of the usual 30 s.
	rateMemory = time.Minute
	// rateKnown is after what time an estimate is relied upon.
	rateKnown = 5 * time.Second
	// freshAge is how old a parcel may be, beside BatchWait, that waits for a slow
	// hub and is no backlog.
	freshAge = 2 * time.Second
	// slowestPace is the least that a hub which catches up is sent, in bytes
	// per second, so that a few gateways' backlog does not take for ever.
	slowestPace = 16 << 10
	// idlePace is how much less than that is submitted, in bytes per second, by a controller that only
	// empties its queue: nothing that its pace could be a multiple of.
	idlePace = slowestPace / 16
	// idleStep is in which time its pace doubles, up to fastestIdle, until the hub refuses something.
	idleStep    = 10 * time.Second
	fastestIdle = 4 << 20
	// fastestPace bounds what is computed with; no hub takes as much.
	fastestPace = 16 << 30
)

// leastPace is the least that a hub is sent which has been catching up for a while.
func leastPace(usual float64, since time.Duration) float64 {
	if usual >= idlePace {
		return slowestPace
	}
	return min(slowestPace*math.Exp2(since.Seconds()/idleStep.Seconds()), fastestIdle)
}

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

const (
	// paceWindow is the time in which a hub gets no more than its pace gives it:
	// a second, and something for requests that go out later than they were
	// allowed to.
	paceWindow = 1100 * time.Millisecond
	// paceStep is the least that is worth a request, of what a second gives.
	paceStep = 0.1
)

// pace holds back what a hub is sent while it catches up after a failure. A token
// bucket of bytes spreads it evenly. Beside that no second has more than its
// share, also when senders are late or the hub is slow and much was saved up.
type pace struct {
	on     bool
	since  time.Time
	tokens float64
	last   time.Time
	sent   []portion // within paceWindow, oldest first
}

// portion is what one request took.
type portion struct {
	at    time.Time
	bytes int
}

// start begins with an empty bucket.
func (p *pace) start(now time.Time) { *p = pace{on: true, since: now, last: now, sent: p.sent[:0]} }

// allow returns how many bytes may be sent now at a rate in bytes per second, or
// how long to wait until it is worth while.
func (p *pace) allow(perSecond float64, now time.Time) (bytes int, wait time.Duration) {
	if !(perSecond < fastestPace) { // so that NaN, which is 0 times infinity, is none
		perSecond = fastestPace
	}
	p.tokens = min(p.tokens+perSecond*now.Sub(p.last).Seconds(), perSecond)
	p.last = now
	step := paceStep * perSecond
	if p.tokens < step {
		return 0, time.Duration((step-p.tokens)/perSecond*float64(time.Second)) + 1 // rounded up
	}
	left := p.left(perSecond, now)
	if left < step/2 { // requests do not use up all that is allowed
		return 0, p.sent[0].at.Add(paceWindow).Sub(now)
	}
	return int(min(p.tokens, left)), 0
}

// left returns what the last requests leave of the window.
func (p *pace) left(perSecond float64, now time.Time) float64 {
	old := 0
	for old < len(p.sent) && now.Sub(p.sent[old].at) >= paceWindow {
		old++
	}
	p.sent = slices.Delete(p.sent, 0, old)
	left := perSecond * paceWindow.Seconds()
	for _, s := range p.sent {
		left -= float64(s.bytes)
	}
	return left
}

// spend notes what is sent. It may be more than was allowed: a parcel that is
// larger goes alone.
func (p *pace) spend(bytes int, now time.Time) {
	p.tokens -= float64(bytes)
	p.sent = append(p.sent, portion{now, bytes})
}
