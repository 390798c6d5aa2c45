package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hubring/hubring/edgehub/internal/journal"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
)

// DiskConfig says how a store is kept on disk as well.
type DiskConfig struct {
	Journal journal.Config
	Bytes   int64              // of all segments, beyond which pushes are refused, or the oldest samples go where that is the policy; 0 for no bound
	Made    func(samples.Made) // is told what was given up for that
	Logger  *slog.Logger
	// Read notes the canonical text of a series as a newcomer.
	Read func(t *series.Table, names *series.Newcomers, text []byte) error
}

// StorageError is the reason to refuse a push because of the disk.
type StorageError struct {
	Reason string // in one word
	text   string
}

func (e *StorageError) Error() string { return e.text }

// What the disk is the reason for.
const (
	Unavailable = "storage_unavailable" // it was not opened yet
	Replaying   = "replaying"           // it is being read
	Failed      = "storage_failed"
	Full        = "storage_full"
	Slow        = "storage_slow"
)

const (
	// groupBytes is about how much is written at a time, of any number of pushes.
	groupBytes = 8 << 20
	// slowAfter is how long the disk may be at one thing before pushes are refused rather than kept waiting.
	slowAfter = 2 * time.Second
	// openEvery is how often a directory is tried that cannot be opened.
	openEvery = 5 * time.Second
	// keepEvery is how often cursors are written down, and a disk that failed is tried.
	keepEvery = time.Second
)

// disk keeps a store's log in a journal. A batch is written to it, with others that wait, and published to the log
// then, in the same order. Whoever holds order sees the log and the journal without a batch between them.
type disk struct {
	cfg   DiskConfig
	store *Store
	ready chan struct{}   // closed once all is replayed
	ctx   context.Context // ends with Close
	stop  context.CancelFunc
	ended sync.WaitGroup

	queuing sync.Mutex
	queue   []*entry

	order   sync.Mutex
	journal *journal.Journal // nil until it is replayed
	pending []stretch        // in the log, and not in the journal yet
	unknown []series.ID      // scratch space
	group   []*entry         // likewise
	arrived []samples.Arrived

	packers    sync.WaitGroup // one at a time
	packing    atomic.Bool
	packFailed bool // of whoever packs: it was said

	refusal  atomic.Pointer[StorageError] // why pushes are refused, or nil
	open     atomic.Pointer[journal.Journal]
	replayed atomic.Uint64 // samples
	lost     atomic.Uint64 // likewise, that could not be read
	torn     atomic.Uint64 // times that the end was cut
}

// entry is a batch that is to be written.
type entry struct {
	table *series.Table
	batch *Batch
	now   time.Time

	done bool // guarded by disk.order, as is err
	err  error
}

// stretch is samples that the log wrote itself.
type stretch struct {
	samples.Stretch
	kind    journal.Kind
	gateway string // that ended
	table   *series.Table
	time    time.Time
}

// commit takes a batch as Store.commit does.
func (d *disk) commit(t *series.Table, b *Batch, now time.Time) (m samples.Made, err error) {
	if err := d.refuses(); err != nil {
		return samples.Made{}, err
	}
	if b.Len() > journal.MaxSamples {
		return samples.Made{}, &FullError{"too_many_samples", fmt.Sprintf("the push has %d samples, and a hub with a log on disk takes %d at once; send it in parts", b.Len(), journal.MaxSamples)}
	}
	log := d.store.Log
	if len(b.Names.List) == 0 {
		m, err = log.Reserve(t.Generation, b.Len(), b.Runs)
	} else {
		err = t.Learn(&b.Names, now, func() (err error) {
			b.assignRuns()
			m, err = log.Reserve(t.Generation, b.Len(), b.Runs)
			return err
		}, log.Arrive)
		if err == nil {
			d.store.conflicts.Add(uint64(b.Names.Conflicts))
			b.assignNumbers()
		}
	}
	if err != nil {
		return m, full(t, err)
	}
	e := &entry{table: t, batch: b, now: now}
	d.queuing.Lock()
	d.queue = append(d.queue, e)
	d.queuing.Unlock()
	d.order.Lock()
	for !e.done {
		d.commitGroup()
	}
	d.order.Unlock()
	return m, e.err
}

// next takes a batch out of the queue.
func (d *disk) next() (e *entry) {
	d.queuing.Lock()
	defer d.queuing.Unlock()
	if len(d.queue) == 0 {
		return nil
	}
	e = d.queue[0]
	d.queue[0] = nil
	if d.queue = d.queue[1:]; len(d.queue) == 0 {
		d.queue = nil
	}
	return e
}

