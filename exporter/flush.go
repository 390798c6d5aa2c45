package exporter

import "slices"

// flush is somebody who waits until everything older than a sequence number has
// met its fate.
type flush struct {
	before uint64
	done   chan error // capacity 1
}

func (f *flush) end(err error) { f.done <- err }

// flush makes the senders send what is queued without waiting for fuller
// requests. The channel gets nil when all of it is settled.
func (r *router) flush() *flush {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := &flush{before: r.nextSeq, done: make(chan error, 1)}
	r.flushTo = max(r.flushTo, f.before)
	r.flushes = append(r.flushes, f) // in order: nextSeq never falls
	r.checkFlushesLocked()
	if r.ended && len(r.flushes) > 0 {
		f.end(errClosed)
		r.flushes = nil
	}
	for _, o := range r.outboxes {
		o.signal()
	}
	return f
}

// abandon forgets a flush that nobody waits for any more.
func (r *router) abandon(f *flush) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flushes = slices.DeleteFunc(r.flushes, func(other *flush) bool { return other == f })
}

// checkFlushesLocked ends the flushes that have nothing to wait for.
func (r *router) checkFlushesLocked() {
	for len(r.flushes) > 0 && r.oldestLocked() >= r.flushes[0].before {
		r.flushes[0].end(nil)
		r.flushes = r.flushes[1:]
	}
}

// oldestLocked returns the lowest sequence number of all that is queued, or the
// next one if nothing is.
func (r *router) oldestLocked() uint64 {
	oldest := r.nextSeq
	for _, b := range []*backlog{&r.inMemory, &r.onDisk} {
		if b.first != nil {
			oldest = min(oldest, b.first.seq)
		}
	}
	return oldest
}
