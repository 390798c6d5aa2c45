package edgehub

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/render"
	"github.com/hubring/hubring/internal/exposition"
)

// Both benchmarks report the time of one sample. A known series costs no allocation:
// what is left of allocs/op is a segment now and then and a few objects a push.
//
//	go test ./edgehub -run '^$' -bench .
func BenchmarkIngest(b *testing.B) {
	const gateways, families = 100, 100
	ingest := func(b *testing.B, h *Hub, body []byte) {
		n, err := h.Push(b.Context(), Text, body)
		if err != nil || n != gateways*families {
			b.Fatal(n, err)
		}
		passAll(h)
	}
	b.Run("known", func(b *testing.B) {
		body, h := fleet(gateways, families, base), newHub(b, Config{})
		ingest(b, h, body)
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			ingest(b, h, body)
		}
		perSample(b, gateways*families)
	})
	// A hub that runs for a while meets a fleet that it has never seen, again and again.
	b.Run("never_seen", func(b *testing.B) {
		body := fleet(gateways, families, base)
		var h *Hub
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			if i%50 == 0 {
				h = newHub(b, Config{})
				ingest(b, h, body)
			}
			fresh := bytes.ReplaceAll(body, []byte(`"gw`), fmt.Appendf(nil, `"g%d-`, i))
			b.StartTimer()
			ingest(b, h, fresh)
		}
		perSample(b, gateways*families)
	})
}

// From a few samples to a full hub, in one response and in parts: all parts
// together are measured. Sealed samples are those that fill blocks.
func BenchmarkDrain(b *testing.B) {
	const gateways, families = 347, 101
	for _, c := range []struct {
		each, parts int
		sealed      bool
	}{
		{1, 1, false},
		{12, 1, false},
		{12, 1, true},
		{114, 1, false},
		{114, 1, true},
		{12, 4, false},
		{12, 4, true},
		{12, 10, false},
		{12, 10, true},
	} {
		b.Run(fmt.Sprintf("samples=%d/parts=%d/sealed=%t", gateways*families*c.each, c.parts, c.sealed), func(b *testing.B) {
			h := newHub(b, Config{})
			for i := range c.each {
				ingestAt(b, h, fleet(gateways, families, base+int64(i)))
			}
			if c.sealed {
				h.store.Log.Seal(time.Now().Add(time.Hour))
			}
			b.ReportAllocs()
			for b.Loop() {
				for part := range c.parts {
					v, rank := h.store.ReadWaiting()
					what := arrange.Everything
					what.Part, what.Parts = part, c.parts
					if err := render.Text(io.Discard, arrange.Arrange(v, rank, what), exposition.AllowUTF8, nil); err != nil {
						b.Fatal(err)
					}
				}
			}
			perSample(b, gateways*families*c.each)
		})
	}
}

// What waited for an outage and was sealed beside the same samples in columns, by turns: the least times of putting them in order and of
// all of a response, since others may use the machine, and that of the one in parts of the other.
//
//	go test ./edgehub -run '^$' -bench BenchmarkSealed -benchtime 5s
func BenchmarkSealed(b *testing.B) {
	const gateways, series = 347, 303
	for _, each := range []int{4, 10, 40} {
		b.Run(fmt.Sprintf("each=%d", each), func(b *testing.B) {
			var hubs [2]*Hub
			for i := range hubs {
				hubs[i] = newHub(b, Config{MaxSamples: 2 * max(gateways*series*each, 4_000_000)})
				for report := range each {
					for g := range gateways {
						ingestAt(b, hubs[i], reported(g, series, base+int64(30_000*report+g)))
					}
				}
			}
			hubs[1].store.Log.Seal(time.Now().Add(time.Hour))
			var order, whole [2][]float64
			samples := 0.0
			for b.Loop() {
				for i, h := range hubs {
					v, rank := h.store.ReadWaiting()
					start := time.Now()
					a := arrange.Arrange(v, rank, arrange.Everything)
					ordered := time.Since(start)
					if err := render.Text(io.Discard, a, exposition.AllowUTF8, nil); err != nil {
						b.Fatal(err)
					}
					order[i] = append(order[i], float64(ordered))
					whole[i] = append(whole[i], float64(time.Since(start)))
					samples = float64(a.Samples())
				}
			}
			for i, name := range []string{"columns", "sealed"} {
				b.ReportMetric(slices.Min(order[i])/samples, name+"-order-ns/sample")
				b.ReportMetric(slices.Min(whole[i])/samples, name+"-ns/sample")
			}
			b.ReportMetric(slices.Min(whole[1])/slices.Min(whole[0]), "sealed-of-columns")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// reported is a report of one gateway, half of it counters and half gauges of three decimals. The values have other last digits each time.
func reported(gateway, series int, ms int64) []byte {
	var b bytes.Buffer
	for i := range series {
		if i%2 == 0 {
			fmt.Fprintf(&b, "counter_%d_total{gatewayID=\"gw%04d\",networkID=\"net1\",service=\"mme\"} %d %d\n", i, gateway, 1000*i+int(ms+int64(i))%1000, ms)
		} else {
			fmt.Fprintf(&b, "gauge_%d{gatewayID=\"gw%04d\",networkID=\"net1\",service=\"mme\"} %d.%03d %d\n", i, gateway, 20+i, int(ms+int64(i))%1000, ms)
		}
	}
	return b.Bytes()
}

// What the slowest pushes of a gateway take while blocks are made all the time, and while none are.
func BenchmarkPushWhileSealing(b *testing.B) {
	const gateways, families = 100, 300
	for _, seals := range []bool{false, true} {
		b.Run(fmt.Sprintf("seals=%t", seals), func(b *testing.B) {
			h, ctx := newHub(b, Config{MaxSamples: 1e9}), b.Context()
			var bodies [][]byte
			for g := range gateways {
				bodies = append(bodies, bytes.ReplaceAll(fleet(1, families, base), []byte(`"gw`), fmt.Appendf(nil, `"g%d-`, g)))
			}
			var sealer sync.WaitGroup
			done := make(chan struct{})
			if seals {
				sealer.Go(func() {
					for {
						select {
						case <-done:
							return
						default:
							h.store.Log.Seal(time.Now().Add(time.Hour))
							time.Sleep(time.Millisecond)
						}
					}
				})
			}
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				start := time.Now()
				if _, err := h.Push(ctx, Text, bodies[i%gateways]); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
				if i%20_000 == 0 {
					b.StopTimer()
					passAll(h)
					b.StartTimer()
				}
			}
			close(done)
			sealer.Wait()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(float64(took[len(took)*999/1000].Microseconds()), "p99.9-µs")
		})
	}
}

func perSample(b *testing.B, samples int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(samples), "ns/sample")
}
