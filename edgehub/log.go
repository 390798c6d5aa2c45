package edgehub

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
)

// segmentSize is the number of samples in a segment, 160 KiB.
const segmentSize = 8192

// columns holds samples, a column for each part: no pointers for the garbage
// collector to follow, and no padding. Times are in milliseconds since the epoch.
type columns struct {
	ids    []seriesID
	times  []int64
	values []float64
}

func (c *columns) add(id seriesID, ms int64, value float64) {
	c.ids, c.times, c.values = append(c.ids, id), append(c.times, ms), append(c.values, value)
}

// grow makes room for so many more.
func (c *columns) grow(n int) {
	c.ids, c.times, c.values = slices.Grow(c.ids, n), slices.Grow(c.times, n), slices.Grow(c.values, n)
}

func (c *columns) reset() { c.ids, c.times, c.values = c.ids[:0], c.times[:0], c.values[:0] }

func (c columns) len() int { return len(c.ids) }

// joined returns a copy of both, one behind the other.
func (c columns) joined(d columns) columns {
	return columns{slices.Concat(c.ids, d.ids), slices.Concat(c.times, d.times), slices.Concat(c.values, d.values)}
}

// part returns a stretch of the samples, in place.
func (c columns) part(from, to int) columns {
	return columns{c.ids[from:to], c.times[from:to], c.values[from:to]}
}

// segment is a stretch of the log. Its columns have their full length from the
// start, so that a reader's view of them stays while more is written behind it.
type segment struct {
	columns
	runs []run // whose samples they are, once a gateway; the log's lock guards it
}

func newSegment() *segment {
	return &segment{columns: columns{make([]seriesID, segmentSize), make([]int64, segmentSize), make([]float64, segmentSize)}}
}

// log holds samples in the order of their arrival, from the position of the
// cursor that is furthest behind to its end. A position is the count of samples
// that were ever appended before it.
type log struct {
	limit  int
	newest bool // when full, let the oldest samples go

	mu       sync.Mutex
	table    *table // whose numbers the samples bear
	segments []*segment
	first    uint64 // position of the first sample in segments[0]
	end      uint64
	scrapers []*scraper
	reserved int // samples that were admitted and are still to be written
	holding  int // gateways with samples in segments
	arrivals arrivals
	moved    chan struct{} // closed when a cursor moves; nil while nobody waits for that
}

func newLog(cfg Config, t *table, scrapers []*scraper) *log {
	return &log{limit: cfg.MaxSamples, newest: cfg.Policy == Newest, table: t, scrapers: scrapers}
}

// errReplaced says that the table was replaced since the samples got their
// numbers from it: they need new ones.
var errReplaced = errors.New("BUG: a push outlived its table and was not tried again")

// append takes the whole batch, whose numbers are t's, or nothing. now is in
// milliseconds. It returns how many samples it let go to make room.
func (l *log) append(t *table, batch *columns, runs []run, now int64) (letGo int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if letGo, err = l.admitLocked(t, batch.len(), runs); err == nil {
		l.writeLocked(batch, runs, now)
	}
	return letGo, err
}

// reserve keeps room for a batch that write takes when its samples have their
// numbers.
func (l *log) reserve(t *table, samples int, runs []run) (letGo int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if letGo, err = l.admitLocked(t, samples, runs); err == nil {
		l.reserved += samples
	}
	return letGo, err
}

// write takes a batch for which room was reserved, and whose numbers are t's.
func (l *log) write(t *table, batch *columns, runs []run, now int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reserved -= batch.len()
	if t != l.table {
		return errReplaced
	}
	l.writeLocked(batch, runs, now)
	return nil
}

