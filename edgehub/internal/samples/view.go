package samples

import (
	"iter"

	"github.com/hubring/hubring/edgehub/internal/block"
	"github.com/hubring/hubring/edgehub/internal/series"
)

// View is a stretch of the log. Appends go on beyond it, and what it shows stays as it
// is even when the log drops it.
type View struct {
	From, To uint64

	stretches []*stretch
	first     uint64 // position of the first sample in stretches[0]
	size      uint64 // of a stretch
}

// ViewOf is a view of samples that need be in no log, and stay as they are.
func ViewOf(c Columns) View {
	return View{To: uint64(c.Len()), stretches: []*stretch{{Columns: c}}, size: uint64(max(1, c.Len()))}
}

// Read returns what a cursor has not passed, up to a position or the end, if the samples'
// numbers are those of the table of a generation.
func (l *Log) Read(c *Cursor, until, generation uint64) (v View, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if generation != l.generation {
		return View{}, false
	}
	// Its scraper may have read on in other parts since; series are forgotten by that, and their
	// numbers given to others.
	l.raiseLocked(c, c.part.split.of.floor())
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
	skip := min((from-l.first)/l.size, uint64(len(l.segments)))
	v := View{From: from, To: to, first: l.first + skip*l.size, size: l.size}
	v.stretches = make([]*stretch, len(l.segments)-int(skip))
	for i, s := range l.segments[skip:] {
		v.stretches[i] = s.stretch
	}
	return v
}

// Keys yields the samples, oldest first, without their values where these are packed. What it
// yields may be written over afterwards.
func (v View) Keys() iter.Seq[Columns] {
	return v.each(func(s *stretch, from, to int) iter.Seq[block.Samples] { return s.block.Keys(from, to) })
}

// Samples yields the samples of the series that are wanted, and perhaps of others. Those of one series
// come oldest first. What it yields may be written over afterwards.
func (v View) Samples(wanted func(series.ID) bool) iter.Seq[Columns] {
	return v.each(func(s *stretch, from, to int) iter.Seq[block.Samples] { return s.block.Series(from, to, wanted) })
}

// each yields what is in columns, and of what is in a block what packed yields, which is called once
// for as much as lies in it.
func (v View) each(packed func(s *stretch, from, to int) iter.Seq[block.Samples]) iter.Seq[Columns] {
	return func(yield func(Columns) bool) {
		for i := 0; i < len(v.stretches); {
			s, start := v.stretches[i], v.first+uint64(i)*v.size
			for i++; s.block != nil && i < len(v.stretches) && v.stretches[i].block == s.block; {
				i++
			}
			from := max(v.From, start) - start
			to := min(v.To, v.first+uint64(i)*v.size) - start
			if v.To <= start || from >= to {
				continue
			}
			if s.block == nil {
				if !yield(s.part(int(from), int(to))) {
					return
				}
				continue
			}
			for c := range packed(s, s.at+int(from), s.at+int(to)) {
				if !yield(Columns(c)) {
					return
				}
			}
		}
	}
}
