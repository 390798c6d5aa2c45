package send

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hubring/hubring/exporter/internal/push"
	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/internal/verdict"
)

// settledAtOnce is how many parcels are settled before the queue's mutex is let go
// for others.
const settledAtOnce = 128

// Sender is a goroutine that empties an outbox, together with others.
type Sender struct {
	Means
	outbox *queue.Outbox
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

// Run works until the outbox is retired or, after Queue.Close, all are drained,
// or ctx ends.
func (s *Sender) Run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		t, f, wait := s.Queue.Next(s.outbox, time.Now())
		switch t {
		case queue.Stop:
			return
		case queue.Transmit:
			s.push(ctx, &f)
			if s.Queue.Landed(s.outbox, f) { // the request has made its series again
				s.Metrics.Forget(s.outbox.Hub.Name)
			}
		case queue.Probe:
			s.probe(ctx)
		case queue.Sleep:
			var expired <-chan time.Time
			if wait >= 0 {
				timer.Reset(wait)
				expired = timer.C
			}
			select {
			case <-ctx.Done():
			case <-expired:
			case <-s.outbox.Wake:
			}
		}
	}
}

// push sends a flight's batch until the fate of each of its parcels is known, or is back
// with the queue. A request that the hub refuses is halved, and the left half
// goes first: a gateway's parcels stay in order.
func (s *Sender) push(ctx context.Context, f *queue.Flight) {
	for s.Queue.Fill(s.outbox, f, time.Now()) { // in parts: Submit may come in between
	}
	batch := s.load(f.Batch)
	parts := s.sorter.split(batch)
	slices.Reverse(parts)    // the next one is the last
	var held []*queue.Parcel // of gateways that the hub takes no more of
	var wait time.Duration
	for len(parts) > 0 {
		part := parts[len(parts)-1]
		parts = parts[:len(parts)-1]
		if part, held = without(part, held); len(part) == 0 {
			continue
		}
		s.Queue.Sent(s.outbox, f, part)
		res := s.request(ctx, part)
		s.checkName(res)
		if res.Doubt {
			for some := range slices.Chunk(part, settledAtOnce) {
				s.Queue.Doubted(s.outbox, some)
			}
		}
		switch half := len(part) / 2; {
		case res.Outcome == verdict.Delivered:
			for some := range slices.Chunk(part, settledAtOnce) { // Submit may come in between
				s.Queue.Delivered(s.outbox, some, time.Now())
			}
			s.Spool.done(part)
		case res.Outcome == verdict.ResendPlain:
			parts = append(parts, part)
		case (res.Outcome == verdict.Refused || res.Outcome == verdict.Crowded) && half > 0:
			parts = append(parts, part[half:], part[:half])
		case res.Outcome == verdict.Refused && isBundle(part[0]):
			parts = append(parts, s.apart(part[0])...)
		case res.Outcome == verdict.Refused:
			s.reject(part[0], res)
		case res.Outcome == verdict.Crowded:
			held, wait = append(held, part[0]), max(wait, res.Wait, s.MinBackoff)
			s.Limits.Log("crowded", slog.LevelWarn, "A hub takes no more of a gateway for now, its samples wait",
				"hub", s.outbox.Hub.Name, "gateway", part[0].Key, "answer", res.Detail, "retry_in", wait)
		case res.Outcome == verdict.Cut:
			s.Queue.Cut(s.rest(held, part, parts))
			return
		default:
			s.fail(f.Life, s.rest(held, part, parts), res)
			return
		}
	}
	if len(held) == 0 {
		return
	}
	held = s.rest(held, nil, nil)
	if dropped := s.Queue.Held(held, wait, time.Now()); dropped > 0 {
		s.Limits.Dropped(reason.Rejected429, "A gateway that a hub takes no more of fills its part of the queue, its oldest samples are dropped", dropped,
			"hub", s.outbox.Hub.Name, "gateway", held[0].Key)
	}
}

// request sends the bodies of a part.
func (s *Sender) request(ctx context.Context, part []*queue.Parcel) verdict.Result {
	s.bodies = s.bodies[:0]
	for _, p := range part {
		s.bodies = append(s.bodies, p.Body)
	}
	defer clear(s.bodies) // soon they are others'
	begin := time.Now()
	res := s.pusher.Push(ctx, s.bodies)
	s.Metrics.pushed(s.outbox.Hub.Name, res.Outcome, time.Since(begin))
	return res
}

// without returns part without the parcels of lanes that are held, and held with
// them.
func without(part, held []*queue.Parcel) (others, all []*queue.Parcel) {
	if len(held) == 0 {
		return part, held
	}
	others = part[:0:0]
	for _, p := range part {
		if slices.ContainsFunc(held, func(h *queue.Parcel) bool { return h.Lane == p.Lane }) {
			held = append(held, p)
		} else {
			others = append(others, p)
		}
	}
	return others, held
}

// apart returns the parts of a bundle that was refused as requests of their own, the first one
// last.
func (s *Sender) apart(p *queue.Parcel) (parts [][]*queue.Parcel) {
	bundle, err := s.Spool.apart(p)
	if err != nil {
		s.damaged(p, err)
		return nil
	}
	for _, part := range slices.Backward(bundle) {
		parts = append(parts, []*queue.Parcel{part})
	}
	return parts
}

