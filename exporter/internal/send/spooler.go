package send

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/hubring/hubring/exporter/internal/loglimit"
	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/internal/spool"
)

const (
	// spillBytes is how much is taken at a time to be written to disk.
	spillBytes = 4 << 20
	// spillPause is how long the spooler leaves a disk alone that failed, at first; it doubles
	// up to longestSpillPause.
	spillPause        = time.Second
	longestSpillPause = 30 * time.Second
)

// Disk is a spool.Store, or what a test puts in its place.
type Disk interface {
	Append(meta, body []byte) (spool.Ref, error)
	Sync() error
	Body(ref spool.Ref, dst []byte) ([]byte, error)
	Done(ref spool.Ref) error
	Recover(yield func(ref spool.Ref, meta []byte) error) error
	Damage() error
	Lost() (records int, bytes int64)
	Gone(ref spool.Ref) bool
	Close() error
}

// OpenDisk is spool.Open.
func OpenDisk(cfg spool.Config) (Disk, error) {
	s, err := spool.Open(cfg)
	if err != nil {
		return nil, err // not s, which would be a disk that is not nil
	}
	return s, nil
}

// Spooler moves parcels to disk when memory runs short, and what is left when Run
// ends. A nil one has no disk. One whose disk cannot be used yet, because another process has the directory or
// the system refuses it, tries again and again, and memory has to do meanwhile.
//
// On disk a parcel is a record of the spool. Its meta data are what the queue
// needs to know; the body is the shape and the text.
type Spooler struct {
	queue   *queue.Queue
	dial    func() (Disk, error) // opens the disk
	metrics *Metrics
	limits  *loglimit.Limits
	store   Disk // nil until it can be used; set before any parcel is on it
	fault   error
	keeps   chan *keeping
	ended   chan struct{} // closed when Run has ended

	meta, body []byte // scratch
}

// NewSpooler returns the one for a disk, which it does not touch yet.
func NewSpooler(q *queue.Queue, open func() (Disk, error), m *Metrics, limits *loglimit.Limits) *Spooler {
	return &Spooler{queue: q, dial: open, metrics: m, limits: limits, keeps: make(chan *keeping), ended: make(chan struct{})}
}

// Begin opens the disk and queues what an earlier Run left there, if it can. It is called once, before Run.
func (s *Spooler) Begin() {
	if s != nil {
		s.tell(s.open())
	}
}

// open opens the disk and queues what an earlier Run left there.
func (s *Spooler) open() error {
	store, err := s.dial()
	if err != nil {
		return fmt.Errorf("open SpoolDir: %w", err)
	}
	var parcels []*queue.Parcel
	err = store.Recover(func(ref spool.Ref, meta []byte) error {
		head, err := readMeta(meta)
		if err != nil {
			s.limits.Log("spool", slog.LevelWarn, "A record of SpoolDir makes no sense, it is left out", "error", err)
			return store.Done(ref)
		}
		parcels = append(parcels, parcelAt(ref, head))
		return nil
	})
	if err != nil {
		return errors.Join(fmt.Errorf("read SpoolDir: %w", err), store.Close())
	}
	if damage := store.Damage(); damage != nil {
		records, bytes := store.Lost()
		s.metrics.spoolFailures.Inc() // of how many samples nobody can tell
		s.limits.Log("spool", slog.LevelWarn, "A part of SpoolDir is damaged and lost", "records", records, "bytes", bytes, "error", damage)
	}
	s.store = store
	if samples := s.queue.Restore(parcels, time.Now()); samples > 0 {
		s.limits.Log("spool", slog.LevelInfo, "Samples that an earlier run left in SpoolDir are queued", "samples", samples, "parcels", len(parcels))
	}
	return nil
}

// tell notes how the disk is.
func (s *Spooler) tell(err error) {
	if err == nil && s.fault != nil {
		s.limits.Log("spool again", slog.LevelInfo, "SpoolDir can be used again")
	}
	s.fault = err
	s.queue.NoteDisk(err, errors.Is(err, spool.ErrFull))
	if err != nil {
		s.metrics.spoolFailures.Inc()
		s.limits.Log("spool", slog.LevelWarn, "SpoolDir cannot be used: samples stay in memory, and a Submit that is to keep them there is refused", "error", err)
	}
}

// Run spills whenever the queue asks for it and writes what Submits wait for, until ctx ends. A spill
// that fails is tried again after a while.
func (s *Spooler) Run(ctx context.Context) {
	defer close(s.ended)
	pause := time.NewTimer(spillPause)
	defer pause.Stop()
	failures := 0
	if s.store == nil {
		failures++
	}
	for {
		again, wanted := pause.C, s.queue.ToSpill
		if failures > 0 {
			wanted = nil
		} else {
			again = nil
		}
		select {
		case <-ctx.Done():
			return
		case k := <-s.keeps:
			s.keepAll(ctx, k)
			continue
		case <-again:
		case <-wanted:
		}
		err := s.work(ctx)
		if s.tell(err); err == nil {
			failures = 0
			continue
		}
		failures++ // the pause is not begun anew by what else comes meanwhile
		pause.Reset(min(spillPause<<min(failures-1, 10), longestSpillPause))
	}
}

