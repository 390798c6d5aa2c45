package edgehub

import (
	"fmt"
	"iter"
	"sync"
)

// segmentSize is the number of samples in a segment, 160 KiB.
const segmentSize = 8192

// sample is one value of one series. Time is in milliseconds since the epoch.
type sample struct {
	id    seriesID
	time  int64
	value float64
}

// segment is a run of the log, a column for each part of a sample: no pointers
// for the garbage collector to follow, and no padding.
type segment struct {
	ids    [segmentSize]seriesID
	times  [segmentSize]int64
	values [segmentSize]float64
}

// log holds samples in the order of their arrival, from the position of the
// cursor that is furthest behind to its end. A position is the count of samples
// that were ever appended before it.
type log struct {
	limit int

	mu       sync.Mutex
	segments []*segment
	first    uint64 // position of the first sample in segments[0]
	end      uint64
	cursors  []*cursor
}

func newLog(limit int, cursors []*cursor) *log {
	return &log{limit: limit, cursors: cursors}
}

// append takes the whole batch or, when there is no room for it, nothing.
func (l *log) append(batch []sample) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if pending := l.end - l.floorLocked(); pending+uint64(len(batch)) > uint64(l.limit) {
		return &fullError{"hub_full", fmt.Sprintf(
			"the hub holds %d samples that wait to be scraped, this push has %d, and the limit is %d; is the hub being scraped?",
			pending, len(batch), l.limit)}
	}
	for _, s := range batch {
		i := l.end % segmentSize
		if i == 0 {
			l.segments = append(l.segments, new(segment))
		}
		tail := l.segments[len(l.segments)-1]
		tail.ids[i], tail.times[i], tail.values[i] = s.id, s.time, s.value
		l.end++
	}
	return nil
}

// floorLocked is the position of the cursor that is furthest behind.
func (l *log) floorLocked() uint64 {
	floor := l.end
	for _, c := range l.cursors {
		floor = min(floor, c.position)
	}
	return floor
}

// pending is the number of samples that a cursor has not passed yet.
func (l *log) pending(c *cursor) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end - c.position
}

// waiting is the number of samples that some cursor has not passed yet.
func (l *log) waiting() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end - l.floorLocked()
}

// view is a stretch of the log. Appends go on beyond it, and what it shows stays
// as it is even when the log drops it.
type view struct {
	segments []*segment
	first    uint64 // position of the first sample in segments[0]
	from, to uint64
}

// read returns what the cursor has not passed.
func (l *log) read(c *cursor) view {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.viewLocked(c.position)
}

// readWaiting returns what some cursor has not passed.
func (l *log) readWaiting() view {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.viewLocked(l.floorLocked())
}

func (l *log) viewLocked(from uint64) view {
	skip := (from - l.first) / segmentSize
	segments := append([]*segment(nil), l.segments[min(skip, uint64(len(l.segments))):]...)
	return view{segments: segments, first: l.first + skip*segmentSize, from: from, to: l.end}
}

func (v view) len() int { return int(v.to - v.from) }

// parts yields the segments of a view and the range of each that belongs to it.
func (v view) parts() iter.Seq2[*segment, [2]int] {
	return func(yield func(*segment, [2]int) bool) {
		start := v.first
		for _, s := range v.segments {
			from := max(v.from, start) - start
			to := min(v.to, start+segmentSize) - start
			if from < to && !yield(s, [2]int{int(from), int(to)}) {
				return
			}
			start += segmentSize
		}
	}
}
