package exporter

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hubring/hubring/hashring"
)

// router decides which outbox has a parcel. One mutex guards all there is to
// decide about: the outboxes, which hubs are up, and the account.
//
// Two rules hold whenever the mutex is free:
//
//   - All undelivered parcels of a gateway are in one outbox, in the order of
//     their sequence numbers. Since a hub has one sender, which sends one
//     request at a time, a gateway's samples are sent in order.
//   - That outbox is the first living one of the gateway's walk, or the owner's
//     if none lives. The exception are the gateways in away: the hub that they
//     belong to came back while a request with their samples was under way
//     elsewhere. What they submit follows until that request is over.
type router struct {
	cfg  *Config
	ring *hashring.Ring

	mu       sync.Mutex
	outboxes []*outbox          // in the order of Config.Hubs
	byName   map[string]*outbox // the same
	away     map[string]*outbox // gateway to the outbox that it is bound to
	nextSeq  uint64
	closed   bool   // Submit refuses; senders flush
	drained  func() // called once when closed and nothing is left
	account  account
}

func newRouter(cfg *Config, ring *hashring.Ring) *router {
	r := &router{
		cfg:    cfg,
		ring:   ring,
		byName: map[string]*outbox{},
		away:   map[string]*outbox{},
	}
	for _, hub := range cfg.Hubs {
		o := &outbox{hub: hub, wake: make(chan struct{}, 1)}
		r.outboxes = append(r.outboxes, o)
		r.byName[hub.Name] = o
	}
	return r
}

// isClosed reports whether submit refuses.
func (r *router) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// refuse counts samples that were not looked at.
func (r *router) refuse(why reason, samples int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.account.dropped[why] += uint64(samples)
}

// submit queues all parcels or none, and counts what was dropped on the way to
// them. It returns ErrClosed or ErrQueueFull.
func (r *router) submit(parcels []*parcel, dropped *[numReasons]dropNote, now time.Time) error {
	bytes, samples := 0, 0
	for _, p := range parcels {
		bytes += p.size()
		samples += p.samples
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for why := range dropped {
		r.account.dropped[why] += uint64(dropped[why].samples)
	}
	if r.closed {
		r.account.dropped[submitClosed] += uint64(samples)
		return ErrClosed
	}
	if free := r.cfg.MaxQueueBytes - r.account.queuedBytes; bytes > free {
		r.account.dropped[submitFull] += uint64(samples)
		return fmt.Errorf("%w: %d samples need %d bytes, and %d of MaxQueueBytes %d are in use: "+
			"submit again later, raise the limit, or see hubring_exporter_hub_up for hubs that take nothing",
			ErrQueueFull, samples, bytes, r.account.queuedBytes, r.cfg.MaxQueueBytes)
	}
	r.account.submitted += uint64(samples)
	r.account.queuedBytes += bytes
	r.account.queuedSamples += samples
	for _, p := range parcels {
		p.seq, p.born = r.nextSeq, now
		r.nextSeq++
		r.routeLocked(p.key).addLocked(p)
	}
	return nil
}

// routeLocked returns the outbox for a key.
func (r *router) routeLocked(key string) *outbox {
	if len(r.away) > 0 {
		if o, ok := r.away[key]; ok {
			return o
		}
	}
	owner := r.byName[r.ring.Owner(key).Name]
	if !owner.down {
		return owner
	}
	for node := range r.ring.Walk(key) {
		if o := r.byName[node.Name]; !o.down {
			return o
		}
	}
	return owner
}

// finishedLocked takes the first n parcels out of what o has in flight: their
// fate is known. It returns their samples.
func (r *router) finishedLocked(o *outbox, n int) (samples int) {
	for _, p := range o.inFlight[:n] {
		r.account.queuedBytes -= p.size()
		samples += p.samples
	}
	o.inFlight = o.inFlight[n:] // the sender's own slice: it still reads what is in it
	r.account.queuedSamples -= samples
	if len(o.inFlight) == 0 {
		o.inFlight = nil
		if r.releaseLocked(o) {
			r.rehomeLocked(o)
		}
	}
	r.checkDrainedLocked()
	return samples
}

// delivered notes that the hub took the first n parcels of its request.
func (r *router) delivered(o *outbox, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	samples := r.finishedLocked(o, n)
	o.failures = 0
	o.account.delivered += uint64(samples)
}

// rejected drops the first parcel of the request, which the hub refused.
func (r *router) rejected(o *outbox, why reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	samples := r.finishedLocked(o, 1)
	r.account.dropped[why] += uint64(samples)
}

// failed notes that the hub failed: it is stepped over for the time returned,
// what it had in flight is queued again, and everything queued for it moves to
// the next living hub of its own walk.
func (r *router) failed(o *outbox, retryAfter time.Duration, now time.Time) (wait time.Duration, moves moved) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.down, o.downSince = true, now
	wait = r.putOffLocked(o, retryAfter, now)
	o.putBackLocked()
	r.releaseLocked(o)
	return wait, r.rehomeLocked(o)
}

