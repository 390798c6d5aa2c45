package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubring/hubring/internal/framing"
)

const (
	magic    = "hubsampl"
	version  = 3
	lockName = "lock"
)

// Journal is a log on disk that is open. What adds to it (Start to Commit, Forget, Probe) is called by one goroutine at
// a time, and what looks after it (Sync, SaveCursors, Release) by one as well, which may be another. The
// others may be called by any goroutine at any time.
type Journal struct {
	cfg    Config
	disk   framing.Disk
	unlock func() error

	// Of whoever adds.
	dictionary dictionary
	buffer     []byte // the group: records, and the header of a segment before them where one begins
	names      []byte // entries that are in no record yet
	numbers    []byte // of the samples to come, in runs
	position   uint64 // on disk, behind the group
	arrival    int64  // of the group, in milliseconds since the epoch
	turning    bool   // the group begins a segment
	number     uint64 // of the group's segment
	offset     int64  // of the group in it

	// Of whoever looks after it.
	saved       []byte // the cursors, as they were written down last
	savedNumber uint64 // and in which segment

	mu       sync.Mutex // guards what follows
	segments []*segment // the newest last
	active   *segment   // the newest, or nil: the next group begins one
	next     uint64     // number of the next segment
	written  uint64     // position behind what is on disk
	newNames bool       // segments came since the last flush
	broken   error      // why nothing is written until Probe finds the disk well
	leftOver []string   // files of pushes that were refused, which are to be removed
	spare    bool       // there is a file to write the next segment over
	failures uint64
	closed   bool
	gaps     []gap
	skipped  uint64 // samples before written that were refused since the newest segment

	begun atomic.Pointer[time.Time] // when what the disk is doing began; nil while it does nothing
	since atomic.Pointer[time.Time] // likewise of a flush beside it

	read, toRead atomic.Int64 // bytes, by Replay
}

// segment is a file. The Journal's mutex guards it.
type segment struct {
	number   uint64
	path     string
	base     uint64 // position of its first sample
	size     int64  // of what is good, in bytes
	places   []Place
	file     framing.File // until it is flushed, and another one is the newest
	worn     int64        // of the file, in bytes, up to which another segment's stand behind size; 0 for a fresh one
	dirty    bool
	unsafe   bool      // a flush of it has failed; it has its file, and nothing is added to it
	arrived  int64     // when its newest samples came, in milliseconds since the epoch
	packing  bool      // somebody packs it, and it stays
	packed   bool      // it is, or cannot be
	packNext time.Time // when that is tried again
	previous uint64    // the segment before it, or 0, and
	valid    int64     // how much of that is good
	skipped  uint64    // samples that were refused between the two
	intact   bool      // its first record says all that
	empty    bool      // it was not begun in full
}

// shut closes the file of a segment; whether it is written somebody else has found out.
func (g *segment) shut() {
	if g.file != nil {
		_ = g.file.Close()
		g.file = nil
	}
}

// Open creates the directory if need be, takes it for this Journal and looks what is there. It fails with
// framing.ErrLocked if another process has the directory, with ErrVersion if a newer version has written
// there, and with the file system's error. Replay comes next.
func Open(cfg Config) (*Journal, error) {
	if cfg.Disk == nil {
		cfg.Disk = framing.OS{}
	}
	if cfg.SegmentBytes == 0 {
		cfg.SegmentBytes = SegmentBytes
	}
	cfg.SegmentBytes = min(cfg.SegmentBytes, maxSegmentBytes)
	if cfg.PackAfter == 0 {
		cfg.PackAfter = packAfter
	}
	if cfg.PackShare == 0 {
		cfg.PackShare = packShare
	}
	if cfg.Synced == nil {
		cfg.Synced = func(float64) {}
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the storage directory: %w", err)
	}
	unlock, err := framing.Lock(filepath.Join(cfg.Dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("lock the storage directory %s: %w", cfg.Dir, err)
	}
	j := &Journal{cfg: cfg, disk: cfg.Disk, unlock: unlock, next: 1}
	if err := j.list(); err != nil {
		return nil, errors.Join(fmt.Errorf("read the storage directory: %w", err), unlock())
	}
	return j, nil
}

// list finds the segments.
func (j *Journal) list() error {
	entries, err := os.ReadDir(j.cfg.Dir) // by name, and so by number
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == spareName || strings.HasSuffix(e.Name(), framing.SegmentSuffix+freshSuffix) {
			j.leftOver = append(j.leftOver, filepath.Join(j.cfg.Dir, e.Name()))
		}
		number, ok := framing.ParseSegmentName(e.Name())
		if !ok || !e.Type().IsRegular() { // a pipe would keep its reader waiting
			continue
		}
		j.next = number + 1
		g := &segment{number: number, path: filepath.Join(j.cfg.Dir, e.Name())}
		if err := j.look(g); err != nil {
			return err
		}
		j.segments = append(j.segments, g)
	}
	j.leaveOut()
	// A segment that has begun since says where scrapers were then, and is not to be taken for the one of the cursors.
	if _, number := j.loadCursors(); number >= j.next && number < framing.MaxSegment {
		j.next = number + 1
	}
	return nil
}

