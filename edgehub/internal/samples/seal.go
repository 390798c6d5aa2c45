package samples

import (
	"time"

	"github.com/hubring/hubring/edgehub/internal/block"
)

// What waits for long is sealed: its samples go from columns into a block, a tenth of
// their size, and are read from there. They keep their positions. What is scraped soon is
// not worth it, and what does not fill a block stays as it is.

const (
	// sealAfter is how long samples stay in columns. Servers that scrape every minute have them by then. Where
	// all servers have sealed ones still before them, the next ones will wait as well, and are sealed at once.
	sealAfter = 2 * time.Minute
	// A block has samplesEach of each series or more, since the first one of a series takes most, both
	// room and time, from leastBlock to mostBlock in all. A log with little room has smaller ones, so that
	// it has blocksOfRoom at least.
	samplesEach  = 3
	leastBlock   = 32 * segmentSize
	mostBlock    = 128 * segmentSize
	blocksOfRoom = 4
)

// ToSeal says whether there is something to be sealed, and nobody does it.
func (l *Log) ToSeal(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.sealing && l.toSealLocked(now) > 0
}

// Seal seals what is to be sealed, unless somebody does it, and says whether there was something.
// It works beside pushes and scrapes, a few milliseconds for a block.
func (l *Log) Seal(now time.Time) (did bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sealing {
		return false
	}
	l.sealing = true
	defer func() { l.sealing = false }()
	for encoder := new(block.Encoder); ; {
		n := l.toSealLocked(now)
		if n == 0 {
			return did
		}
		did = true
		position := l.first + uint64(l.sealed)*l.size
		parts := make([]block.Samples, n)
		for i, s := range l.segments[l.sealed : l.sealed+n] {
			parts[i] = block.Samples(s.Columns)
		}
		l.mu.Unlock()
		b := encoder.Encode(parts)
		l.mu.Lock()
		l.sealLocked(position, n, b)
	}
}

// toSealLocked is how many segments behind those that are sealed make the next block: 0 if they are
// too young, or too few.
func (l *Log) toSealLocked(now time.Time) (segments int) {
	size := min(max(leastBlock, samplesEach*len(l.last)), mostBlock, l.limit/blocksOfRoom)
	segments = max(1, size/int(l.size))
	end := l.first + uint64(l.sealed+segments)*l.size
	if end > l.end {
		return 0
	}
	if _, handed := l.leadLocked(); l.sealed > 0 && handed < l.first+uint64(l.sealed)*l.size {
		return segments
	}
	if at, known := l.arrivals.of(end - 1); known && now.Sub(l.made)-at < sealAfter {
		return 0
	}
	return segments
}

// sealLocked puts a block in the place of the segments from a position on, as far as they are
// still there.
func (l *Log) sealLocked(position uint64, segments int, b *block.Block) {
	for i := range segments {
		start := position + uint64(i)*l.size
		if start < l.first {
			continue
		}
		if b.Size() < b.Len()*sampleSize {
			l.segments[l.sealed].stretch = &stretch{block: b, at: int(start - position)}
		}
		l.sealed++
	}
}

// sampleSize is what a sample takes in columns, in bytes.
const sampleSize = 4 + 8 + 8

// Sealed is how many samples are in blocks, and how many bytes these have.
func (l *Log) Sealed() (samples, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var last *block.Block
	for _, s := range l.segments[:l.sealed] {
		if s.block == nil {
			continue
		}
		samples += int(l.size)
		if s.block != last {
			last = s.block
			bytes += last.Size()
		}
	}
	return samples, bytes
}
