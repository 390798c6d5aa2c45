package remotewrite

import (
	"fmt"
	"strconv"
	"testing"
	"time"
)

// discard takes everything.
type discard struct{ bytes int }

func (d *discard) Sample(series []byte, _ int64, _ float64) error {
	d.bytes += len(series)
	return nil
}
func (d *discard) Histogram(_ []byte, _ int64, _ []byte) error { return nil }
func (d *discard) Exemplar([]byte) error                       { return nil }
func (d *discard) Start(int64) error                           { return nil }
func (d *discard) Type(_, _ []byte) error                      { return nil }
func (d *discard) Help(_, _ []byte) error                      { return nil }

// requests are 2000 samples as Prometheus sends them: one a series, eight labels in order.
func requests() (v1, v2 []byte) {
	symbols, list := map[string]uint64{"": 0}, text(4, "")
	symbol := func(s string) uint64 {
		n, known := symbols[s]
		if !known {
			n = uint64(len(symbols))
			symbols[s] = n
			list = append(list, text(4, s)...)
		}
		return n
	}
	var series []byte
	now := time.Unix(1_760_000_000, 0).UnixMilli()
	for n := range 2000 {
		var labels []byte
		var refs []uint64
		for _, l := range [][2]string{
			{"__name__", fmt.Sprintf("node_metric_%d_seconds_total", n/40)},
			{"cluster", "europe-west-1"},
			{"cpu", strconv.Itoa(n % 8)},
			{"gatewayID", fmt.Sprintf("gateway-%04d", n%40/8)},
			{"instance", fmt.Sprintf("10.0.%d.1:9100", n%40/8)},
			{"job", "node-exporter"},
			{"mode", "idle"},
			{"network", "one"},
		} {
			labels = append(labels, label(l[0], l[1])...)
			refs = append(refs, symbol(l[0]), symbol(l[1]))
		}
		v1 = append(v1, sub(1, labels, sampleOf(float64(n)+0.5, now))...)
		series = append(series, sub(5, packed(1, refs...), sampleOf(float64(n)+0.5, now), sub(5))...)
	}
	return v1, append(list, series...)
}

// BenchmarkDecode reads requests after decompression.
func BenchmarkDecode(b *testing.B) {
	v1, v2 := requests()
	for _, c := range []struct {
		name    string
		version Version
		body    []byte
	}{{"1.0", V1, v1}, {"2.0", V2, v2}} {
		b.Run(c.name, func(b *testing.B) {
			d := Decoder{SeriesBytes: 8 << 10, TextBytes: 1 << 30, Room: func(int) error { return nil }, Refuse: func(_ int, why error) error { return why }}
			var to discard
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				w, err := d.Decode(c.version, c.body, &to)
				if err != nil {
					b.Fatal(err)
				}
				n += w.Samples
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/sample")
		})
	}
}
