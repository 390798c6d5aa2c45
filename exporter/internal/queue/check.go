package queue

import (
	"fmt"
	"slices"
)

// Faults says what does not hold of all that must whenever the mutex is free. It is for tests,
// and looks at everything.
func (q *Queue) Faults() (faults []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	waiting := map[*Lane]*Outbox{}
	for _, o := range append(slices.Clone(q.outboxes), q.limbo) {
		bytes, samples := 0, 0
		for i, l := range o.young {
			if up := (i - 1) / 2; l.young != i || l.at != o || l.place < 0 || i > 0 && l.first.seq > o.young[up].first.seq {
				fault("lane %q is not the youngest of those below it, at %d", l.key, i)
			}
		}
		for i, l := range append(slices.Clone(o.waiting), o.held.laneHeap...) {
			if waiting[l] != nil {
				fault("lane %q waits twice", l.key)
			}
			waiting[l] = o
			bytes, samples = bytes+l.bytes, samples+l.samples
			if l.place != i && l.place != i-len(o.waiting) {
				fault("lane %q has place %d", l.key, l.place)
			}
			if up := (i - 1) / 2; i > 0 && i < len(o.waiting) && l.first.seq < o.waiting[up].first.seq {
				fault("the heap of %s is no heap", o.Hub.Name)
			}
		}
		if bytes != o.bytes || samples != o.samples {
			fault("%s has %d bytes and %d samples, and says %d and %d", o.Hub.Name, bytes, samples, o.bytes, o.samples)
		}
		if o.flights < 0 || o.retired {
			fault("%s has %d flights, retired: %v", o.Hub.Name, o.flights, o.retired)
		}
	}
	inLanes, busy := 0, 0
	if len(q.all) != len(q.lanes) || q.unchecked > 0 {
		fault("%d lanes of %d are listed, %d are not looked at", len(q.all), len(q.lanes), q.unchecked)
	}
	for key, l := range q.lanes {
		if q.all[l.index] != l {
			fault("lane %q is not in its place", key)
		}
		o := waiting[l]
		bytes, samples, last := 0, 0, uint64(0)
		for p := l.first; p != nil; p = p.next {
			bytes, samples = bytes+p.Bytes, samples+p.Samples
			inLanes++
			if p.seq <= last || p.Lane != l || p.list == nil || p.next == nil && l.last != p {
				fault("lane %q is out of order", key)
			}
			last = p.seq
		}
		busy += l.busy
		switch {
		case bytes != l.bytes || samples != l.samples:
			fault("lane %q has %d bytes and %d samples, and says %d and %d", key, bytes, samples, l.bytes, l.samples)
		case l.busy < 0 || l.key != key || l.at != o || l.first == nil && l.busy == 0:
			fault("lane %q: busy %d, waits in the wrong place", key, l.busy)
		case l.busy > 0 && o != nil:
			fault("lane %q is busy and waits", key)
		case l.busy == 0 && o != q.belongsLocked(key):
			fault("lane %q does not wait where it belongs", key)
		}
	}
	queued := 0
	for _, b := range []*backlog{&q.inMemory, &q.onDisk} {
		parcels, samples, bytes, last := 0, 0, 0, uint64(0)
		for p := b.first; p != nil; p = p.newer {
			parcels, samples, bytes = parcels+1, samples+p.Samples, bytes+p.memory
			if p.seq <= last || p.list != b || q.lanes[p.Key] != p.Lane || p.newer == nil && b.last != p {
				fault("a backlog is out of order at a parcel of %q", p.Key)
			}
			if here := p.Body != nil; here != (b == &q.inMemory) && !p.busy {
				fault("a parcel of %q has its body: %v, and is on disk: %v", p.Key, here, p.OnDisk())
			}
			last = p.seq
		}
		if parcels != b.parcels || samples != b.samples || bytes != b.bytes {
			fault("a backlog says %d parcels, %d samples and %d bytes and has %d, %d and %d", b.parcels, b.samples, b.bytes, parcels, samples, bytes)
		}
		queued += parcels
	}
	if len(waiting) > len(q.lanes) {
		fault("%d lanes wait, of %d", len(waiting), len(q.lanes))
	}
	q.checkEndsLocked(fault)
	q.checkSharesLocked(fault)
	if inLanes > queued || queued > inLanes+busy {
		fault("%d parcels are queued, %d wait and %d are busy", queued, inLanes, busy)
	}
	return faults
}

