package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/hubring/hubring/internal/framing"
)

const (
	// MaxSamples is the most of a push: a record has to hold them, whatever they are.
	MaxSamples = 8 << 20
	// keepBuffer is the largest buffer that is kept for the next group, in bytes.
	keepBuffer = 4 << 20
)

// Start begins a group of records, and a segment where the newest one is full or failed. Then nothing has an entry in it yet,
// and places is asked how far scrapers are in the log.
func (j *Journal) Start(arrival time.Time, places func() []Place) (turned bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return false, errClosed
	}
	if j.broken != nil {
		return false, fmt.Errorf("%w: %w", errBroken, j.broken)
	}
	if cap(j.buffer) > keepBuffer {
		j.buffer = nil
	}
	j.buffer, j.names = j.buffer[:0], j.names[:0]
	j.position, j.arrival, j.turning = j.written, arrival.UnixMilli(), false
	if g := j.active; g != nil && g.size < j.cfg.SegmentBytes {
		j.number, j.offset = g.number, g.size
		return false, nil
	}
	j.turning, j.number, j.offset = true, j.next, 0
	j.next++
	j.dictionary.reset()
	var previous, valid uint64
	if n := len(j.segments); n > 0 {
		previous, valid = j.segments[n-1].number, uint64(j.segments[n-1].size)
	}
	j.buffer = append(j.buffer, framing.NewSegmentHeader(magic, version, j.number)...)
	at := j.beginRecord()
	j.buffer = binary.AppendUvarint(j.buffer, previous)
	j.buffer = binary.AppendUvarint(j.buffer, valid)
	j.buffer = binary.AppendUvarint(j.buffer, j.skipped)
	j.buffer = appendPlaces(j.buffer, j.toDiskLocked(places(), j.written))
	j.endRecord(at, &meta{kind: begins, position: j.position, arrival: j.arrival})
	return true, nil
}

// Buffered is how many bytes the group has.
func (j *Journal) Buffered() int { return len(j.buffer) + len(j.names) }

func (j *Journal) beginRecord() (at int) {
	at = len(j.buffer)
	j.buffer = framing.Begin(j.buffer)
	var m [metaBytes]byte
	j.buffer = append(j.buffer, m[:]...)
	return at
}

func (j *Journal) endRecord(at int, m *meta) {
	record := j.buffer[at:]
	m.append(record[framing.RecordHeader:framing.RecordHeader])
	framing.Finish(record, metaBytes)
	framing.Place(record, j.number, uint32(j.offset)+uint32(at))
}

func (j *Journal) addNames() {
	if len(j.names) == 0 {
		return
	}
	at := j.beginRecord()
	j.buffer = append(j.buffer, j.names...)
	j.endRecord(at, &meta{kind: Names, position: j.position, arrival: j.arrival})
	j.names = j.names[:0]
}

// Add adds samples to the group, of the series that were defined last. The gateway is that of Ends.
func (j *Journal) Add(kind Kind, gateway string, arrival time.Time, times []int64, values []float64) {
	j.addNames()
	at := j.beginRecord()
	if kind == Ends {
		j.buffer = appendBytes(j.buffer, gateway)
	}
	m := meta{kind: kind, short: true, position: j.position, arrival: arrival.UnixMilli(), samples: uint32(len(times))}
	j.buffer = append(j.buffer, j.numbers...)
	j.buffer, m.oldest, m.newest = appendTimes(j.buffer, times)
	j.buffer = appendValues(j.buffer, values)
	j.endRecord(at, &m)
	j.position += uint64(len(times))
}

// Commit writes the group. When it returns, that survives the process, and where that is wanted the
// machine. Where it fails nothing of the group counts: what is left of it in the file is passed
// over once another segment has begun, and nothing else is written until Probe finds the disk well.
func (j *Journal) Commit() error {
	j.addNames()
	defer j.begin()()
	g, err := j.write()
	if err == nil && j.cfg.Sync.Always {
		err = j.flush(g)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.failures++
		j.broken = err
		if j.turning {
			j.closeLocked(j.active)
		}
		j.active = nil
		j.skipLocked()
		return errors.Join(err, j.cutLocked(g))
	}
	if j.turning {
		j.closeLocked(j.active)
		j.segments = append(j.segments, g)
		j.newNames = !j.cfg.Sync.Always
		j.active = g
		j.skipped = 0
	}
	g.size, g.arrived, g.intact = j.offset+int64(len(j.buffer)), j.arrival, true
	g.dirty = !j.cfg.Sync.Always
	j.written = j.position
	return nil
}

// skipLocked passes over the positions of a group that failed.
func (j *Journal) skipLocked() {
	if n := j.position - j.written; n > 0 {
		j.addGapLocked(j.written, n)
		j.skipped += n
		j.written = j.position
	}
}

// closeLocked closes a segment to which nothing more is added, unless it is to be flushed first, which Sync does.
func (j *Journal) closeLocked(g *segment) {
	if g != nil && j.cfg.Sync.Every == 0 {
		g.shut() // it is flushed, or whether it gets written is the system's affair
	}
}

// write writes the group to its segment, which may be nil where it failed.
func (j *Journal) write() (g *segment, err error) {
	j.mu.Lock()
	g = j.active
	j.mu.Unlock()
	if j.turning {
		g = &segment{number: j.number, path: filepath.Join(j.cfg.Dir, framing.SegmentName(j.number)), base: j.written}
		if err = j.create(g); err != nil {
			return nil, fmt.Errorf("begin a segment: %w", err)
		}
	}
	if g == nil {
		return nil, fmt.Errorf("%w: %w", errBroken, j.Broken()) // by a flush meanwhile
	}
	if _, err = g.file.WriteAt(j.padded(g.worn), j.offset); err != nil {
		return g, fmt.Errorf("append to %s: %w", g.path, err)
	}
	return g, nil
}

// flush makes a segment that was written to durable, with its name.
func (j *Journal) flush(g *segment) error {
	begun := time.Now()
	err := g.file.Sync()
	if err == nil {
		err = framing.Named(g.file, g.path)
	}
	if err == nil && j.turning {
		err = j.disk.SyncDir(j.cfg.Dir)
	}
	j.cfg.Synced(time.Since(begun).Seconds())
	if err != nil {
		return fmt.Errorf("flush %s: %w", g.path, err)
	}
	return nil
}

// cutLocked takes off what a failed group left, as far as the disk lets it.
func (j *Journal) cutLocked(g *segment) error {
	if g == nil || g.file == nil {
		return nil
	}
	var err error
	if j.turning {
		g.shut()
		if err = j.disk.Remove(g.path); errors.Is(err, fs.ErrNotExist) {
			err = nil
		} else if err != nil {
			j.leftOver = append(j.leftOver, g.path)
		}
	} else {
		err = g.file.Truncate(g.size)
		j.closeLocked(g)
	}
	if err != nil {
		return fmt.Errorf("cut what a failed write left: %w", err)
	}
	return nil
}
