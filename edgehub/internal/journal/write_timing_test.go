package journal

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// What a push of a hundred families of thirty gateways costs in the journal, and its bytes on disk: of small whole numbers, of what a
// fleet reports, of which some have decimals, or of all digits. Nothing is flushed.
//
//	go test ./edgehub/internal/journal -run '^$' -bench Write
func BenchmarkWrite(b *testing.B) {
	const gateways, samples = 30, 3000
	r := rand.New(rand.NewPCG(1, 2))
	for name, value := range map[string]func(family int) float64{
		"small": func(family int) float64 { return float64(family * r.IntN(gateways)) },
		"fleet": func(family int) float64 {
			switch family % 5 {
			case 0, 1:
				return math.Floor(math.Exp(18 * r.Float64()))
			case 2:
				return float64(r.IntN(10_000)) / 100
			case 3:
				return float64(r.IntN(1000) - 500)
			default:
				return 0
			}
		},
		"digits": func(int) float64 { return r.NormFloat64() },
	} {
		b.Run("values="+name, func(b *testing.B) {
			j := mustOpen(b, Config{Dir: b.TempDir()})
			ids, times, values := make([]series.ID, samples), make([]int64, samples), make([]float64, samples)
			for i := range samples {
				ids[i], times[i], values[i] = series.ID(i), 1_700_000_000_000, value(i/gateways)
			}
			write := func() (bytes int) {
				_, err := j.Start(time.Now(), nobody)
				require.NoError(b, err)
				unknown, _ := j.Define(nil, ids)
				for _, id := range unknown {
					j.Series(id, fmt.Sprint(id))
				}
				j.Add(Samples, "", time.Now(), times, values)
				bytes = j.Buffered()
				require.NoError(b, j.Commit())
				require.NoError(b, j.Release(j.written))
				return bytes
			}
			write()
			bytes := write()
			b.ReportAllocs()
			for b.Loop() {
				write()
			}
			b.ReportMetric(float64(bytes)/samples, "B/sample")
		})
	}
}
