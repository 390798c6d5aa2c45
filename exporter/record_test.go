package exporter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sameParcel checks that a parcel was read back as it was.
func sameParcel(t testing.TB, want, got *parcel) {
	t.Helper()
	assert.Equal(t, want.key, got.key)
	assert.Equal(t, want.shape, got.shape)
	assert.Equal(t, want.ends, got.ends)
	assert.Equal(t, string(want.body), string(got.body))
	assert.Equal(t, want.samples, got.samples)
	assert.Equal(t, want.composite, got.composite)
	assert.True(t, want.born.Equal(got.born))
}

func TestRecords(t *testing.T) {
	for _, items := range [][]MetricAndContext{
		gatewayReport("gateway-1"),
		{{gaugeFamily("g", 1), noContext}},
	} {
		p := parcelsOf(items...)[0]
		p.born = time.Unix(1_700_000_000, 5)
		record := p.appendRecord([]byte("before"))[len("before"):]
		got, err := readRecord(record, p.body)
		require.NoError(t, err)
		sameParcel(t, p, got)

		for n := range record { // cut anywhere
			_, err := readRecord(record[:n], p.body)
			assert.ErrorIs(t, err, errRecord, n)
		}
		_, err = readRecord(append(record, 0), p.body)
		assert.ErrorIs(t, err, errRecord)
		_, err = readRecord(record, p.body[1:])
		assert.ErrorIs(t, err, errRecord)
		record[0]++
		_, err = readRecord(record, p.body)
		assert.ErrorContains(t, err, "version 2, want 1")
	}
}

// Whatever bytes are read, what was believed is written back as it was read.
func FuzzRecord(f *testing.F) {
	for _, items := range [][]MetricAndContext{gatewayReport("g"), {{gaugeFamily("g", 1), gw}}} {
		p := parcelsOf(items...)[0]
		f.Add(p.appendRecord(nil), p.body)
	}
	f.Add([]byte{}, []byte{})
	f.Add([]byte{1, 0, 1, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 127}, []byte("g 1\n"))
	f.Fuzz(func(t *testing.T, record, body []byte) {
		p, err := readRecord(record, body)
		if err != nil {
			return
		}
		again, err := readRecord(p.appendRecord(nil), p.body)
		require.NoError(t, err)
		sameParcel(t, p, again)
		again.release()
		p.release()
	})
}
