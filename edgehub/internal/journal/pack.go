package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/hubring/hubring/edgehub/internal/block"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/internal/framing"
)

// A segment whose samples have waited for long is packed: another file takes its place that says the same, with the
// samples of many pushes in a block, which are a quarter of the bytes. The journal goes on meanwhile. A crash leaves the
// one file or the other, each whole.

const (
	// packAfter is how long the samples of a segment wait before it is packed. Servers that scrape every minute have them by then.
	packAfter = 2 * time.Minute
	// packBusy is how long the disk may be at one thing so that something is packed beside that.
	packBusy = 100 * time.Millisecond
	// packShare is the default of Config.PackShare: eight million samples take less than a minute.
	packShare = 0.01
	// packAgain is when a segment is tried once more that could not be packed.
	packAgain = time.Minute
	// A block has leastPacked samples, or packedEach of each series of the segment, up to mostPacked: it packs the better the more there
	// are of a series, and a damaged one takes all with it.
	leastPacked = 1 << 18
	packedEach  = 8
	mostPacked  = 1 << 20
)

// pushed is a push in a block.
type pushed struct {
	samples int
	arrival int64 // in milliseconds since the epoch
}

// Pack packs the oldest segment that has waited for long and that some scraper needs, where floor is the position of the log before which
// all have everything, and says whether there was one. It works beside everything else but Close and another Pack, and breaks off when ctx
// ends, the disk fails or nobody needs the segment any more. An error leaves the segment as it was: it is counted, and keeps nobody from adding more.
func (j *Journal) Pack(ctx context.Context, now time.Time, floor func() uint64) (did bool, err error) {
	g, waiting := j.toPack(now, floor())
	if g == nil {
		return false, nil
	}
	p := &packer{ctx: ctx, j: j, g: g, floor: floor, rests: max(0, 1/(j.cfg.PackShare*float64(waiting))-1), path: g.path + freshSuffix, size: framing.SegmentHeader, gateways: map[string]bool{}}
	renamed := false
	if err = p.pack(); err == nil && p.size < p.was {
		if err = j.disk.Rename(p.path, g.path); err == nil {
			renamed = true
			err = j.disk.SyncDir(j.cfg.Dir)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	g.packing = false
	g.packed = err == nil || renamed || errors.Is(err, errDamaged)
	if renamed && err == nil { // or a loss of power may bring back the other one, whose size the next segment will name
		g.size, g.worn = p.size, 0
	}
	if !renamed {
		if removed := j.disk.Remove(p.path); removed != nil && !errors.Is(removed, fs.ErrNotExist) {
			j.leftOver = append(j.leftOver, p.path)
		}
	}
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, errStopped):
		return false, ctx.Err()
	}
	g.packNext = now.Add(packAgain)
	j.failures++
	return false, fmt.Errorf("pack %s: %w", g.path, err)
}

// toPack chooses a segment, which stays until it is packed, and says how many wait for that.
func (j *Journal) toPack(now time.Time, floor uint64) (first *segment, waiting int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed || j.broken != nil || j.Busy() > packBusy {
		return nil, 0
	}
	for i, g := range j.segments {
		waited := now.Sub(time.UnixMilli(g.arrived))
		if g == j.active || g.file != nil || !g.intact || g.packed || waited < j.cfg.PackAfter || now.Before(g.packNext) || !j.neededLocked(i, floor) {
			continue
		}
		if waiting++; first == nil {
			first = g
		}
	}
	if first != nil {
		first.packing = true
	}
	return first, waiting
}

// neededLocked says whether a segment has samples behind a position of the log.
func (j *Journal) neededLocked(i int, floor uint64) bool {
	end := j.written
	if i+1 < len(j.segments) {
		end = j.segments[i+1].base
	}
	return j.toLogLocked(end) > floor
}

// packer writes a segment's records to another file.
type packer struct {
	ctx   context.Context
	j     *Journal
	g     *segment
	floor func() uint64
	rests float64       // how much longer than work it rests
	work  time.Duration // since it rested
	path  string
	was   int64 // of what is packed, in bytes
	from  framing.File
	to    framing.File
	size  int64 // of what is written
	body  []byte

	locals   uint32          // numbers of series that have an entry
	gateways map[string]bool // that have one

	first   meta // of the run
	run     block.Samples
	pushes  []pushed
	scratch Record
	encoder block.Encoder
	out     []byte
}

