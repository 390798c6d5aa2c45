package queue

import (
	"math"
	"time"

	"github.com/hubring/hubring/exporter/internal/reason"
)

// Close makes Submit refuse and the senders flush. Once nothing is left, drained
// is called.
func (q *Queue) Close(drained func(), now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.drained = drained
	q.flushTo = math.MaxUint64
	q.hurryEndsLocked(now)
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

// GiveUp drops what is left in memory, after the senders have ended.
func (q *Queue) GiveUp() Remains {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := Remains{Samples: q.inMemory.samples + q.gone, Bytes: q.inMemory.bytes}
	gateways := map[string]bool{}
	for q.inMemory.first != nil {
		p := q.inMemory.first
		if p.Key != "" {
			gateways[p.Key] = true
		}
		q.dropWaitingLocked(p, reason.Undelivered)
	}
	left.Gateways = len(gateways)
	left.Kept = q.onDisk.samples
	for p := q.onDisk.first; p != nil; p = p.newer {
		p.ack.lost(p)
	}
	for _, f := range q.flushes {
		f.end(ErrClosed)
	}
	q.flushes, q.ended = nil, true
	q.giveUpEndsLocked()
	return left
}
