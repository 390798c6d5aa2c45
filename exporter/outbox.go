package exporter

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"
)

// outbox is what waits for one hub, and whether the hub is up. The router's
// mutex guards all of it but wake.
type outbox struct {
	hub  Hub
	wake chan struct{} // capacity 1: something changed, look again

	queue    []*parcel // waiting, by sequence number
	bytes    int       // the bodies in queue
	inFlight []*parcel // in the request under way, the same order; before all of queue of their gateways

	down      bool // stepped over until a probe succeeds
	downSince time.Time
	failures  int       // in a row, probes included
	retryAt   time.Time // of the next probe
	probedAt  time.Time // of the last one
	hasAway   bool      // the router's away has gateways that are bound to this one

	account hubAccount
}

// signal wakes the sender.
func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// addLocked queues a new parcel, which comes after all others.
func (o *outbox) addLocked(p *parcel) {
	o.queue = append(o.queue, p)
	o.bytes += len(p.body)
	o.signal()
}

// mergeLocked queues parcels that were elsewhere, in their order, each in its
// place.
func (o *outbox) mergeLocked(parcels []*parcel) {
	if len(parcels) == 0 {
		return
	}
	for _, p := range parcels {
		o.bytes += len(p.body)
	}
	merged := make([]*parcel, 0, len(o.queue)+len(parcels))
	merged = append(append(merged, parcels...), o.queue...)
	slices.SortFunc(merged, func(a, b *parcel) int { return cmp.Compare(a.seq, b.seq) })
	o.queue = merged
	o.signal()
}

// putBackLocked queues again what is in flight.
func (o *outbox) putBackLocked() {
	parcels := o.inFlight
	o.inFlight = nil
	o.mergeLocked(parcels)
}

// takeLocked moves parcels of up to limit bytes, at least one, from the queue
// into flight, oldest first. Passed over is what would not fit into the same
// request: a family whose type is claimed otherwise, and a second parcel with
// summaries or histograms of one gateway, since parsers that put their lines
// together again would mix two moments. What follows of such a gateway is passed
// over, too, so that its order holds.
func (o *outbox) takeLocked(limit int) []*parcel {
	claimed, composite, held := claims{}, map[string]bool{}, map[string]bool{}
	size, seen := 0, 0
	var batch, passed []*parcel
	for _, p := range o.queue {
		if len(batch) > 0 && size+len(p.body) > limit {
			break
		}
		seen++
		if held[p.key] || p.composite && composite[p.key] || !claimed.allowAll(p) {
			held[p.key] = true
			passed = append(passed, p)
			continue
		}
		claimed.addAll(p)
		composite[p.key] = composite[p.key] || p.composite
		size += len(p.body)
		batch = append(batch, p)
	}
	keep := seen - len(passed)
	copy(o.queue[keep:seen], passed)
	clear(o.queue[:keep])
	o.queue = o.queue[keep:]
	o.bytes -= size
	o.inFlight = batch
	return batch
}

// task is what a sender does next.
type task int

const (
	sleep task = iota // for a time, or until woken
	push
	probe
	stop
)

// next decides what the sender of o does. With push comes what to send; with
// sleep for how long, or a negative duration if only a signal can end it.
func (r *router) next(o *outbox, now time.Time) (t task, batch []*parcel, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed && r.account.queuedSamples == 0 {
		return stop, nil, 0
	}
	if o.down {
		wait = o.retryAt.Sub(now)
		if r.closed {
			wait = min(wait, o.probedAt.Add(flushProbeWait).Sub(now))
		}
		if wait > 0 {
			return sleep, nil, wait
		}
		o.probedAt = now
		return probe, nil, 0
	}
	if len(o.queue) == 0 {
		return sleep, nil, -1
	}
	wait = o.queue[0].born.Add(r.cfg.BatchWait).Sub(now)
	if wait > 0 && o.bytes < r.cfg.BatchBytes && !r.closed {
		return sleep, nil, wait
	}
	return push, o.takeLocked(r.cfg.BatchBytes), 0
}

// sender is the goroutine that empties one outbox.
type sender struct {
	router *router
	outbox *outbox
	pusher *pusher
	log    *slog.Logger
	drops  *dropLog
}

// run works until the outboxes are drained after router.close, or ctx ends. What
// is in flight then stays there.
func (s *sender) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		t, batch, wait := s.router.next(s.outbox, time.Now())
		switch t {
		case stop:
			return
		case push:
			s.push(ctx, batch)
		case probe:
			s.probe(ctx)
		case sleep:
			var expired <-chan time.Time
			if wait >= 0 {
				timer.Reset(wait)
				expired = timer.C
			}
			select {
			case <-ctx.Done():
			case <-expired:
			case <-s.outbox.wake:
			}
		}
	}
}

// push sends a request until the fate of each of its parcels is known. A request
// that the hub refuses is halved, and the left half goes first: the parcels stay
// in order, and are settled in the order of outbox.inFlight.
func (s *sender) push(ctx context.Context, batch []*parcel) {
	parts := [][]*parcel{batch}
	for len(parts) > 0 {
		part := parts[len(parts)-1]
		parts = parts[:len(parts)-1]
		res := s.pusher.push(ctx, part)
		switch res.outcome {
		case delivered:
			s.router.delivered(s.outbox, len(part))
		case refused:
			if half := len(part) / 2; half > 0 {
				parts = append(parts, part[half:], part[:half])
				continue
			}
			s.router.rejected(s.outbox, res.reason)
			s.drops.report(res.reason, "A hub refused samples, they are dropped", part[0].samples,
				slog.String("hub", s.outbox.hub.Name), slog.String("gateway", part[0].key), slog.String("answer", res.detail))
		case tryNext:
			wait, moves := s.router.failed(s.outbox, res.wait, time.Now())
			s.log.Warn("Hub is down, its samples move on", "hub", s.outbox.hub.Name, "reason", res.detail,
				"retry_in", wait.Round(time.Millisecond), "samples_moved", moves)
			return
		case resendPlain:
			parts = append(parts, part)
		case cut:
			return
		}
	}
}

// probe asks a hub that is down whether it lives.
func (s *sender) probe(ctx context.Context) {
	res := s.pusher.probe(ctx)
	if res.outcome == cut {
		return
	}
	if res.outcome != delivered {
		wait := s.router.stillDown(s.outbox, res.wait, time.Now())
		s.log.Debug("Hub is still down", "hub", s.outbox.hub.Name, "reason", res.detail, "retry_in", wait.Round(time.Millisecond))
		return
	}
	since, moves := s.router.alive(s.outbox)
	s.log.Info("Hub is up, its gateways come home", "hub", s.outbox.hub.Name,
		"down_for", time.Since(since).Round(time.Millisecond), "samples_moved", moves)
}
