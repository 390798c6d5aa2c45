package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/hubring/hubring/internal/framing"
)

// lockName is the file in Config.Dir that says that a Store has it.
const lockName = "lock"

// Store is a spool that is open. Its methods may be called by any goroutine at any
// time; it has no goroutine of its own.
type Store struct {
	cfg     Config
	fs      framing.Disk
	unlock  func() error
	buffers sync.Pool // of *[]byte, for Append

	flushing sync.Mutex // held by Sync and Close, so that no Sync works on what Close closed

	mu        sync.Mutex // guards what follows, and is taken after flushing
	segments  map[uint64]*segment
	active    *segment // the newest; nil: the next Append begins one
	next      uint64   // number of the next segment
	bytes     int64    // of all segments
	records   int      // that are not done
	found     []Ref    // by Open, not yet brought by Recover
	lost      framing.Loss
	damage    []error
	clock     uint64 // counts the uses of files
	open      int    // files
	newNames  bool   // segments came or went since the last Sync
	closed    bool
	markBytes [1]byte // for reading and writing marks without an allocation
}

// Open creates the directory if need be, takes it for this Store, and checks every record
// that a former run left, which reads all that is not done. It fails with ErrLocked
// if another Store has the directory, with the file system's error if the
// directory can't be created, read or written, and with all that is wrong with cfg. Damage is no
// reason to fail: see Lost and Damage.
//
// It keeps 24 bytes for each record found, until Recover brought it.
func Open(cfg Config) (*Store, error) { return open(cfg, framing.OS{}) }

func open(cfg Config, fs framing.Disk) (*Store, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create spool directory: %w", err)
	}
	unlock, err := framing.Lock(filepath.Join(cfg.Dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("lock spool directory %s: %w", cfg.Dir, err)
	}
	s := &Store{cfg: cfg, fs: fs, unlock: unlock, segments: map[uint64]*segment{}, next: 1}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("read spool directory: %w", err), unlock())
	}
	return s, nil
}

// Bytes is the size of all segments, in bytes, with the records in them that are done.
func (s *Store) Bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// Records is the number of records that are not done.
func (s *Store) Records() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records
}

// Lost is what Open and Recover could not read: the number of records, which is at least
// one for each stretch that makes no sense, and bytes with their headers. A record that was being
// appended when the process was killed counts, though nobody was told that it was in.
func (s *Store) Lost() (records int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost.Records, s.lost.Bytes
}

// Damage says what is behind Lost, and which files were left alone: at most one error for each
// segment in Open and one for each record in Recover, joined. They wrap ErrCorrupt,
// ErrVersion or the file's own error. It is nil if all is well.
func (s *Store) Damage() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.damage...)
}

// Sync returns when all that was appended and done before is safe from a framing.Loss of
// power. The name of Dir itself is not synced: where that matters it has to be there
// before Open. After Sync failed for a segment it fails until all is done that was appended to
// it since the last one that did not, since the kernel forgets what it could not write. So
// an owner that still has those records calls Done for them, and appends them again: they go to
// another segment.
func (s *Store) Sync() error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	return s.flush()
}

// Gone reports whether a record is lost, since somebody has taken its segment's file away. Whoever has the file open does not
// notice, so Sync looks, and so does this, of what was synced before.
func (s *Store) Gone(ref Ref) bool {
	s.mu.Lock()
	g := s.segments[ref.Segment]
	s.mu.Unlock()
	if g == nil {
		return true
	}
	_, err := os.Stat(g.path)
	return errors.Is(err, os.ErrNotExist)
}

// Close syncs, closes the files and gives the directory back, also when syncing
// fails, whose error it returns. Segments with records that are not done stay. A second Close
// does nothing.
func (s *Store) Close() error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.active = nil
	errs := []error{s.sweepLocked()}
	s.mu.Unlock()

	errs = append(errs, s.flush())

	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.segments {
		s.closeLocked(g)
	}
	if err := s.unlock(); err != nil {
		errs = append(errs, fmt.Errorf("unlock spool directory: %w", err))
	}
	return errors.Join(errs...)
}

// flush is Sync for who holds flushing.
func (s *Store) flush() error {
	dirty, names := s.takeDirty()
	var errs []error
	for _, g := range dirty {
		errs = append(errs, s.flushSegment(g))
	}
	if names {
		if err := s.fs.SyncDir(s.cfg.Dir); err != nil {
			s.mu.Lock()
			s.newNames = true
			s.mu.Unlock()
			errs = append(errs, fmt.Errorf("sync spool directory: %w", err))
		}
	}
	return errors.Join(errs...)
}

// takeDirty returns what has to be synced, and notes that it is.
func (s *Store) takeDirty() (dirty []*segment, names bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.segments {
		if g.dirty || g.syncError != nil {
			dirty = append(dirty, g)
			g.dirty = false
			g.syncing, g.newer = g.size, 0
		}
	}
	names, s.newNames = s.newNames, false
	return dirty, names
}

// flushSegment syncs a segment without holding the mutex, so that others work on.
func (s *Store) flushSegment(g *segment) error {
	for {
		s.mu.Lock()
		if s.segments[g.number] != g {
			s.mu.Unlock()
			return nil // all of it is done
		}
		if g.syncError != nil {
			s.mu.Unlock()
			return g.syncError
		}
		f, err := s.fileLocked(g)
		s.mu.Unlock()
		if err != nil {
			s.noteSync(g, nil)
			return err
		}
		err = f.Sync()
		if err == nil && s.hasUnsafe(g) { // else only marks are lost
			err = framing.Named(f, g.path)
		}
		if errors.Is(err, os.ErrClosed) || errors.Is(err, framing.ErrGone) && !s.has(g) { // all of it is done since
			continue
		}
		if err != nil {
			err = fmt.Errorf("sync segment: %w", err)
			s.noteSync(g, err)
			return err
		}
		s.mu.Lock()
		g.synced, g.unsafe = g.syncing, g.newer
		s.mu.Unlock()
		return nil
	}
}

// has reports whether a segment is still there, as far as the store knows.
func (s *Store) has(g *segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.segments[g.number] == g
}

// hasUnsafe reports whether a segment has records that are neither safe nor done.
func (s *Store) hasUnsafe(g *segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.unsafe > 0
}

// noteSync notes that a segment is not synced: because of err, or because it was not tried.
func (s *Store) noteSync(g *segment, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.dirty = true
	if err == nil || g.unsafe == 0 { // only marks are lost: what they say is done may come again
		return
	}
	g.syncError = err
	if g == s.active {
		s.active = nil
	}
}

// retireLocked removes a segment whose records are all done. If the system won't, the
// segment stays until sweepLocked tries again.
func (s *Store) retireLocked(g *segment) error {
	s.closeLocked(g) // first, since some systems keep a file that is open
	if err := s.fs.Remove(g.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove segment: %w", err)
	}
	delete(s.segments, g.number)
	s.bytes -= g.size
	s.newNames = true
	return nil
}

// sweepLocked removes every segment that can go.
func (s *Store) sweepLocked() error {
	var errs []error
	for _, g := range s.segments {
		if g.undone == 0 && g != s.active {
			errs = append(errs, s.retireLocked(g))
		}
	}
	return errors.Join(errs...)
}
