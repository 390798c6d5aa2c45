package exporter

import (
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/spool"
)

// What cannot be read from disk now waits, and what is newer of the same gateway
// behind it: what is older must not be put behind it.
func TestUnreadableParcelKeepsItsPlace(t *testing.T) {
	cfg := Config{Hubs: []Hub{{URL: "http://hub-0"}}, random: rand.Int64N}
	e, err := New(cfg)
	require.NoError(t, err)
	store, err := spool.Open(spool.Config{Dir: t.TempDir(), MaxBytes: 1 << 20})
	require.NoError(t, err)
	disk := &spooler{router: e.router, store: store, limits: newLogLimits(slog.New(slog.DiscardHandler))}

	for value := 1; value <= 3; value++ {
		require.NoError(t, e.Submit(t.Context(), reports(value, "a")))
	}
	first := e.router.inMemory.first
	first.unfit = true                    // the oldest stays in memory
	first.next.ack = newReceipt(nil, nil) // and each has a record of its own
	require.NoError(t, disk.spill(e.router.takeToSpill(1<<20)))
	require.NoError(t, store.Close()) // from now on no read succeeds

	outbox := e.router.outboxes[0]
	s := &sender{router: e.router, outbox: outbox, spool: disk, limits: disk.limits}
	task, batch, _ := e.router.next(outbox, time.Now().Add(time.Minute))
	require.Equal(t, transmit, task)
	require.Len(t, batch.batch, 3)
	left := s.load(batch.batch)
	e.router.cut(left) // whatever goes into the request comes back

	var order []uint64
	for p := first.lane.first; p != nil; p = p.next {
		order = append(order, p.seq-firstSeq)
	}
	assert.Equal(t, []uint64{0, 1, 2}, order)
}
