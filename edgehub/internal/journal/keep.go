package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/hubring/hubring/internal/framing"
)

// Sync makes all that was committed before durable. It keeps nobody from adding more. When it fails, what was
// written since the last one may be lost with the power until Probe, and the journal is broken until then.
func (j *Journal) Sync() error {
	j.mu.Lock()
	var dirty []*segment
	for _, g := range j.segments {
		if g.file != nil && !g.unsafe && (g.dirty || g != j.active) {
			g.dirty = false
			dirty = append(dirty, g)
		}
	}
	names, active := j.newNames, j.active
	j.newNames = false
	j.mu.Unlock()
	if len(dirty) == 0 && !names {
		return nil
	}
	began := time.Now()
	j.since.Store(&began)
	defer j.since.Store(nil)
	var errs []error
	var failed []*segment
	for _, g := range dirty {
		err := g.file.Sync()
		if err == nil {
			err = framing.Named(g.file, g.path)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("flush %s: %w", g.path, err))
			failed = append(failed, g)
		}
	}
	if names {
		if err := j.disk.SyncDir(j.cfg.Dir); err != nil {
			errs = append(errs, fmt.Errorf("flush the storage directory: %w", err))
		}
	}
	j.cfg.Synced(time.Since(began).Seconds())
	err := errors.Join(errs...)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.failures++
		j.broken = err
		j.newNames = j.newNames || names
	}
	for _, g := range failed {
		g.unsafe = true
		if g == j.active {
			j.active = nil
		}
	}
	for _, g := range dirty {
		if g != active && g != j.active && !g.unsafe {
			_ = g.file.Close() // it is written
			g.file = nil
		}
	}
	return err
}

// probeBytes are written to see whether the disk is well.
const probeBytes = 1 << 20

// Probe looks whether a disk that failed is well again, and writes what could not be flushed once more. Then the next
// group begins a segment.
func (j *Journal) Probe() error {
	if j.Broken() == nil {
		return nil
	}
	defer j.begin()()
	if err := j.probe(); err != nil {
		return fmt.Errorf("try the disk: %w", err)
	}
	if err := j.renew(); err != nil {
		return fmt.Errorf("write what could not be flushed once more: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.broken, j.active = nil, nil
	return nil
}

func (j *Journal) probe() error {
	path := filepath.Join(j.cfg.Dir, "probe")
	if err := j.disk.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := j.disk.Create(path)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(make([]byte, probeBytes), 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), j.disk.Remove(path))
}

// renew writes segments anew whose flush has failed, to files of their own: the system may have dropped what it
// could not write, and would say that a second flush of the same file went well. It still has the bytes as long as it needs the memory for nothing else, which
// the records' checksums tell. Where it has not, the journal stays broken until all scrapers have what is in the segment, and Release removes it.
func (j *Journal) renew() error {
	for _, g := range j.unsafeSegments() {
		text, err := j.reread(g)
		if err == nil {
			err = j.replaceFile(g.path, text)
		}
		if err == nil {
			err = j.disk.SyncDir(j.cfg.Dir)
		}
		if err != nil {
			return err
		}
		j.mu.Lock()
		g.shut()
		g.unsafe, g.dirty, g.worn = false, false, 0
		j.mu.Unlock()
	}
	return nil
}

func (j *Journal) unsafeSegments() (unsafe []*segment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, g := range j.segments {
		if g.unsafe {
			unsafe = append(unsafe, g)
		}
	}
	return unsafe
}

// reread reads what was written to a segment, all of it.
func (j *Journal) reread(g *segment) ([]byte, error) {
	text := make([]byte, g.size)
	if _, err := g.file.ReadAt(text, 0); err != nil {
		return nil, fmt.Errorf("read %s: %w", g.path, err)
	}
	_, intact := framing.ParseSegmentHeader(text, magic, g.number)
	sc := framing.NewScanner(bytes.NewReader(text), g.size, g.number, make([]byte, framing.WindowBytes))
	sc.Visit = func(framing.Header) {}
	if err := sc.Run(); err != nil || !intact || sc.Lost.Bytes > 0 {
		return nil, fmt.Errorf("%w: %d bytes of %s are not what was written", errDamaged, sc.Lost.Bytes, g.path)
	}
	return text, nil
}

// kept is how many segments stay though all scrapers have what is in them: they tell which gateways and series there are.
const kept = 2

// Oldest is the position of the log behind the oldest segment that may go.
func (j *Journal) Oldest() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.segments) <= kept {
		return 0
	}
	return j.toLogLocked(j.segments[1].base)
}

// Release removes the segments before a position of the log, but for the newest unless the disk has failed, and what pushes left
// that were refused. The file of one of them is kept for the next segment.
func (j *Journal) Release(floor uint64) error {
	for {
		path, worn := j.nextToGo(floor)
		if path == "" {
			return nil
		}
		var err error
		if worn {
			err = j.disk.Rename(path, j.sparePath())
		} else {
			err = j.disk.Remove(path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return j.fail(fmt.Errorf("remove a segment that is not needed any more: %w", err))
		}
		j.mu.Lock()
		if len(j.leftOver) > 0 && path == j.leftOver[0] {
			j.leftOver = j.leftOver[1:]
		} else {
			j.segments[0].shut()
			j.segments = j.segments[1:]
		}
		j.spare = j.spare || worn && err == nil
		j.mu.Unlock()
	}
}

// nextToGo is the next file to be removed, or "", and whether it is worn only: it will do for another segment.
func (j *Journal) nextToGo(floor uint64) (path string, worn bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	stay := kept
	if j.broken != nil { // it may be full of them
		stay = 0
		j.dropSpareLocked()
	}
	switch {
	case len(j.leftOver) > 0:
		return j.leftOver[0], false
	case len(j.segments) > stay && j.toLogLocked(j.endLocked()) <= floor && (j.segments[0].file == nil || j.segments[0].unsafe) && !j.segments[0].packing:
		return j.segments[0].path, !j.spare && j.broken == nil && j.segments[0].size >= j.cfg.SegmentBytes
	}
	return "", false
}

// endLocked is the position on disk behind the oldest segment.
func (j *Journal) endLocked() uint64 {
	if len(j.segments) > 1 {
		return j.segments[1].base
	}
	return j.written
}
