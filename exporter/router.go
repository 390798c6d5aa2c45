package exporter

import (
	"errors"
	"iter"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/hashring"
)

// router decides which outbox has a gateway's parcels. One mutex guards all there
// is to decide about: the ring, the lanes, the outboxes, which hubs are up, and
// the account.
//
// Whenever the mutex is free:
//
//   - A gateway with queued parcels has one lane. Its parcels are in the order of
//     their sequence numbers.
//   - A lane is either busy, or waits in one outbox. So a gateway's samples are in one
//     request at a time, and are sent in order over failovers, changes of the ring
//     and parallel senders.
//   - That outbox is the one that route returns. After a change of the ring or of the
//     living hubs this is so only for lanes that were looked at since, as are all that
//     begin to wait and all of which something is sent. The others are those before
//     unchecked in all, and are looked at a few at a time, so that nobody holds the
//     mutex for long because there are many.
//   - Every parcel is in one of the two backlogs, until its fate is known.
type router struct {
	set queueSettings

	mu        sync.Mutex
	ring      *hashring.Ring     // nil while no hub is known
	outboxes  []*outbox          // in the order of ring.Nodes
	byName    map[string]*outbox // the same
	limbo     *outbox            // in place of all while no hub is known; it has no senders
	lanes     map[string]*lane   // by gateway, each with something queued
	all       []*lane            // the same
	unchecked int                // of all, at its beginning: those that may wait elsewhere than they belong
	inMemory  backlog
	onDisk    backlog
	common    int   // see share
	crowded   share // of the lanes of which hubs take no more
	busyBytes int   // of what inMemory and onDisk have, that of busy parcels
	total     meter // bytes submitted
	nextSeq   uint64
	account   account
	ends      ends

	flushTo   uint64        // what is older does not wait for fuller requests
	flushes   []*flush      // who waits, by sequence number
	spill     chan struct{} // capacity 1: the spooler has something to do
	discards  []any         // where dropped parcels are on disk
	gone      int           // samples whose records were taken away
	diskError error         // what is wrong with the disk, or nil
	diskFull  bool          // that is it
	closed    bool          // Submit refuses; senders flush
	drained   func()        // called once when closed and nothing is left
	ended     bool          // nothing is sent any more
}

// queueSettings are what a router goes by.
type queueSettings struct {
	maxBytes     int           // of memory
	batchBytes   int           // of a request
	batchWait    time.Duration // for others to share a request
	waitForOwner bool          // samples of a hub that is down go to no other one
	dropOldest   bool          // when memory is full; else what comes is refused
	disk         bool          // somebody spills what is too much for memory
	tellEnds     bool          // hubs are told which gateways left them
	endsDelay    time.Duration
	minBackoff   time.Duration
	maxBackoff   time.Duration
	catchUp      float64                  // how fast, as a multiple of the usual
	random       func(n int64) int64      // from 0 to n-1
	dropped      func(drop queuedDropped) // is told of what had been taken in, with the mutex; or nil
}

// queuedDropped is samples of a gateway that had been taken in.
type queuedDropped struct {
	why     reason.Reason
	gateway string
	samples int
}

// queueHub is a hub as the ring knows it.
type queueHub struct {
	name, url string
	weight    float64 // 0 is 1
}

// The errors of submit and flush. They come wrapped.
var (
	errFull   = errors.New("queue is full")
	errClosed = errors.New("exporter is closed")
)

// firstSeq is the first parcel's number. What an earlier Run left on disk is put
// before it.
const firstSeq = 1 << 62

func newRouter(set queueSettings) *router {
	r := &router{
		set:     set,
		byName:  map[string]*outbox{},
		lanes:   map[string]*lane{},
		nextSeq: firstSeq,
		spill:   make(chan struct{}, 1),
	}
	r.crowded.common = &r.common
	r.limbo = newOutbox(queueHub{}, &hubAccount{}, &r.crowded)
	r.divideLocked()
	r.account.hubs = map[string]*hubAccount{}
	r.ends.stays, r.ends.hubs = map[string]*stay{}, map[string]*notices{}
	return r
}

// isClosed reports whether submit refuses.
func (r *router) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// refuse counts samples that were not looked at.
func (r *router) refuse(why reason.Reason, samples int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.account.dropped[why] += uint64(samples)
}

