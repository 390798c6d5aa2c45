package spool

import (
	"fmt"

	"github.com/hubring/hubring/internal/framing"
)

// maxOpenFiles bounds a Store's descriptors, which the process needs for other
// things. A large spool has thousands of segments.
const maxOpenFiles = 64

// fileLocked returns the segment's file, opened if need be. The file may be closed
// as soon as the mutex is released: whoever uses it without asks again on
// os.ErrClosed.
func (s *Store) fileLocked(g *segment) (framing.File, error) {
	s.clock++
	g.used = s.clock
	if g.file != nil {
		return g.file, nil
	}
	f, err := s.fs.Open(g.path)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	s.openedLocked(g, f)
	return f, nil
}

// openedLocked notes that a segment's file is open, and closes another where that is one too many.
func (s *Store) openedLocked(g *segment, f framing.File) {
	if s.open >= maxOpenFiles {
		s.closeLocked(s.leastUsedLocked())
	}
	g.file = f
	s.open++
}

// leastUsedLocked returns the open segment that was not wanted for the longest time.
func (s *Store) leastUsedLocked() *segment {
	var least *segment
	for _, g := range s.segments {
		if g.file != nil && (least == nil || g.used < least.used) {
			least = g
		}
	}
	return least
}

// closeLocked closes the segment's file, which stays. Closing writes nothing, so its
// error would say nothing: what was not written yet is for Sync to find out.
func (s *Store) closeLocked(g *segment) {
	if g.file == nil {
		return
	}
	_ = g.file.Close()
	g.file = nil
	s.open--
}