// admitLocked says whether there is room for so many samples, and makes it where
// that is the policy.
func (l *log) admitLocked(t *table, samples int, runs []run) (letGo int, err error) {
	if t != l.table {
		return 0, errReplaced
	}
	if samples > l.limit-l.reserved {
		return 0, &fullError{"hub_full", fmt.Sprintf("the push has %d samples, and the limit is %d", samples, l.limit)}
	}
	pending := l.pendingLocked() + l.reserved
	if pending+samples > l.limit-l.limit/reserved {
		if err := fair(runs, l.limit, l.holding, l.passedLocked); err != nil {
			return 0, err
		}
	}
	if over := pending + samples - l.limit; over > 0 {
		if !l.newest {
			return 0, &fullError{"hub_full", fmt.Sprintf(
				"the hub holds %d samples that wait to be scraped, this push has %d, and the limit is %d; is the hub being scraped?",
				pending, samples, l.limit)}
		}
		letGo = l.letGoLocked(samples)
	}
	return letGo, nil
}

func (l *log) writeLocked(batch *columns, runs []run, now int64) {
	l.arrivals.note(l.end, now)
	rest := run{}
	for from := 0; from < batch.len(); {
		at := int(l.end % segmentSize)
		if at == 0 {
			l.segments = append(l.segments, newSegment())
		}
		tail := l.segments[len(l.segments)-1]
		n := copy(tail.ids[at:], batch.ids[from:])
		copy(tail.times[at:], batch.times[from:])
		copy(tail.values[at:], batch.values[from:])
		from += n
		l.end += uint64(n)
		for n > 0 {
			if rest.samples == 0 {
				rest, runs = runs[0], runs[1:]
			}
			part := min(n, rest.samples)
			l.holdLocked(tail, rest.gateway, part, now)
			rest.samples -= part
			n -= part
		}
	}
}

// holdLocked notes that the last segment has so many more samples of a gateway,
// which arrived now, in milliseconds.
func (l *log) holdLocked(tail *segment, g *gateway, samples int, now int64) {
	g.pushed = now
	if g.held == 0 {
		l.holding++
	}
	g.held += samples
	if g.last != tail {
		g.last, g.lastRun = tail, len(tail.runs)
		tail.runs = append(tail.runs, run{gateway: g})
	}
	tail.runs[g.lastRun].samples += samples
}

// letGoLocked makes room for so many samples: each scraper gives up the oldest that
// are too many. It returns how many the one that gives up most had not got.
func (l *log) letGoLocked(samples int) int {
	most := 0
	for _, s := range l.scrapers {
		if over := s.behind(l.end) + l.reserved + samples - l.limit; over > 0 {
			most = max(most, s.letGo(over))
		}
	}
	l.dropLocked()
	l.movedLocked()
	return most
}

// dropLocked drops the segments that every cursor has passed.
func (l *log) dropLocked() {
	floor := l.floorLocked()
	drop := int((floor - l.first) / segmentSize)
	for _, s := range l.segments[:drop] {
		for _, r := range s.runs {
			if r.gateway.held -= r.samples; r.gateway.held == 0 {
				l.holding--
			}
			if r.gateway.last == s {
				r.gateway.last = nil
			}
		}
	}
	if drop > 0 {
		l.segments = slices.Delete(l.segments, 0, drop)
		l.first += uint64(drop) * segmentSize
	}
	l.arrivals.forget(floor)
}

// passedLocked is about how many of a gateway's held samples every cursor has
// passed: those of the first segment, in proportion.
func (l *log) passedLocked(g *gateway) int {
	if len(l.segments) == 0 {
		return 0
	}
	passed, size := l.floorLocked()-l.first, min(l.end-l.first, segmentSize)
	for _, r := range l.segments[0].runs {
		if r.gateway == g {
			return r.samples * int(passed) / int(size)
		}
	}
	return 0
}

// floorLocked is the position of the cursor that is furthest behind.
func (l *log) floorLocked() uint64 {
	floor := l.end
	for _, s := range l.scrapers {
		floor = min(floor, s.floor())
	}
	return floor
}

// waiting is the number of samples that some scraper has not got, and the time in
// milliseconds when the oldest of them arrived, up to a second early.
func (l *log) waiting() (samples int, since int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if floor := l.floorLocked(); floor < l.end {
		since = l.arrivals.of(floor)
	}
	return l.pendingLocked(), since
}

