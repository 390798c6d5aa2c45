package samples

import (
	"math"
	"slices"
	"time"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// A gateway is here from its first sample that a server will take until it is ended. When it
// comes the log writes a sample of its own beside its first ones, and again each hour: the
// time of the first. When it is ended each of its series gets a marker behind its last sample.
// A sample that is newer than the marker of its series begins the gateway anew; an older
// one is a late one, and the server decides.

// life is what the log knows of a gateway's coming and going. Times are in milliseconds since
// the epoch, ticks since the log was made: a clock that is set changes no interval.
type life struct {
	first    int64  // time of its first sample, or 0 while it is not here
	ended    int64  // time of the newest marker of its last end, or 0
	note     int64  // time of the newest sample that was written of first
	own      uint32 // number of the series for these, and 1; 0 for none
	seen     uint32 // tick of its last push
	report   uint32 // tick of its last push that began a report
	interval uint32 // ticks between reports, about
	reports  uint8  // up to enoughReports
	anew     bool   // it was at another hub meanwhile: its next sample is a first one
	coming   int32  // place in Log.coming, and 1; 0 outside of writeLocked
}

const (
	tick = time.Second / 10
	hour = uint32(time.Hour / tick) // after which first is written again

	// Pushes within minReport of one are of the same report: a gateway's samples come in several
	// pushes, and after an outage in many at once.
	minReport     = uint32(10 * time.Second / tick)
	enoughReports = 4                               // tell an interval
	minSilence    = uint32(30 * time.Second / tick) // after which a gateway may be silent
	// nobodyLooked is how long nobody looked for silent gateways where it may be that the process
	// was halted: then silence counts from now.
	nobodyLooked = uint32(2 * time.Minute / tick)
	// fullFor is how long after a push was refused for want of room no gateway counts as silent.
	fullFor = uint32(2 * time.Minute / tick)
)

func (l *Log) tickOf(now time.Time) uint32 { return uint32(max(0, now.Sub(l.made)/tick)) + 1 }

// newcomer is a gateway of the batch that is written whose first is due.
type newcomer struct {
	gateway       uint32
	least, newest int64 // of the samples that a server will take
	handed        bool  // another hub hands some of them over
}

// Arrive notes gateways whose first series the table learns.
func (l *Log) Arrive(arrivals []series.Arrival) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, arrival := range arrivals {
		a, of := l.accountLocked(arrival.Gateway), l.lifeLocked(arrival.Gateway)
		if arrival.Fresh {
			*a, *of = account{}, life{}
		}
		if arrival.Own != series.None {
			of.own = uint32(arrival.Own) + 1
		}
	}
}

// lifeLocked returns the life of the gateway with a number, likewise as accountLocked.
func (l *Log) lifeLocked(gateway uint32) *life {
	l.accountLocked(gateway)
	return &l.lives[gateway-1]
}

// follower is what following the samples of a batch takes.
type follower struct {
	pushed       int64 // milliseconds
	tick         uint32
	oldest, span uint64 // times that a server will take
	handed       bool   // another hub hands it over
}

func (l *Log) follower(now time.Time) follower {
	f := follower{pushed: now.UnixMilli(), tick: l.tickOf(now), oldest: 1, span: math.MaxInt64}
	now = l.times.by(now)
	if l.times.MaxAge > 0 {
		f.oldest = uint64(max(1, now.Add(-l.times.MaxAge).UnixMilli()))
	}
	if l.times.MaxAhead > 0 {
		f.span = uint64(now.Add(l.times.MaxAhead).UnixMilli()) - f.oldest
	}
	return f
}

func (f *follower) takes(t int64) bool { return uint64(t)-f.oldest <= f.span }

// followLocked notes the times of some samples of a gateway that is here, and returns the
// least time between two of a series, if that is less than it was.
func (l *Log) followLocked(spacing uint32, ids []series.ID, times []int64, f *follower) uint32 {
	least := int64(spacing)
	for i, id := range ids {
		if int(id) >= len(l.last) {
			l.growLastLocked(id)
		}
		if t, was := times[i], l.last[id]; t > was && f.takes(t) {
			l.last[id] = t
			least = min(least, t-was)
		}
	}
	return uint32(least)
}

