package edgehub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hubring/hubring/edgehub/internal/journal"
	"github.com/hubring/hubring/internal/framing"
)

// A hub that starts with four million samples on disk, in pushes of 35,000, as they were written and packed: what they take there, how
// long packing takes, and how fast they are read.
//
//	go test ./edgehub -run '^$' -bench BenchmarkReplay -cpu 1
func BenchmarkReplay(b *testing.B) {
	const gateways, families, times = 347, 101, 114
	dir := b.TempDir()
	h := storing(b, dir, Config{StorageSync: "os", NoFirstSamples: true})
	values := make([]float64, gateways*families)
	for i := range times {
		ingestAt(b, h, livingFleet(values, gateways, families, base+int64(i)))
	}
	h.Close(ended())
	samples := float64(gateways * families * times)
	run := func(name string, took time.Duration) {
		b.Run(name, func(b *testing.B) {
			var reading time.Duration
			for b.Loop() {
				began := time.Now()
				h := storing(b, dir, Config{StorageSync: "os"})
				reading += time.Since(began)
				b.StopTimer()
				if h.Stats().Behind != int(samples) {
					b.Fatalf("%d of %v samples", h.Stats().Behind, samples)
				}
				h.Close(ended())
				runtime.GC()
				b.StartTimer()
			}
			b.ReportMetric(samples*float64(b.N)/reading.Seconds()/1e6, "Msamples/s")
			b.ReportMetric(float64(sizeOf(b, dir))/samples, "B/sample")
			b.ReportMetric(float64(took.Nanoseconds())/samples, "ns/sample-packing")
		})
	}
	run("written", 0)
	began := time.Now()
	packOnDisk(b, dir)
	run("packed", time.Since(began))
}

// livingFleet is the body of a push as fleet makes it, of counters, some of them idle, and gauges, whole or with two decimals.
func livingFleet(values []float64, gateways, families int, ms int64) []byte {
	var b bytes.Buffer
	for f := range families {
		fmt.Fprintf(&b, "# TYPE gateway_metric_%d_total untyped\n", f)
		for g := range gateways {
			v := &values[f*gateways+g]
			switch f % 5 {
			case 0, 1:
				*v += float64(rand.IntN(1000))
			case 2:
				*v += float64(rand.IntN(101)-50) / 100
				*v = math.Round(*v*100) / 100
			case 3:
				*v += float64(rand.IntN(3) - 1)
			}
			fmt.Fprintf(&b, "gateway_metric_%d_total{gatewayID=\"gw%04d\",networkID=\"net1\",service=\"mme\"} %v %d\n", f, g, *v, ms)
		}
	}
	return b.Bytes()
}

// packAll packs all segments in a directory that no hub has.
func packOnDisk(b *testing.B, dir string) {
	j, err := journal.Open(journal.Config{Dir: dir, PackAfter: time.Nanosecond, PackShare: 1})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := j.Replay(func([]journal.Place) {}, func(r *journal.Record) (int, error) { return len(r.Locals), nil }); err != nil {
		b.Fatal(err)
	}
	for did := true; did; {
		if did, err = j.Pack(b.Context(), time.Now().Add(time.Hour), nobody); err != nil {
			b.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
}

// nobody has anything.
func nobody() uint64 { return 0 }

func sizeOf(b *testing.B, dir string) (bytes int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
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

// Pushes of 3,000 samples, at worst but for one of a hundred, alone and while four million other samples are packed, again and again.
//
//	go test ./edgehub -run '^$' -bench BenchmarkPushWhilePacking -benchtime 3s
func BenchmarkPushWhilePacking(b *testing.B) {
	dir := b.TempDir()
	h := storing(b, dir, Config{StorageSync: "os"})
	values := make([]float64, 347*101)
	for i := range 114 {
		ingestAt(b, h, livingFleet(values, 347, 101, base+int64(i)))
	}
	h.Close(ended())
	for _, flush := range []string{"interval:100ms", "always"} {
		for _, packing := range []bool{false, true} {
			b.Run(fmt.Sprintf("sync=%s/packing=%v", flush, packing), func(b *testing.B) {
				ctx, cancel := context.WithCancel(b.Context())
				var packer sync.WaitGroup
				if packing {
					packer.Go(func() { packAgainAndAgain(ctx, b, dir) })
				}
				h := storing(b, b.TempDir(), Config{StorageSync: flush, NoFirstSamples: true})
				body := fleet(30, 100, base)
				var pushes []time.Duration
				for b.Loop() {
					began := time.Now()
					ingestAt(b, h, body)
					pushes = append(pushes, time.Since(began))
					passAll(h)
				}
				cancel()
				packer.Wait()
				b.ReportMetric(percentile99(pushes), "p99-ms/push")
			})
		}
	}
}

// unchanged is a disk on which what is packed takes nothing's place.
type unchanged struct{ framing.OS }

func (unchanged) Rename(string, string) error { return os.ErrPermission }

func packAgainAndAgain(ctx context.Context, b *testing.B, dir string) {
	j, err := journal.Open(journal.Config{Dir: dir, Disk: unchanged{}, PackAfter: time.Nanosecond})
	if err != nil {
		b.Error(err)
		return
	}
	defer j.Close()
	if _, err := j.Replay(func([]journal.Place) {}, func(r *journal.Record) (int, error) { return len(r.Locals), nil }); err != nil {
		b.Error(err)
	}
	for now := time.Now(); ctx.Err() == nil; now = now.Add(time.Hour) {
		if _, err := j.Pack(ctx, now, nobody); !errors.Is(err, os.ErrPermission) && ctx.Err() == nil {
			b.Error(err)
			return
		}
	}
}

// percentile99 is in milliseconds.
func percentile99(took []time.Duration) float64 {
	slices.Sort(took)
	return float64(took[len(took)*99/100].Microseconds()) / 1000
}
