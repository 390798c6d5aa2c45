package exporter

import (
	"math"
	"slices"
	"time"
)

// Telling hubs which gateways left them, so that their series end there and are not
// counted twice until a query's lookback is over. The router notes who is where, by what
// hubs acknowledge; a teller for each hub does the telling (teller.go).
//
// What is told is an end: a gateway's samples go elsewhere, from the time of the first one
// that another hub has acknowledged. The hub ends each series just before that time, or
// just after its own latest sample if that is later. So an end that is told late, when
// the gateway has returned, would end what is new. The rules:
//
//  1. An end comes to be when another hub than before acknowledges samples of the gateway,
//     with the smallest of their times. Then nothing of the gateway is under way to the
//     hub it left: a lane is in one request at a time.
//  2. A request that failed may have been taken in, and so may one that was refused when
//     net/http sent it again. So a hub that may have something of a gateway is told, too,
//     as soon as another one has acknowledged.
//  3. Samples do not go to a hub while it has not heard of an earlier end of their gateway:
//     what is to be told goes first. For that they wait while the hub is being told, and
//     maxPatience at most before; a hub that is not told by then, or that just failed to be,
//     is sent the samples, and the end is put off (open).
//  4. Else an end is told EndsDelay after it came to be. The new hub's server has the gateway's first
//     samples by then; told at once, the old one's series might end before anybody can see the new one's.
//  5. If the hub acknowledges these samples the gateway lives there, and the end that was put
//     off is dropped: it is overtaken. If another hub does, or the hub refuses them, it is told as before.
//
// So the ends of a gateway are told in the order of its moves, and one that is no longer
// true never, but where a hub goes on with a request that was given up (endsTimeout): then
// the gateway's next samples begin it anew.
//
// All of this is lost with the process. A hub ends by itself what has fallen silent.

const (
	// maxEnds bounds how many ends are remembered, for hubs that are down. What is too
	// many is dropped.
	maxEnds = 100_000
	// maxPatience is how long a returning gateway's samples wait for an end to be told,
	// without the request's time.
	maxPatience = time.Second
)

// end is what a hub is to be told of a gateway.
type end struct {
	of    *stay
	to    *notices
	at    int64 // time of the first sample elsewhere, in ms; noTime while no other hub has one
	state endState
	turn  int // how often it was put into to.later
}

// ripening is an end that is to be told from due on. It is no longer if its turn has passed.
type ripening struct {
	end  *end
	turn int
	due  time.Time
}

func (p ripening) over() bool { return p.end.state != endWaiting || p.end.turn != p.turn }

const noTime = math.MaxInt64

type endState int

const (
	endOpen    endState = iota // is not told unless another hub acknowledges samples
	endWaiting                 // in to.later or to.waiting
	endFlying                  // in a request
	endOver
)

// endFate is what became of an end.
type endFate int

const (
	endTold endFate = iota
	endDropped
	endUnsupported
	endOvertaken
	numEndFates
)

var endFateNames = [...]string{"told", "dropped", "unsupported", "overtaken"}

func (f endFate) String() string { return endFateNames[f] }

// ends is the router's part in this. Its mutex guards it.
type ends struct {
	stays     map[string]*stay // by gateway
	stayBytes int
	hubs      map[string]*notices // by name, also of hubs that left
	known     int                 // ends in any state but endOver
	waiting   int                 // of those, waiting or flying
	fates     [numEndFates]uint64
}

// stillGoneLocked lets an end be told after all that was put off for samples which the hub
// refused: nothing of the gateway is under way to it, and there may never be any again.
func (r *router) stillGoneLocked(o *outbox, key string) {
	s := r.ends.stays[key]
	if s == nil {
		return
	}
	for _, e := range slices.Clone(s.left) {
		if e.to == o.notices && e.state == endOpen && e.at != noTime {
			r.queueEndLocked(e, time.Now())
		}
	}
}

// openEndLocked makes an end that is not to be told yet, if there is none for that hub.
func (r *router) openEndLocked(s *stay, to *notices) {
	if slices.ContainsFunc(s.left, func(e *end) bool { return e.to == to }) {
		return
	}
	if r.ends.known >= maxEnds {
		r.ends.fates[endDropped]++
		return
	}
	r.ends.known++
	s.left = append(s.left, &end{of: s, to: to, at: noTime})
}

// queueEndLocked lets an end be told that is open.
func (r *router) queueEndLocked(e *end, now time.Time) {
	n := e.to
	switch {
	case n.gone, longestLine(e.of.key) > endsBytes:
		r.finishEndLocked(e, endDropped)
		return
	case now.Before(n.deaf):
		r.finishEndLocked(e, endUnsupported)
		return
	}
	if r.closed {
		r.waitLocked(e, now)
	} else {
		r.ends.waiting++
		n.untold++
		e.state = endWaiting
		e.turn++
		n.later = append(n.later, ripening{e, e.turn, now.Add(r.set.endsDelay)})
	}
	n.signal()
}

