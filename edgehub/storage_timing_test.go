package edgehub

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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

// A push of 3,000 samples that waits for the disk, at worst but for one of a hundred, and what the disk itself takes to append as
// many bytes to a file and flush it.
//
//	go test ./edgehub -run '^$' -bench BenchmarkPushAlways -benchtime 1000x
func BenchmarkPushAlways(b *testing.B) {
	h := storing(b, b.TempDir(), Config{StorageSync: "always", NoFirstSamples: true})
	body := fleet(30, 100, base)
	alone, err := os.Create(filepath.Join(b.TempDir(), "alone"))
	if err != nil {
		b.Fatal(err)
	}
	defer alone.Close()
	written := bytes.Repeat([]byte("x"), 3000*8)
	var pushes, flushes []time.Duration
	took := func(of *[]time.Duration, f func()) {
		began := time.Now()
		f()
		*of = append(*of, time.Since(began))
	}
	for b.Loop() {
		took(&pushes, func() { ingestAt(b, h, body) })
		b.StopTimer()
		passAll(h)
		took(&flushes, func() {
			if _, err := alone.Write(written); err != nil {
				b.Fatal(err)
			}
			if err := alone.Sync(); err != nil {
				b.Fatal(err)
			}
		})
		b.StartTimer()
	}
	b.ReportMetric(percentile99(pushes), "p99-ms/push")
	b.ReportMetric(percentile99(flushes), "p99-ms/fsync")
}

// percentile99 is in milliseconds.
func percentile99(took []time.Duration) float64 {
	slices.Sort(took)
	return float64(took[len(took)*99/100].Microseconds()) / 1000
}
