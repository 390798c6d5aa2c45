package spool

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/hubring/hubring/internal/framing"
)

// keepBuffer is the largest buffer that is kept for the next Append, in bytes.
const keepBuffer = 1 << 20

// Append writes a record. When it returns, the record survives the process; only Sync
// makes it survive the machine. It fails with ErrFull while MaxBytes leaves no room, with
// ErrTooLarge for what never fits, and with the file's error. A record that it failed
// for is not in the spool and takes no room, unless the file could not even be cut
// back: then it may come again after a restart. The next Append is not harmed.
func (s *Store) Append(meta, body []byte) (Ref, error) {
	if err := s.checkSize(meta, body); err != nil {
		return Ref{}, err
	}
	buffer, _ := s.buffers.Get().(*[]byte)
	if buffer == nil {
		buffer = new([]byte)
	}
	record := framing.AppendRecord((*buffer)[:0], meta, body) // with its checksums, before anybody waits
	ref, err := s.write(record, Ref{Meta: uint32(len(meta)), Body: uint32(len(body))})
	if cap(record) <= keepBuffer {
		*buffer = record
		s.buffers.Put(buffer)
	}
	return ref, err
}

// checkSize refuses what fits no spool of this size, so that nobody waits for room.
func (s *Store) checkSize(meta, body []byte) error {
	if len(meta) > MaxMetaBytes || len(body) > MaxBodyBytes {
		return fmt.Errorf("%w: meta has %d of at most %d bytes, body %d of %d",
			ErrTooLarge, len(meta), MaxMetaBytes, len(body), MaxBodyBytes)
	}
	if n := int64(framing.SegmentHeader + framing.RecordHeader + len(meta) + len(body)); n > s.cfg.MaxBytes {
		return fmt.Errorf("%w: it takes %d bytes, MaxBytes is %d", ErrTooLarge, n, s.cfg.MaxBytes)
	}
	return nil
}

// write puts a record at the end of the newest segment. ref has its lengths.
func (s *Store) write(record []byte, ref Ref) (Ref, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Ref{}, ErrClosed
	}
	g, err := s.roomLocked(int64(len(record)))
	if err != nil {
		return Ref{}, err
	}
	f, err := s.fileLocked(g)
	if err != nil {
		return Ref{}, err
	}
	ref.Segment, ref.Offset = g.number, uint32(g.size)
	framing.Place(record, ref.Segment, ref.Offset)
	g.dirty = true
	n, err := f.WriteAt(record, g.size)
	if err != nil {
		return Ref{}, errors.Join(fmt.Errorf("append to segment: %w", err), s.cutLocked(g, f, n))
	}
	s.growLocked(g, len(record))
	g.undone++
	g.unsafe++
	g.newer++
	s.records++
	return ref, nil
}

// growLocked notes that a segment has n bytes more.
func (s *Store) growLocked(g *segment, n int) {
	g.size += int64(n)
	s.bytes += int64(n)
}

// cutLocked takes off the n bytes that a failed write left. A segment that can't be cut
// ends here: behind a torn record nothing is appended.
func (s *Store) cutLocked(g *segment, f framing.File, n int) error {
	err := f.Truncate(g.size)
	if err == nil {
		return nil
	}
	s.growLocked(g, n)
	return errors.Join(fmt.Errorf("cut segment after a failed write: %w", err), s.sealLocked())
}

// sealLocked ends the newest segment, if there is one: the next record begins another.
func (s *Store) sealLocked() error {
	g := s.active
	s.active = nil
	if g == nil || g.undone > 0 {
		return nil
	}
	return s.retireLocked(g)
}

// roomLocked returns the segment that the next n bytes go to.
func (s *Store) roomLocked(n int64) (*segment, error) {
	if g := s.active; g != nil && g.size > framing.SegmentHeader && g.size+n > s.cfg.SegmentBytes {
		if err := s.sealLocked(); err != nil {
			return nil, err // it stays on disk; the next Append goes on without it
		}
	}
	if !s.fitsLocked(n) {
		if err := s.makeRoomLocked(n); err != nil {
			return nil, err
		}
	}
	if s.active == nil {
		return s.beginLocked()
	}
	return s.active, nil
}

// fitsLocked reports whether n bytes more stay within MaxBytes.
func (s *Store) fitsLocked(n int64) bool {
	if s.active == nil {
		n += framing.SegmentHeader
	}
	return s.bytes+n <= s.cfg.MaxBytes
}

// makeRoomLocked lets go what is only kept because it is the newest, or because the
// system did not remove it when it was asked to.
func (s *Store) makeRoomLocked(n int64) error {
	var errs []error
	if s.active != nil && s.active.undone == 0 {
		errs = append(errs, s.sealLocked())
	}
	errs = append(errs, s.sweepLocked())
	if s.fitsLocked(n) {
		return nil
	}
	full := fmt.Errorf("%w: %d of %d bytes are used by %d records and what is done beside them, no room for %d",
		ErrFull, s.bytes, s.cfg.MaxBytes, s.records, n)
	return errors.Join(append([]error{full}, errs...)...)
}

// beginLocked begins a segment. It takes no number twice, so that one that failed is not in the way.
func (s *Store) beginLocked() (*segment, error) {
	if s.next > framing.MaxSegment {
		return nil, fmt.Errorf("begin segment: number %d is too large", s.next)
	}
	g := &segment{number: s.next, path: filepath.Join(s.cfg.Dir, framing.SegmentName(s.next))}
	f, err := s.fs.Create(g.path)
	if err != nil {
		return nil, fmt.Errorf("begin segment: %w", err)
	}
	s.next++
	g.dirty = true
	s.openedLocked(g, f)
	s.segments[g.number] = g
	n, err := f.WriteAt(framing.NewSegmentHeader(segmentMagic, segmentVersion, g.number), 0)
	s.growLocked(g, n)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("begin segment: %w", err), s.retireLocked(g))
	}
	s.newNames = true
	s.active = g
	return g, nil
}
