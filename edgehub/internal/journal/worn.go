package journal

import (
	"bytes"
	"encoding/binary"
	"path/filepath"

	"github.com/hubring/hubring/internal/framing"
)

// A file that is written over costs a third of one that grows: its pages and blocks are there, and a flush has nothing to say
// of it but its bytes. So one segment that nobody needs any more is kept, as the file of the next one.

const (
	spareName = "spare"
	// pageBytes is what the system reads of a file where less than that is written over.
	pageBytes = 4096
)

func (j *Journal) sparePath() string { return filepath.Join(j.cfg.Dir, spareName) }

// create makes a segment's file, of the spare one where that is possible.
func (j *Journal) create(g *segment) (err error) {
	if j.takeSpare() {
		if g.file, g.worn, err = j.rename(g.path); err == nil {
			return nil
		}
		j.mu.Lock()
		j.leftOver = append(j.leftOver, j.sparePath())
		j.mu.Unlock()
	}
	g.file, err = j.disk.Create(g.path)
	return err
}

func (j *Journal) takeSpare() (was bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	was, j.spare = j.spare, false
	return was
}

// dropSpareLocked has the spare file removed, for its room.
func (j *Journal) dropSpareLocked() {
	if j.spare {
		j.spare = false
		j.leftOver = append(j.leftOver, j.sparePath())
	}
}

// rename makes the spare file one of a segment, and returns how long it is.
func (j *Journal) rename(path string) (f framing.File, worn int64, err error) {
	if f, err = j.disk.Open(j.sparePath()); err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil {
		err = j.disk.Rename(j.sparePath(), path)
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// padded is the group as it is written to a file, of which so many bytes are worn.
func (j *Journal) padded(worn int64) []byte {
	end := j.offset + int64(len(j.buffer))
	if end >= worn {
		return j.buffer
	}
	n := len(j.buffer)
	j.buffer = append(j.buffer, make([]byte, pageBytes-end%pageBytes)...)
	text := j.buffer
	j.buffer = text[:n]
	return text
}

// endsClean says whether a segment was not being written to any more, by what stands behind its last record.
func endsClean(text []byte, end int64) bool {
	zeros := text[end:min(int64(len(text)), end+pageBytes-end%pageBytes)]
	return len(bytes.Trim(zeros, "\x00")) == 0
}

// farthestWorn is by how many numbers a segment may be older over which another one is written, as far as is looked for.
const farthestWorn = 1 << 16

// isAnothers says whether a file is another segment's still, or again after a loss of power, or was one when the first bytes of this
// one were being written over it.
func isAnothers(text []byte, number uint64) bool {
	if len(text) < framing.SegmentHeader {
		return false
	}
	other := binary.LittleEndian.Uint64(text[12:])
	if _, ok := framing.ParseSegmentHeader(text, magic, other); ok {
		return other != number
	}
	torn, own := text[:framing.SegmentHeader], framing.NewSegmentHeader(magic, version, number)
	for len(own) > 0 && torn[0] == own[0] {
		torn, own = torn[1:], own[1:]
	}
	for v := uint32(1); v <= version; v++ {
		for other := number - 1; other > 0 && number-other <= farthestWorn; other-- {
			if bytes.HasSuffix(framing.NewSegmentHeader(magic, v, other), torn) {
				return true
			}
		}
	}
	return false
}
