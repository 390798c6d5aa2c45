package render

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/hubring/hubring/internal/exposition"
)

// The formats beside each other, in nanoseconds a sample, of series that have one or several
// in a response.
//
//	go test ./edgehub/internal/render -run '^$' -bench .
func BenchmarkFormats(b *testing.B) {
	fleets := []struct {
		name string
		push func(n, ms int) string
		size int // series of one
	}{{"gauges", gaugesOf, 1}, {"histograms", histograms, 13}}
	for _, fleet := range fleets {
		for _, each := range []int{1, 4, 10} {
			const series = 100_000
			w := newWorld(b)
			for i := range each {
				w.push(fleet.push(series/fleet.size, 1_764_500_000_000+15_000*i))
			}
			a := w.arranged()
			for _, format := range []struct {
				name string
				Format
			}{{"text", Format{Escaping: exposition.AllowUTF8}}, {"protobuf", Format{Protobuf: true, Escaping: exposition.AllowUTF8}}} {
				b.Run(fmt.Sprintf("%s=%d/%s", fleet.name, each, format.name), func(b *testing.B) {
					b.ReportAllocs()
					var n counted
					for b.Loop() {
						n = 0
						if err := format.Write(io.MultiWriter(&n, io.Discard), a, nil); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(a.Samples()), "ns/sample")
					b.ReportMetric(float64(n)/float64(a.Samples()), "B/sample")
				})
			}
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
