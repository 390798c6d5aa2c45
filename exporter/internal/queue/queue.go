package queue

import (
	"errors"
	"sync"
	"time"

	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/hashring"
)

// Queue decides which outbox has a gateway's parcels. One mutex guards all there
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
type Queue struct {
	// ToSpill has room for one: there is something to be taken to disk, or marked there.
	ToSpill chan struct{}

	set Settings

	mu        sync.Mutex
	ring      *hashring.Ring     // nil while no hub is known
	outboxes  []*Outbox          // in the order of ring.Nodes
	byName    map[string]*Outbox // the same
	limbo     *Outbox            // in place of all while no hub is known; it has no senders
	lanes     map[string]*Lane   // by gateway, each with something queued
	all       []*Lane            // the same
	unchecked int                // of all, at its beginning: those that may wait elsewhere than they belong
	inMemory  backlog
	onDisk    backlog
	common    int   // see share
	crowded   share // of the lanes of which hubs take no more
	busyBytes int   // of what inMemory and onDisk have, that of busy parcels
	total     meter // bytes submitted
	nextSeq   uint64
	account   Account
	ends      ends

	flushTo   uint64    // what is older does not wait for fuller requests
	flushes   []*Waiter // who waits, by sequence number
	discards  []any     // where dropped parcels are on disk
	gone      int       // samples whose records were taken away
	diskError error     // what is wrong with the disk, or nil
	diskFull  bool      // that is it
	closed    bool      // Submit refuses; senders flush
	drained   func()    // called once when closed and nothing is left
	ended     bool      // nothing is sent any more
}

// Settings are what a queue goes by.
type Settings struct {
	MaxBytes     int           // of memory
	BatchBytes   int           // of a request
	BatchWait    time.Duration // for others to share a request
	WaitForOwner bool          // samples of a hub that is down go to no other one
	DropOldest   bool          // when memory is full; else what comes is refused
	Disk         bool          // somebody spills what is too much for memory
	TellEnds     bool          // hubs are told which gateways left them
	EndsDelay    time.Duration
	MinBackoff   time.Duration
	MaxBackoff   time.Duration
	CatchUp      float64             // how fast, as a multiple of the usual
	Random       func(n int64) int64 // from 0 to n-1
	Dropped      func(drop Dropped)  // is told of what had been taken in, with the mutex; or nil
}

// Dropped is samples of a gateway that had been taken in.
type Dropped struct {
	Why     reason.Reason
	Gateway string
	Samples int
}

// Hub is a hub as the ring knows it.
type Hub struct {
	Name, URL string
	Weight    float64 // 0 is 1
}

// The errors of submit and flush. They come wrapped.
var (
	ErrFull    = errors.New("queue is full")
	ErrClosed  = errors.New("exporter is closed")
	ErrNotKept = errors.New("samples are not safe on disk")
)

// firstSeq is the first parcel's number. What an earlier Run left on disk is put
// before it.
const firstSeq = 1 << 62

// New returns a queue that knows no hub yet.
func New(set Settings) *Queue {
	q := &Queue{
		set:     set,
		byName:  map[string]*Outbox{},
		lanes:   map[string]*Lane{},
		nextSeq: firstSeq,
		ToSpill: make(chan struct{}, 1),
	}
	q.crowded.common = &q.common
	q.limbo = newOutbox(Hub{}, &HubAccount{}, &q.crowded)
	q.divideLocked()
	q.account.Hubs = map[string]*HubAccount{}
	q.ends.stays, q.ends.hubs = map[string]*stay{}, map[string]*Notices{}
	return q
}

// IsClosed reports whether submit refuses.
func (q *Queue) IsClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// Home returns the hub that owns a key, up or not, and whether any hub is known.
func (q *Queue) Home(key string) (Hub, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ring == nil {
		return Hub{}, false
	}
	return q.byName[q.ring.Owner(key).Name].Hub, true
}

// Refuse counts samples that are not taken in.
func (q *Queue) Refuse(why reason.Reason, samples int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.account.Dropped[why] += uint64(samples)
}

// RefuseAll is Refuse for parcels, and counts what was left out on the way to them.
func (q *Queue) RefuseAll(why reason.Reason, parcels []*Parcel, leftOut *[reason.NumEncoding]int) {
	_, samples := weigh(parcels)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.account.Dropped[why] += uint64(samples)
	q.leaveOutLocked(leftOut)
}

func (q *Queue) leaveOutLocked(leftOut *[reason.NumEncoding]int) {
	for why, n := range leftOut {
		q.account.Dropped[why] += uint64(n)
	}
}