// stillDown notes that a probe failed, too.
func (r *router) stillDown(o *outbox, retryAfter time.Duration, now time.Time) (wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.putOffLocked(o, retryAfter, now)
}

func (r *router) putOffLocked(o *outbox, retryAfter time.Duration, now time.Time) time.Duration {
	// Only a delivered push sets failures to 0: a hub may answer probes and
	// refuse every push.
	o.failures++
	wait := max(backoff(o.failures, r.cfg.MinBackoff, r.cfg.MaxBackoff), retryAfter)
	o.retryAt = now.Add(wait)
	return wait
}

// alive notes that a probe found the hub: its gateways come home, those whose
// samples are in flight elsewhere as soon as that request is over.
func (r *router) alive(o *outbox) (since time.Time, moves moved) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.down = false
	moves = moved{}
	for _, other := range r.outboxes {
		if other == o {
			continue
		}
		for _, p := range other.inFlight {
			if r.routeLocked(p.key) == o {
				r.away[p.key] = other
				other.hasAway = true
			}
		}
		for hub, samples := range r.rehomeLocked(other) {
			moves[hub] += samples
		}
	}
	return o.downSince, moves
}

// releaseLocked lets go of the gateways that were bound to o by a request, which
// is over now. It reports whether there were any.
func (r *router) releaseLocked(o *outbox) bool {
	if !o.hasAway {
		return false
	}
	o.hasAway = false
	for key, bound := range r.away {
		if bound == o {
			delete(r.away, key)
		}
	}
	return true
}

// moved says how many samples went to which hub.
type moved map[string]int

// String is for log lines.
func (m moved) String() string {
	if len(m) == 0 {
		return "none"
	}
	var b strings.Builder
	for _, hub := range slices.Sorted(maps.Keys(m)) {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s: %d", hub, m[hub])
	}
	return b.String()
}

// rehomeLocked moves every parcel that is queued in o and belongs elsewhere,
// each to its place in the order of submission.
func (r *router) rehomeLocked(o *outbox) moved {
	moves := moved{}
	route := map[string]*outbox{} // a walk is worked out once per gateway
	leaving := map[*outbox][]*parcel{}
	stay := o.queue[:0]
	for _, p := range o.queue {
		to, ok := route[p.key]
		if !ok {
			to = r.routeLocked(p.key)
			route[p.key] = to
		}
		if to == o {
			stay = append(stay, p)
			continue
		}
		leaving[to] = append(leaving[to], p)
		moves[to.hub.Name] += p.samples
		o.bytes -= len(p.body)
		o.account.rerouted += uint64(p.samples)
	}
	clear(o.queue[len(stay):])
	o.queue = stay
	for to, parcels := range leaving {
		to.mergeLocked(parcels)
	}
	return moves
}

// close makes Submit refuse and the senders flush. Once nothing is left, drained
// is called.
func (r *router) close(drained func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.drained = drained
	r.checkDrainedLocked()
	for _, o := range r.outboxes {
		o.signal()
	}
}

// checkDrainedLocked ends the senders when there is nothing left for them.
func (r *router) checkDrainedLocked() {
	if r.closed && r.account.queuedSamples == 0 && r.drained != nil {
		r.drained()
		r.drained = nil
	}
}

// giveUp drops everything that is left, after the senders have ended. It returns
// nil if that is nothing.
func (r *router) giveUp() *UndeliveredError {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.account.queuedSamples == 0 {
		return nil
	}
	left := &UndeliveredError{Samples: r.account.queuedSamples, Bytes: r.account.queuedBytes}
	gateways := map[string]bool{}
	for _, o := range r.outboxes {
		o.putBackLocked()
		for _, p := range o.queue {
			if p.key != "" {
				gateways[p.key] = true
			}
		}
		o.queue, o.bytes = nil, 0
	}
	left.Gateways = len(gateways)
	r.account.dropped[undelivered] += uint64(left.Samples)
	r.account.queuedSamples, r.account.queuedBytes = 0, 0
	return left
}
