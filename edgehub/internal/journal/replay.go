package journal

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/hubring/hubring/edgehub/internal/block"
	"github.com/hubring/hubring/internal/framing"
)

// Record is what was added, as it comes back. All that it refers to is good until the next one.
type Record struct {
	Kind     Kind
	Turned   bool      // it is the first of its segment: no number has a name yet
	Position uint64    // in the log, of the first sample
	Arrival  time.Time // of the samples

	Entries []Entry // of Names

	Gateway string // of Ends
	Locals  []uint32
	Times   []int64
	Values  []float64
}

// Report is what Replay found.
type Report struct {
	Records  int
	Samples  uint64 // that were taken
	Lost     uint64 // that were on disk, and could not be read, or have no name
	LostByte int64  // that make no sense
	Torn     bool   // it ends in the middle of what was being written when the process or the machine ended
	Damage   []error
}

// replay is the state of Replay.
type replay struct {
	j        *Journal
	f        func(*Record) (taken int, err error)
	record   Record
	report   Report
	expected uint64 // position on disk
	first    bool   // nothing came yet
	last     int64  // arrival of the record before
	pushes   []pushed
	unpacked block.Samples
	err      error
}

// Replay brings all that is on disk, in the order in which it was committed, to f, which says how many of the samples
// it could take. It ends with f's error. places is called before each record with how far scrapers are, in the
// log's positions, as far as that is known then.
func (j *Journal) Replay(places func([]Place), f func(*Record) (taken int, err error)) (Report, error) {
	r := &replay{j: j, f: f, first: true}
	written := j.places()
	buffer := make([]byte, framing.WindowBytes)
	last := 0 // that was begun in full: what is torn in it, or behind, is no damage
	for i, g := range j.segments {
		if g.intact {
			last = i
		}
	}
	for i, g := range j.segments {
		r.segment(g, i >= last, buffer, func() { places(j.placesInLog(written)) })
		if r.err != nil {
			return r.report, r.err
		}
	}
	j.leaveOutEmpty()
	j.written = r.expected
	j.flushFound()
	places(j.placesInLog(written))
	return r.report, nil
}

// leaveOutEmpty leaves out the newest segments that hold nothing: the next one says how much of the one before is good.
func (j *Journal) leaveOutEmpty() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for n := len(j.segments); n > 0 && j.segments[n-1].empty; n-- {
		j.leftOver = append(j.leftOver, j.segments[n-1].path)
		j.segments = j.segments[:n-1]
	}
}

// flushFound flushes what a process has left that was killed before it did, unless no flushes are wanted: from here on it counts as what was flushed.
// What pushes left that were refused is cut off first. The next segment says that they were, but the system may have dropped that one
// without telling this process.
func (j *Journal) flushFound() {
	if j.cfg.Sync == (Sync{}) {
		return
	}
	j.mu.Lock()
	j.newNames = len(j.segments) > 0
	segments := slices.Clone(j.segments)
	j.mu.Unlock()
	for _, g := range segments {
		f, err := j.disk.Open(g.path)
		if err != nil {
			continue // Replay has told that
		}
		if info, err := f.Stat(); err == nil && info.Size() > g.size {
			_ = f.Truncate(g.size) // it has been refused once, and stands where nobody reads it as long as the next one is there
		}
		j.mu.Lock()
		g.file, g.dirty = f, true
		j.mu.Unlock()
		if j.Sync() != nil {
			return // it is broken until Probe
		}
	}
}

// toLog is the log's position of one on disk.
func (j *Journal) toLog(disk uint64) uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.toLogLocked(disk)
}

// placesInLog are places on disk in the positions of the log.
func (j *Journal) placesInLog(places []Place) []Place {
	in := make([]Place, len(places))
	for i, p := range places {
		in[i] = Place{Scraper: p.Scraper, Floor: j.toLog(p.Floor)}
		for _, at := range p.Parts {
			in[i].Parts = append(in[i].Parts, j.toLog(at))
		}
	}
	return in
}

// segment replays one segment.
func (r *replay) segment(g *segment, newest bool, buffer []byte, before func()) {
	if !g.intact {
		g.base = r.expected
	}
	read := r.j.read.Load()
	defer func() { r.j.read.Store(read + g.size) }()
	text, err := r.j.readFile(g.path)
	if err != nil {
		r.damage(fmt.Errorf("%s: read %d of %d bytes: %w", g.path, len(text), g.size, err))
		r.report.LostByte += g.size - int64(len(text))
	}
	text = text[:min(int64(len(text)), g.size)]
	v, intact := framing.ParseSegmentHeader(text, magic, g.number)
	sc := framing.NewScanner(bytes.NewReader(text), int64(len(text)), g.number, buffer)
	end := int64(framing.SegmentHeader) // of the last record
	turned := true
	sc.Visit = func(h framing.Header) {
		if r.err != nil {
			return
		}
		before()
		at := int64(h.Ref.Offset) + framing.RecordHeader
		head, body := text[at:at+int64(h.Ref.Meta)], text[at+int64(h.Ref.Meta):h.Ref.End()]
		r.visit(g, h.Ref, turned, head, body)
		turned = false
		end = h.Ref.End()
		r.j.read.Store(read + end)
	}
	_ = sc.Run() // reading from memory does not fail
	if len(text) < framing.SegmentHeader && bytes.HasPrefix(framing.NewSegmentHeader(magic, version, g.number), text) {
		if newest {
			r.report.Torn = r.report.Torn || len(text) > 0 // a crash at its beginning
			g.empty = true
		}
		return
	}
	if sc.Good == 0 && isAnothers(text, g.number) {
		g.empty = newest
		return
	}
	if !intact && sc.Good == 0 {
		r.damage(fmt.Errorf("%s: %w: it has no header and no record", g.path, errDamaged))
	}
	g.empty = newest && intact && sc.Good == 0
	lost := sc.Lost.Bytes
	if tail := int64(len(text)) - end; tail > 0 && lost > 0 {
		whole := v > 1 && endsClean(text, end)
		if newest || whole {
			r.report.Torn = r.report.Torn || !whole
			lost -= tail
			r.j.mu.Lock()
			g.size = end
			r.j.mu.Unlock()
		}
	}
	if lost > 0 {
		r.report.LostByte += lost
		r.damage(fmt.Errorf("%s: %w: %d bytes make no sense, the first at byte %d", g.path, errDamaged, lost, sc.FirstLost))
	}
}

