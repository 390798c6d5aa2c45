package send

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/internal/loglimit"
	"github.com/hubring/hubring/exporter/internal/queue"
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
	disk := &Spooler{queue: r, store: store, limits: loglimit.New(slog.New(slog.DiscardHandler))}

	var parcels []*queue.Parcel
	for range 3 {
		p := queue.ParcelsOf(nil, []*wire.Body{bodyFrom("a", wire.Header{Name: "m", Kind: wire.Gauge})})
		awaits := queue.NewReceipt(p, nil) // or the two would share a record
		parcels = append(parcels, p...)
		require.NoError(t, r.Submit(p, &[reason.NumEncoding]int{}, awaits, time.Now()))
	}
	parcels[0].Unfit = true // the oldest stays in memory
	require.NoError(t, disk.spill(r.TakeToSpill(1<<20)))
	require.NoError(t, store.Close()) // from now on no read succeeds

	s := &Sender{Means: Means{Queue: r, Spool: disk, Limits: disk.limits}, outbox: outbox}
	do, f, _ := r.Next(outbox, time.Now().Add(time.Minute))
	require.Equal(t, queue.Transmit, do)
	require.Equal(t, parcels, f.Batch)
	require.True(t, f.Batch[1].OnDisk())
	left := s.load(f.Batch)
	r.Cut(left) // whatever goes into the request comes back
	r.Landed(outbox, f)

	_, f, _ = r.Next(outbox, time.Now().Add(time.Hour))
	assert.Equal(t, parcels, f.Batch)
}