// work does what there is to do on disk.
func (s *Spooler) work(ctx context.Context) error {
	if s.store == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	s.discard()
	return s.relieve(ctx)
}

// relieve spills until half of the memory is free.
func (s *Spooler) relieve(ctx context.Context) error {
	for ctx.Err() == nil && s.queue.WantsSpill() {
		parcels := s.queue.TakeToSpill(spillBytes)
		if len(parcels) == 0 { // all of it is being sent
			break
		}
		if err := s.spill(parcels); err != nil {
			return err
		}
	}
	return nil
}

// spill writes parcels to disk, but for those that have a copy there. Those that it could not write stay in memory, and so do
// all if it is not certain that they are there.
func (s *Spooler) spill(parcels []*queue.Parcel) error {
	var err error
	var written []queue.Stored // the first of each record
	var fresh []*record
	for _, bundle := range queue.Bundles(parcels) {
		if at := bundle[0].Kept; at != nil {
			written = append(written, queue.Stored{Parcel: bundle[0], At: at})
			continue
		}
		var at *record
		at, err = s.write(bundle)
		if errors.Is(err, spool.ErrTooLarge) { // it stays in memory
			bundle[0].Unfit, err = true, nil
			continue
		}
		if err != nil {
			break
		}
		written, fresh = append(written, queue.Stored{Parcel: bundle[0], At: at}), append(fresh, at)
	}
	if len(fresh) > 0 {
		if failed := s.store.Sync(); failed != nil {
			for _, at := range fresh {
				s.mark(at.ref)
			}
			for _, p := range parcels {
				p.Within = nil
			}
			written = slices.DeleteFunc(written, func(w queue.Stored) bool { return w.Parcel.Kept == nil })
			err = errors.Join(err, failed)
		}
	}
	s.queue.Spilled(parcels, written)
	s.discard()
	return err
}

// append writes one record. On a full disk the oldest ones there make room if
// that is the policy.
func (s *Spooler) append(meta, body []byte) (spool.Ref, error) {
	for {
		ref, err := s.store.Append(meta, body)
		if !errors.Is(err, spool.ErrFull) || !s.queue.DropOnDisk() {
			return ref, err
		}
		s.discard()
	}
}

// discard marks the records that the queue dropped.
func (s *Spooler) discard() {
	for _, at := range s.queue.TakeDiscards() {
		s.mark(at.(*record).ref)
	}
}

// done marks the records of parcels whose fate is known.
func (s *Spooler) done(parcels []*queue.Parcel) {
	if s == nil {
		return
	}
	for _, p := range parcels {
		if p.Of != nil {
			p = p.Of
		}
		if at := p.Record(); at != nil && p.Settled() { // or only a part of it is
			s.mark(at.(*record).ref)
		}
	}
}

func (s *Spooler) mark(ref spool.Ref) {
	if err := s.store.Done(ref); err != nil {
		s.limits.Log("spool", slog.LevelWarn, "A record of SpoolDir cannot be marked as sent, it may be sent again after a restart", "error", err)
	}
}

// load reads a parcel's body and shape. It reports with the error whether trying
// again may help.
func (s *Spooler) load(p *queue.Parcel) (again bool, err error) {
	text, err := s.store.Body(recordOf(p).ref, nil)
	if err != nil {
		return !errors.Is(err, spool.ErrCorrupt) && !errors.Is(err, spool.ErrDone) && !errors.Is(err, fs.ErrNotExist), err
	}
	if !isBundle(p) {
		return false, readBody(text, p)
	}
	bundle, err := readBundle(text)
	if err == nil {
		joinBundle(p, bundle[min(p.From, len(bundle)-1):])
	}
	return false, err
}

// Close writes what is left in memory to disk, if it can.
func (s *Spooler) Close() {
	if s == nil {
		return
	}
	err := s.keep()
	if s.store != nil {
		s.discard()
		s.dropGone()
		err = errors.Join(err, s.store.Close())
	}
	s.tell(err)
	if kept := s.queue.KeptOnDisk(); kept > 0 {
		s.limits.Log("kept", slog.LevelInfo, "Samples that could not be delivered are in SpoolDir, the next run sends them", "samples", kept)
	}
}

// dropGone drops what is lost since somebody has taken files away: the next Run would not find it.
func (s *Spooler) dropGone() {
	gone := map[any]bool{}
	for _, at := range s.queue.RecordsOnDisk() {
		if s.store.Gone(at.(*record).ref) {
			gone[at] = true
		}
	}
	if len(gone) > 0 {
		s.limits.Dropped(reason.SpoolDamaged, "Files were taken out of SpoolDir, what was in them is lost", s.queue.DropGone(gone))
	}
}

func (s *Spooler) keep() error {
	for {
		parcels := s.queue.TakeToSpill(spillBytes)
		if len(parcels) == 0 {
			return nil
		}
		err := error(nil)
		if s.store == nil {
			err = s.open()
		}
		if err != nil {
			s.queue.Spilled(parcels, nil)
			return err
		}
		if err := s.spill(parcels); err != nil {
			return err
		}
	}
}
