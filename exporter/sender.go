package exporter

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hubring/hubring/exporter/internal/push"
	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/exporter/internal/wire"
)

// settledAtOnce is how many parcels are settled before the router's mutex is let go
// for others.
const settledAtOnce = 128

// sender is a goroutine that empties an outbox, together with others.
type sender struct {
	means
	outbox *outbox
	hub    *hubKnown
	pusher *push.Pusher
	sorter sorter
	bodies []*wire.Body // scratch
}

// hubKnown is what the senders of one outbox know of its hub.
type hubKnown struct {
	coding   push.Coding
	down     atomic.Bool // the log says that it is
	misnamed atomic.Bool // the log says that it calls itself by another name
}

// run works until the outbox is retired or, after router.close, all are drained,
// or ctx ends.
func (s *sender) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		t, f, wait := s.router.next(s.outbox, time.Now())
		switch t {
		case stop:
			return
		case transmit:
			s.push(ctx, &f)
			if s.router.landed(s.outbox, f) { // the request has made its series again
				s.metrics.forget(s.outbox.hub.name)
			}
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

// push sends a flight's batch until the fate of each of its parcels is known, or is back
// with the router. A request that the hub refuses is halved, and the left half
// goes first: a gateway's parcels stay in order.
func (s *sender) push(ctx context.Context, f *flight) {
	for s.router.fill(s.outbox, f, time.Now()) { // in parts: Submit may come in between
	}
	batch := s.load(f.batch)
	parts := s.sorter.split(batch)
	slices.Reverse(parts) // the next one is the last
	var held []*parcel    // of gateways that the hub takes no more of
	var wait time.Duration
	for len(parts) > 0 {
		part := parts[len(parts)-1]
		parts = parts[:len(parts)-1]
		if part, held = without(part, held); len(part) == 0 {
			continue
		}
		s.router.sent(s.outbox, f, part)
		res := s.request(ctx, part)
		s.checkName(res)
		if res.Doubt {
			for some := range slices.Chunk(part, settledAtOnce) {
				s.router.doubted(s.outbox, some)
			}
		}
		switch half := len(part) / 2; {
		case res.Outcome == push.Delivered:
			for some := range slices.Chunk(part, settledAtOnce) { // Submit may come in between
				s.router.delivered(s.outbox, some)
			}
			s.spool.done(part)
		case res.Outcome == push.ResendPlain:
			parts = append(parts, part)
		case (res.Outcome == push.Refused || res.Outcome == push.Crowded) && half > 0:
			parts = append(parts, part[half:], part[:half])
		case res.Outcome == push.Refused && isBundle(part[0]):
			parts = append(parts, s.apart(part[0])...)
		case res.Outcome == push.Refused:
			s.reject(part[0], res)
		case res.Outcome == push.Crowded:
			held, wait = append(held, part[0]), max(wait, res.Wait, s.minBackoff)
			s.limits.other("crowded", slog.LevelWarn, "A hub takes no more of a gateway for now, its samples wait",
				"hub", s.outbox.hub.name, "gateway", part[0].key, "answer", res.Detail, "retry_in", wait)
		case res.Outcome == push.Cut:
			s.router.cut(s.rest(held, part, parts))
			return
		default:
			s.fail(f.life, s.rest(held, part, parts), res)
			return
		}
	}
	if len(held) == 0 {
		return
	}
	held = s.rest(held, nil, nil)
	if dropped := s.router.held(held, wait, time.Now()); dropped > 0 {
		s.limits.dropped(reason.Rejected429, "A gateway that a hub takes no more of fills its part of the queue, its oldest samples are dropped", dropped,
			"hub", s.outbox.hub.name, "gateway", held[0].key)
	}
}

// request sends the bodies of a part.
func (s *sender) request(ctx context.Context, part []*parcel) push.Result {
	s.bodies = s.bodies[:0]
	for _, p := range part {
		s.bodies = append(s.bodies, p.body)
	}
	defer clear(s.bodies) // soon they are others'
	begin := time.Now()
	res := s.pusher.Push(ctx, s.bodies)
	s.metrics.pushed(s.outbox.hub.name, res.Outcome, time.Since(begin))
	return res
}

// without returns part without the parcels of lanes that are held, and held with
// them.
func without(part, held []*parcel) (others, all []*parcel) {
	if len(held) == 0 {
		return part, held
	}
	others = part[:0:0]
	for _, p := range part {
		if slices.ContainsFunc(held, func(h *parcel) bool { return h.lane == p.lane }) {
			held = append(held, p)
		} else {
			others = append(others, p)
		}
	}
	return others, held
}

// apart returns the parts of a bundle that was refused as requests of their own, the first one
// last.
func (s *sender) apart(p *parcel) (parts [][]*parcel) {
	bundle, err := s.spool.apart(p)
	if err != nil {
		s.damaged(p, err)
		return nil
	}
	for _, part := range slices.Backward(bundle) {
		parts = append(parts, []*parcel{part})
	}
	return parts
}

// rest returns what is left of a batch, those of a gateway in their order.
func (s *sender) rest(held, part []*parcel, parts [][]*parcel) []*parcel {
	left := slices.Concat(held, part)
	for _, p := range slices.Backward(parts) {
		left = append(left, p...)
	}
	left = wholes(left)
	if s.spool != nil {
		s.spool.renew(left)
	}
	return left
}

// load reads the bodies of those parcels that are on disk, and returns the batch
// without those that cannot be read. Where trying again may help the gateway
// waits.
func (s *sender) load(batch []*parcel) []*parcel {
	var whole, unread []*parcel
	for _, p := range batch {
		if slices.ContainsFunc(unread, func(u *parcel) bool { return u.lane == p.lane }) {
			unread = append(unread, p) // behind what it comes after
			continue
		}
		if !p.onDisk() {
			whole = append(whole, p)
			continue
		}
		switch again, err := s.spool.load(p); {
		case err == nil:
			whole = append(whole, p)
		case again:
			unread = append(unread, p)
			s.limits.other("spool", slog.LevelWarn, "Samples cannot be read from SpoolDir, they wait", "gateway", p.key, "error", err, "retry_in", spillPause)
		default:
			s.damaged(p, err)
		}
	}
	if len(unread) > 0 {
		s.router.postponed(unread, spillPause, time.Now())
	}
	return whole
}

// damaged drops a parcel that cannot be read from disk.
func (s *sender) damaged(p *parcel, err error) {
	samples := p.samples
	s.router.damaged(p)
	s.spool.done([]*parcel{p})
	s.limits.dropped(reason.SpoolDamaged, "Samples cannot be read from SpoolDir, they are dropped", samples, "gateway", p.key, "error", err)
}

// reject drops a parcel that the hub refuses.
func (s *sender) reject(p *parcel, res push.Result) {
	key, samples := p.key, p.samples
	why := reason.Refused(res.Status)
	s.router.rejected(s.outbox, p, why, res.Detail)
	s.spool.done([]*parcel{p})
	s.limits.dropped(why, "A hub refused samples, they are dropped", samples,
		"hub", s.outbox.hub.name, "gateway", key, "answer", res.Detail)
}

// fail gives back what is left of a batch, since the hub is at fault.
func (s *sender) fail(life int, left []*parcel, res push.Result) {
	wait, moved, news := s.router.failed(s.outbox, life, left, res.Detail, res.Wait, time.Now())
	if !news {
		return
	}
	msg := "Hub is down, its samples move on"
	if moved.none() {
		msg = "Hub is down, its samples wait"
	}
	s.hub.down.Store(s.limits.down(s.outbox.hub.name, msg, "reason", res.Detail,
		"probe_in", wait.Round(time.Millisecond), "samples_moved", moved, "gateways", moved.who()))
}

// checkName notes whether the hub calls itself as we do. One that does not is sent samples all
// the same: it has them. But a Service or a DNS entry leads to the wrong one, and gateways have
// two homes.
func (s *sender) checkName(res push.Result) {
	o := s.outbox
	before := o.calls.Load()
	switch {
	case !res.Known || res.Name == "":
	case res.Name == o.hub.name:
		if before != nil {
			o.calls.Store(nil)
		}
	case before == nil || *before != res.Name:
		name := res.Name
		o.calls.Store(&name)
		if !s.hub.misnamed.Swap(true) { // once: of a Service before several hubs each answer is another one's
			s.limits.log.Warn("A hub calls itself by another name than ours for it: is its address right? Samples are sent to it all the same",
				"hub", o.hub.name, "calls_itself", res.Name)
		}
	}
}

// probe asks a hub that is down whether it lives.
func (s *sender) probe(ctx context.Context) {
	res := s.pusher.Probe(ctx)
	s.checkName(res)
	switch res.Outcome {
	case push.Cut:
		s.router.probeCut(s.outbox)
	case push.Delivered:
		since, moved := s.router.alive(s.outbox, time.Now())
		if s.hub.down.Swap(false) && moved != nil { // the log's last word must not be that it is down
			s.limits.log.Info("Hub is up, its gateways come home", "hub", s.outbox.hub.name,
				"down_for", time.Since(since).Round(time.Millisecond), "samples_moved", moved, "gateways", moved.who())
		}
	default:
		wait := s.router.stillDown(s.outbox, res.Detail, res.Wait, time.Now())
		if !s.hub.down.Load() {
			s.hub.down.Store(s.limits.down(s.outbox.hub.name, "Hub is still down", "reason", res.Detail, "probe_in", wait.Round(time.Millisecond)))
		}
	}
}
