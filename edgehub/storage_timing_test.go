package edgehub

import (
	"runtime"
	"testing"
	"time"
)

// A hub that starts with four million samples on disk, in pushes of 35,000.
//
//	go test ./edgehub -run '^$' -bench BenchmarkReplay -cpu 1
func BenchmarkReplay(b *testing.B) {
	const gateways, families, times = 347, 101, 114
	dir := b.TempDir()
	h := storing(b, dir, Config{StorageSync: "os"})
	for i := range times {
		ingestAt(b, h, fleet(gateways, families, base+int64(i)))
	}
	h.Close(ended())
	for b.Loop() {
		began := time.Now()
		readAgain(b, dir, began)
		b.StopTimer()
		runtime.GC()
		b.StartTimer()
	}
}

func readAgain(b *testing.B, dir string, began time.Time) {
	h := storing(b, dir, Config{StorageSync: "os"})
	b.ReportMetric(float64(h.Stats().Behind)/time.Since(began).Seconds()/1e6, "Msamples/s")
	h.Close(ended())
}