// commitGroup writes what the log wrote itself and batches that wait, as many as make a group, flushes that where it is wanted,
// and publishes it. Whoever calls it holds order.
func (d *disk) commitGroup() {
	log := d.store.Log
	turned, err := d.journal.Start(time.Now(), d.places)
	if err != nil {
		for e := d.next(); e != nil; e = d.next() {
			d.settle(e, d.failed(err))
		}
		return
	}
	generation := log.Generation()
	d.group, d.arrived = d.group[:0], d.arrived[:0]
	if turned {
		d.store.Table().Families(d.journal.Family)
	}
	for i := range d.pending {
		p := &d.pending[i]
		d.define(p.table, p.IDs, p.Runs)
		d.journal.Add(p.kind, p.gateway, p.time, p.Times, p.Values)
	}
	for d.journal.Buffered() < groupBytes {
		e := d.next()
		if e == nil {
			break
		}
		if e.table.Generation != generation {
			d.settle(e, series.ErrReplaced)
			continue
		}
		b := e.batch
		if len(b.Names.List) > 0 {
			e.table.FamiliesOf(&b.Names, d.journal.Family)
		}
		d.define(e.table, b.IDs, b.Runs)
		if b.Len() > 0 {
			d.journal.Add(journal.Samples, "", e.now, b.Times, b.Values)
		}
		d.group = append(d.group, e)
		d.arrived = append(d.arrived, samples.Arrived{Columns: &b.Columns, Runs: b.Runs, Time: e.now, Handed: b.Handed})
	}
	if len(d.group) == 0 && len(d.pending) == 0 {
		return
	}
	if err := d.journal.Commit(); err != nil {
		err := d.failed(err)
		d.refusal.Store(err)
		d.cfg.Logger.Error("the disk has failed; pushes are refused until it is well", "dir", d.cfg.Journal.Dir, "error", err)
		for _, e := range d.group {
			d.settle(e, err)
		}
		return
	}
	d.pending = nil
	d.publish(generation)
}

// publish makes what was written part of the log.
func (d *disk) publish(generation uint64) {
	if len(d.group) == 0 {
		return
	}
	firsts, err := d.store.Log.Publish(generation, d.arrived)
	if err != nil {
		panic("BUG: a table was replaced between the journal and the log")
	}
	last := d.group[len(d.group)-1]
	if firsts.Len() > 0 {
		d.pending = append(d.pending, stretch{Stretch: firsts, kind: journal.Firsts, table: last.table, time: last.now})
	}
	for _, e := range d.group {
		e.done = true
	}
	clear(d.group)
	clear(d.arrived)
}

// settle ends a batch that is not taken.
func (d *disk) settle(e *entry, err error) {
	d.store.Log.GiveBack(e.batch.Len())
	e.done, e.err = true, err
}

// define begins samples, with the entries of series and gateways that have none in the segment yet.
func (d *disk) define(t *series.Table, ids []series.ID, runs []samples.Run) {
	var some bool
	d.unknown, some = d.journal.Define(d.unknown[:0], ids)
	if len(d.unknown) > 0 {
		t.Spell(d.unknown, func(id series.ID, text, gateway string, own bool) {
			if own {
				d.journal.Own(id, gateway)
			} else {
				d.journal.Series(id, text)
			}
		})
	}
	if !some {
		return
	}
	var gateways []uint32
	for _, r := range runs {
		if d.journal.UnknownGateway(r.Gateway) {
			gateways = append(gateways, r.Gateway)
		}
	}
	if len(gateways) > 0 {
		for i, l := range d.store.Log.Lives(gateways) {
			d.journal.Gateway(t.GatewayName(gateways[i]), journal.Life(l))
		}
	}
}

// places is how far scrapers are.
func (d *disk) places() (places []journal.Place) {
	for _, p := range d.store.Log.Places() {
		places = append(places, journal.Place(p))
	}
	return places
}

// failed is the reason to refuse a push after an error of the journal.
func (d *disk) failed(err error) *StorageError {
	reason := Failed
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		reason = Full
	}
	return &StorageError{reason, fmt.Sprintf("the hub's disk has failed, and nothing of the push was taken: %v", err)}
}

// refuses is why pushes are refused, or nil.
func (d *disk) refuses() error {
	if r := d.refusal.Load(); r != nil {
		if r.Reason == Replaying {
			return d.progress()
		}
		return r
	}
	j := d.open.Load()
	if busy := j.Busy(); busy > slowAfter {
		return &StorageError{Slow, fmt.Sprintf("the hub's disk has been busy with one write for %v", busy.Round(time.Second/10))}
	}
	if d.cfg.Bytes > 0 && !d.store.newest {
		if _, bytes := j.Size(); bytes >= d.cfg.Bytes {
			return &StorageError{Full, fmt.Sprintf("the hub's log takes %d bytes on disk, and the limit is %d; is the hub being scraped?", bytes, d.cfg.Bytes)}
		}
	}
	return nil
}

// progress says how far replaying is.
func (d *disk) progress() *StorageError {
	percent, j := 0.0, d.open.Load()
	if j != nil {
		if read, of := j.Progress(); of > 0 {
			percent = 100 * float64(read) / float64(of)
		}
	}
	return &StorageError{Replaying, fmt.Sprintf("the hub reads its log from disk: %.0f %%, %d samples so far", percent, d.replayed.Load())}
}

// add writes down what the log has written itself. Where that fails it is written with what comes next.
func (d *disk) add(written []stretch, now time.Time) error {
	for i := range written {
		written[i].time = now
	}
	d.pending = append(d.pending, written...)
	if d.flush(); len(d.pending) == 0 {
		return nil
	}
	return d.refusal.Load()
}

// flush writes down what waits for that. Whoever calls it holds order.
func (d *disk) flush() {
	if len(d.pending) > 0 {
		d.commitGroup()
	}
}

// settled says whether all that is in the log is written down, which it sees to: so no number becomes free that is to
// be written yet. Whoever calls it holds order.
func (d *disk) settled() bool {
	if d == nil {
		return true
	}
	d.flush()
	return len(d.pending) == 0
}

// between runs f while no batch is between the journal and the log. Without a disk that is always so.
func (d *disk) between(f func()) {
	if d == nil {
		f()
		return
	}
	d.order.Lock()
	defer d.order.Unlock()
	f()
}
