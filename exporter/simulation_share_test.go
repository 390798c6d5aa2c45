package exporter

import (
	"time"

	"github.com/hubring/hubring/exporter/internal/encode"
	"github.com/hubring/hubring/exporter/magma"
)

// innocent says whether a Submit must be taken in, since neither the hubs nor the gateways that
// it is of have more than what is theirs alone, whatever others have. Nobody else may submit
// meanwhile.
func (s *schedule) innocent(items []magma.MetricAndContext) bool {
	r := s.e.router
	enc := encode.New(time.Now(), s.cfg.AsGauges)
	defer enc.Release()
	enc.Encode(items)
	parcels := parcelsOf(nil, enc.Bodies)
	defer func() {
		for _, p := range parcels {
			p.release()
		}
	}()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || s.cfg.Overflow == DropOldest || r.common > s.cfg.MaxQueueBytes-s.cfg.MaxQueueBytes/lastPart {
		return false // or the ring has changed, and what is moved has no room where it is
	}
	own := s.cfg.MaxQueueBytes / lastPart / max(1, len(r.outboxes))
	memory, lanes := map[*share]int{}, map[*share]int{}
	for _, p := range parcels {
		memory[r.shareLocked(p.key)] += p.memory
		lanes[r.shareLocked(p.key)]++
	}
	for _, p := range parcels {
		in, has := r.shareLocked(p.key), 0
		if l := r.lanes[p.key]; l != nil {
			has = l.memory
		}
		if in == &r.crowded || in.memory+memory[in] > own || has+p.memory > own/(2*(in.lanes+lanes[in])) {
			return false
		}
	}
	return true
}

// checkShares checks what each has of the queue.
func checkShares(r *router, fault func(format string, args ...any)) {
	memory, idle, lanes := map[*share]int{}, map[*share]int{}, map[*share]int{}
	busy, common := 0, 0
	for _, b := range []*backlog{&r.inMemory, &r.onDisk} {
		for p := b.first; p != nil; p = p.newer {
			memory[p.lane.in] += p.memory
			switch {
			case p.busy:
				busy += p.memory
			case !p.spilled:
				idle[p.lane.in] += p.memory
			}
		}
	}
	for key, l := range r.lanes {
		lanes[l.in]++
		if p := l.oldestIdleLocked(); (p != nil) != (l.idle > 0) || p != nil && (p.spilled || p.lane != l) {
			fault("lane %q has %d bytes idle, and the first of them is %v", key, l.idle, p)
		}
	}
	for in, n := range lanes {
		if in == nil {
			fault("a lane counts nowhere")
			continue
		}
		if in.memory != memory[in] || in.idle != idle[in] || in.lanes != n || in.arriving != 0 || in.newcomers != 0 {
			fault("a share has %d bytes, %d idle, of %d lanes, and says %d, %d and %d", memory[in], idle[in], n, in.memory, in.idle, in.lanes)
		}
		common += in.beyondLocked(in.memory)
	}
	if busy != r.busyBytes || common != r.common {
		fault("%d bytes are busy and %d are anybody's, and the router says %d and %d", busy, common, r.busyBytes, r.common)
	}
}