// left is the number of samples that some scraper has not got, and a channel that
// is closed when a cursor moves next.
func (l *log) left() (samples int, moved <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.moved == nil {
		l.moved = make(chan struct{})
	}
	return l.pendingLocked(), l.moved
}

// movedLocked tells whoever waits that a cursor has moved.
func (l *log) movedLocked() {
	if l.moved != nil {
		close(l.moved)
		l.moved = nil
	}
}

// pendingLocked is the number of samples that the scraper furthest behind has not got.
func (l *log) pendingLocked() int {
	pending := 0
	for _, s := range l.scrapers {
		pending = max(pending, s.behind(l.end))
	}
	return pending
}

// lag is one part's distance from the end of the log.
type lag struct {
	scraper     string
	part, parts int   // part counts from 1
	samples     int   // of all parts, and those that are held for it
	since       int64 // when the oldest arrived, in milliseconds
}

// lags returns the lag of each cursor.
func (l *log) lags() []lag {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lags []lag
	for _, s := range l.scrapers {
		for i, c := range s.parts {
			behind := lag{scraper: s.name, part: i + 1, parts: len(s.parts), samples: int(l.end-c.position) + c.held.len()}
			if c.position < l.end {
				behind.since = l.arrivals.of(c.position)
			}
			lags = append(lags, behind)
		}
	}
	return lags
}

// view is a stretch of the log, and before it what a scraper has passed but not
// been given. Appends go on beyond it, and what it shows stays as it is even when
// the log drops it.
type view struct {
	held     columns
	moved    uint64 // how often the cursor had moved when this was read
	segments []*segment
	first    uint64 // position of the first sample in segments[0]
	from, to uint64
}

// read returns what a cursor has not passed, the table whose numbers the samples
// bear, and how many of them the cursor may be given at once.
func (l *log) read(c *cursor) (v view, t *table, most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.former { // its samples are for the parts that there are now
		return l.viewLocked(l.end, l.end), l.table, c.bite.size
	}
	v = l.viewLocked(min(c.position, l.end), l.end)
	v.held, v.moved = c.held, c.moved
	return v, l.table, c.bite.size
}

// peek returns what a part of a scraper has not passed, or where it is split in
// another way, what some part has not.
func (l *log) peek(s *scraper, part, parts int) (view, *table) {
	l.mu.Lock()
	defer l.mu.Unlock()
	position, held := s.floor(), columns{}
	if parts == len(s.parts) {
		position, held = s.parts[part].position, s.parts[part].held
	}
	v := l.viewLocked(min(position, l.end), l.end)
	v.held = held
	return v, l.table
}

// readWaiting returns what some cursor has not passed or holds, and the table whose
// numbers the samples bear.
func (l *log) readWaiting() (view, *table) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.viewLocked(l.floorLocked(), l.end)
	for _, s := range l.scrapers {
		v.held = v.held.joined(s.held())
	}
	return v, l.table
}

func (l *log) viewLocked(from, to uint64) view {
	skip := min((from-l.first)/segmentSize, uint64(len(l.segments)))
	return view{segments: slices.Clone(l.segments[skip:]), first: l.first + skip*segmentSize, from: from, to: to}
}

// stretches yields the samples of a view: what is held, then what is logged.
func (v view) stretches() iter.Seq[columns] {
	return func(yield func(columns) bool) {
		if yield(v.held) {
			v.logged()(yield)
		}
	}
}

// logged yields the samples of the log, oldest first.
func (v view) logged() iter.Seq[columns] {
	return func(yield func(columns) bool) {
		start := v.first
		for _, s := range v.segments {
			if start >= v.to {
				return
			}
			from := max(v.from, start) - start
			to := min(v.to, start+segmentSize) - start
			if from < to && !yield(s.part(int(from), int(to))) {
				return
			}
			start += segmentSize
		}
	}
}
