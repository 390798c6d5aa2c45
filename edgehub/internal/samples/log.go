package samples

import (
	"slices"
	"sync"
	"time"

	"github.com/hubring/hubring/edgehub/internal/block"
	"github.com/hubring/hubring/edgehub/internal/series"
)

// segmentSize is the number of samples in a segment, 160 KiB. A log with little room has smaller ones,
// so that it has segmentsOfRoom at least.
const (
	segmentSize    = block.Stretch
	segmentsOfRoom = 8
)

// segment is a stretch of the log. The log's lock guards it.
type segment struct {
	*stretch
	runs []Run // whose samples they are, once a gateway, until some scraper has them all
}

// stretch is the samples of a segment, in columns or in a block. Columns have their full length from
// the start, so that a reader's view of them stays while more is written behind it. When they are
// sealed another stretch takes their place, and the view keeps this one.
type stretch struct {
	Columns
	block *block.Block // nil where there are columns
	at    int          // place in the block of the first sample
}

func newSegment(size uint64) *segment {
	return &segment{stretch: &stretch{Columns: Columns{make([]series.ID, size), make([]int64, size), make([]float64, size)}}}
}

// Log holds samples in the order of their arrival, from the position of the
// cursor that is furthest behind to its end. A position is the count of samples
// that were ever appended before it.
type Log struct {
	limit  int
	size   uint64 // of a segment
	newest bool   // when full, let the oldest samples go
	times  Times
	made   time.Time

	mu         sync.Mutex
	generation uint64 // of the table whose numbers the samples bear
	segments   []*segment
	first      uint64 // position of the first sample in segments[0]
	end        uint64
	scrapers   []*scraper
	reserved   int       // samples that were admitted and are still to be written
	full       bool      // a push was refused for want of room, and an eighth of it was not free since
	released   int       // segments, the first ones, that some scraper has or was handed
	settled    int       // of those, that some scraper has
	sealed     int       // segments, the first ones, that are in blocks or would be no smaller there
	sealing    bool      // somebody seals
	holding    int       // gateways with samples in the others
	accounts   []account // by number, less one
	lives      []life    // likewise
	arrivals   arrivals
	last       []int64 // by series: the time of its last sample, or less than 0 that of a marker behind it
	coming     []newcomer
	extra      Columns // scratch space for what the log writes itself
	extraRuns  []Run
	firsts     uint64        // samples that were written of gateways' first times
	markers    uint64        // likewise
	looked     uint32        // tick at which silent gateways were last looked for
	awake      uint32        // tick from which on silence counts
	refused    uint32        // tick at which a push was last refused for want of room, or 0
	moved      chan struct{} // closed when a cursor moves; nil while nobody waits for that
}

// Times bound the samples that a server will take, from when they come; 0 is no bound.
type Times struct {
	MaxAge, MaxAhead time.Duration
	Ahead            func() time.Duration // by how much the server's clock is ahead of the hub's; nil for not at all
}

// by is a time by the server's clock.
func (t *Times) by(now time.Time) time.Time {
	if t.Ahead == nil {
		return now
	}
	return now.Add(t.Ahead())
}

// Bound sets the times. It is for a log that is not used yet.
func (l *Log) Bound(t Times) { l.times = t }

// New makes a log for so many waiting samples and these scrapers. When it is full it
// refuses what comes, or if newest lets the oldest go.
func New(limit int, newest bool, scrapers []string) *Log {
	l := &Log{limit: limit, newest: newest, made: time.Now(), size: segmentSize}
	for l.size > 1 && l.size*segmentsOfRoom > uint64(limit) {
		l.size /= 2
	}
	for _, name := range scrapers {
		l.scrapers = append(l.scrapers, newScraper(name))
	}
	return l
}

// Append takes the whole batch, whose numbers are those of the table of a generation, or
// nothing. Its error is a *FullError, or series.ErrReplaced.
func (l *Log) Append(generation uint64, batch *Columns, runs []Run, now time.Time) (m Made, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m, err = l.admitLocked(generation, batch.Len(), runs); err == nil {
		l.writeLocked(batch, runs, now)
	}
	return m, err
}

// Reserve keeps room for a batch that Write takes when its samples have their
// numbers.
func (l *Log) Reserve(generation uint64, samples int, runs []Run) (m Made, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m, err = l.admitLocked(generation, samples, runs); err == nil {
		l.reserved += samples
	}
	return m, err
}

// Write takes a batch for which room was reserved.
func (l *Log) Write(generation uint64, batch *Columns, runs []Run, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reserved -= batch.Len()
	if generation != l.generation {
		return series.ErrReplaced
	}
	l.writeLocked(batch, runs, now)
	return nil
}

func (l *Log) writeLocked(batch *Columns, runs []Run, now time.Time) {
	l.arrivals.note(l.end, now.Sub(l.made))
	f := l.follower(now)
	l.copyLocked(batch, runs, &f)
	l.arriveLocked(&f)
}

