package framing

import (
	"bytes"
	"errors"
	"io"
)

// WindowBytes is how much of a segment is in memory while it is scanned.
const WindowBytes = 256 << 10

// window reads a file forwards.
type window struct {
	r     io.ReaderAt
	size  int64 // of the file
	buf   []byte
	start int64 // offset of held
	held  []byte
}

// at returns what the file has from offset on: at least RecordHeader bytes, or all
// there are. What can be read before a place that can't is not held back.
func (w *window) at(offset int64) ([]byte, error) {
	have := w.start + int64(len(w.held)) - offset
	if offset >= w.start && (have >= RecordHeader || have == w.size-offset) {
		return w.held[offset-w.start:], nil
	}
	want := int(min(int64(len(w.buf)), w.size-offset))
	n, err := w.r.ReadAt(w.buf[:want], offset)
	w.start, w.held = offset, w.buf[:n]
	if n == want || n >= RecordHeader {
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

// Loss is what could not be read.
type Loss struct {
	Records int // at least; a stretch that makes no sense counts as one
	Bytes   int64
}

// Add adds another loss.
func (l *Loss) Add(m Loss) {
	l.Records += m.Records
	l.Bytes += m.Bytes
}

// Scanner goes through the records of one segment.
type Scanner struct {
	Visit func(Header) // called for every record that is good

	Good      int // records visited
	Lost      Loss
	FirstLost int64 // offset

	window
	number uint64
}

// NewScanner returns a scanner of the segment with a number, of so many bytes. Its buffer is WindowBytes long; a
// smaller one, of RecordHeader bytes at least, will do.
func NewScanner(r io.ReaderAt, size int64, number uint64, buffer []byte) *Scanner {
	return &Scanner{window: window{r: r, size: size, buf: buffer}, number: number}
}

// Head returns what the segment begins with: at least RecordHeader bytes, or all there are.
func (s *Scanner) Head() ([]byte, error) { return s.at(0) }

// Run visits the records in their order. An error is one of reading: what lies behind
// counts as one lost record.
func (s *Scanner) Run() error {
	for offset := int64(SegmentHeader); offset < s.size; {
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
func (s *Scanner) step(offset int64) (int64, error) {
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
	end := h.Ref.End()
	if end > s.size {
		s.lose(offset, s.size)
		return s.size, nil
	}
	intact := h.Done // what is done was checked by who had it
	if !intact {
		if intact, err = s.verify(h); err != nil {
			return 0, err
		}
	}
	if !intact {
		s.lose(offset, end)
		return end, nil
	}
	s.Good++
	s.Visit(h)
	return end, nil
}

// parse returns the header that b begins with, if there is one.
func (s *Scanner) parse(b []byte, offset int64) (Header, bool) {
	if len(b) < RecordHeader || offset >= MaxSegmentBytes {
		return Header{}, false
	}
	return ParseHeader(b, s.number, offset)
}

// verify reports whether a record's checksums are right.
func (s *Scanner) verify(h Header) (bool, error) {
	offset := int64(h.Ref.Offset) + RecordHeader
	sum, err := s.sum(offset, int64(h.Ref.Meta))
	if err != nil || sum != h.MetaSum {
		return false, err
	}
	sum, err = s.sum(offset+int64(h.Ref.Meta), int64(h.Ref.Body))
	return sum == h.BodySum, err
}

// search returns the next offset that has a header, or the end.
func (s *Scanner) search(offset int64) (int64, error) {
	for offset < s.size {
		b, err := s.at(offset)
		if err != nil {
			return 0, err
		}
		if len(b) < RecordHeader {
			break
		}
		i := bytes.Index(b[1:], []byte(RecordMagic)) // the mark stands before it
		if i < 0 {
			offset += int64(len(b) - len(RecordMagic))
			continue
		}
		if len(b)-i < RecordHeader {
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
func (s *Scanner) lose(from, to int64) {
	if s.Lost.Records == 0 {
		s.FirstLost = from
	}
	s.Lost.Add(Loss{Records: 1, Bytes: to - from})
}
