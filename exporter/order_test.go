package exporter

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/spool"
)

// What cannot be read from disk now waits, and what is newer of the same gateway
// behind it: what is older must not be put behind it.
func TestUnreadableParcelKeepsItsPlace(t *testing.T) {
	r, all := crowdedRouter(t, 1, 0, nil)
	store, err := spool.Open(spool.Config{Dir: t.TempDir(), MaxBytes: 1 << 20})
	require.NoError(t, err)
	disk := &spooler{router: r, store: store, limits: newLogLimits(slog.New(slog.DiscardHandler))}

	for range 3 {
		require.NoError(t, submitted(r, 1, "a"))
	}
	first := r.inMemory.first
	first.unfit = true                    // the oldest stays in memory
	first.next.ack = newReceipt(nil, nil) // and each has a record of its own
	require.NoError(t, disk.spill(r.takeToSpill(1<<20)))
	require.NoError(t, store.Close()) // from now on no read succeeds

	outbox := all[0]
	s := &sender{means: means{router: r, spool: disk, limits: disk.limits}, outbox: outbox}
	task, batch, _ := r.next(outbox, time.Now().Add(time.Minute))
	require.Equal(t, transmit, task)
	require.Len(t, batch.batch, 3)
	left := s.load(batch.batch)
	r.cut(left) // whatever goes into the request comes back

	var order []uint64
	for p := first.lane.first; p != nil; p = p.next {
		order = append(order, p.seq-firstSeq)
	}
	assert.Equal(t, []uint64{0, 1, 2}, order)
}
