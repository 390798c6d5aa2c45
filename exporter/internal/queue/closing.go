package queue

import (
	"math"
	"runtime"

	"github.com/hubring/hubring/exporter/internal/reason"
)

// Close makes Submit refuse and the senders flush. Once nothing is left, drained
// is called.
func (q *Queue) Close(drained func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.drained = drained
	q.flushTo = math.MaxUint64
	q.hurryEndsLocked()
	q.checkDrainedLocked()
	for _, o := range q.outboxes {
		o.signal()
	}
}

// checkDrainedLocked ends the senders when there is nothing left for them, and the
// tellers have done what they can.
func (q *Queue) checkDrainedLocked() {
	if q.closed && q.inMemory.first == nil && q.onDisk.first == nil && q.drained != nil && q.endsSettledLocked() {
		q.drained()
		q.drained = nil
	}
}

// Remains is what was not delivered in the end.
type Remains struct {
	Samples  int
	Gateways int // whose samples they are
	Bytes    int // of memory
	Kept     int // samples on disk, which are not lost
}

// GiveUp drops what is left in memory, after the senders, the tellers and the spooler have ended.
func (q *Queue) GiveUp() Remains {
	q.mu.Lock()
	left := Remains{Samples: q.inMemory.samples + q.gone, Bytes: q.inMemory.bytes, Kept: q.onDisk.samples}
	kept := q.onDisk.first
	q.mu.Unlock()
	gateways := map[string]bool{}
	for q.giveUpSome(gateways) || q.keepSome(&kept) || q.giveUpSomeEnds() {
		runtime.Gosched() // who waits for the mutex comes first
	}
	left.Gateways = len(gateways)
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range q.flushes {
		f.end(ErrClosed)
	}
	q.flushes, q.ended = nil, true
	return left
}

// giveUpSome drops some of what is in memory, and notes whose it was. It reports whether there was any.
func (q *Queue) giveUpSome(gateways map[string]bool) (found bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for range lanesAtOnce {
		p := q.inMemory.first
		if p == nil {
			break
		}
		found = true
		if p.Key != "" {
			gateways[p.Key] = true
		}
		q.dropWaitingLocked(p, reason.Undelivered)
	}
	return found
}

// keepSome tells who waits for some of what stays on disk, from p on. It reports whether there was any.
func (q *Queue) keepSome(p **Parcel) (found bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for range lanesAtOnce {
		if *p == nil {
			break
		}
		found = true
		(*p).ack.lost(*p)
		*p = (*p).newer
	}
	return found
}
