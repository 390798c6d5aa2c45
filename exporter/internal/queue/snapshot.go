package queue

import (
	"maps"
	"time"

	"github.com/hubring/hubring/hashring"
)

// HubState is how a hub is treated.
type HubState int

// How a hub is treated.
const (
	HubUp         HubState = iota
	HubCatchingUp          // it was down, and has not yet all that piled up for it
	HubDown                // nothing is sent to it
)

var hubStateNames = [...]string{"up", "catching up", "down"}

func (s HubState) String() string { return hubStateNames[s] }

// Snapshot is the queue at one moment.
type Snapshot struct {
	Account      Account
	Samples      int // in memory
	MemoryBytes  int
	SpoolSamples int
	SpoolError   error
	Age          time.Duration  // of the oldest
	Gateways     int            // with something queued
	Closed       bool           // Submit refuses
	Ring         *hashring.Ring // nil while no hub is known
	Fingerprint  uint64         // of the ring; 0 while there is none
	Hubs         []HubSnapshot
	Ends         EndsSnapshot
}

// HubSnapshot is a hub of the ring.
type HubSnapshot struct {
	Name, URL   string
	Calls       string // by which name it calls itself, if that is another one
	State       HubState
	Samples     int // that wait
	Bytes       int // of those
	Held        int // gateways that the hub takes no more of
	Requests    int // under way
	Failures    int // in a row
	Since       time.Time
	RetryAt     time.Time // of a hub that is down
	LastError   string
	LastErrorAt time.Time
}

// Snapshot returns the queue at one moment.
func (q *Queue) Snapshot(now time.Time) Snapshot {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.snapshotLocked(now)
}

func (q *Queue) snapshotLocked(now time.Time) Snapshot {
	s := Snapshot{
		Account:      q.account,
		Samples:      q.inMemory.samples,
		MemoryBytes:  q.memoryLocked(),
		SpoolSamples: q.onDisk.samples,
		SpoolError:   q.diskError,
		Age:          q.ageLocked(now),
		Gateways:     len(q.lanes),
		Closed:       q.closed,
		Ring:         q.ring,
		Ends:         q.endsSnapshotLocked(now),
	}
	s.Account.Hubs = maps.Clone(q.account.Hubs)
	for name, h := range s.Account.Hubs {
		copied := *h
		s.Account.Hubs[name] = &copied
	}
	if q.ring != nil {
		s.Fingerprint = q.ring.Fingerprint()
	}
	for _, o := range q.outboxes {
		h := HubSnapshot{
			Name: o.Hub.Name, URL: o.Hub.URL, Samples: o.samples, Bytes: o.bytes, Held: o.held.Len(),
			Requests: o.account.flights, Failures: o.failures, LastError: o.lastError, LastErrorAt: o.errorAt,
		}
		if calls := o.Calls.Load(); calls != nil {
			h.Calls = *calls
		}
		if h.State = q.stateLocked(o, now); h.State == HubDown {
			h.Since, h.RetryAt = o.downSince, o.retryAt
		}
		s.Hubs = append(s.Hubs, h)
	}
	return s
}

// stateLocked returns how a hub is treated. It has something to catch up with if
// what waits is older than it gets while a hub answers slowly.
func (q *Queue) stateLocked(o *Outbox, now time.Time) HubState {
	behind := len(o.waiting) > 0 && now.Sub(o.waiting[0].first.Born) > freshAge+q.set.BatchWait
	switch {
	case o.down:
		return HubDown
	case o.trial || o.pace.on && behind:
		return HubCatchingUp
	}
	return HubUp
}

// GatewaySnapshot is where a gateway's samples go.
type GatewaySnapshot struct {
	ID        string
	InUse     string // the hub that they are sent to now
	Owner     string // empty while no hub is known
	Walk      []HubStep
	Samples   int  // that wait
	Busy      bool // some are in a request, or being written to disk
	HeldUntil time.Time
	At        string // the hub that acknowledged the latest, or empty
	Untold    []Untold
}

// HubStep is a hub of a gateway's walk.
type HubStep struct {
	Hub   string
	State HubState
}

// Untold is a hub that a gateway left, and that does not know.
type Untold struct {
	Hub string
	At  int64 // when, in ms
}

// maxWalk bounds how much of a walk is shown: hashring sorts for more, and
// nobody gets so far.
const maxWalk = 12

// Look returns the queue at one moment and, if one is asked for, a gateway at
// the same.
func (q *Queue) Look(now time.Time, gateway *string) (Snapshot, *GatewaySnapshot) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if gateway == nil {
		return q.snapshotLocked(now), nil
	}
	return q.snapshotLocked(now), q.gatewayLocked(*gateway, now)
}

func (q *Queue) gatewayLocked(id string, now time.Time) *GatewaySnapshot {
	g := &GatewaySnapshot{ID: id, InUse: q.routeLocked(id).Hub.Name}
	if l := q.lanes[id]; l != nil {
		g.Samples, g.Busy, g.HeldUntil = l.samples, l.busy > 0, l.until
	}
	if s := q.ends.stays[id]; s != nil {
		if s.at != nil {
			g.At = s.at.hub.Name
		}
		for _, e := range s.left {
			if e.at != NoTime {
				g.Untold = append(g.Untold, Untold{e.to.hub.Name, e.at})
			}
		}
	}
	if q.ring == nil {
		return g
	}
	g.Owner = q.ring.Owner(id).Name
	for node := range q.ring.Walk(id) {
		g.Walk = append(g.Walk, HubStep{node.Name, q.stateLocked(q.byName[node.Name], now)})
		if len(g.Walk) == maxWalk {
			break
		}
	}
	return g
}