// ripenLocked lets ends be told whose time has come, as many as go into a request, or all.
func (r *router) ripenLocked(n *notices, now time.Time, all bool) {
	for taken := 0; len(n.later) > 0 && (all || taken < endsAtOnce && (!n.later[0].due.After(now) || n.later[0].over())); taken++ {
		if p := n.later[0]; !p.over() {
			r.ripeLocked(p.end, now)
		}
		n.later[0] = ripening{} // else the array keeps it
		n.later = n.later[1:]
	}
}

// ripeLocked lets one be told that waits.
func (r *router) ripeLocked(e *end, now time.Time) {
	e.turn++
	if _, is := e.to.waiting[e]; is {
		return
	}
	if len(e.to.waiting) == 0 {
		e.to.since = now
	}
	e.to.waiting[e] = struct{}{}
}

func (r *router) waitLocked(e *end, now time.Time) {
	n := e.to
	if len(n.waiting) == 0 {
		n.since = now
	}
	if e.state != endFlying {
		r.ends.waiting++
		n.untold++
	}
	e.state = endWaiting
	n.waiting[e] = struct{}{}
}

// putOffLocked makes an end open that waits or flies.
func (r *router) putOffLocked(e *end) {
	if e.state == endWaiting || e.state == endFlying {
		r.ends.waiting--
		e.to.untold--
		delete(e.to.waiting, e)
	}
	e.state = endOpen
}

// finishEndLocked notes what became of an end. One that never was to be told counts as
// nothing.
func (r *router) finishEndLocked(e *end, fate endFate) {
	r.putOffLocked(e)
	e.state = endOver
	e.of.left = slices.DeleteFunc(e.of.left, func(other *end) bool { return other == e })
	r.ends.known--
	if e.at != noTime {
		r.ends.fates[fate]++
	}
}

// endsFirstLocked returns how long a lane's samples may not be sent to o, since the hub is
// to hear first that the gateway had left it. If that is no time any more the end is
// put off.
func (r *router) endsFirstLocked(o *outbox, l *lane, now time.Time) time.Duration {
	if r.ends.waiting == 0 {
		return 0
	}
	s := r.ends.stays[l.key]
	if s == nil {
		return 0
	}
	for _, e := range s.left {
		if e.to != o.notices || e.state == endOpen {
			continue
		}
		n := e.to
		if e.state == endFlying {
			return endsTimeout // or until it has landed
		}
		if n.failures == 0 {
			if n.patience.IsZero() {
				n.patience = now.Add(maxPatience)
			}
			if left := n.patience.Sub(now); left > 0 {
				r.ripeLocked(e, now)
				n.hurry = true
				n.signal()
				return left
			}
		}
		r.putOffLocked(e)
	}
	return 0
}

// hurryEndsLocked has all be told now, since the router is closed.
func (r *router) hurryEndsLocked() {
	for _, n := range r.ends.hubs {
		n.retryAt = time.Time{}
		r.ripenLocked(n, time.Now(), true)
		n.signal()
	}
}

// endsSettledLocked reports whether every hub has been told, or has failed to be since
// the router was closed.
func (r *router) endsSettledLocked() bool {
	if r.ends.waiting == 0 {
		return true
	}
	for _, n := range r.ends.hubs {
		if n.flying > 0 || len(n.waiting) > 0 && !n.tried && n.manned {
			return false
		}
	}
	return true
}

// giveUpEndsLocked drops what hubs were not told, after the tellers have ended.
func (r *router) giveUpEndsLocked() {
	for _, n := range r.ends.hubs {
		r.ripenLocked(n, time.Time{}, true)
		for e := range n.waiting {
			r.finishEndLocked(e, endDropped)
		}
	}
}

// endsSnapshot is all of it at one moment.
type endsSnapshot struct {
	fates   [numEndFates]uint64
	waiting int
	byHub   map[string]int // those with something to be told
	deaf    []string       // sorted
}

func (r *router) endsSnapshotLocked(now time.Time) endsSnapshot {
	s := endsSnapshot{fates: r.ends.fates, waiting: r.ends.waiting, byHub: map[string]int{}}
	for name, n := range r.ends.hubs {
		if n.untold > 0 {
			s.byHub[name] = n.untold
		}
		if now.Before(n.deaf) {
			s.deaf = append(s.deaf, name)
		}
	}
	slices.Sort(s.deaf)
	return s
}
