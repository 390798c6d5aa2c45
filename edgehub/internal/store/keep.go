package store

import (
	"context"
	"time"

	"github.com/hubring/hubring/edgehub/internal/journal"
)

// Keep says that the store is kept on disk. Nothing can be committed until it is opened.
func (s *Store) Keep(cfg DiskConfig) {
	if cfg.Bytes > 0 && cfg.Journal.SegmentBytes == 0 {
		cfg.Journal.SegmentBytes = min(journal.SegmentBytes, max(1, cfg.Bytes/8))
	}
	d := &disk{cfg: cfg, store: s, ready: make(chan struct{})}
	d.ctx, d.stop = context.WithCancel(context.Background())
	d.refusal.Store(&StorageError{Unavailable, "the hub's disk is being opened"})
	s.disk = d
}

// Open begins to open and read what is on disk, which is tried again until it works, and to look after it. It does nothing for a
// store that is in memory alone. Close ends it.
func (s *Store) Open() {
	if d := s.disk; d != nil {
		d.ended.Go(func() { d.run(d.ctx) })
	}
}

// run opens and replays the journal, and looks after it.
func (d *disk) run(ctx context.Context) {
	j := d.openJournal(ctx)
	if j == nil {
		return
	}
	if !d.replay(ctx, j) {
		_ = j.Close() // nothing was written
		return
	}
	d.order.Lock()
	d.journal = j
	d.order.Unlock()
	close(d.ready)
	d.refusal.Store(nil)
	every := keepEvery
	if interval := d.cfg.Journal.Sync.Every; interval > 0 {
		every = min(every, interval)
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	kept := time.Now()
	for {
		select {
		case <-ctx.Done():
			d.packers.Wait()
			d.close()
			return
		case now := <-ticker.C:
			if d.cfg.Journal.Sync.Every > 0 {
				d.check("flush the log on disk", j.Sync())
			}
			if now.Sub(kept) >= keepEvery {
				kept = now
				d.keep()
			}
		}
	}
}

// openJournal opens the directory, as soon as that works.
func (d *disk) openJournal(ctx context.Context) *journal.Journal {
	for {
		j, err := journal.Open(d.cfg.Journal)
		if err == nil {
			d.open.Store(j)
			return j
		}
		d.refusal.Store(&StorageError{Unavailable, "the hub's disk cannot be opened: " + err.Error()})
		d.cfg.Logger.Error("the disk cannot be opened; the hub takes nothing until it can", "error", err, "again_in", openEvery)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(openEvery):
		}
	}
}

// keep does what is to be done now and then.
func (d *disk) keep() {
	j := d.journal
	if j.Broken() != nil {
		d.order.Lock()
		d.check("remove segments", j.Release(d.store.Log.Floor())) // the disk may be full of what is scraped
		err := j.Probe()
		d.order.Unlock()
		if err != nil {
			d.refusal.Store(d.failed(err)) // which may have another reason by now
			return
		}
		d.refusal.Store(nil)
		d.cfg.Logger.Info("the disk is well again; pushes are taken", "dir", d.cfg.Journal.Dir)
	}
	d.order.Lock()
	d.flush()
	d.order.Unlock()
	d.check("save cursors", j.SaveCursors(d.places()))
	d.check("remove segments", j.Release(d.store.Log.Floor()))
	d.makeWay()
	if d.packing.CompareAndSwap(false, true) {
		d.packers.Go(d.pack)
	}
}

// pack packs the segments that have waited for long, one after the other.
func (d *disk) pack() {
	defer d.packing.Store(false)
	for {
		did, err := d.journal.Pack(d.ctx, time.Now(), d.store.Log.Floor)
		switch {
		case d.ctx.Err() != nil || err == nil && !did:
			return
		case err == nil:
			d.packFailed = false
		default:
			if !d.packFailed {
				d.packFailed = true
				d.cfg.Logger.Warn("what waits on disk cannot be packed, and is tried again; pushes are taken", "error", err)
			}
			return
		}
	}
}

// makeWay gives up the oldest samples while the log takes too much on disk, as far as the policy lets it.
func (d *disk) makeWay() {
	for d.cfg.Bytes > 0 {
		segments, bytes := d.journal.Size()
		to := d.journal.Oldest()
		if bytes < d.cfg.Bytes || to == 0 {
			return
		}
		d.cfg.Made(d.store.Log.MakeWay(to))
		d.check("remove segments", d.journal.Release(d.store.Log.Floor()))
		if after, _ := d.journal.Size(); after >= segments {
			return // it may not go, or cannot
		}
	}
}

// check says that something failed. Where the journal is broken by it pushes are refused.
func (d *disk) check(what string, err error) {
	if err == nil {
		return
	}
	if d.journal.Broken() != nil && d.refusal.CompareAndSwap(nil, d.failed(err)) {
		d.cfg.Logger.Error("the disk has failed; pushes are refused until it is well", "dir", d.cfg.Journal.Dir, "error", err)
		return
	}
	d.cfg.Logger.Warn("the disk has failed", "in", what, "error", err)
}

// close writes what is to be known at the next start.
func (d *disk) close() {
	d.order.Lock()
	defer d.order.Unlock()
	d.flush()
	d.check("save cursors", d.journal.SaveCursors(d.places()))
	d.check("close the log on disk", d.journal.Close())
}
