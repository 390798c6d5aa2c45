package send

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/internal/spool"
)

// someBodies are of a gateway with families of all kinds of lines, and of no gateway.
func someBodies() []*wire.Body {
	return []*wire.Body{
		bodyFrom("gateway-1", wire.Header{Name: "up", Kind: wire.Gauge}, wire.Header{Name: "sent_total", Kind: wire.Counter, Help: "What \\ was sent."},
			wire.Header{Name: "seconds", Kind: wire.Histogram, Help: "How long."}),
		bodyFrom("", wire.Header{Name: "g", Kind: wire.Gauge}),
	}
}

// readParcel reads both parts of a record.
func readParcel(meta, body []byte) (*queue.Parcel, error) {
	h, err := readMeta(meta)
	if err != nil {
		return nil, err
	}
	p := parcelAt(spool.Ref{}, h)
	return p, readBody(body, p)
}

// sameParcel checks that a parcel was read back as it was.
func sameParcel(t testing.TB, want, got *queue.Parcel) {
	t.Helper()
	assert.Equal(t, want.Key, got.Key)
	assert.Equal(t, want.Body.Shape, got.Body.Shape)
	assert.Equal(t, want.Body.Ends, got.Body.Ends)
	assert.Equal(t, string(want.Body.Text), string(got.Body.Text))
	assert.Equal(t, want.Samples, got.Samples)
	assert.Equal(t, want.Bytes, got.Bytes)
	assert.Equal(t, want.Composite, got.Composite)
	assert.True(t, want.Born.Equal(got.Born))
}

func TestRecords(t *testing.T) {
	for _, b := range someBodies() {
		p := queue.ParcelsOf(nil, []*wire.Body{b})[0]
		p.Born, p.Bytes = time.UnixMilli(1_700_000_000_005), b.Length()
		meta, body := appendMeta(nil, headingOf(p)), appendBody(nil, p)
		got, err := readParcel(meta, body)
		require.NoError(t, err)
		sameParcel(t, p, got)

		for n := range len(meta) - len(p.Key) { // cut anywhere
			_, err := readMeta(meta[:n])
			assert.ErrorIs(t, err, errRecord, n)
		}
		for n := range body {
			assert.ErrorIs(t, readBody(body[:n], &queue.Parcel{}), errRecord, n)
		}
		assert.ErrorIs(t, readBody(append(body, 0), &queue.Parcel{}), errRecord)
	}
}

// Whatever bytes are read, what was believed is written back as it was read.
func FuzzRecord(f *testing.F) {
	for _, b := range someBodies() {
		p := queue.ParcelsOf(nil, []*wire.Body{b})[0]
		p.Bytes = b.Length()
		f.Add(appendMeta(nil, headingOf(p)), appendBody(nil, p))
	}
	f.Add([]byte{}, []byte{})
	f.Add([]byte{1, 2, 1, 0}, []byte{255, 255, 255, 255, 255, 255, 255, 255, 127})
	f.Fuzz(func(t *testing.T, meta, body []byte) {
		p, err := readParcel(meta, body)
		if err != nil {
			return
		}
		again, err := readParcel(appendMeta(nil, headingOf(p)), appendBody(nil, p))
		require.NoError(t, err)
		sameParcel(t, p, again)
	})
}

// A parcel that an earlier Run left on disk has its times.
func TestOldestOfARestoredParcel(t *testing.T) {
	p := queue.ParcelsOf(nil, someBodies()[:1])[0]
	p.Bytes = p.Body.Length()
	got, err := readParcel(appendMeta(nil, headingOf(p)), appendBody(nil, p))
	require.NoError(t, err)
	assert.Equal(t, p.Oldest, got.Oldest)
	assert.Equal(t, int64(1000), got.Oldest)
}
