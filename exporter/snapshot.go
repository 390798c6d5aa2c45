package exporter

import (
	"maps"
	"time"

	"github.com/hubring/hubring/hashring"
)

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
			name: o.hub.name, url: o.hub.url, samples: o.samples, bytes: o.bytes, held: o.held.Len(),
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
	behind := len(o.waiting) > 0 && now.Sub(o.waiting[0].first.born) > freshAge+r.set.batchWait
	switch {
	case o.down:
		return hubDown
	case o.trial || o.pace.on && behind:
		return hubCatchingUp
	}
	return hubUp
}

// gatewaySnapshot is where a gateway's samples go.
type gatewaySnapshot struct {
	id        string
	inUse     string // the hub that they are sent to now
	owner     string // empty while no hub is known
	walk      []hubStep
	samples   int  // that wait
	busy      bool // some are in a request, or being written to disk
	heldUntil time.Time
	at        string // the hub that acknowledged the latest, or empty
	untold    []untold
}

// hubStep is a hub of a gateway's walk.
type hubStep struct {
	hub   string
	state hubState
}

// untold is a hub that a gateway left, and that does not know.
type untold struct {
	hub string
	at  int64 // when, in ms
}

// maxWalk bounds how much of a walk is shown: hashring sorts for more, and
// nobody gets so far.
const maxWalk = 12

// look returns the router at one moment and, if one is asked for, a gateway at
// the same.
func (r *router) look(now time.Time, gateway *string) (snapshot, *gatewaySnapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if gateway == nil {
		return r.snapshotLocked(now), nil
	}
	return r.snapshotLocked(now), r.gatewayLocked(*gateway, now)
}

func (r *router) gatewayLocked(id string, now time.Time) *gatewaySnapshot {
	g := &gatewaySnapshot{id: id, inUse: r.routeLocked(id).hub.name}
	if l := r.lanes[id]; l != nil {
		g.samples, g.busy, g.heldUntil = l.samples, l.busy > 0, l.until
	}
	if s := r.ends.stays[id]; s != nil {
		if s.at != nil {
			g.at = s.at.hub.name
		}
		for _, e := range s.left {
			if e.at != noTime {
				g.untold = append(g.untold, untold{e.to.hub.name, e.at})
			}
		}
	}
	if r.ring == nil {
		return g
	}
	g.owner = r.ring.Owner(id).Name
	for node := range r.ring.Walk(id) {
		g.walk = append(g.walk, hubStep{node.Name, r.stateLocked(r.byName[node.Name], now)})
		if len(g.walk) == maxWalk {
			break
		}
	}
	return g
}
