package queue

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
	r, all := crowded(t, 1, 100, func(s *Settings) { s.BatchBytes = 1000 })
	<-all[0].Wake
	task, batch, _ := r.Next(all[0], later())
	require.Equal(t, Transmit, task)
	assert.NotEmpty(t, batch)
	assert.Len(t, all[0].Wake, 1)
}

// A gateway that one hub refuses does not wait at the next one.
func TestHoldEndsWhereTheHubDoes(t *testing.T) {
	r, all := crowded(t, 2, 10, nil)
	first, second := all[0], all[1]
	_, f, _ := r.Next(first, later())
	require.NotEmpty(t, f.Batch)
	r.Held(f.Batch, time.Hour, later())
	r.Landed(first, f)
	require.Len(t, first.held.laneHeap, len(f.Batch))
	r.Failed(first, first.life, nil, "", 0, later())
	assert.Empty(t, first.held.laneHeap)
	assert.Empty(t, second.held.laneHeap)
	assert.Len(t, second.waiting, 10)
	assert.Zero(t, first.bytes+first.samples)
}

// What was read from disk for a request that failed does not stay in memory.
func TestUnsentSpilledParcelIsUnloaded(t *testing.T) {
	r, all := crowded(t, 1, 1, nil)
	p := r.inMemory.first
	spilling := r.TakeToSpill(1 << 20)
	r.Spilled(spilling, onDisk(spilling))
	require.Nil(t, p.Body)
	_, f, _ := r.Next(all[0], later())
	require.Len(t, f.Batch, 1)
	p.Body = bodyWith(1, p.Key) // read again
	used := r.memoryLocked()
	r.Cut(f.Batch)
	assert.Nil(t, p.Body)
	assert.Equal(t, used, r.memoryLocked())
}

// A parcel too large for the disk is not tried again and again.
func TestUnfitParcelStaysInMemory(t *testing.T) {
	r, _ := crowded(t, 1, 2, nil)
	r.inMemory.first.Unfit = true
	parcels := r.TakeToSpill(1 << 20)
	require.Len(t, parcels, 1)
	assert.Same(t, r.inMemory.last, parcels[0])
}

// When it is what is on disk that fills the memory, that makes room.
func TestVictimsAreWhatFillsTheMemory(t *testing.T) {
	r, _ := crowded(t, 1, 101, func(s *Settings) { s.MaxBytes, s.DropOldest = 70_000, true })
	all := r.TakeToSpill(1 << 20)
	written := all[1:] // the oldest stays
	r.Spilled(all, onDisk(written))
	assert.Same(t, r.inMemory.first, r.victimLocked(), "half of the memory is enough for the disk")
	r.set.MaxBytes = 50_000
	assert.Same(t, written[0], r.victimLocked())
}

// What a hub does that has left the ring is no news, and its successor at another
// address keeps the estimate of what comes in for it.
func TestHubAtANewAddress(t *testing.T) {
	r, all := crowded(t, 1, 10, nil)
	old := all[0]
	joined, left, _ := r.SetHubs([]Hub{{Name: old.Hub.Name, URL: "http://elsewhere", Weight: 1}}, r.ring, time.Now())
	assert.Empty(t, left)
	require.Len(t, joined, 1)
	assert.True(t, old.retired)
	assert.Equal(t, old.steady, joined[0].steady)
	assert.Positive(t, joined[0].steady.amount)
	assert.Len(t, joined[0].waiting, 10)
	assert.True(t, joined[0].pace.on, "what has piled up comes at a pace")
	_, _, news := r.Failed(old, old.life, nil, "", 0, later())
	assert.False(t, news)
	assert.False(t, old.down)
}

// The account of a hub that left is not summed up while a request of it is under way.
func TestFormerHubsAreSummedUpWhenAllIsOver(t *testing.T) {
	a := Account{Hubs: map[string]*HubAccount{}}
	for i := range maxFormerHubs + 1 {
		a.hub(fmt.Sprint("hub-", i)).Delivered = 1
	}
	a.hub("hub-0").flights = 1
	a.sumUp(func(name string) bool { return name == "hub-1" })
	assert.Len(t, a.Hubs, 3)
	assert.Equal(t, uint64(maxFormerHubs-1), a.hub(formerHubs).Delivered)
	assert.Equal(t, 1, a.hub("hub-0").flights)
}

// A Flush that nobody waits for any more is forgotten, and one that waits ends when all
// before it is settled.
func TestAbandonedFlush(t *testing.T) {
	r, all := crowded(t, 1, 3, nil)
	gone, waits := r.Flush(), r.Flush()
	r.Abandon(gone)
	assert.Len(t, r.flushes, 1)
	require.NoError(t, submitted(r, 1, "later"))
	_, f, _ := r.Next(all[0], time.Now())
	require.Len(t, f.Batch, 4, "it does not wait for others")
	r.Delivered(all[0], f.Batch, time.Now())
	assert.NoError(t, <-waits.Done)
	assert.Empty(t, gone.Done)
	assert.Empty(t, r.flushes)
}

// What a hub is to be told that does not know how is given up at once, for a while.
func TestMovesFromAHubThatIsDeaf(t *testing.T) {
	r, all := crowded(t, 2, 0, func(s *Settings) { s.EndsDelay = 0 })
	from, to := all[0], all[1]
	moves := func(gateway string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.arrivedLocked(from, parcelFrom(gateway, 5), time.Now())
		r.arrivedLocked(to, parcelFrom(gateway, 6), time.Now())
	}
	r.Man(from)
	moves("a")
	r.NextTell(from.Notices, later()) // it waits for others from now on
	do, _, lines, _ := r.NextTell(from.Notices, later().Add(time.Minute))
	require.Equal(t, Transmit, do)
	require.Len(t, lines, 1)
	r.LandedEnds(from.Notices, lines, HeardUnknown, 0, time.Now())
	moves("b")
	assert.Equal(t, uint64(2), r.ends.fates[EndUnsupported])
	assert.Zero(t, r.ends.waiting)
	r.LandedEnds(from.Notices, nil, HeardUnknown, 0, time.Now().Add(-2*DeafTime)) // it was long ago
	moves("c")
	assert.Equal(t, 1, r.ends.waiting)
}

func TestSizeCountsWhatIsKept(t *testing.T) {
	p := newParcel(bodyWith(1, "g"))
	want := parcelOverhead + p.Body.Memory()
	assert.Equal(t, want, p.size())
	p.Release()
	assert.Equal(t, want, p.size(), "what was added can be taken off")
	p.Release() // again: nothing happens
}
