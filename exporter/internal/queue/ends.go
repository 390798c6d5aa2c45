package queue

import (
	"math"
	"slices"
	"time"
)

// Telling hubs which gateways left them, so that their series end there and are not
// counted twice until a query's lookback is over. The queue notes who is where, by what
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
	to    *Notices
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

// NoTime is later than any sample.
const NoTime = math.MaxInt64

type endState int

const (
	endOpen    endState = iota // is not told unless another hub acknowledges samples
	endWaiting                 // in to.later or to.waiting
	endFlying                  // in a request
	endOver
)

// EndFate is what became of an end.
type EndFate int

// What becomes of an end.
const (
	EndTold        EndFate = iota
	EndDropped             // too many wait, the hub refuses, left for long, or Run has ended
	EndUnsupported         // by an older hub
	EndOvertaken           // the gateway returned before
	numEndFates
)

var endFateNames = [...]string{"told", "dropped", "unsupported", "overtaken"}

func (f EndFate) String() string { return endFateNames[f] }

// ends is the queue's part in this. Its mutex guards it.
type ends struct {
	stays     map[string]*stay // by gateway
	stayBytes int
	hubs      map[string]*Notices // by name, also of hubs that left
	known     int                 // ends in any state but endOver
	waiting   int                 // of those, waiting or flying
	fates     [numEndFates]uint64
}

// stillGoneLocked lets an end be told after all that was put off for samples which the hub
// refused: nothing of the gateway is under way to it, and there may never be any again.
func (q *Queue) stillGoneLocked(o *Outbox, key string, now time.Time) {
	s := q.ends.stays[key]
	if s == nil {
		return
	}
	for _, e := range slices.Clone(s.left) {
		if e.to == o.Notices && e.state == endOpen && e.at != NoTime {
			q.queueEndLocked(e, now)
		}
	}
}

// openEndLocked makes an end that is not to be told yet, if there is none for that hub.
func (q *Queue) openEndLocked(s *stay, to *Notices) {
	if slices.ContainsFunc(s.left, func(e *end) bool { return e.to == to }) {
		return
	}
	if q.ends.known >= maxEnds {
		q.ends.fates[EndDropped]++
		return
	}
	q.ends.known++
	s.left = append(s.left, &end{of: s, to: to, at: NoTime})
}

// queueEndLocked lets an end be told that is open.
func (q *Queue) queueEndLocked(e *end, now time.Time) {
	n := e.to
	switch {
	case n.gone, longestLine(e.of.key) > endsBytes:
		q.finishEndLocked(e, EndDropped)
		return
	case now.Before(n.deaf):
		q.finishEndLocked(e, EndUnsupported)
		return
	}
	if q.closed {
		q.waitLocked(e, now)
	} else {
		q.ends.waiting++
		n.untold++
		e.state = endWaiting
		e.turn++
		n.later = append(n.later, ripening{e, e.turn, now.Add(q.set.EndsDelay)})
	}
	n.signal()
}

// ripenLocked lets ends be told whose time has come, or any, as many as go into a request.
func (q *Queue) ripenLocked(n *Notices, now time.Time, anyTime bool) {
	for taken := 0; len(n.later) > 0 && taken < endsAtOnce && (anyTime || !n.later[0].due.After(now) || n.later[0].over()); taken++ {
		if p := n.later[0]; !p.over() {
			q.ripeLocked(p.end, now)
		}
		n.later[0] = ripening{} // else the array keeps it
		n.later = n.later[1:]
	}
}

// ripeLocked lets one be told that waits.
func (q *Queue) ripeLocked(e *end, now time.Time) {
	e.turn++
	if _, is := e.to.waiting[e]; is {
		return
	}
	if len(e.to.waiting) == 0 {
		e.to.since = now
	}
	e.to.waiting[e] = struct{}{}
}

