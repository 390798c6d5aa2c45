package samples

import (
	"iter"
	"slices"
)

// View is a stretch of the log. Appends go on beyond it, and what it shows stays as it
// is even when the log drops it.
type View struct {
	From, To uint64

	segments []*segment
	first    uint64 // position of the first sample in segments[0]
}

// Read returns what a cursor has not passed, up to a position or the end, if the samples'
// numbers are those of the table of a generation.
func (l *Log) Read(c *Cursor, until, generation uint64) (v View, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if generation != l.generation {
		return View{}, false
	}
	from := min(c.position, l.end)
	return l.viewLocked(from, max(from, min(until, l.end))), true
}

// Peek returns what a part of a scraper has not passed, or where it is split in
// another way, what some part has not.
func (l *Log) Peek(scraper, part, parts int, generation uint64) (v View, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if generation != l.generation {
		return View{}, false
	}
	s := l.scrapers[scraper]
	position := s.floor()
	if sp := s.splits[0]; len(sp.parts) == parts {
		position = max(position, sp.parts[part].cursors[0].position)
	}
	return l.viewLocked(min(position, l.end), l.end), true
}

// ReadWaiting returns what some cursor has not passed, likewise.
func (l *Log) ReadWaiting(generation uint64) (v View, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if generation != l.generation {
		return View{}, false
	}
	return l.viewLocked(l.floorLocked(), l.end), true
}

func (l *Log) viewLocked(from, to uint64) View {
	skip := min((from-l.first)/segmentSize, uint64(len(l.segments)))
	return View{segments: slices.Clone(l.segments[skip:]), first: l.first + skip*segmentSize, From: from, To: to}
}

// Stretches yields the samples, oldest first.
func (v View) Stretches() iter.Seq[Columns] {
	return func(yield func(Columns) bool) {
		start := v.first
		for _, s := range v.segments {
			if start >= v.To {
				return
			}
			from := max(v.From, start) - start
			to := min(v.To, start+segmentSize) - start
			if from < to && !yield(s.part(int(from), int(to))) {
				return
			}
			start += segmentSize
		}
	}
}
