package spool

import (
	"bytes"
	"errors"
	"io"
)

// windowBytes is how much of a segment is in memory while it is scanned.
const windowBytes = 256 << 10

// window reads a file forwards.
type window struct {
	r     io.ReaderAt
	size  int64 // of the file
	buf   []byte
	start int64 // offset of held
	held  []byte
}

// at returns what the file has from offset on: at least recordHeader bytes, or all
// there are. What can be read before a place that can't is not held back.
func (w *window) at(offset int64) ([]byte, error) {
	have := w.start + int64(len(w.held)) - offset
	if offset >= w.start && (have >= recordHeader || have == w.size-offset) {
		return w.held[offset-w.start:], nil
	}
	want := int(min(int64(len(w.buf)), w.size-offset))
	n, err := w.r.ReadAt(w.buf[:want], offset)
	w.start, w.held = offset, w.buf[:n]
	if n == want || n >= recordHeader {
		return w.held, nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // it became shorter
	}
	return nil, err
}

// sum returns the checksum of n bytes.
func (w *window) sum(offset, n int64) (uint32, error) {
	var sum uint32
	for n > 0 {
		b, err := w.at(offset)
		if err != nil {
			return 0, err
		}
		b = b[:min(int64(len(b)), n)]
		sum = updateSum(sum, b)
		offset += int64(len(b))
		n -= int64(len(b))
	}
	return sum, nil
}

// scanner goes through the records of one segment.
type scanner struct {
	window
	number uint64

	visit     func(ref Ref, done bool) // called for every record that is good
	good      int                      // records visited
	lost      loss
	firstLost int64 // offset
}

// run visits the records in their order. An error is one of reading: what lies behind
// counts as one lost record.
func (s *scanner) run() error {
	for offset := int64(segmentHeader); offset < s.size; {
		next, err := s.step(offset)
		if err != nil {
			s.lose(offset, s.size)
			return err
		}
		offset = next
	}
	return nil
}

// step deals with the record at offset and returns where to go on.
func (s *scanner) step(offset int64) (int64, error) {
	b, err := s.at(offset)
	if err != nil {
		return 0, err
	}
	h, ok := s.parse(b, offset)
	if !ok {
		next, err := s.search(offset + 1)
		if err != nil {
			return 0, err
		}
		s.lose(offset, next)
		return next, nil
	}
	end := h.ref.end()
	if end > s.size {
		s.lose(offset, s.size)
		return s.size, nil
	}
	intact := h.done // what is done was checked by who had it
	if !intact {
		if intact, err = s.verify(h); err != nil {
			return 0, err
		}
	}
	if !intact {
		s.lose(offset, end)
		return end, nil
	}
	s.good++
	s.visit(h.ref, h.done)
	return end, nil
}

// parse returns the header that b begins with, if there is one.
func (s *scanner) parse(b []byte, offset int64) (header, bool) {
	if len(b) < recordHeader || offset >= MaxSegmentBytes {
		return header{}, false
	}
	return parseHeader(b, s.number, offset)
}

// verify reports whether a record's checksums are right.
func (s *scanner) verify(h header) (bool, error) {
	offset := int64(h.ref.offset) + recordHeader
	sum, err := s.sum(offset, int64(h.ref.meta))
	if err != nil || sum != h.metaSum {
		return false, err
	}
	sum, err = s.sum(offset+int64(h.ref.meta), int64(h.ref.body))
	return sum == h.bodySum, err
}

// search returns the next offset that has a header, or the end.
func (s *scanner) search(offset int64) (int64, error) {
	for offset < s.size {
		b, err := s.at(offset)
		if err != nil {
			return 0, err
		}
		if len(b) < recordHeader {
			break
		}
		i := bytes.Index(b[1:], []byte(recordMagic)) // the mark stands before it
		if i < 0 {
			offset += int64(len(b) - len(recordMagic))
			continue
		}
		if len(b)-i < recordHeader {
			offset += int64(i) // which brings more, or is too near the end
			continue
		}
		offset += int64(i)
		if _, ok := s.parse(b[i:], offset); ok {
			return offset, nil
		}
		offset++
	}
	return s.size, nil
}

// lose counts a stretch that can't be used.
func (s *scanner) lose(from, to int64) {
	if s.lost.records == 0 {
		s.firstLost = from
	}
	s.lost.add(loss{records: 1, bytes: to - from})
}
