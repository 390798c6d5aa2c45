package send

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/internal/spool"
)

// Submits that return when their samples are on disk hand them to the spooler's goroutine. It writes
// what all have that wait, syncs once, and queues it: so what is in the queue is on disk, and there in the
// same order.

// keeping is what one Submit waits for. Once it is handed over the spooler has it, but for decided and done.
type keeping struct {
	parcels []*queue.Parcel
	leftOut [reason.NumEncoding]int
	receipt *queue.Receipt
	born    time.Time

	why   reason.Reason // it is not taken in, or Taken
	err   error         // that says so
	fault error         // of the disk

	decided atomic.Bool // by the spooler, or by the Submit, which has gone then
	done    chan error  // has room for one
}

// Keep writes parcels to disk and queues them, or does neither and releases them. It waits for Run, and
// until ctx ends, whose error it returns then; others are the queue's.
func (s *Spooler) Keep(ctx context.Context, parcels []*queue.Parcel, leftOut *[reason.NumEncoding]int, ack *queue.Receipt, now time.Time) error {
	k := &keeping{parcels: slices.Clone(parcels), leftOut: *leftOut, receipt: ack, born: now, done: make(chan error, 1)}
	select {
	case s.keeps <- k:
	case <-ctx.Done():
		k.why, k.err = reason.Cancelled, ctx.Err()
		s.settle(k)
	case <-s.ended:
		k.why, k.err = reason.Closed, queue.ErrClosed
		s.settle(k)
	}
	select {
	case err := <-k.done:
		return err
	case <-ctx.Done():
	}
	if k.decided.Swap(true) {
		return <-k.done
	}
	s.queue.RefuseAll(reason.Cancelled, parcels, leftOut)
	return ctx.Err()
}

// keepAll writes and queues what all Submits have that wait.
func (s *Spooler) keepAll(ctx context.Context, first *keeping) {
	group, written := s.waiting(first), false
	var fault error // of the disk
	for _, k := range group {
		s.put(ctx, k)
		written = written || k.err == nil
		fault = cmp.Or(k.fault, fault)
	}
	if written {
		if err := s.store.Sync(); err != nil {
			fault = err
			for _, k := range group {
				if k.err == nil {
					k.notKept(err)
				}
			}
		}
	}
	for _, k := range group {
		s.settle(k)
	}
	s.discard()
	if s.store != nil && (fault != nil || s.fault != nil && written) {
		s.tell(fault)
	}
}

// waiting returns what all Submits have that wait, the first of which came already.
func (s *Spooler) waiting(first *keeping) []*keeping {
	group := []*keeping{first}
	for {
		select {
		case k := <-s.keeps:
			group = append(group, k)
		default:
			return group
		}
	}
}

// put writes what a Submit has, if it may be queued then.
func (s *Spooler) put(ctx context.Context, k *keeping) {
	select {
	case <-s.queue.ToSpill:
		s.discard()
		if err := s.relieve(ctx); err != nil {
			k.notKept(err)
			return
		}
	default:
	}
	if s.store == nil {
		k.notKept(s.fault)
		return
	}
	if why, err := s.queue.Ready(k.parcels); err != nil {
		k.why, k.err = why, err
		return
	}
	for i, p := range k.parcels {
		p.Born = k.born
		at, err := s.write(k.parcels[i : i+1])
		if err != nil {
			k.notKept(err)
			return
		}
		p.Kept = at
	}
}

// notKept refuses it because of what is wrong with the disk.
func (k *keeping) notKept(fault error) {
	k.fault = fault
	if errors.Is(fault, spool.ErrFull) {
		k.why, k.err = reason.QueueFull, fmt.Errorf("%w: %w: submit again later or raise SpoolBytes", queue.ErrFull, fault)
	} else {
		k.why, k.err = reason.NotKept, fmt.Errorf("%w: %w", queue.ErrNotKept, fault)
	}
}

// settle queues what a Submit has, or sees to it that it is nowhere, and answers if somebody waits.
func (s *Spooler) settle(k *keeping) {
	waits := !k.decided.Swap(true)
	if waits && k.err == nil {
		if k.err = s.queue.Submit(k.parcels, &k.leftOut, k.receipt, k.born); k.err == nil {
			k.done <- nil
			return
		}
	} else if waits {
		s.queue.RefuseAll(k.why, k.parcels, &k.leftOut)
	}
	for _, p := range k.parcels {
		if p.Kept != nil {
			s.mark(p.Kept.(*record).ref)
		}
		p.Release()
	}
	if waits {
		k.done <- k.err
	}
}