// rest returns what is left of a batch, those of a gateway in their order.
func (s *Sender) rest(held, part []*queue.Parcel, parts [][]*queue.Parcel) []*queue.Parcel {
	left := slices.Concat(held, part)
	for _, p := range slices.Backward(parts) {
		left = append(left, p...)
	}
	left = wholes(left)
	if s.Spool != nil {
		s.Spool.renew(left)
	}
	return left
}

// load reads the bodies of those parcels that are on disk, and returns the batch
// without those that cannot be read. Where trying again may help the gateway
// waits.
func (s *Sender) load(batch []*queue.Parcel) []*queue.Parcel {
	var whole, unread []*queue.Parcel
	for _, p := range batch {
		if slices.ContainsFunc(unread, func(u *queue.Parcel) bool { return u.Lane == p.Lane }) {
			unread = append(unread, p) // behind what it comes after
			continue
		}
		if !p.OnDisk() {
			whole = append(whole, p)
			continue
		}
		switch again, err := s.Spool.load(p); {
		case err == nil:
			whole = append(whole, p)
		case again:
			unread = append(unread, p)
			s.Limits.Log("spool", slog.LevelWarn, "Samples cannot be read from SpoolDir, they wait", "gateway", p.Key, "error", err, "retry_in", spillPause)
		default:
			s.damaged(p, err)
		}
	}
	if len(unread) > 0 {
		s.Queue.Postponed(unread, spillPause, time.Now())
	}
	return whole
}

// damaged drops a parcel that cannot be read from disk.
func (s *Sender) damaged(p *queue.Parcel, err error) {
	samples := p.Samples
	s.Queue.Damaged(p)
	s.Spool.done([]*queue.Parcel{p})
	s.Limits.Dropped(reason.SpoolDamaged, "Samples cannot be read from SpoolDir, they are dropped", samples, "gateway", p.Key, "error", err)
}

// reject drops a parcel that the hub refuses.
func (s *Sender) reject(p *queue.Parcel, res verdict.Result) {
	key, samples := p.Key, p.Samples
	why := reason.Refused(res.Status)
	s.Queue.Rejected(s.outbox, p, why, res.Detail, time.Now())
	s.Spool.done([]*queue.Parcel{p})
	s.Limits.Dropped(why, "A hub refused samples, they are dropped", samples,
		"hub", s.outbox.Hub.Name, "gateway", key, "answer", res.Detail)
}

// fail gives back what is left of a batch, since the hub is at fault.
func (s *Sender) fail(life int, left []*queue.Parcel, res verdict.Result) {
	wait, moved, news := s.Queue.Failed(s.outbox, life, left, res.Detail, res.Wait, time.Now())
	if !news {
		return
	}
	msg := "Hub is down, its samples move on"
	if moved.None() {
		msg = "Hub is down, its samples wait"
	}
	s.hub.down.Store(s.Limits.Down(s.outbox.Hub.Name, msg, "reason", res.Detail,
		"probe_in", wait.Round(time.Millisecond), "samples_moved", moved, "gateways", moved.Who()))
}

// checkName notes whether the hub calls itself as we do. One that does not is sent samples all
// the same: it has them. But a Service or a DNS entry leads to the wrong one, and gateways have
// two homes.
func (s *Sender) checkName(res verdict.Result) {
	o := s.outbox
	before := o.Calls.Load()
	switch {
	case !res.Known || res.Name == "":
	case res.Name == o.Hub.Name:
		if before != nil {
			o.Calls.Store(nil)
		}
	case before == nil || *before != res.Name:
		name := res.Name
		o.Calls.Store(&name)
		if !s.hub.misnamed.Swap(true) { // once: of a Service before several hubs each answer is another one's
			s.Limits.Logger.Warn("A hub calls itself by another name than ours for it: is its address right? Samples are sent to it all the same",
				"hub", o.Hub.Name, "calls_itself", res.Name)
		}
	}
}

// probe asks a hub that is down whether it lives.
func (s *Sender) probe(ctx context.Context) {
	res := s.pusher.Probe(ctx)
	s.checkName(res)
	switch res.Outcome {
	case verdict.Cut:
		s.Queue.ProbeCut(s.outbox)
	case verdict.Delivered:
		since, moved := s.Queue.Alive(s.outbox, time.Now())
		if s.hub.down.Swap(false) && moved != nil { // the log's last word must not be that it is down
			s.Limits.Logger.Info("Hub is up, its gateways come home", "hub", s.outbox.Hub.Name,
				"down_for", time.Since(since).Round(time.Millisecond), "samples_moved", moved, "gateways", moved.Who())
		}
	default:
		wait := s.Queue.StillDown(s.outbox, res.Detail, res.Wait, time.Now())
		if !s.hub.down.Load() {
			s.hub.down.Store(s.Limits.Down(s.outbox.Hub.Name, "Hub is still down", "reason", res.Detail, "probe_in", wait.Round(time.Millisecond)))
		}
	}
}
