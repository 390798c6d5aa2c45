package render

import (
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/hubring/hubring/internal/exposition"
)

// The formats by turns, of series that have one or several points in a response: for each, the
// least time of all turns, since others may use the machine, and bytes; and what protobuf takes
// of text.
//
//	go test ./edgehub/internal/render -run '^$' -bench .
func BenchmarkFormats(b *testing.B) {
	fleets := []struct {
		name string
		push func(n, ms int) string
		size int // series of one
	}{{"gauges", gaugesOf, 1}, {"histograms", histograms, 13}}
	formats := []struct {
		name string
		Format
	}{{"text", Format{Escaping: exposition.AllowUTF8}}, {"protobuf", Format{Protobuf: true, Escaping: exposition.AllowUTF8}}}
	for _, fleet := range fleets {
		for _, each := range []int{1, 4, 10} {
			const series = 100_000
			w := newWorld(b)
			for i := range each {
				w.push(fleet.push(series/fleet.size, 1_764_500_000_000+15_000*i))
			}
			a := w.arranged()
			b.Run(fmt.Sprintf("%s/points=%d", fleet.name, each), func(b *testing.B) {
				least := [2]time.Duration{math.MaxInt64, math.MaxInt64}
				for b.Loop() {
					for i, f := range formats {
						begin := time.Now()
						if err := f.Write(io.Discard, a, nil); err != nil {
							b.Fatal(err)
						}
						least[i] = min(least[i], time.Since(begin))
					}
				}
				samples := float64(a.Samples())
				for i, f := range formats {
					var n counted
					if err := f.Write(&n, a, nil); err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(least[i].Nanoseconds())/samples, f.name+"-ns/sample")
					b.ReportMetric(float64(n)/samples, f.name+"-B/sample")
				}
				b.ReportMetric(float64(least[1])/float64(least[0]), "of-text")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// gaugesOf are a hundred families.
func gaugesOf(n, ms int) string {
	var b strings.Builder
	for f := range 100 {
		fmt.Fprintf(&b, "# HELP gateway_metric_%d What gateways have.\n# TYPE gateway_metric_%d gauge\n", f, f)
		for g := range n / 100 {
			fmt.Fprintf(&b, "gateway_metric_%d{gatewayID=\"gw%04d\",networkID=\"net1\",service=\"mme\"} %d.5 %d\n", f, g, f*g, ms)
		}
	}
	return b.String()
}
