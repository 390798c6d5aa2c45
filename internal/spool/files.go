package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// file is a segment's open file.
type file interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Stat() (os.FileInfo, error)
	Close() error
}

// filesystem is what a Store needs of the system; tests put in one that fails.
type filesystem interface {
	create(path string) (file, error) // fails if there is one
	open(path string) (file, error)
	remove(path string) error
	syncDir(dir string) error
}

// disk is the real one.
type disk struct{}

func (disk) create(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err // not f, which would be a file that is not nil
	}
	return f, nil
}

func (disk) open(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (disk) remove(path string) error { return os.Remove(path) }

func (disk) syncDir(dir string) error { return syncDir(dir) }

// maxOpenFiles bounds a Store's descriptors, which the process needs for other
// things. A large spool has thousands of segments.
const maxOpenFiles = 64

// fileLocked returns the segment's file, opened if need be. The file may be closed
// as soon as the mutex is released: whoever uses it without asks again on
// os.ErrClosed.
func (s *Store) fileLocked(g *segment) (file, error) {
	s.clock++
	g.used = s.clock
	if g.file != nil {
		return g.file, nil
	}
	f, err := s.fs.open(g.path)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	s.openedLocked(g, f)
	return f, nil
}

// openedLocked notes that a segment's file is open, and closes another where that is one too many.
func (s *Store) openedLocked(g *segment, f file) {
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

// errGone says that somebody has taken a segment's file away, which whoever has it open does not notice.
var errGone = errors.New("the segment's file is gone")

// named reports whether a file is still the one of its name.
func named(f file, path string) error {
	there, err := os.Stat(path)
	if err == nil {
		var mine os.FileInfo
		if mine, err = f.Stat(); err == nil && !os.SameFile(mine, there) {
			err = os.ErrNotExist
		}
	}
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s", errGone, path)
	}
	return err
}