// growLastLocked makes room for the last sample of a series. Some numbers come at a time.
func (l *Log) growLastLocked(id series.ID) {
	n := (int(id) | 1023) + 1
	l.last = slices.Grow(l.last, n-len(l.last))[:n]
}

// followDueLocked does so where it is due to write first, or the gateway is not here.
func (l *Log) followDueLocked(gateway uint32, ids []series.ID, times []int64, f *follower) {
	a := l.lifeLocked(gateway)
	for i, id := range ids {
		if int(id) >= len(l.last) {
			l.growLastLocked(id)
		}
		t, was := times[i], l.last[id]
		if !f.takes(t) || a.first == 0 && t <= a.endOf(was) {
			continue
		}
		l.last[id] = max(was, t)
		if a.coming == 0 {
			l.coming = append(l.coming, newcomer{gateway: gateway, least: math.MaxInt64, handed: f.handed})
			a.coming = int32(len(l.coming))
		}
		n := &l.coming[a.coming-1]
		n.handed = n.handed || f.handed
		n.least, n.newest = min(n.least, t), max(n.newest, t)
	}
}

// endOf is the time up to which a sample does not begin a gateway anew that is not here, by
// what is noted of the last one of its series.
func (a *life) endOf(last int64) int64 {
	switch {
	case last < 0:
		return -last
	case last == 0:
		return a.ended
	default:
		return 0 // the batch that is written has begun it
	}
}

// arriveLocked writes the first samples' times of the gateways whose are due.
func (l *Log) arriveLocked(f *follower) {
	if len(l.coming) == 0 {
		return
	}
	l.welcomeLocked(f)
	l.copyLocked(&l.extra, l.extraRuns, nil)
	l.extra.Reset()
	l.extraRuns = l.extraRuns[:0]
}

// welcomeLocked puts these samples into the scratch space, and notes that the gateways are here.
func (l *Log) welcomeLocked(f *follower) {
	for _, n := range l.coming {
		account, a := l.accountLocked(n.gateway), l.lifeLocked(n.gateway)
		a.coming = 0
		at := n.newest
		switch {
		case a.anew && !n.handed:
			at = max(n.least, a.note+1)
			a.first, a.anew = at, false
			account.due = f.tick + hour
		case a.first == 0:
			*a = life{first: n.least, own: a.own, seen: f.tick, report: f.tick, reports: 1}
			account.spacing = math.MaxUint32
			at = n.least
			account.due = f.tick + hour
		case n.least < a.first && n.handed:
			a.first, at = n.least, n.least // a query has to look for it from then on
		case at <= a.note || n.handed:
			continue // the next push may have a newer one
		default:
			account.due = f.tick + hour
		}
		if a.own == 0 {
			continue
		}
		own := series.ID(a.own - 1)
		if int(own) >= len(l.last) {
			l.growLastLocked(own)
		}
		at = max(at, 1-l.last[own])
		a.note, l.last[own] = max(a.note, at), max(l.last[own], at)
		l.extra.Add(own, at, float64(a.first)/1000)
		l.extraRuns = append(l.extraRuns, Run{n.gateway, 1})
		l.firsts++
	}
	l.coming = l.coming[:0]
}

// reportedLocked notes a push of a gateway. Its interval is an average in which a gap weighs by its
// length, so that what comes in bursts counts by the pauses between them.
func (l *Log) reportedLocked(gateway, tick uint32) {
	a := l.lifeLocked(gateway)
	a.seen = tick
	gap := tick - a.report
	if int32(gap) < int32(minReport) {
		return
	}
	a.report = tick
	if a.reports < enoughReports {
		a.reports++
	}
	if a.interval == 0 {
		a.interval = gap
	} else {
		g, average := int64(gap), int64(a.interval)
		a.interval = uint32(average + (g-average)*min(g, 4*average)/(4*average))
	}
	account := l.accountLocked(gateway)
	account.spacing = uint32(min(int64(account.spacing)*9/8+1, math.MaxUint32)) // it forgets slowly
}
