package exporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hubring/hubring/internal/spool"
)

const (
	// spillBytes is how much is taken at a time to be written to disk.
	spillBytes = 4 << 20
	// spillPause is how long the spooler leaves a disk alone that failed.
	spillPause = time.Second
)

// spooler moves parcels to disk when memory runs short, and what is left when Run
// ends. A nil one has no disk.
//
// On disk a parcel is a record of the spool. Its meta data are what the router
// needs to know; the body is the shape and the text.
type spooler struct {
	router *router
	store  *spool.Store
	limits *logLimits

	meta, body []byte // scratch
}

// openSpool opens Config.SpoolDir and queues what an earlier Run left there.
func openSpool(cfg *Config, r *router, limits *logLimits) (*spooler, error) {
	store, err := spool.Open(spool.Config{Dir: cfg.SpoolDir, MaxBytes: cfg.SpoolBytes})
	if err != nil {
		return nil, fmt.Errorf("open SpoolDir: %w", err)
	}
	s := &spooler{router: r, store: store, limits: limits}
	var parcels []*parcel
	err = store.Recover(func(ref spool.Ref, meta []byte) error {
		p, err := readMeta(meta)
		if err != nil {
			limits.other("spool", slog.LevelWarn, "A record of SpoolDir makes no sense, it is left out", "error", err)
			return store.Done(ref)
		}
		p.spilled, p.ref = true, ref
		parcels = append(parcels, p)
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read SpoolDir: %w", err), store.Close())
	}
	if damage := store.Damage(); damage != nil {
		records, bytes := store.Lost()
		limits.other("spool", slog.LevelWarn, "A part of SpoolDir is damaged and lost", "records", records, "bytes", bytes, "error", damage)
	}
	if samples := r.restore(parcels); samples > 0 {
		limits.other("spool", slog.LevelInfo, "Samples that an earlier run left in SpoolDir are queued", "samples", samples, "parcels", len(parcels))
	}
	return s, nil
}

// run spills whenever the router asks for it, until ctx ends.
func (s *spooler) run(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.router.spill:
		}
		s.discard()
		if err := s.relieve(ctx); err != nil {
			s.failed(err)
			pause.Reset(spillPause)
			select {
			case <-ctx.Done():
			case <-pause.C:
			}
		}
	}
}

// relieve spills until half of the memory is free.
func (s *spooler) relieve(ctx context.Context) error {
	for ctx.Err() == nil && s.router.wantsSpill() {
		parcels := s.router.takeToSpill(spillBytes)
		if len(parcels) == 0 { // all of it is being sent
			break
		}
		if err := s.spill(parcels); err != nil {
			return err
		}
	}
	return nil
}

func (s *spooler) failed(err error) {
	s.router.metrics.spoolFailures.Inc()
	s.limits.other("spool", slog.LevelWarn, "Samples cannot be written to SpoolDir, they stay in memory", "error", err)
}

// spill writes parcels to disk. Those that it could not write stay in memory.
func (s *spooler) spill(parcels []*parcel) error {
	var err error
	var written []*parcel
	for _, p := range parcels {
		p.ref, err = s.append(p)
		if errors.Is(err, spool.ErrTooLarge) { // it stays in memory
			p.unfit, err = true, nil
			continue
		}
		if err != nil {
			break
		}
		written = append(written, p)
	}
	if len(written) > 0 {
		err = errors.Join(err, s.store.Sync())
	}
	s.router.spilled(parcels, written)
	s.discard()
	return err
}

// append writes one parcel. On a full disk the oldest ones there make room if
// that is the policy.
func (s *spooler) append(p *parcel) (spool.Ref, error) {
	s.meta, s.body = appendMeta(s.meta[:0], p), appendBody(s.body[:0], p)
	for {
		ref, err := s.store.Append(s.meta, s.body)
		if !errors.Is(err, spool.ErrFull) || !s.router.dropOnDisk() {
			return ref, err
		}
		s.discard()
	}
}

// discard marks the records that the router dropped.
func (s *spooler) discard() {
	for _, ref := range s.router.takeDiscards() {
		s.mark(ref)
	}
}

// done marks the records of parcels whose fate is known.
func (s *spooler) done(parcels []*parcel) {
	if s == nil {
		return
	}
	for _, p := range parcels {
		if p.spilled {
			s.mark(p.ref)
		}
	}
}

func (s *spooler) mark(ref spool.Ref) {
	if err := s.store.Done(ref); err != nil {
		s.limits.other("spool", slog.LevelWarn, "A record of SpoolDir cannot be marked as sent, it may be sent again after a restart", "error", err)
	}
}

// load reads a parcel's body and shape. It reports with the error whether trying
// again may help.
func (s *spooler) load(p *parcel) (again bool, err error) {
	record, err := s.store.Body(p.ref, nil)
	if err != nil {
		return !errors.Is(err, spool.ErrCorrupt) && !errors.Is(err, spool.ErrDone), err
	}
	return false, readBody(record, p)
}

// close writes what is left in memory to disk, if it can.
func (s *spooler) close() {
	if s == nil {
		return
	}
	for {
		parcels := s.router.takeToSpill(spillBytes)
		if len(parcels) == 0 {
			break
		}
		if err := s.spill(parcels); err != nil {
			s.failed(err)
			break
		}
	}
	s.discard()
	if err := s.store.Close(); err != nil {
		s.failed(err)
	}
	if kept := s.router.keptOnDisk(); kept > 0 {
		s.limits.other("kept", slog.LevelInfo, "Samples that could not be delivered are in SpoolDir, the next run sends them", "samples", kept)
	}
}
