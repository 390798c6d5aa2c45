package exporter

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// later is when all that was just submitted has waited for others long enough.
func later() time.Time { return time.Now().Add(time.Minute) }

// A sender that takes what fits into a request wakes another one for the rest.
func TestRestOfARequestWakesAnotherSender(t *testing.T) {
	r, all := crowdedRouter(t, 1, 100, func(s *queueSettings) { s.batchBytes = 1000 })
	<-all[0].wake
	task, batch, _ := r.next(all[0], later())
	require.Equal(t, transmit, task)
	assert.NotEmpty(t, batch)
	assert.Len(t, all[0].wake, 1)
}

// A gateway that one hub refuses does not wait at the next one.
func TestHoldEndsWhereTheHubDoes(t *testing.T) {
	r, all := crowdedRouter(t, 2, 10, nil)
	first, second := all[0], all[1]
	_, f, _ := r.next(first, later())
	require.NotEmpty(t, f.batch)
	r.held(f.batch, time.Hour, later())
	r.landed(first, f)
	require.Len(t, first.held.laneHeap, len(f.batch))
	r.failed(first, first.life, nil, "", 0, later())
	assert.Empty(t, first.held.laneHeap)
	assert.Empty(t, second.held.laneHeap)
	assert.Len(t, second.waiting, 10)
	assert.Zero(t, first.bytes+first.samples)
}

// What was read from disk for a request that failed does not stay in memory.
func TestUnsentSpilledParcelIsUnloaded(t *testing.T) {
	r, all := crowdedRouter(t, 1, 1, nil)
	p := r.inMemory.first
	spilling := r.takeToSpill(1 << 20)
	r.spilled(spilling, onDisk(spilling))
	require.Nil(t, p.body)
	_, f, _ := r.next(all[0], later())
	require.Len(t, f.batch, 1)
	p.body = bodyWith(1, p.key) // read again
	used := r.memoryLocked()
	r.cut(f.batch)
	assert.Nil(t, p.body)
	assert.Equal(t, used, r.memoryLocked())
}

// A parcel too large for the disk is not tried again and again.
func TestUnfitParcelStaysInMemory(t *testing.T) {
	r, _ := crowdedRouter(t, 1, 2, nil)
	r.inMemory.first.unfit = true
	parcels := r.takeToSpill(1 << 20)
	require.Len(t, parcels, 1)
	assert.Same(t, r.inMemory.last, parcels[0])
}

// When it is what is on disk that fills the memory, that makes room.
func TestVictimsAreWhatFillsTheMemory(t *testing.T) {
	r, _ := crowdedRouter(t, 1, 101, func(s *queueSettings) { s.maxBytes, s.dropOldest = 70_000, true })
	all := r.takeToSpill(1 << 20)
	written := all[1:] // the oldest stays
	r.spilled(all, onDisk(written))
	assert.Same(t, r.inMemory.first, r.victimLocked(), "half of the memory is enough for the disk")
	r.set.maxBytes = 50_000
	assert.Same(t, written[0], r.victimLocked())
}

// What a hub does that has left the ring is no news, and its successor at another
// address keeps the estimate of what comes in for it.
func TestHubAtANewAddress(t *testing.T) {
	r, all := crowdedRouter(t, 1, 10, nil)
	old := all[0]
	joined, left, _ := r.setHubs([]queueHub{{name: old.hub.name, url: "http://elsewhere", weight: 1}}, r.ring)
	assert.Empty(t, left)
	require.Len(t, joined, 1)
	assert.True(t, old.retired)
	assert.Equal(t, old.steady, joined[0].steady)
	assert.Positive(t, joined[0].steady.amount)
	assert.Len(t, joined[0].waiting, 10)
	assert.True(t, joined[0].pace.on, "what has piled up comes at a pace")
	_, _, news := r.failed(old, old.life, nil, "", 0, later())
	assert.False(t, news)
	assert.False(t, old.down)
}

// The account of a hub that left is not summed up while a request of it is under way.
func TestFormerHubsAreSummedUpWhenAllIsOver(t *testing.T) {
	a := account{hubs: map[string]*hubAccount{}}
	for i := range maxFormerHubs + 1 {
		a.hub(fmt.Sprint("hub-", i)).delivered = 1
	}
	a.hub("hub-0").flights = 1
	a.sumUp(func(name string) bool { return name == "hub-1" })
	assert.Len(t, a.hubs, 3)
	assert.Equal(t, uint64(maxFormerHubs-1), a.hub(formerHubs).delivered)
	assert.Equal(t, 1, a.hub("hub-0").flights)
}

// A Flush that nobody waits for any more is forgotten, and one that waits ends when all
// before it is settled.
func TestAbandonedFlush(t *testing.T) {
	r, all := crowdedRouter(t, 1, 3, nil)
	gone, waits := r.flush(), r.flush()
	r.abandon(gone)
	assert.Len(t, r.flushes, 1)
	require.NoError(t, submitted(r, 1, "later"))
	_, f, _ := r.next(all[0], time.Now())
	require.Len(t, f.batch, 4, "it does not wait for others")
	r.delivered(all[0], f.batch)
	assert.NoError(t, <-waits.done)
	assert.Empty(t, gone.done)
	assert.Empty(t, r.flushes)
}

// What a hub is to be told that does not know how is given up at once, for a while.
func TestMovesFromAHubThatIsDeaf(t *testing.T) {
	r, all := crowdedRouter(t, 2, 0, func(s *queueSettings) { s.endsDelay = 0 })
	from, to := all[0], all[1]
	moves := func(gateway string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.arrivedLocked(from, parcelFrom(gateway, 5))
		r.arrivedLocked(to, parcelFrom(gateway, 6))
	}
	r.man(from)
	moves("a")
	r.nextTell(from.notices, later()) // it waits for others from now on
	do, _, lines, _ := r.nextTell(from.notices, later().Add(time.Minute))
	require.Equal(t, transmit, do)
	require.Len(t, lines, 1)
	r.landedEnds(from.notices, lines, heardUnknown, 0, time.Now())
	moves("b")
	assert.Equal(t, uint64(2), r.ends.fates[endUnsupported])
	assert.Zero(t, r.ends.waiting)
	r.landedEnds(from.notices, nil, heardUnknown, 0, time.Now().Add(-2*deafTime)) // it was long ago
	moves("c")
	assert.Equal(t, 1, r.ends.waiting)
}

func TestSizeCountsWhatIsKept(t *testing.T) {
	p := newParcel(bodyWith(1, "g"))
	want := parcelOverhead + p.body.Memory()
	assert.Equal(t, want, p.size())
	p.release()
	assert.Equal(t, want, p.size(), "what was added can be taken off")
	p.release() // again: nothing happens
}
