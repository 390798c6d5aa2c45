package compare

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	vm "github.com/VictoriaMetrics/VictoriaMetrics/lib/protoparser/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/hubring/hubring/internal/exposition"
)

const samplesOfAPush = 10_000

// push is what a controller sends: 100 gateways of 100 series each, in the canonical
// spelling.
func push() (body []byte, spellings []string) {
	for i := range samplesOfAPush {
		s := fmt.Sprintf(`magma_metric_%02d_total{gatewayID="gw-%04d",networkID="net1",service="sessiond"}`, i%100, i/100)
		spellings = append(spellings, s)
		value := float64(i)
		if i%4 == 0 {
			value += 0.125
		}
		body = exposition.AppendFloat(append(append(body, s...), ' '), value)
		body = fmt.Appendf(body, " %d\n", 1_763_690_000_000+i)
	}
	return body, spellings
}

// One push, of which each sample's series, value and time are read.
//
// go test ./internal/exposition/compare -run '^$' -bench .
func BenchmarkRead(b *testing.B) {
	body, spellings := push()
	var s exposition.Scanner
	p := exposition.NewSeriesParser(exposition.DefaultLimits)
	perSample := func(b *testing.B, read func() int) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if n := read(); n != samplesOfAPush {
				b.Fatalf("%d samples", n)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*samplesOfAPush), "ns/sample")
	}
	b.Run("hubring-known-series", func(b *testing.B) {
		perSample(b, func() (n int) {
			s.Reset(body)
			for n < len(spellings) && s.Next(begins(s.Rest(), spellings[n])) == exposition.Sample && s.Guessed() {
				n++
			}
			return n
		})
	})
	b.Run("hubring-new-series", func(b *testing.B) {
		perSample(b, func() (n int) {
			s.Reset(body)
			for s.Next(0) == exposition.Sample {
				if _, err := p.Parse(s.Spelling()); err != nil {
					b.Fatal(err)
				}
				n++
			}
			return n
		})
	})
	// As the scrape loop does for a series that it knows, and for a new one.
	readTextparse := func(b *testing.B, withLabels bool) func() int {
		st := labels.NewSymbolTable()
		return func() (n int) {
			p := textparse.NewPromParser(body, st, false)
			var l labels.Labels
			for {
				entry, err := p.Next()
				if errors.Is(err, io.EOF) {
					return n
				}
				if err != nil || entry != textparse.EntrySeries {
					b.Fatal(err)
				}
				p.Series()
				if withLabels {
					p.Labels(&l)
				}
				n++
			}
		}
	}
	b.Run("prometheus-known-series", func(b *testing.B) { perSample(b, readTextparse(b, false)) })
	b.Run("prometheus-new-series", func(b *testing.B) { perSample(b, readTextparse(b, true)) })
	b.Run("victoriametrics", func(b *testing.B) {
		var rows vm.Rows
		text := string(body)
		perSample(b, func() int {
			rows.Reset()
			rows.Unmarshal(text)
			return len(rows.Rows)
		})
	})
}

// begins returns the length of a spelling where a text begins with it, or 0.
func begins(text []byte, spelling string) int {
	if !bytes.HasPrefix(text, []byte(spelling)) {
		return 0
	}
	return len(spelling)
}
