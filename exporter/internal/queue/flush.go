package queue

import "slices"

// Waiter is somebody who waits until everything older than a sequence number has
// met its fate.
type Waiter struct {
	before uint64
	Done   chan error // capacity 1
}

func (f *Waiter) end(err error) { f.Done <- err }

// Flush makes the senders send what is queued without waiting for fuller
// requests. The channel gets nil when all of it is settled.
func (q *Queue) Flush() *Waiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := &Waiter{before: q.nextSeq, Done: make(chan error, 1)}
	q.flushTo = max(q.flushTo, f.before)
	q.flushes = append(q.flushes, f) // in order: nextSeq never falls
	q.checkFlushesLocked()
	if q.ended && len(q.flushes) > 0 {
		f.end(ErrClosed)
		q.flushes = nil
	}
	for _, o := range q.outboxes {
		o.signal()
	}
	return f
}

// Abandon forgets a flush that nobody waits for any more.
func (q *Queue) Abandon(f *Waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.flushes = slices.DeleteFunc(q.flushes, func(other *Waiter) bool { return other == f })
}

// checkFlushesLocked ends the flushes that have nothing to wait for.
func (q *Queue) checkFlushesLocked() {
	for len(q.flushes) > 0 && q.oldestLocked() >= q.flushes[0].before {
		q.flushes[0].end(nil)
		q.flushes = q.flushes[1:]
	}
}

// oldestLocked returns the lowest sequence number of all that is queued, or the
// next one if nothing is.
func (q *Queue) oldestLocked() uint64 {
	oldest := q.nextSeq
	for _, b := range []*backlog{&q.inMemory, &q.onDisk} {
		if b.first != nil {
			oldest = min(oldest, b.first.seq)
		}
	}
	return oldest
}