func (p *packer) pack() (err error) {
	p.j.mu.Lock()
	p.was = p.g.size
	p.j.mu.Unlock()
	if p.from, err = p.j.disk.Open(p.g.path); err != nil {
		return err
	}
	defer func() { _ = p.from.Close() }() // only read from
	if err := p.j.disk.Remove(p.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if p.to, err = p.j.disk.Create(p.path); err != nil {
		return err
	}
	if _, err = p.to.WriteAt(framing.NewSegmentHeader(magic, version, p.g.number), 0); err == nil {
		err = p.records()
	}
	if err == nil { // also where the system is to flush: what was there may be flushed for long
		err = p.to.Sync()
	}
	return errors.Join(err, p.to.Close())
}

// records reads the segment's records and writes what takes their place. Nothing may be damaged.
func (p *packer) records() (err error) {
	sc := framing.NewScanner(p.from, p.was, p.g.number, make([]byte, framing.WindowBytes))
	sc.Visit = func(h framing.Header) {
		if err == nil {
			if err = p.record(h); err == nil {
				err = p.rest()
			}
		}
	}
	if failed := sc.Run(); failed != nil {
		return failed
	}
	if err == nil && sc.Lost.Bytes > 0 {
		err = errDamaged
	}
	if err == nil {
		err = p.flushRun()
	}
	return err
}

// A packer works a little and rests then, and looks now and then whether it is to stop.
const (
	packWork = time.Millisecond
	packLook = 100 * time.Millisecond
)

var errStopped = errors.New("stopped")

// rest keeps to the packer's share of the time, and fails when it is to stop.
func (p *packer) rest() error {
	rest := time.Duration(p.rests * float64(p.work))
	if p.work < packWork {
		rest = 0
	} else {
		p.work = 0
	}
	for {
		if p.ctx.Err() != nil || !p.wanted() {
			return errStopped
		}
		if rest <= 0 {
			return nil
		}
		look := time.NewTimer(min(rest, packLook))
		select {
		case <-p.ctx.Done():
			look.Stop()
		case <-look.C:
		}
		rest -= packLook
	}
}

// wanted says whether the segment is still needed, and the disk does not fail.
func (p *packer) wanted() bool {
	floor := p.floor()
	p.j.mu.Lock()
	defer p.j.mu.Unlock()
	i := slices.Index(p.j.segments, p.g)
	return p.j.broken == nil && p.j.neededLocked(i, floor)
}

// record deals with one record: names are written, samples wait for others, and what is anything else has its place between them.
func (p *packer) record(h framing.Header) error {
	began := time.Now()
	defer func() { p.work += time.Since(began) }()
	p.body = resize(p.body, int(h.Ref.Meta)+int(h.Ref.Body))
	if _, err := p.from.ReadAt(p.body, int64(h.Ref.Offset)+framing.RecordHeader); err != nil {
		return err
	}
	m, ok := parseMeta(p.body[:h.Ref.Meta])
	if !ok {
		return errDamaged
	}
	body := p.body[h.Ref.Meta:]
	switch {
	case m.kind == Names:
		return p.names(&m, body)
	case m.kind == Samples && m.samples > 0 && m.samples <= leastPacked:
		return p.push(&m, body)
	}
	if err := p.flushRun(); err != nil {
		return err
	}
	return p.write(&m, body)
}

// names writes names before the samples that wait, unless these could need what was known of a gateway before.
func (p *packer) names(m *meta, body []byte) error {
	in := reader{framing.Reader{Rest: body}}
	p.scratch.Entries = in.entries(p.scratch.Entries[:0])
	if in.Bad {
		return errDamaged
	}
	for _, e := range p.scratch.Entries {
		if e.Gateway && p.gateways[string(e.Name)] {
			if err := p.flushRun(); err != nil {
				return err
			}
		}
	}
	for _, e := range p.scratch.Entries {
		if e.Gateway {
			p.gateways[string(e.Name)] = true
		}
		p.locals = max(p.locals, e.Local)
	}
	if len(p.pushes) > 0 {
		m.position = p.first.position
	}
	return p.write(m, body)
}

// push adds the samples of one to the run.
func (p *packer) push(m *meta, body []byte) error {
	in := reader{framing.Reader{Rest: body}}
	if in.columns(&p.scratch, m); in.Bad {
		return errDamaged
	}
	if n := len(p.run.IDs); n > 0 && (p.first.position+uint64(n) != m.position || n+int(m.samples) > p.most()) {
		if err := p.flushRun(); err != nil {
			return err
		}
	}
	if len(p.pushes) == 0 {
		p.first = *m
	}
	p.first.oldest, p.first.newest = min(p.first.oldest, m.oldest), max(p.first.newest, m.newest)
	p.pushes = append(p.pushes, pushed{int(m.samples), m.arrival})
	for _, local := range p.scratch.Locals {
		if local > p.locals {
			return errDamaged // its name is lost
		}
		p.run.IDs = append(p.run.IDs, series.ID(local))
	}
	p.run.Times, p.run.Values = append(p.run.Times, p.scratch.Times...), append(p.run.Values, p.scratch.Values...)
	return nil
}

// most is how many samples make a block.
func (p *packer) most() int { return min(max(leastPacked, packedEach*int(p.locals)), mostPacked) }

// flushRun writes the samples that wait.
func (p *packer) flushRun() error {
	if len(p.pushes) == 0 {
		return nil
	}
	m := p.first
	m.kind, m.short, m.samples = packedPushes, false, uint32(len(p.run.IDs))
	body := appendPushes(nil, p.pushes, m.arrival)
	body = append(body, p.encoder.Encode(parts(p.run)).Data()...)
	p.run = block.Samples{IDs: p.run.IDs[:0], Times: p.run.Times[:0], Values: p.run.Values[:0]}
	p.pushes = p.pushes[:0]
	if err := p.write(&m, body); err != nil {
		return err
	}
	began := time.Now()
	defer func() { p.work -= time.Since(began) }() // which is no work
	return p.to.Sync()                             // now and then, so that nobody's flush waits for much of it
}

// parts are samples in pieces, between which the encoder lets others work.
func parts(all block.Samples) (some []block.Samples) {
	for from := 0; from < len(all.IDs); from += block.Stretch {
		to := min(from+block.Stretch, len(all.IDs))
		some = append(some, block.Samples{IDs: all.IDs[from:to], Times: all.Times[from:to], Values: all.Values[from:to]})
	}
	return some
}

// write writes a record behind the others.
func (p *packer) write(m *meta, body []byte) error {
	p.out = framing.AppendRecord(p.out[:0], m.append(nil), body)
	framing.Place(p.out, p.g.number, uint32(p.size))
	if _, err := p.to.WriteAt(p.out, p.size); err != nil {
		return err
	}
	p.size += int64(len(p.out))
	return nil
}

// appendPushes appends how many samples pushes have, and when they came.
func appendPushes(dst []byte, pushes []pushed, before int64) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(pushes)))
	for _, p := range pushes {
		dst = binary.AppendUvarint(dst, uint64(p.samples))
		dst = binary.AppendVarint(dst, p.arrival-before)
		before = p.arrival
	}
	return dst
}

// pushes reads what appendPushes appends, of so many samples.
func (r *reader) pushes(dst []pushed, samples uint32, before int64) []pushed {
	left := uint64(samples)
	for n := r.Uvarint(); n > 0 && !r.Bad; n-- {
		count := r.Uvarint()
		before += r.Varint()
		if count == 0 || count > left {
			r.Bad = true
			return dst
		}
		left -= count
		dst = append(dst, pushed{int(count), before})
	}
	r.Bad = r.Bad || left > 0
	return dst
}

// unpack reads the pushes of a packed record, and their samples.
func (r *replay) unpack(in *reader, m *meta) {
	r.pushes = in.pushes(r.pushes[:0], m.samples, m.arrival)
	if in.Bad {
		return
	}
	b, err := block.Open(in.Rest)
	if in.Bad = err != nil || b.Len() != int(m.samples); in.Bad {
		return
	}
	r.unpacked = b.Append(block.Samples{IDs: r.unpacked.IDs[:0], Times: r.unpacked.Times[:0], Values: r.unpacked.Values[:0]})
	r.record.Locals = resize(r.record.Locals, len(r.unpacked.IDs))
	for i, id := range r.unpacked.IDs {
		r.record.Locals[i] = uint32(id)
	}
}
