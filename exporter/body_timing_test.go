//go:build unix

package exporter

import (
	"fmt"
	"testing"

	"github.com/hubring/hubring/exporter/internal/wire"
)

// What pools save: bodies of a gateway's size that are released, and such that
// are left to the garbage collector, whose work counts.
//
//	go test ./exporter -run '^$' -bench Body
func BenchmarkBody(b *testing.B) {
	p := bodiesOf(gatewayReport("gateway-00042")...)[0]
	for _, released := range []bool{true, false} {
		b.Run(fmt.Sprintf("released=%v", released), func(b *testing.B) {
			b.ReportAllocs()
			cpu := cpuTime()
			for b.Loop() {
				q := wire.NewBody(p.Key, p.Text, p.Ends, p.Shape)
				if released {
					q.Release()
				}
			}
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N)/float64(p.Samples), "CPU-ns/sample")
		})
	}
}
