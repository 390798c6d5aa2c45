package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/hubring/hubring/internal/framing"
)

// Sync makes all that was committed before durable. It keeps nobody from adding more. When it fails, what was
// written since the last one may be lost with the power, and the journal is broken until Probe.
func (j *Journal) Sync() error {
	j.mu.Lock()
	var dirty []*segment
	for _, g := range j.segments {
		if g.file != nil && (g.dirty || g != j.active) {
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
	j.since.Store(began.UnixNano())
	defer j.since.Store(0)
	var errs []error
	for _, g := range dirty {
		err := g.file.Sync()
		if err == nil {
			err = framing.Named(g.file, g.path)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("flush %s: %w", g.path, err))
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
	for _, g := range dirty {
		if g != active && g != j.active {
			_ = g.file.Close() // it is written, or that failed
			g.file = nil
		}
	}
	return err
}

// probeBytes are written to see whether the disk is well.
const probeBytes = 1 << 20

// Probe looks whether a disk that failed is well again. Then the next group begins a segment.
func (j *Journal) Probe() error {
	if j.Broken() == nil {
		return nil
	}
	j.begun.Store(time.Now().UnixNano())
	defer j.begun.Store(0)
	if err := j.probe(); err != nil {
		return fmt.Errorf("try the disk: %w", err)
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
	case len(j.segments) > stay && j.toLogLocked(j.endLocked()) <= floor && j.segments[0].file == nil:
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
