package block

import (
	"fmt"
	"testing"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// What packing and reading take a sample, and a packed sample. Parts is how many scrapers share
// the series, of which each reads its own.
//
//	go test ./edgehub/internal/block -run '^$' -bench .
func BenchmarkBlock(b *testing.B) {
	const samples = 1 << 18
	for _, each := range []int{1, 3, 30} {
		s := newFleet(1, samples/each/303, 303).reports(each)
		var e Encoder
		block := e.Encode([]Samples{s})
		run := func(name string, f func()) {
			b.Run(fmt.Sprintf("each=%d/%s", each, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					f()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(s.IDs)), "ns/sample")
				b.ReportMetric(float64(block.Size())/float64(block.Len()), "B/sample")
			})
		}
		run("encode", func() { e.Encode([]Samples{s}) })
		run("keys", func() {
			for range block.Keys(0, block.Len()) {
			}
		})
		var again Samples
		run("append", func() { again = block.Append(Samples{again.IDs[:0], again.Times[:0], again.Values[:0]}) })
		for _, parts := range []int{1, 10} {
			run(fmt.Sprintf("series/parts=%d", parts), func() {
				for range block.Series(0, block.Len(), func(id series.ID) bool { return int(id)%parts == 0 }) {
				}
			})
		}
	}
}