// submit queues all parcels or none, and counts what was left out on the way to
// them. It returns errClosed or errFull, with the gateway or hub that has more than its
// share. The receipt, if there is one, is told what becomes of each.
func (r *router) submit(parcels []*parcel, leftOut *[reason.NumEncoding]int, ack *receipt, now time.Time) error {
	bytes, samples := 0, 0
	for _, p := range parcels {
		bytes += p.size()
		samples += p.samples
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for why, n := range leftOut {
		r.account.dropped[why] += uint64(n)
	}
	if r.closed {
		r.account.dropped[reason.Closed] += uint64(samples)
		return errClosed
	}
	if why, err := r.admitLocked(parcels, bytes, samples); err != nil {
		r.account.dropped[why] += uint64(samples)
		return err
	}
	r.account.submitted += uint64(samples)
	for _, p := range parcels {
		p.seq, p.born, p.bytes, p.ack = r.nextSeq, now, p.length(), ack
		r.nextSeq++
		p.lane = r.laneLocked(p.key)
		r.inMemory.addLocked(p)
		p.lane.weighLocked(0, p.memory)
		to := r.queueLocked(p.lane, p)
		if ack != nil {
			to.urgentTo = r.nextSeq
		}
		r.total.add(p.bytes, now)
		if r.ring != nil {
			r.byName[r.ring.Owner(p.key).Name].steady.add(p.bytes, now)
		}
	}
	r.checkSpillLocked()
	return nil
}

// ageLocked returns how long ago the oldest of all parcels was submitted.
func (r *router) ageLocked(now time.Time) time.Duration {
	return max(r.inMemory.ageLocked(now), r.onDisk.ageLocked(now))
}

// memoryLocked returns what MaxQueueBytes bounds.
func (r *router) memoryLocked() int { return r.inMemory.bytes + r.onDisk.bytes }

func (r *router) laneLocked(key string) *lane {
	l, ok := r.lanes[key]
	if !ok {
		l = &lane{key: key, place: -1, young: -1}
		r.rememberLocked(l)
	}
	return l
}

// queueLocked appends a parcel to its lane, and returns where it is to go.
func (r *router) queueLocked(l *lane, p *parcel) *outbox {
	l.pushLocked(p)
	if o := l.at; o != nil {
		o.bytes += p.bytes
		o.samples += p.samples
		o.signal()
		return o
	}
	o := r.routeLocked(l.key)
	l.enterLocked(o) // unless it is busy
	return o
}

// settledLocked notes that the fate of a parcel is known. It must not wait in its
// lane any more.
func (r *router) settledLocked(p *parcel) {
	if p.busy {
		p.busy = false
		r.busyBytes -= p.memory
	} else if !p.onDisk() {
		p.lane.weighLocked(0, -p.memory)
	}
	p.list.removeLocked(p)
	p.release()
	r.checkFlushesLocked()
	r.checkDrainedLocked()
}

// freeLocked lets go of a lane that one parcel less is busy in.
func (r *router) freeLocked(l *lane) {
	l.busy--
	if l.busy > 0 {
		return
	}
	r.placeLocked(l)
}

// placeLocked lets a lane wait where it belongs, or be forgotten if it has nothing.
func (r *router) placeLocked(l *lane) {
	if l.first == nil {
		r.forgetLocked(l)
		return
	}
	l.enterLocked(r.routeLocked(l.key))
}

// dropWaitingLocked drops a parcel that is not busy. Its lane may be.
func (r *router) dropWaitingLocked(p *parcel, why reason.Reason) {
	l := p.lane
	l.leaveLocked()
	l.removeLocked(p)
	r.dropLocked(p, why)
	p.ack.lost(p)
	if p.onDisk() {
		r.discardLocked(p)
	}
	r.settledLocked(p)
	if l.busy == 0 {
		r.placeLocked(l)
	}
}

// dropLocked counts a parcel that was taken in and is dropped.
func (r *router) dropLocked(p *parcel, why reason.Reason) {
	r.account.dropped[why] += uint64(p.samples)
	if r.set.dropped != nil {
		r.set.dropped(queuedDropped{why, p.key, p.samples})
	}
}

// sent counts what goes into a request of a flight.
func (r *router) sent(o *outbox, f *flight, part []*parcel) {
	samples := 0
	for _, p := range part {
		samples += p.samples
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.life != o.life { // what it finds from now on is true of the hub that returned
		f.life = o.life
		o.current++
	}
	o.account.sent += uint64(samples)
}

// delivered notes that the hub took a part of a request.
func (r *router) delivered(o *outbox, part []*parcel) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range part {
		o.account.delivered += uint64(p.samples)
		p.ack.acknowledged(p)
		r.arrivedLocked(o, p)
		l := p.lane
		if r.partLocked(p) {
			continue
		}
		if p.of != nil {
			p = p.of
		}
		l.until, l.crowded = time.Time{}, false
		r.settledLocked(p)
		r.freeLocked(l)
	}
	o.deliveredLocked(time.Now())
}

// rejected drops a parcel that the hub refused.
func (r *router) rejected(o *outbox, p *parcel, why reason.Reason, detail string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropLocked(p, why)
	p.ack.rejected(refusal{gateway: p.key, samples: p.samples, why: why, hub: o.hub.name, detail: detail})
	l := p.lane
	if r.partLocked(p) {
		return
	}
	if p.of != nil {
		p = p.of
	}
	r.settledLocked(p)
	r.freeLocked(l)
	if l.busy == 0 {
		r.stillGoneLocked(o, l.key)
	}
}

// damaged drops a parcel that could not be read from disk again.
func (r *router) damaged(p *parcel) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropLocked(p, reason.SpoolDamaged)
	p.ack.lost(p)
	l := p.lane
	r.settledLocked(p)
	r.freeLocked(l)
}