// copyLocked appends samples, and follows them unless f is nil.
func (l *Log) copyLocked(batch *Columns, runs []Run, f *follower) {
	rest := Run{}
	for from := 0; from < batch.Len(); {
		at := int(l.end % l.size)
		if at == 0 {
			l.segments = append(l.segments, newSegment(l.size))
		}
		tail := l.segments[len(l.segments)-1]
		n := copy(tail.IDs[at:], batch.IDs[from:])
		copy(tail.Times[at:], batch.Times[from:])
		copy(tail.Values[at:], batch.Values[from:])
		from += n
		l.end += uint64(n)
		for n > 0 {
			if rest.Samples == 0 {
				rest, runs = runs[0], runs[1:]
			}
			part := min(n, rest.Samples)
			a := l.holdLocked(tail, rest.Gateway, part)
			switch {
			case f == nil:
			case f.handed:
				l.followDueLocked(rest.Gateway, tail.IDs[at:at+part], tail.Times[at:at+part], f)
			case a.pushed == f.pushed && a.due > f.tick && part == 1 && int(tail.IDs[at]) < len(l.last):
				// As followLocked does; the samples of many gateways come by turns.
				if t, last := tail.Times[at], &l.last[tail.IDs[at]]; t > *last && f.takes(t) {
					if apart := t - *last; apart < int64(a.spacing) {
						a.spacing = uint32(apart)
					}
					*last = t
				}
			default:
				if a.pushed != f.pushed {
					a.pushed = f.pushed
					l.reportedLocked(rest.Gateway, f.tick)
				}
				if a.due <= f.tick {
					l.followDueLocked(rest.Gateway, tail.IDs[at:at+part], tail.Times[at:at+part], f)
				} else {
					a.spacing = l.followLocked(a.spacing, tail.IDs[at:at+part], tail.Times[at:at+part], f)
				}
			}
			at += part
			rest.Samples -= part
			n -= part
		}
	}
}

// holdLocked notes that the last segment has so many more samples of a gateway, and returns
// its account.
func (l *Log) holdLocked(tail *segment, gateway uint32, samples int) *account {
	a := l.accountLocked(gateway)
	if a.held == 0 {
		l.holding++
	}
	a.held += samples
	if a.last != tail {
		a.last, a.lastRun = tail, int32(len(tail.runs))
		a.runs++
		tail.runs = append(tail.runs, Run{Gateway: gateway})
	}
	tail.runs[a.lastRun].Samples += samples
	return a
}

// dropLocked drops the segments that every cursor has passed.
func (l *Log) dropLocked() {
	l.releaseLocked()
	floor := l.floorLocked()
	if drop := int((floor - l.first) / l.size); drop > 0 {
		l.segments = slices.Delete(l.segments, 0, drop)
		l.first += uint64(drop) * l.size
		l.released -= drop
		l.settled -= drop
		l.sealed = max(0, l.sealed-drop)
	}
	l.arrivals.forget(floor)
}

// releaseLocked takes the samples of the segments that some scraper has, or was handed,
// off their gateways: they are in nobody's way, and stay for the others while there is
// room. What was handed over and does not arrive counts again.
func (l *Log) releaseLocked() {
	lead, handed := l.leadLocked()
	released := int((handed - l.first) / l.size)
	for ; l.released < released; l.released++ {
		l.countLocked(l.segments[l.released], -1)
	}
	for ; l.released > released; l.released-- {
		l.countLocked(l.segments[l.released-1], +1)
	}
	for settled := int((lead - l.first) / l.size); l.settled < settled; l.settled++ {
		s := l.segments[l.settled]
		for _, r := range s.runs {
			a := l.accountLocked(r.Gateway)
			if a.runs--; a.last == s {
				a.last = nil
			}
		}
		s.runs = nil
	}
}

// countLocked counts the samples of a segment for their gateways, or no more.
func (l *Log) countLocked(s *segment, sign int) {
	for _, r := range s.runs {
		a := l.accountLocked(r.Gateway)
		if a.held == 0 {
			l.holding++
		}
		if a.held += sign * r.Samples; a.held == 0 {
			l.holding--
		}
	}
}

// passedLocked is about how many of a gateway's held samples some scraper has or was
// handed: those of the first segment that is not released, in proportion.
func (l *Log) passedLocked(gateway uint32) int {
	if l.released == len(l.segments) {
		return 0
	}
	_, handed := l.leadLocked()
	start := l.first + uint64(l.released)*l.size
	passed, size := handed-start, min(l.end-start, l.size)
	for _, r := range l.segments[l.released].runs {
		if r.Gateway == gateway {
			return r.Samples * int(passed) / int(size)
		}
	}
	return 0
}

// forgetLocked forgets the series whose numbers become free.
func (l *Log) forgetLocked(keep []bool) {
	for id := range min(len(keep), len(l.last)) {
		if !keep[id] {
			l.last[id] = 0
		}
	}
	for i := range l.lives {
		if own := l.lives[i].own; own != 0 && !keep[own-1] {
			l.lives[i], l.accounts[i].due = life{}, 0
		}
	}
}

// Mark marks the series that have samples that some cursor has not passed, by number, and
// returns the log's end for Replace.
func (l *Log) Mark(keep []bool) (end uint64) {
	l.mu.Lock()
	v := l.viewLocked(l.floorLocked(), l.end)
	l.mu.Unlock()
	for s := range v.Keys() {
		for _, id := range s.IDs {
			keep[id] = true
		}
	}
	return v.To
}

// Replace makes the numbers of the next generation those of the samples to come, and
// calls publish, unless a sample that was appended since a position is of a series
// that is not to be kept.
func (l *Log) Replace(generation uint64, since uint64, keep []bool, publish func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.viewLocked(max(since, l.first), l.end)
	for s := range v.Keys() {
		for _, id := range s.IDs {
			if !keep[id] {
				return false
			}
		}
	}
	l.generation = generation
	l.forgetLocked(keep)
	publish()
	return true
}