// belongsLocked returns where a gateway's lane has to wait.
func (q *Queue) belongsLocked(key string) *Outbox {
	if q.ring == nil {
		return q.limbo
	}
	owner := q.byName[q.ring.Owner(key).Name]
	if !q.set.WaitForOwner {
		for node := range q.ring.Walk(key) {
			if o := q.byName[node.Name]; !o.down {
				return o
			}
		}
	}
	return owner
}

// checkEndsLocked checks that what is known of ends adds up.
func (q *Queue) checkEndsLocked(fault func(string, ...any)) {
	known, waiting, size := 0, 0, 0
	flying, untold := map[*Notices]int{}, map[*Notices]int{}
	for key, s := range q.ends.stays {
		size += len(key) + stayOverhead
		known += len(s.left)
		to := map[*Notices]bool{}
		for _, e := range s.left {
			if e.of != s || s.key != key || to[e.to] || e.to == s.at {
				fault("an end of %q for %s is in the wrong place", key, e.to.hub.Name)
			}
			to[e.to] = true
			_, waits := e.to.waiting[e]
			for _, p := range e.to.later {
				if p.end == e && !p.over() {
					if waits {
						fault("an end of %q for %s waits twice", key, e.to.hub.Name)
					}
					waits = true
				}
			}
			if waits != (e.state == endWaiting) || e.state == endOver || e.at == NoTime && e.state != endOpen {
				fault("an end of %q for %s has state %d, and waits: %v", key, e.to.hub.Name, e.state, waits)
			}
			if e.state == endFlying {
				flying[e.to]++
			}
			if e.state == endFlying || e.state == endWaiting {
				waiting++
				untold[e.to]++
			}
		}
	}
	for name, n := range q.ends.hubs {
		if n.flying != flying[n] || n.untold != untold[n] || n.hub.Name != name || n.gone {
			fault("%s is being told of %d ends, and of %d", name, n.flying, flying[n])
		}
	}
	if known != q.ends.known || waiting != q.ends.waiting || size != q.ends.stayBytes {
		fault("%d ends are known, %d wait, %d bytes: it says %d, %d and %d", known, waiting, size, q.ends.known, q.ends.waiting, q.ends.stayBytes)
	}
}

// checkSharesLocked checks what each has of the queue.
func (q *Queue) checkSharesLocked(fault func(string, ...any)) {
	memory, idle, lanes := map[*share]int{}, map[*share]int{}, map[*share]int{}
	busy, common := 0, 0
	for _, b := range []*backlog{&q.inMemory, &q.onDisk} {
		for p := b.first; p != nil; p = p.newer {
			memory[p.Lane.in] += p.memory
			switch {
			case p.busy:
				busy += p.memory
			case !p.OnDisk():
				idle[p.Lane.in] += p.memory
			}
		}
	}
	for key, l := range q.lanes {
		lanes[l.in]++
		if p := l.oldestIdleLocked(); (p != nil) != (l.idle > 0) || p != nil && (p.OnDisk() || p.Lane != l) {
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
	if busy != q.busyBytes || common != q.common {
		fault("%d bytes are busy and %d are anybody's, and the queue says %d and %d", busy, common, q.busyBytes, q.common)
	}
}

// MustTake says whether parcels must be taken in, since neither the hubs nor the gateways that
// they are of have more than what is theirs alone, whatever others have. It is for tests: nobody
// else may submit meanwhile.
func (q *Queue) MustTake(parcels []*Parcel) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	limit := q.set.MaxBytes
	if q.closed || q.set.DropOldest || q.common > limit-limit/lastPart {
		return false // or the ring has changed, and what is moved has no room where it is
	}
	own := limit / lastPart / max(1, len(q.outboxes))
	memory, lanes := map[*share]int{}, map[*share]int{}
	for _, p := range parcels {
		memory[q.shareLocked(p.Key)] += p.memory
		lanes[q.shareLocked(p.Key)]++
	}
	for _, p := range parcels {
		in, has := q.shareLocked(p.Key), 0
		if l := q.lanes[p.Key]; l != nil {
			has = l.memory
		}
		if in == &q.crowded || in.memory+memory[in] > own || has+p.memory > own/(2*(in.lanes+lanes[in])) {
			return false
		}
	}
	return true
}
