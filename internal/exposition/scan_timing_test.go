package exposition

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// numbers are kinds of values as gateways report them, whose lengths nothing
// foretells.
var numbers = []struct {
	name string
	draw func(r *rand.Rand) float64
}{
	{"counts", func(r *rand.Rand) float64 { return float64(r.Uint64N(uint64(math.Pow(10, float64(1+r.IntN(9)))))) }},
	{"bytes", func(r *rand.Rand) float64 { return float64(r.Uint64N(1e12)) }},
	{"decimals", func(r *rand.Rand) float64 { return float64(r.IntN(1e7)) / 1000 }},
	{"random", func(r *rand.Rand) float64 { return r.NormFloat64() }},
}

const timedSamples = 10_000 // more than a branch predictor learns by heart

// go test ./internal/exposition -run '^$' -bench ScanGuessed
func BenchmarkScanGuessed(b *testing.B) {
	for _, kind := range numbers {
		b.Run(kind.name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			var body []byte
			var spellings []string
			for i := range timedSamples {
				s := fmt.Sprintf(`magma_metric_%02d_total{gatewayID="gw-%04d",networkID="net1",service="sessiond"}`, i%100, i/100)
				spellings = append(spellings, s)
				body = AppendFloat(append(append(body, s...), ' '), kind.draw(r))
				body = fmt.Appendf(body, " %d\n", 1_763_690_000_000+r.Int64N(1e9))
			}
			var s Scanner
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				s.Reset(body)
				for _, guess := range spellings {
					if s.Next(begins(s.Rest(), guess)) != Sample || !s.Guessed() {
						b.Fatal(s.Err())
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*timedSamples), "ns/sample")
		})
	}
}

// go test ./internal/exposition -run '^$' -bench ScanUnknown
func BenchmarkScanUnknown(b *testing.B) {
	var body []byte
	for i := range timedSamples {
		body = fmt.Appendf(body, "magma_metric_%02d_total{gatewayID=\"gw-%04d\",networkID=\"net1\",service=\"sessiond\"} %d %d\n", i%100, i/100, i, 1_763_690_000_000+i)
	}
	var s Scanner
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		s.Reset(body)
		for range timedSamples {
			if s.Next(0) != Sample {
				b.Fatal(s.Err())
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*timedSamples), "ns/sample")
}

// go test ./internal/exposition -run '^$' -bench Float
func BenchmarkParseFloat(b *testing.B) {
	for _, kind := range numbers {
		b.Run(kind.name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			var texts [][]byte
			for range timedSamples {
				texts = append(texts, AppendFloat(nil, kind.draw(r)))
			}
			for b.Loop() {
				for _, text := range texts {
					if _, err := ParseFloat(text); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*timedSamples), "ns/number")
		})
	}
}

func BenchmarkAppendFloat(b *testing.B) {
	for _, kind := range numbers {
		b.Run(kind.name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			var values []float64
			for range timedSamples {
				values = append(values, kind.draw(r))
			}
			buf := make([]byte, 0, 64)
			for b.Loop() {
				for _, v := range values {
					buf = AppendFloat(buf[:0], v)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*timedSamples), "ns/number")
		})
	}
}

func BenchmarkAppendTimestamp(b *testing.B) {
	buf := make([]byte, 0, 64)
	ms := int64(1_763_690_000_000)
	for b.Loop() {
		buf = AppendTimestamp(buf[:0], ms)
		ms += 1009
	}
}

// begins returns the length of a spelling where a text begins with it, or 0.
func begins(text []byte, spelling string) int {
	if len(text) < len(spelling) || string(text[:len(spelling)]) != spelling {
		return 0
	}
	return len(spelling)
}
