package exporter

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/hubring/hubring/exporter/internal/encode"
	"github.com/hubring/hubring/internal/exposition"
)

// What a Submit of one gateway's 303 samples takes that waits for a disk, beside one that does not. Of those that
// come from many goroutines, so many a processor, some share a sync.
//
//	go test ./exporter -run '^$' -bench Keep
func BenchmarkKeep(b *testing.B) {
	for _, policy := range []SpoolPolicy{SpoolOverflow, SpoolAll} {
		for _, side := range []int{1, 16} {
			b.Run(fmt.Sprintf("policy=%s/parallelism=%d", policy, side), func(b *testing.B) {
				e, err := Start(Config{
					Hubs:      []Hub{{URL: "http://a"}, {URL: "http://b"}},
					Transport: discard{http.Header{exposition.HubHeader: {"edgehub/1"}, "Accept-Encoding": {"identity"}}},
					Logger:    slog.New(slog.DiscardHandler),
					SpoolDir:  b.TempDir(), SpoolPolicy: policy, MaxQueueBytes: 1 << 28, SpoolBytes: 4 << 30, Overflow: DropOldest,
				})
				if err != nil {
					b.Fatal(err)
				}
				var next atomic.Int64
				b.SetParallelism(side)
				samples := encode.Count(gatewayReport("gateway"))
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					items := gatewayReport(fmt.Sprint("gateway-", next.Add(1)))
					for pb.Next() {
						if err := e.Submit(b.Context(), items); err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.StopTimer()
				b.ReportMetric(float64(b.N*samples)/b.Elapsed().Seconds(), "samples/s")
				if err := e.Flush(b.Context()); err != nil {
					b.Fatal(err)
				}
				if err := e.Close(b.Context()); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
