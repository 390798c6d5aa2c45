package exporter

import (
	"maps"
	"time"

	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/hashring"
)

// account is where every sample is. The router's mutex guards it, and a scrape
// reads all of it in one go: what doc.go says about the sums holds in every
// scrape.
type account struct {
	submitted uint64
	restored  uint64
	spilled   uint64
	dropped   [reason.Num]uint64
	hubs      map[string]*hubAccount // also of hubs that left

	drops *drops // are told of those that had been taken in
}

// drop notes that a parcel that was taken in is dropped.
func (a *account) drop(p *parcel, why reason.Reason) {
	a.dropped[why] += uint64(p.samples)
	a.drops.note(Drop{Reason: why.String(), Gateway: p.key, Samples: p.samples})
}

// hubAccount is the part of one hub.
type hubAccount struct {
	sent      uint64
	delivered uint64
	rerouted  uint64
	flights   int // requests under way
}

const (
	// maxFormerHubs bounds the hubs that left and have an account still.
	maxFormerHubs = 1000
	// formerHubs is the name under which the accounts beyond that are summed.
	formerHubs = "former"
)

// hub returns the account of a hub, which it has for life.
func (a *account) hub(name string) *hubAccount {
	h, ok := a.hubs[name]
	if !ok {
		h = &hubAccount{}
		a.hubs[name] = h
	}
	return h
}

// sumUp adds the accounts of hubs that left to one, if they are too many: a hub
// whose name is an address may have many in its life.
func (a *account) sumUp(inUse func(name string) bool) {
	if len(a.hubs) <= maxFormerHubs {
		return
	}
	sum := a.hub(formerHubs)
	for name, h := range a.hubs {
		if h == sum || h.flights > 0 || inUse(name) {
			continue
		}
		sum.sent += h.sent
		sum.delivered += h.delivered
		sum.rerouted += h.rerouted
		delete(a.hubs, name)
	}
}

// hubState is how a hub is treated.
type hubState int

const (
	hubUp hubState = iota
	hubCatchingUp
	hubDown
)

var hubStateNames = [...]string{"up", "catching up", "down"}

func (s hubState) String() string { return hubStateNames[s] }

// snapshot is the router at one moment.
type snapshot struct {
	account      account
	samples      int // in memory
	memoryBytes  int
	spoolSamples int
	spoolError   error
	age          time.Duration  // of the oldest
	gateways     int            // with something queued
	closed       bool           // Submit refuses
	ring         *hashring.Ring // nil while no hub is known
	fingerprint  uint64         // of the ring; 0 while there is none
	hubs         []hubSnapshot
	ends         endsSnapshot
}

type hubSnapshot struct {
	name, url   string
	calls       string // by which name it calls itself, if that is another one
	state       hubState
	samples     int // that wait
	bytes       int // of those
	held        int // gateways that the hub takes no more of
	requests    int // under way
	failures    int // in a row
	since       time.Time
	retryAt     time.Time // of a hub that is down
	lastError   string
	lastErrorAt time.Time
}

func (r *router) snapshot(now time.Time) snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.snapshotLocked(now)
}

func (r *router) snapshotLocked(now time.Time) snapshot {
	s := snapshot{
		account:      r.account,
		samples:      r.inMemory.samples,
		memoryBytes:  r.memoryLocked(),
		spoolSamples: r.onDisk.samples,
		spoolError:   r.diskError,
		age:          r.ageLocked(now),
		gateways:     len(r.lanes),
		closed:       r.closed,
		ring:         r.ring,
		ends:         r.endsSnapshotLocked(now),
	}
	s.account.hubs = maps.Clone(r.account.hubs)
	for name, h := range s.account.hubs {
		copied := *h
		s.account.hubs[name] = &copied
	}
	if r.ring != nil {
		s.fingerprint = r.ring.Fingerprint()
	}
	for _, o := range r.outboxes {
		h := hubSnapshot{
			name: o.hub.Name, url: o.hub.URL, samples: o.samples, bytes: o.bytes, held: o.held.Len(),
			requests: o.account.flights, failures: o.failures, lastError: o.lastError, lastErrorAt: o.errorAt,
		}
		if calls := o.calls.Load(); calls != nil {
			h.calls = *calls
		}
		if h.state = r.stateLocked(o, now); h.state == hubDown {
			h.since, h.retryAt = o.downSince, o.retryAt
		}
		s.hubs = append(s.hubs, h)
	}
	return s
}

// stateLocked returns how a hub is treated. It has something to catch up with if
// what waits is older than it gets while a hub answers slowly.
func (r *router) stateLocked(o *outbox, now time.Time) hubState {
	behind := len(o.waiting) > 0 && now.Sub(o.waiting[0].first.born) > freshAge+r.cfg.BatchWait
	switch {
	case o.down:
		return hubDown
	case o.trial || o.pace.on && behind:
		return hubCatchingUp
	}
	return hubUp
}
