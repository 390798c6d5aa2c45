package samples

import (
	"time"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// A log that is kept on disk as well takes a batch in two steps: room is reserved, and once
// the batch is on disk it is published. What is there in the same order as here has the same positions.

// Arrived is a batch for which room was reserved, and when it came.
type Arrived struct {
	*Columns
	Runs   []Run
	Time   time.Time
	Handed bool // another hub hands it over: it is no report of its gateways, and may be older than their first ones here
}

// Stretch is samples that the log wrote itself.
type Stretch struct {
	Columns
	Runs     []Run
	Position uint64 // of the first
}

// Publish takes batches whose numbers are those of the table of a generation, one behind the other, and all
// at once. It returns what it wrote behind all of them because gateways came.
func (l *Log) Publish(generation uint64, batches []Arrived) (firsts Stretch, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if generation != l.generation {
		return Stretch{}, series.ErrReplaced
	}
	var f follower
	for _, b := range batches {
		l.reserved -= b.Len()
		l.arrivals.note(l.end, b.Time.Sub(l.made))
		f = l.follower(b.Time)
		f.handed = b.Handed
		l.copyLocked(b.Columns, b.Runs, &f)
	}
	if len(l.coming) == 0 {
		return Stretch{}, nil
	}
	l.welcomeLocked(&f)
	firsts = Stretch{l.extra, l.extraRuns, l.end}
	l.copyLocked(&l.extra, l.extraRuns, nil)
	l.extra, l.extraRuns = Columns{}, nil
	return firsts, nil
}

// GiveBack gives back room that was reserved for so many samples.
func (l *Log) GiveBack(samples int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reserved -= samples
}

// Generation is that of the table whose numbers the samples to come have to bear.
func (l *Log) Generation() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.generation
}

// Life is what the log knows of a gateway's coming and going. Times are in milliseconds since the epoch.
type Life struct {
	First int64 // time of its first sample, or 0 while it is not here
	Ended int64 // time of the newest marker of its last end, or 0
	Note  int64 // time of the newest sample that was written of First
}

// Lives returns what the log knows of gateways, by their numbers.
func (l *Log) Lives(gateways []uint32) []Life {
	l.mu.Lock()
	defer l.mu.Unlock()
	lives := make([]Life, len(gateways))
	for i, g := range gateways {
		a := l.lifeLocked(g)
		lives[i] = Life{a.first, a.ended, a.note}
	}
	return lives
}