// heldShare is the part of MaxQueueBytes, one of so many, that a gateway may fill
// that its hub refuses.
const heldShare = 16

// held puts back parcels of gateways of which the hub takes no more now, of these
// and no others. They wait. What one of them has beyond its part of the queue is
// dropped, oldest first: it must not fill what is everybody's.
func (r *router) held(parcels []*parcel, wait time.Duration, now time.Time) (dropped int) {
	for some := range backwards(parcels) {
		dropped += r.heldSome(some, wait, now)
	}
	return dropped
}

func (r *router) heldSome(parcels []*parcel, wait time.Duration, now time.Time) (dropped int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range parcels {
		p.lane.crowded = true
	}
	r.postponedLocked(parcels, wait, now)
	for _, p := range parcels {
		l := p.lane
		for l.busy == 0 && l.first != nil && l.sizeLocked() > r.set.maxBytes/heldShare {
			dropped += l.first.samples
			r.dropWaitingLocked(l.first, reason.Rejected429)
		}
	}
	return dropped
}

// postponed puts back parcels of gateways that are to wait.
func (r *router) postponed(parcels []*parcel, wait time.Duration, now time.Time) {
	for some := range backwards(parcels) {
		r.mu.Lock()
		r.postponedLocked(some, wait, now)
		r.mu.Unlock()
	}
}

func (r *router) postponedLocked(parcels []*parcel, wait time.Duration, now time.Time) {
	for _, p := range parcels {
		p.lane.until = now.Add(wait)
	}
	r.unsentLocked(parcels)
}

// backwards returns the parcels in parts that are small enough to be worked on without
// letting the mutex go, the last part first: each parcel is put back before those that come
// after it. A lane is free when all parts of it are through.
func backwards(parcels []*parcel) iter.Seq[[]*parcel] {
	return func(yield func([]*parcel) bool) {
		for len(parcels) > 0 {
			at := max(0, len(parcels)-lanesAtOnce)
			if !yield(parcels[at:]) {
				return
			}
			parcels = parcels[:at]
		}
	}
}

// unsentLocked puts back what is left of a request, which goes where it belongs
// now.
func (r *router) unsentLocked(left []*parcel) {
	for _, p := range slices.Backward(left) {
		p.lane.putBackLocked(p)
		r.vacateLocked(p)
	}
	for _, p := range left {
		if p.onDisk() {
			p.unload()
		}
		r.freeLocked(p.lane)
	}
	r.checkSpillLocked() // while all was being sent there was nothing to spill
}

// cut puts back what is left of a request that Run's end cut off.
func (r *router) cut(left []*parcel) {
	for some := range backwards(left) {
		r.mu.Lock()
		r.unsentLocked(some)
		r.mu.Unlock()
	}
}

// waitingFor returns how many samples of a Push are not settled.
func (r *router) waitingFor(ack *receipt) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return ack.samples
}

// close makes Submit refuse and the senders flush. Once nothing is left, drained
// is called.
func (r *router) close(drained func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.drained = drained
	r.flushTo = math.MaxUint64
	r.hurryEndsLocked()
	r.checkDrainedLocked()
	for _, o := range r.outboxes {
		o.signal()
	}
}

// checkDrainedLocked ends the senders when there is nothing left for them, and the
// tellers have done what they can.
func (r *router) checkDrainedLocked() {
	if r.closed && r.inMemory.first == nil && r.onDisk.first == nil && r.drained != nil && r.endsSettledLocked() {
		r.drained()
		r.drained = nil
	}
}

// remains is what was not delivered in the end.
type remains struct {
	samples  int
	gateways int // whose samples they are
	bytes    int // of memory
	kept     int // samples on disk, which are not lost
}

// giveUp drops what is left in memory, after the senders have ended.
func (r *router) giveUp() remains {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := remains{samples: r.inMemory.samples + r.gone, bytes: r.inMemory.bytes}
	gateways := map[string]bool{}
	for r.inMemory.first != nil {
		p := r.inMemory.first
		if p.key != "" {
			gateways[p.key] = true
		}
		r.dropWaitingLocked(p, reason.Undelivered)
	}
	left.gateways = len(gateways)
	left.kept = r.onDisk.samples
	for p := r.onDisk.first; p != nil; p = p.newer {
		p.ack.lost(p)
	}
	for _, f := range r.flushes {
		f.end(errClosed)
	}
	r.flushes, r.ended = nil, true
	r.giveUpEndsLocked()
	return left
}
