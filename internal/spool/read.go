package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/hubring/hubring/internal/framing"
)

// Body appends the body of a record to dst and returns it. It fails with ErrDone after
// Done, with ErrCorrupt if the record is not what was written (it will not get
// better: call Done), and with the file's error, which may pass. On failure dst comes back
// as it was. It holds no lock while it reads.
func (s *Store) Body(ref Ref, dst []byte) ([]byte, error) {
	return s.read(ref, dst, part{framing.RecordHeader + int64(ref.Meta), int(ref.Body), func(h framing.Header) uint32 { return h.BodySum }})
}

// meta appends the meta of a record to dst, as Body does the body.
func (s *Store) meta(ref Ref, dst []byte) ([]byte, error) {
	return s.read(ref, dst, part{framing.RecordHeader, int(ref.Meta), func(h framing.Header) uint32 { return h.MetaSum }})
}

// part is the meta or the body of a record.
type part struct {
	offset int64 // in the record
	n      int   // bytes
	sum    func(framing.Header) uint32
}

// read appends a part of a record to dst.
func (s *Store) read(ref Ref, dst []byte, p part) ([]byte, error) {
	for {
		f, err := s.find(ref)
		if err != nil {
			return dst, err
		}
		out, err := readPart(f, ref, dst, p)
		if errors.Is(err, os.ErrClosed) {
			continue // by Done, Close or for another file: find says which
		}
		if err != nil {
			return dst, fmt.Errorf("read %v: %w", ref, err)
		}
		return out, nil
	}
}

// find returns the file that a record is in.
func (s *Store) find(ref Ref) (framing.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	g := s.segments[ref.Segment]
	if g == nil || g.undone == 0 || ref.End() > g.size {
		return nil, ErrDone
	}
	return s.fileLocked(g)
}

func readPart(f framing.File, ref Ref, dst []byte, p part) ([]byte, error) {
	from := len(dst)
	dst = slices.Grow(dst, max(framing.RecordHeader, p.n))
	h, err := readHeader(f, ref, dst[from:from+framing.RecordHeader]) // where the part comes then
	if err != nil {
		return nil, err
	}
	dst = dst[:from+p.n]
	if err := readFull(f, dst[from:], int64(ref.Offset)+p.offset); err != nil {
		return nil, err
	}
	if framing.Sum(dst[from:]) != p.sum(h) {
		return nil, fmt.Errorf("%w: wrong checksum", ErrCorrupt)
	}
	return dst, nil
}

// readHeader reads the header that ref speaks of into scratch.
func readHeader(f framing.File, ref Ref, scratch []byte) (framing.Header, error) {
	if err := readFull(f, scratch, int64(ref.Offset)); err != nil {
		return framing.Header{}, err
	}
	h, ok := framing.ParseHeader(scratch, ref.Segment, int64(ref.Offset))
	if !ok || h.Ref != ref {
		return framing.Header{}, fmt.Errorf("%w: wrong header", ErrCorrupt)
	}
	if h.Done {
		return framing.Header{}, ErrDone
	}
	return h, nil
}

// readFull fills b. A file that ends before is damaged: what was written is not there.
func readFull(f io.ReaderAt, b []byte, offset int64) error {
	n, err := f.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the file ends early", ErrCorrupt)
	}
	return err
}

// Done says that the fate of a record is known: it is marked, so that no restart brings it
// again, and its segment is removed when it was the last. A second Done of a record does
// nothing. If the mark can't be written the record is not done, and Done may be called again. If the
// segment can't be removed the record is done all the same, and removing is tried
// again when there is need.
func (s *Store) Done(ref Ref) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	g := s.segments[ref.Segment]
	if g == nil || ref.End() > g.size {
		return nil
	}
	if g.undone > 0 {
		if err := s.markLocked(g, ref); err != nil {
			return fmt.Errorf("mark %v: %w", ref, err)
		}
	}
	if g.undone > 0 || g == s.active {
		return nil
	}
	return s.retireLocked(g)
}

// markLocked marks a record that is not done. It looks at nothing but the mark, so that
// a damaged record can be done with, too.
func (s *Store) markLocked(g *segment, ref Ref) error {
	f, err := s.fileLocked(g)
	if err != nil {
		return err
	}
	mark := s.markBytes[:]
	mark[0] = framing.MarkPending // for a file that ends before it
	if err := readFull(f, mark, int64(ref.Offset)); err != nil && !errors.Is(err, ErrCorrupt) {
		return err
	}
	if mark[0] == framing.MarkDone {
		return nil
	}
	mark[0] = framing.MarkDone
	g.dirty = true
	if _, err := f.WriteAt(mark, int64(ref.Offset)); err != nil {
		return err
	}
	g.undone--
	s.records--
	if int64(ref.Offset) >= g.syncing {
		g.newer--
	}
	if int64(ref.Offset) < g.synced {
		return nil
	}
	if g.unsafe--; g.unsafe == 0 {
		g.syncError = nil // nothing that it lost is wanted
	}
	return nil
}

// Recover calls yield with every record that Open found and that is not done, in the
// order of Append. meta is good until yield returns. It stops at an error
// of yield, or of reading, and returns it; called again it goes on with that record. A
// record that was damaged since Open is passed over and counts in Lost. It is called once
// after Open; other methods may be called meanwhile, also by yield.
func (s *Store) Recover(yield func(ref Ref, meta []byte) error) error {
	var buffer []byte
	for {
		ref, ok, err := s.firstFound()
		if err != nil || !ok {
			return err
		}
		meta, err := s.meta(ref, buffer[:0])
		switch {
		case errors.Is(err, ErrCorrupt):
			s.lose(ref, err)
		case errors.Is(err, ErrDone):
		case err != nil:
			return err
		default:
			buffer = meta
			if err := yield(ref, meta); err != nil {
				return err
			}
		}
		s.passFound()
	}
}

func (s *Store) firstFound() (Ref, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Ref{}, false, ErrClosed
	}
	if len(s.found) == 0 {
		s.found = nil
		return Ref{}, false, nil
	}
	return s.found[0], true, nil
}

func (s *Store) passFound() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found = s.found[1:]
}

// lose counts a record as lost that Open had found, and is done with it.
func (s *Store) lose(ref Ref, err error) {
	markErr := s.Done(ref)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost.Add(framing.Loss{Records: 1, Bytes: ref.Size()})
	s.damage = append(s.damage, errors.Join(err, markErr))
}
