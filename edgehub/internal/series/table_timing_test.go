package series

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// What a table takes that has learned a million series, for each: of a fleet, whose gateways have
// the same ones, and of texts that have nothing in common but their length.
//
//	go test ./edgehub/internal/series -run '^$' -bench BenchmarkTable -benchtime 3x
func BenchmarkTable(b *testing.B) {
	const each = 303
	names := func(gateway int, series func(dst []byte, gateway, i int) []byte) *Newcomers {
		ns := &Newcomers{}
		for i := range each {
			n := Newcomer{Raw: series(nil, gateway, i), Group: uint32(i)}
			n.Text = Whole(n.Raw)
			n.Name = Span{0, int32(bytes.IndexByte(n.Raw, '{'))}
			n.Gateway = ns.Span(n.Raw, fmt.Appendf(nil, "gw%06d", gateway))
			ns.List = append(ns.List, n)
		}
		return ns
	}
	fleet := func(dst []byte, gateway, i int) []byte {
		return fmt.Appendf(dst, `gateway_metric_of_%03d{gatewayID="gw%06d",networkID="net1",service="%d"}`, i/3, gateway, i%3)
	}
	unique := func(dst []byte, gateway, i int) []byte {
		return fmt.Appendf(dst, `gateway_metric_of_%03d{gatewayID="gw%06d",session="%018x"}`, i/3, gateway, rand.Uint64()>>1)
	}
	for _, c := range []struct {
		name   string
		series func([]byte, int, int) []byte
	}{{"fleet", fleet}, {"unique", unique}} {
		b.Run(c.name, func(b *testing.B) {
			const gateways = 1_000_000 / each
			var held uint64
			for b.Loop() {
				b.StopTimer()
				before := live()
				t := NewTable(Limits{Series: 2e6, GatewaySeries: 1e6, TableBytes: 1e9}, nil)
				for g := range gateways {
					ns := names(g, c.series)
					b.StartTimer()
					for i := range ns.List {
						ns.List[i].Hash = t.Index.Hash(Text, ns.List[i].Raw)
					}
					if err := t.Learn(ns, time.Now(), func() error { return nil }, nil); err != nil {
						b.Fatal(err)
					}
					b.StopTimer()
				}
				held = live() - before
				b.ReportMetric(float64(t.Bytes())/float64(t.Size()), "text-B/series")
				b.StartTimer()
			}
			b.ReportMetric(float64(held)/(gateways*each), "B/series")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(gateways*each), "ns/series")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func live() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
