package samples

import (
	"slices"
	"time"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// Ended is what an end of a gateway did.
type Ended struct {
	Made
	Was      bool    // it was here
	Markers  Columns // that were written
	Position uint64  // of the first
}

// EndMoved ends a gateway with these series, whose first sample at another hub has this
// time: a millisecond before it each series gets a marker, or one behind its last sample where
// that is later. It does nothing where the gateway is not here, or came later than that. Its
// error is a *FullError, and then nothing was done.
func (l *Log) EndMoved(gateway uint32, ids []series.ID, first int64, now time.Time) (Ended, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.lifeLocked(gateway)
	if a.first == 0 || first < a.first {
		return Ended{}, nil
	}
	at := first - 1
	if l.times.MaxAhead > 0 {
		at = min(at, l.times.by(now).Add(l.times.MaxAhead).UnixMilli())
	}
	return l.endLocked(gateway, ids, func(last int64) int64 { return max(at, last+1) }, now)
}

// EndHanded ends, likewise, what another hub has handed over of a gateway that had ended there right before a time: series
// that have a sample of that time or a newer one go on here, and where there are some the gateway does.
func (l *Log) EndHanded(gateway uint32, ids []series.ID, first int64, now time.Time) (Ended, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.lifeLocked(gateway)
	if a.first == 0 || first <= a.first {
		return Ended{}, nil
	}
	at := func(int64) int64 { return first - 1 }
	var over []series.ID
	for _, id := range ids {
		if int(id) < len(l.last) && l.last[id] < first-1 && a.own != uint32(id)+1 {
			over = append(over, id)
		}
	}
	stays := slices.ContainsFunc(ids, func(id series.ID) bool {
		return int(id) < len(l.last) && l.last[id] >= first-1 && a.own != uint32(id)+1
	})
	if !stays {
		return l.endLocked(gateway, ids, at, now)
	}
	e, _, err := l.markLocked(gateway, over, at, now)
	return e, err
}

// EndSilent ends a gateway if it is silent, likewise: half an interval behind the last
// sample of each series, so that a next one which is late is no older.
func (l *Log) EndSilent(gateway uint32, ids []series.ID, after int, now time.Time) (Ended, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.lifeLocked(gateway)
	if !l.silentLocked(a, l.tickOf(now), after) {
		return Ended{}, nil
	}
	half := max(1, min(int64(a.interval)*tick.Milliseconds(), int64(l.accountLocked(gateway).spacing))/2)
	return l.endLocked(gateway, ids, func(last int64) int64 { return last + half }, now)
}

// endLocked writes a marker for each series that had a sample since its last one. The log's own
// series is as old as the gateway, and ends with the series that ends last.
func (l *Log) endLocked(gateway uint32, ids []series.ID, marker func(last int64) int64, now time.Time) (Ended, error) {
	e, newest, err := l.markLocked(gateway, ids, marker, now)
	if err != nil {
		return Ended{}, err
	}
	a := l.lifeLocked(gateway)
	a.first, a.ended = 0, max(a.ended, newest)
	l.accountLocked(gateway).due = 0
	e.Was = true
	return e, nil
}

// markLocked writes the markers, and returns the time of the newest.
func (l *Log) markLocked(gateway uint32, ids []series.ID, marker func(last int64) int64, now time.Time) (e Ended, newest int64, err error) {
	a := l.lifeLocked(gateway)
	var markers Columns
	own := -1
	for _, id := range ids {
		if int(id) >= len(l.last) || l.last[id] <= 0 {
			continue
		}
		if a.own == uint32(id)+1 {
			own = markers.Len()
		}
		markers.Add(id, marker(l.last[id]), Marker())
		newest = max(newest, markers.Times[markers.Len()-1])
	}
	if own >= 0 {
		markers.Times[own] = newest
	}
	var runs []Run
	if markers.Len() > 0 {
		runs = []Run{{gateway, markers.Len()}}
		if e.Made, err = l.admitLocked(l.generation, markers.Len(), runs); err != nil {
			return Ended{}, 0, err
		}
	}
	e.Position = l.end
	l.arrivals.note(l.end, now.Sub(l.made))
	l.copyLocked(&markers, runs, nil)
	for i, id := range markers.IDs {
		l.last[id] = -markers.Times[i]
	}
	l.markers += uint64(markers.Len())
	e.Markers = markers
	return e, newest, nil
}

// Silent returns the gateways that were here and did not push for so many of their own
// intervals. It is none while pushes are refused for want of room, and at first where nobody
// asked for long.
func (l *Log) Silent(after int, now time.Time) (gateways []uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	tick := l.tickOf(now)
	if l.looked == 0 || tick-l.looked > nobodyLooked {
		l.awake = tick
	}
	l.looked = tick
	for i := range l.lives {
		if l.silentLocked(&l.lives[i], tick, after) {
			gateways = append(gateways, uint32(i+1))
		}
	}
	return gateways
}

func (l *Log) silentLocked(a *life, tick uint32, after int) bool {
	if a.first == 0 || a.reports < enoughReports || l.refused != 0 && tick-l.refused < fullFor {
		return false
	}
	return int64(tick)-int64(max(a.seen, l.awake)) >= max(int64(minSilence), int64(after)*int64(a.interval))
}

// Written is how many samples the log wrote itself: of gateways' first times, and markers.
func (l *Log) Written() (firsts, markers uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.firsts, l.markers
}

// Here returns since when gateways are here, the time of their first sample, by their
// numbers; 0 for one that is not, or has no number.
func (l *Log) Here(gateways []uint32) []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	times := make([]int64, len(gateways))
	for i, g := range gateways {
		if g != 0 {
			times[i] = l.lifeLocked(g).first
		}
	}
	return times
}
