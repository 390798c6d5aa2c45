//go:build unix

package exporter

import (
	"fmt"
	"testing"
)

// What pools save: parcels of a gateway's size that are released, and such that
// are left to the garbage collector, whose work counts.
//
//	go test ./exporter -run '^$' -bench Parcel
func BenchmarkParcel(b *testing.B) {
	p := parcelsOf(gatewayReport("gateway-00042")...)[0]
	for _, released := range []bool{true, false} {
		b.Run(fmt.Sprintf("released=%v", released), func(b *testing.B) {
			b.ReportAllocs()
			cpu := cpuTime()
			for b.Loop() {
				q := newParcel(p.key, p.body, p.ends, p.shape)
				if released {
					q.release()
				}
			}
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N)/float64(p.samples), "CPU-ns/sample")
		})
	}
}
