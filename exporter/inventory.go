package exporter

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/exporter/status"
	"github.com/hubring/hubring/hashring/placement"
)

// followInventory asks Config.Inventory until ctx ends. Change is called with what makes
// the ring another one.
func (e *Exporter) followInventory(ctx context.Context, change func(func() ([]*queue.Outbox, error)) error) {
	ticker := time.NewTicker(e.cfg.MembersInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		e.askInventory(ctx, change)
	}
}

// askInventory has the ring follow a placement that is another one than before. After a
// failure all stays as it is.
func (e *Exporter) askInventory(ctx context.Context, change func(func() ([]*queue.Outbox, error)) error) {
	asking, cancel := context.WithTimeout(ctx, e.cfg.PushTimeout)
	defer cancel()
	p, err := e.cfg.Inventory(asking)
	if err == nil && p == nil {
		err = errors.New("Config.Inventory returned no placement, and no error")
	}
	if err == nil {
		if before := e.followed(); before != nil && before.Same(p) {
			e.misplacedBy.Store(nil)
			return
		}
		err = change(func() ([]*queue.Outbox, error) { return nil, e.place(p) })
	}
	if err != nil && ctx.Err() == nil {
		e.misplaced(err)
	}
}

// place makes the ring follow a placement.
func (e *Exporter) place(p *placement.Placement) error {
	if len(e.hubs) > 0 {
		base, err := e.ringOf(e.hubs, nil)
		if err != nil {
			return err
		}
		ring, err := p.Ring(base)
		if err != nil {
			return err
		}
		_, moved := e.follow(ring)
		e.cfg.Logger.Info("Another placement, queued samples go to their new homes", "serial", p.Serial, "made", p.Made,
			"fingerprint", fingerprintText(ring), "not_with_their_owners", len(p.Homes), "samples_moved", moved, "gateways", moved.Who())
	}
	e.placed.Store(p)
	e.unfit.Store(false)
	e.misplacedBy.Store(nil)
	return nil
}

// followed is the placement that the ring follows, or nil.
func (e *Exporter) followed() *placement.Placement {
	if e.unfit.Load() {
		return nil
	}
	return e.placed.Load()
}

// misplaced notes that a placement is not followed.
func (e *Exporter) misplaced(err error) {
	e.metrics.placementFailures.Inc()
	if before := e.misplacedBy.Swap(&err); before != nil && (*before).Error() == err.Error() {
		return // it was said
	}
	e.limits.Log("placement", slog.LevelWarn, "The placement cannot be followed, what is known of it stays", "error", err)
}

// placementStatus is nil without Config.Inventory.
func (e *Exporter) placementStatus() *status.Placement {
	if e.cfg.Inventory == nil {
		return nil
	}
	s := &status.Placement{}
	if p := e.followed(); p != nil {
		s.Serial, s.Made, s.Moved = p.Serial, p.Made, len(p.Homes)
	}
	if err := e.misplacedBy.Load(); err != nil {
		s.LastError = (*err).Error()
	}
	return s
}