// Submit queues all parcels or none, and counts what was left out on the way to
// them. It returns errClosed or errFull, with the gateway or hub that has more than its
// share. The receipt, if there is one, is told what becomes of each.
func (q *Queue) Submit(parcels []*Parcel, leftOut *[reason.NumEncoding]int, ack *Receipt, now time.Time) error {
	bytes, samples := weigh(parcels)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.leaveOutLocked(leftOut)
	if why, err := q.readyLocked(parcels, bytes, samples); err != nil {
		q.account.Dropped[why] += uint64(samples)
		return err
	}
	q.account.Submitted += uint64(samples)
	for _, p := range parcels {
		p.seq, p.Born, p.ack = q.nextSeq, now, ack
		q.nextSeq++
		p.Lane = q.laneLocked(p.Key)
		q.inMemory.addLocked(p)
		p.Lane.weighLocked(0, p.memory)
		to := q.queueLocked(p.Lane, p)
		if ack != nil {
			to.urgentTo = q.nextSeq
		}
		q.total.add(p.Bytes, now)
		if q.ring != nil {
			q.byName[q.ring.Owner(p.Key).Name].steady.add(p.Bytes, now)
		}
	}
	q.checkSpillLocked()
	return nil
}

// Ready sees to it that Submit may take parcels, and returns what it would say now. It counts
// nothing.
func (q *Queue) Ready(parcels []*Parcel) (why reason.Reason, err error) {
	bytes, samples := weigh(parcels)
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.readyLocked(parcels, bytes, samples)
}

func weigh(parcels []*Parcel) (bytes, samples int) {
	for _, p := range parcels {
		bytes += p.size()
		samples += p.Samples
	}
	return bytes, samples
}

func (q *Queue) readyLocked(parcels []*Parcel, bytes, samples int) (why reason.Reason, err error) {
	if q.closed {
		return reason.Closed, ErrClosed
	}
	return q.admitLocked(parcels, bytes, samples)
}

// ageLocked returns how long ago the oldest of all parcels was submitted.
func (q *Queue) ageLocked(now time.Time) time.Duration {
	return max(q.inMemory.ageLocked(now), q.onDisk.ageLocked(now))
}

// memoryLocked returns what MaxQueueBytes bounds.
func (q *Queue) memoryLocked() int { return q.inMemory.bytes + q.onDisk.bytes }

func (q *Queue) laneLocked(key string) *Lane {
	l, ok := q.lanes[key]
	if !ok {
		l = &Lane{key: key, place: -1, young: -1}
		q.rememberLocked(l)
	}
	return l
}

// queueLocked appends a parcel to its lane, and returns where it is to go.
func (q *Queue) queueLocked(l *Lane, p *Parcel) *Outbox {
	l.pushLocked(p)
	if o := l.at; o != nil {
		o.bytes += p.Bytes
		o.samples += p.Samples
		o.signal()
		return o
	}
	o := q.routeLocked(l.key)
	l.enterLocked(o) // unless it is busy
	return o
}

// settledLocked notes that the fate of a parcel is known. It must not wait in its
// lane any more.
func (q *Queue) settledLocked(p *Parcel) {
	if p.busy {
		p.busy = false
		q.busyBytes -= p.memory
	} else if !p.OnDisk() {
		p.Lane.weighLocked(0, -p.memory)
	}
	p.list.removeLocked(p)
	p.Release()
	q.checkFlushesLocked()
	q.checkDrainedLocked()
}

// freeLocked lets go of a lane that one parcel less is busy in.
func (q *Queue) freeLocked(l *Lane) {
	l.busy--
	if l.busy > 0 {
		return
	}
	q.placeLocked(l)
}

// placeLocked lets a lane wait where it belongs, or be forgotten if it has nothing.
func (q *Queue) placeLocked(l *Lane) {
	if l.first == nil {
		q.forgetLocked(l)
		return
	}
	l.enterLocked(q.routeLocked(l.key))
}

// dropWaitingLocked drops a parcel that is not busy. Its lane may be.
func (q *Queue) dropWaitingLocked(p *Parcel, why reason.Reason) {
	l := p.Lane
	l.leaveLocked()
	l.removeLocked(p)
	q.dropLocked(p, why)
	p.ack.lost(p)
	if p.Record() != nil {
		q.discardLocked(p)
	}
	q.settledLocked(p)
	if l.busy == 0 {
		q.placeLocked(l)
	}
}

// dropLocked counts a parcel that was taken in and is dropped.
func (q *Queue) dropLocked(p *Parcel, why reason.Reason) {
	q.account.Dropped[why] += uint64(p.Samples)
	if q.set.Dropped != nil {
		q.set.Dropped(Dropped{why, p.Key, p.Samples})
	}
}
