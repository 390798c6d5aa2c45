package exporter

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/internal/spool"
)

// What cannot be read from disk now waits, and what is newer of the same gateway
// behind it: what is older must not be put behind it.
func TestUnreadableParcelKeepsItsPlace(t *testing.T) {
	r, outbox := queueOfOne(t, 1<<20)
	store, err := spool.Open(spool.Config{Dir: t.TempDir(), MaxBytes: 1 << 20})
	require.NoError(t, err)
	disk := &spooler{router: r, store: store, limits: newLogLimits(slog.New(slog.DiscardHandler))}

	var parcels []*parcel
	for range 3 {
		p := parcelsOf(nil, []*wire.Body{bodyFrom("a", wire.Header{Name: "m", Kind: wire.Gauge})})
		awaits := newReceipt(p, nil) // or the two would share a record
		parcels = append(parcels, p...)
		require.NoError(t, r.submit(p, &[reason.NumEncoding]int{}, awaits, time.Now()))
	}
	parcels[0].unfit = true // the oldest stays in memory
	require.NoError(t, disk.spill(r.takeToSpill(1<<20)))
	require.NoError(t, store.Close()) // from now on no read succeeds

	s := &sender{means: means{router: r, spool: disk, limits: disk.limits}, outbox: outbox}
	do, f, _ := r.next(outbox, time.Now().Add(time.Minute))
	require.Equal(t, transmit, do)
	require.Equal(t, parcels, f.batch)
	require.True(t, f.batch[1].onDisk())
	left := s.load(f.batch)
	r.cut(left) // whatever goes into the request comes back
	r.landed(outbox, f)

	_, f, _ = r.next(outbox, time.Now().Add(time.Hour))
	assert.Equal(t, parcels, f.batch)
}
