package render

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/internal/exposition"
)

// The formats by turns, of series that have one or several points in a response: for each, the
// least time of all turns, since others may use the machine, bytes and allocations; and what the others take
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
	}{
		{"text", Format{Escaping: exposition.AllowUTF8}},
		{"protobuf", Format{Protobuf: true, Escaping: exposition.AllowUTF8}},
		{"openmetrics", Format{OpenMetrics: OpenMetrics1, Escaping: exposition.AllowUTF8}},
		{"openmetrics2", Format{OpenMetrics: OpenMetrics2, Escaping: exposition.AllowUTF8}},
	}
	for _, fleet := range fleets {
		for _, each := range []int{1, 4, 10} {
			const series = 100_000
			w := newWorld(b)
			for i := range each {
				w.push(fleet.push(series/fleet.size, 1_764_500_000_000+15_000*i))
			}
			a := w.arranged()
			b.Run(fmt.Sprintf("%s/points=%d", fleet.name, each), func(b *testing.B) {
				least := slices.Repeat([]time.Duration{math.MaxInt64}, len(formats))
				for b.Loop() {
					for i, f := range formats {
						begin := time.Now()
						if err := write(io.Discard, f.Format, a); err != nil {
							b.Fatal(err)
						}
						least[i] = min(least[i], time.Since(begin))
					}
				}
				samples := float64(a.Samples())
				for i, f := range formats {
					var n counted
					if err := write(&n, f.Format, a); err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(testing.AllocsPerRun(1, func() { _ = write(io.Discard, f.Format, a) })/samples, f.name+"-allocs/sample")
					b.ReportMetric(float64(least[i].Nanoseconds())/samples, f.name+"-ns/sample")
					b.ReportMetric(float64(n)/samples, f.name+"-B/sample")
				}
				for i, f := range formats[1:] {
					b.ReportMetric(float64(least[i+1])/float64(least[0]), f.name+"-of-text")
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// write writes a whole response.
func write(out io.Writer, f Format, a *arrange.Arrangement) error {
	body := f.Open(out)
	if err := body.Arrange(a, nil); err != nil {
		return err
	}
	return body.End()
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
