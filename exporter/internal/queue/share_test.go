package queue

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/internal/reason"
)

// One gateway that floods stops short of shutting the others of its hub out, and a Submit
// with samples of it and of others is refused as a whole.
func TestFloodRefusesNoNeighbours(t *testing.T) {
	r, _ := crowded(t, 1, 0, func(s *Settings) { s.MaxBytes, s.BatchBytes = 100_000, 10_000 })
	submit := func(gateways ...string) error { return submitted(r, 5, gateways...) }
	require.NoError(t, submit(numbered(10)...))
	var err error
	for err == nil {
		err = submit("flood")
	}
	require.ErrorIs(t, err, ErrFull)
	assert.ErrorContains(t, err, `gateway "flood"`)
	assert.Greater(t, r.memoryLocked(), 70_000)
	assert.NoError(t, submit(numbered(10)...))
	before := r.memoryLocked()
	err = submit("gw-000", "flood", "gw-001")
	assert.ErrorContains(t, err, `gateway "flood"`)
	assert.Equal(t, before, r.memoryLocked(), "all or nothing")
	assert.Equal(t, uint64(5+15), r.account.Dropped[reason.GatewayShare])
}

// DropOldest drops from the hub that has most, and of its gateways from that which has
// most.
func TestDropOldestDropsFromWhoHasMost(t *testing.T) {
	r, all := crowded(t, 2, 0, func(s *Settings) {
		s.MaxBytes, s.BatchBytes, s.DropOldest = 100_000, 10_000, true
	})
	on := map[string][]string{}
	for _, g := range numbered(60) {
		name := r.ring.Owner(g).Name
		on[name] = append(on[name], g)
	}
	few, many := on[all[0].Hub.Name], on[all[1].Hub.Name]
	submit := func(gateways ...string) {
		require.NoError(t, submitted(r, 1, gateways...))
	}
	submit(few[0], few[1]) // the oldest of all
	submit(many[0], many[1], many[2])
	for range 500 {
		submit(many[3])
	}
	assert.Positive(t, r.account.Dropped[reason.Overflow])
	for _, g := range []string{few[0], few[1], many[0], many[1], many[2]} {
		assert.Contains(t, r.lanes, g)
	}
	for p := r.lanes[many[3]].first; p.next != nil; p = p.next {
		assert.Equal(t, p.seq+1, p.next.seq, "its oldest are gone")
	}
	assert.Empty(t, r.Faults())
}

// When dropping all that may be dropped makes no room, nothing is dropped.
func TestDropOldestDropsNothingInVain(t *testing.T) {
	r, all := crowded(t, 1, 20, func(s *Settings) {
		s.MaxBytes, s.BatchBytes, s.DropOldest = 20_000, 5_000, true
	})
	before := r.inMemory.samples
	_, f, _ := r.Next(all[0], later()) // these cannot be dropped
	require.NotEmpty(t, f.Batch)
	large := parcelsWith(100, "large")
	require.Less(t, large[0].size(), r.set.MaxBytes)
	free := r.set.MaxBytes - r.memoryLocked()
	require.Greater(t, large[0].size(), free+r.memoryLocked()-r.busyBytes)
	err := r.Submit(large, &[reason.NumEncoding]int{}, nil, time.Now())
	require.ErrorIs(t, err, ErrFull)
	assert.Equal(t, before, r.inMemory.samples)
	assert.Zero(t, r.account.Dropped[reason.Overflow])
}

// A gateway that has nothing queued floods nothing: it is taken in beside however many others with
// little each, of which an even share is less than a report.
func TestNewcomerIsNoFlood(t *testing.T) {
	r, _ := crowded(t, 1, 130, func(s *Settings) { s.MaxBytes, s.BatchBytes = 100_000, 10_000 })
	require.Greater(t, r.memoryLocked(), 76_000)
	one := parcelsWith(30, "newcomer")
	require.Greater(t, one[0].size(), 2*100_000/130)
	submit := func(parcels []*Parcel) error {
		return r.Submit(parcels, &[reason.NumEncoding]int{}, nil, time.Now())
	}
	require.NoError(t, submit(one))
	assert.ErrorContains(t, submit(parcelsWith(30, "newcomer")), `gateway "newcomer" has `, "now it has something")
	assert.Empty(t, r.Faults())
}

// When more than half of the memory is in use nothing waits for a fuller request: what waits would keep others out.
func TestNobodyWaitsForFullerRequestsWhenMemoryIsScarce(t *testing.T) {
	r, all := crowded(t, 2, 100, func(s *Settings) { s.BatchWait = time.Hour })
	next, _, _ := r.Next(all[0], time.Now())
	require.Equal(t, Sleep, next)
	used := r.memoryLocked()
	for share, want := range map[float64]Task{0.45: Sleep, 0.55: Transmit} {
		r, all := crowded(t, 2, 100, func(s *Settings) {
			s.BatchWait, s.MaxBytes, s.BatchBytes = time.Hour, int(float64(used)/share), used
		})
		next, _, _ := r.Next(all[0], time.Now())
		assert.Equal(t, want, next, "%g of the memory", share)
	}
}