func (q *Queue) waitLocked(e *end, now time.Time) {
	n := e.to
	if len(n.waiting) == 0 {
		n.since = now
	}
	if e.state != endFlying {
		q.ends.waiting++
		n.untold++
	}
	e.state = endWaiting
	n.waiting[e] = struct{}{}
}

// putOffLocked makes an end open that waits or flies.
func (q *Queue) putOffLocked(e *end) {
	if e.state == endWaiting || e.state == endFlying {
		q.ends.waiting--
		e.to.untold--
		delete(e.to.waiting, e)
	}
	e.state = endOpen
}

// finishEndLocked notes what became of an end. One that never was to be told counts as
// nothing.
func (q *Queue) finishEndLocked(e *end, fate EndFate) {
	q.putOffLocked(e)
	e.state = endOver
	e.of.left = slices.DeleteFunc(e.of.left, func(other *end) bool { return other == e })
	q.ends.known--
	if e.at != NoTime {
		q.ends.fates[fate]++
	}
}

// endsFirstLocked returns how long a lane's samples may not be sent to o, since the hub is
// to hear first that the gateway had left it. If that is no time any more the end is
// put off.
func (q *Queue) endsFirstLocked(o *Outbox, l *Lane, now time.Time) time.Duration {
	if q.ends.waiting == 0 {
		return 0
	}
	s := q.ends.stays[l.key]
	if s == nil {
		return 0
	}
	for _, e := range s.left {
		if e.to != o.Notices || e.state == endOpen {
			continue
		}
		n := e.to
		if e.state == endFlying {
			return EndsTimeout // or until it has landed
		}
		if n.failures == 0 {
			if n.patience.IsZero() {
				n.patience = now.Add(maxPatience)
			}
			if left := n.patience.Sub(now); left > 0 {
				q.ripeLocked(e, now)
				n.hurry = true
				n.signal()
				return left
			}
		}
		q.putOffLocked(e)
	}
	return 0
}

// hurryEndsLocked has all be told now, since the queue is closed.
func (q *Queue) hurryEndsLocked() {
	for _, n := range q.ends.hubs {
		n.retryAt = time.Time{}
		n.signal()
	}
}

// endsSettledLocked reports whether every hub has been told, or has failed to be since
// the queue was closed.
func (q *Queue) endsSettledLocked() bool {
	if q.ends.waiting == 0 {
		return true
	}
	for _, n := range q.ends.hubs {
		if n.flying > 0 || n.untold > 0 && !n.tried && n.manned {
			return false
		}
	}
	return true
}

// finishSomeLocked ends ends of a hub that nobody is to tell it any more, as many as go into a request. It
// reports whether there are more.
func (q *Queue) finishSomeLocked(n *Notices, fate EndFate) (more bool) {
	q.ripenLocked(n, time.Time{}, true)
	left := endsAtOnce
	for e := range n.waiting {
		if left--; left < 0 {
			break
		}
		q.finishEndLocked(e, fate)
	}
	return len(n.waiting)+len(n.later) > 0
}

// giveUpSomeEnds drops some of what hubs were not told. It reports whether there is more.
func (q *Queue) giveUpSomeEnds() (more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, n := range q.ends.hubs {
		if q.finishSomeLocked(n, EndDropped) {
			return true
		}
	}
	return false
}

// EndsSnapshot is all of it at one moment.
type EndsSnapshot struct {
	Fates   [numEndFates]uint64
	Waiting int
	ByHub   map[string]int // those with something to be told
	Deaf    []string       // sorted
}

func (q *Queue) endsSnapshotLocked(now time.Time) EndsSnapshot {
	s := EndsSnapshot{Fates: q.ends.fates, Waiting: q.ends.waiting, ByHub: map[string]int{}}
	for name, n := range q.ends.hubs {
		if n.untold > 0 {
			s.ByHub[name] = n.untold
		}
		if now.Before(n.deaf) {
			s.Deaf = append(s.Deaf, name)
		}
	}
	slices.Sort(s.Deaf)
	return s
}