// visit replays a record whose checksums are right.
func (r *replay) visit(g *segment, ref framing.Ref, turned bool, head, body []byte) {
	m, ok := parseMeta(head)
	if !ok || m.kind != begins && m.kind != Names && m.samples > MaxSamples || m.kind == packedPushes && m.samples > mostPacked {
		r.damage(fmt.Errorf("%v: %w: what it is", ref, errDamaged))
		return
	}
	if r.first {
		r.first, r.expected = false, m.position
	}
	if m.position < r.expected {
		r.damage(fmt.Errorf("%v: %w: its position is %d, behind %d", ref, errDamaged, m.position, r.expected))
		return
	}
	if m.kind == begins && g.intact {
		r.skip(min(g.skipped, m.position-r.expected))
	}
	if gone := m.position - r.expected; gone > 0 {
		r.gone(g, gone, m.arrival)
	}
	g.arrived = m.arrival
	r.last = m.arrival
	rec := &r.record
	rec.Kind, rec.Turned = m.kind, turned
	rec.Entries, rec.Locals, rec.Times, rec.Values = rec.Entries[:0], rec.Locals[:0], rec.Times[:0], rec.Values[:0]
	in := reader{framing.Reader{Rest: body}}
	switch m.kind {
	case begins:
		m.samples = 0
	case Names:
		rec.Entries = in.entries(rec.Entries)
		m.samples = 0
	case Ends:
		rec.Gateway = string(in.Text())
		in.columns(rec, &m)
	case Samples, Firsts:
		in.columns(rec, &m)
	case packedPushes:
		r.unpack(&in, &m)
	}
	switch {
	case in.Bad:
		r.damage(fmt.Errorf("%v: %w: what is in it", ref, errDamaged))
		r.lose(ref, &m, uint64(m.samples))
	case m.kind == packedPushes:
		g.packed = true
		r.bringPushes(g, ref, &m)
	default:
		r.bring(ref, &m)
	}
}

// bringPushes brings the pushes of a packed record.
func (r *replay) bringPushes(g *segment, ref framing.Ref, m *meta) {
	rec, locals, from := &r.record, r.record.Locals, 0
	rec.Kind = Samples
	for _, p := range r.pushes {
		if r.err != nil {
			return
		}
		to := from + p.samples
		rec.Locals, rec.Times, rec.Values = locals[from:to], r.unpacked.Times[from:to], r.unpacked.Values[from:to]
		part := *m
		part.position, part.samples, part.arrival = m.position+uint64(from), uint32(p.samples), p.arrival
		r.bring(ref, &part)
		rec.Turned = false
		from, g.arrived, r.last = to, p.arrival, p.arrival
	}
	rec.Locals, rec.Times, rec.Values = locals[:0], nil, nil
}

// bring brings a record.
func (r *replay) bring(ref framing.Ref, m *meta) {
	r.record.Position, r.record.Arrival = r.j.toLog(m.position), time.UnixMilli(m.arrival)
	r.report.Records++
	taken, err := r.f(&r.record)
	r.err = err
	r.report.Samples += uint64(taken)
	r.expected = m.position + uint64(taken)
	if missing := uint64(m.samples) - uint64(taken); missing > 0 && r.err == nil {
		r.lose(ref, m, missing)
	}
}

// lose notes that samples of a record are lost, the last ones.
func (r *replay) lose(ref framing.Ref, m *meta, missing uint64) {
	r.expected = m.position + uint64(m.samples) - missing
	if missing == 0 {
		return
	}
	r.report.Lost += missing
	r.skip(missing)
	r.damage(fmt.Errorf("%v: %d samples from %v to %v are lost, of series that are not known", ref, missing,
		time.UnixMilli(m.oldest).UTC(), time.UnixMilli(m.newest).UTC()))
}

// skip passes over positions where there are no samples.
func (r *replay) skip(samples uint64) {
	if samples > 0 {
		r.j.mu.Lock()
		defer r.j.mu.Unlock()
		r.j.addGapLocked(r.expected, samples)
		r.expected += samples
	}
}

// gone notes that samples before a record are lost, which came between the one before that could be read and it.
func (r *replay) gone(g *segment, samples uint64, arrival int64) {
	r.report.Lost += samples
	r.skip(samples)
	came := fmt.Sprintf("before %v", time.UnixMilli(arrival).UTC())
	if r.last != 0 {
		came = fmt.Sprintf("between %v and %v", time.UnixMilli(r.last).UTC(), time.UnixMilli(arrival).UTC())
	}
	r.damage(fmt.Errorf("%s: %w: %d samples are lost, which came %s", g.path, errDamaged, samples, came))
}

// maxDamage is how many faults are told one by one.
const maxDamage = 100

func (r *replay) damage(err error) {
	if len(r.report.Damage) < maxDamage {
		r.report.Damage = append(r.report.Damage, err)
	}
}
