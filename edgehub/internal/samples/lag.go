package samples

import (
	"math"
	"time"
)

// Pending is the number of samples that are to be kept because no scraper has them or
// was handed them, and how long ago the oldest of them arrived, up to a second more.
func (l *Log) Pending() (samples int, oldest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.standingLocked()
	return n.pending, l.ageLocked(n.lead)
}

// Behind is the number of samples that the scraper furthest behind has not got for sure.
func (l *Log) Behind() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int(l.end - l.floorLocked())
}

// Unsure is how many of those that some scraper was to have first are on their way, and
// not known to have arrived.
func (l *Log) Unsure() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	lead, handed := l.leadLocked()
	return int(handed - lead)
}

// LeftBehind is the number of samples that scrapers were left behind, each counted.
func (l *Log) LeftBehind() (samples uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.scrapers {
		samples += uint64(math.Round(s.leftBehind))
	}
	return samples
}

// Left is what Behind is, and a channel that is closed when a cursor moves next.
func (l *Log) Left() (samples int, moved <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.moved == nil {
		l.moved = make(chan struct{})
	}
	return int(l.end - l.floorLocked()), l.moved
}

// movedLocked tells whoever waits that a cursor has moved.
func (l *Log) movedLocked() {
	if l.moved != nil {
		close(l.moved)
		l.moved = nil
	}
}

// Lag is one part's distance from the end of the log.
type Lag struct {
	Scraper     string
	Part, Parts int           // Part counts from 1
	Samples     int           // of all parts, those on their way counted
	Age         time.Duration // since the oldest arrived
	LeftBehind  float64       // samples that its scraper was left behind, of all parts, so far
}

// Lags returns the lag of each cursor, in the way that its scraper divides its series now.
func (l *Log) Lags() (lags []Lag) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.scrapers {
		floor := s.floor()
		for i, p := range s.splits[0].parts {
			position := l.end
			for _, c := range p.cursors {
				position = min(position, max(floor, c.position))
			}
			lags = append(lags, Lag{
				Scraper: s.name, Part: i + 1, Parts: len(s.splits[0].parts),
				Samples: int(l.end - position), Age: l.ageLocked(position), LeftBehind: s.leftBehind,
			})
		}
	}
	return lags
}

// ageLocked is how long ago the sample at a position arrived; 0 where there is none.
func (l *Log) ageLocked(position uint64) time.Duration {
	if position >= l.end {
		return 0
	}
	at, known := l.arrivals.of(position)
	if !known {
		return 0
	}
	return time.Since(l.made) - at
}