// look reads what a segment begins with. What it cannot read Replay finds out.
func (j *Journal) look(g *segment) error {
	f, err := j.disk.Open(g.path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	g.size = info.Size()
	j.toRead.Add(g.size)
	head := make([]byte, min(g.size, framing.SegmentHeader+framing.RecordHeader))
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	v, ok := framing.ParseSegmentHeader(head, magic, g.number)
	if ok && v > version {
		return fmt.Errorf("%w: %s has version %d, this program reads %d; start the newer program, or give this one another directory", ErrVersion, g.path, v, version)
	}
	if !ok || len(head) < framing.SegmentHeader+framing.RecordHeader {
		return nil
	}
	h, ok := framing.ParseHeader(head[framing.SegmentHeader:], g.number, framing.SegmentHeader)
	if !ok || h.Ref.End() > g.size || h.Ref.Body > framing.MaxMetaBytes {
		return nil
	}
	record := make([]byte, int(h.Ref.Meta)+int(h.Ref.Body))
	if _, err := f.ReadAt(record, framing.SegmentHeader+framing.RecordHeader); err != nil {
		return nil
	}
	if framing.Sum(record[:h.Ref.Meta]) == h.MetaSum && framing.Sum(record[h.Ref.Meta:]) == h.BodySum {
		g.begin(record[:h.Ref.Meta], record[h.Ref.Meta:])
	}
	return nil
}

// begin reads a segment's first record.
func (g *segment) begin(head, body []byte) {
	m, ok := parseMeta(head)
	r := reader{framing.Reader{Rest: body}}
	previous, valid, skipped, places := r.Uvarint(), r.Uvarint(), r.Uvarint(), r.places()
	if ok && m.kind == begins && !r.Bad && len(r.Rest) == 0 && previous < g.number && valid <= framing.MaxSegmentBytes {
		g.base, g.previous, g.valid, g.skipped, g.places, g.intact = m.position, previous, int64(valid), skipped, places, true
	}
}

// leaveOut leaves out what pushes left that were refused since the disk failed in the middle: a segment says
// which one came before it, and how much of that is good.
func (j *Journal) leaveOut() {
	for i := len(j.segments) - 1; i >= 0; i-- {
		g := j.segments[i]
		if !g.intact {
			continue
		}
		for i > 0 && j.segments[i-1].number > g.previous {
			j.leftOver = append(j.leftOver, j.segments[i-1].path)
			j.segments = append(j.segments[:i-1], j.segments[i:]...)
			i--
		}
		if i > 0 && j.segments[i-1].number == g.previous {
			j.segments[i-1].size = min(j.segments[i-1].size, g.valid)
		}
	}
}

// places is how far scrapers were, in positions on disk.
func (j *Journal) places() []Place {
	places, number := j.loadCursors()
	for _, g := range j.segments {
		if g.intact && (places == nil || g.number > number) {
			places, number = g.places, g.number
		}
	}
	return places
}

// readFile reads a whole file, as far as it can be read.
func (j *Journal) readFile(path string) ([]byte, error) {
	f, err := j.disk.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > framing.MaxSegmentBytes {
		return nil, fmt.Errorf("%w: it has %d bytes", errDamaged, info.Size())
	}
	text := make([]byte, info.Size())
	n, err := f.ReadAt(text, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return text[:n], err
}

// Size is the number of segments and their bytes.
func (j *Journal) Size() (segments int, bytes int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, g := range j.segments {
		bytes += g.size
	}
	return len(j.segments), bytes
}

// Failures is how often the disk has failed.
func (j *Journal) Failures() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failures
}

// Broken is why nothing can be written, or nil.
func (j *Journal) Broken() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.broken
}

// begin notes that the disk begins to do something, and returns what is to be called when that is done.
func (j *Journal) begin() (done func()) {
	now := time.Now()
	j.begun.Store(&now)
	return func() { j.begun.Store(nil) }
}

// Busy is how long the disk has been at what it does now.
func (j *Journal) Busy() (longest time.Duration) {
	for _, begun := range []*atomic.Pointer[time.Time]{&j.begun, &j.since} {
		if at := begun.Load(); at != nil {
			longest = max(longest, time.Since(*at))
		}
	}
	return longest
}

// Progress is how many of the bytes that there are Replay has read.
func (j *Journal) Progress() (read, of int64) { return j.read.Load(), j.toRead.Load() }

// fail counts a failure of the disk.
func (j *Journal) fail(err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failures++
	return err
}

// Close flushes, closes the files and gives the directory back, also where flushing fails, whose
// error it returns. Nothing else is called any more.
func (j *Journal) Close() error {
	var err error
	if j.cfg.Sync != (Sync{}) {
		err = j.Sync()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil
	}
	j.closed = true
	j.active = nil
	for _, g := range j.segments {
		g.shut()
	}
	return errors.Join(err, j.unlock())
}
