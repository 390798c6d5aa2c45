package edgehub

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What it takes to hand over a sample to a hub in the same process, which takes it:
//
//	go test ./edgehub -run '^$' -bench BenchmarkHandover -benchtime 3x
func BenchmarkHandover(b *testing.B) {
	const gateways, series, times = 350, 300, 4
	for range b.N {
		b.StopTimer()
		h, other, _ := pairOf(b, Config{}, Config{})
		for i := range times {
			ingestAt(b, h, fleet(gateways, series, base+int64(i)))
		}
		b.StartTimer()
		_, err := h.Handover(b.Context(), "http://far", nil)
		require.NoError(b, err)
		require.EqualValues(b, gateways*series*times, other.Stats().Received)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*gateways*series*times), "ns/sample")
}
