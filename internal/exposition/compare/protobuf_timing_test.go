package compare

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/stretchr/testify/require"
)

// What a sample of known series takes of a Prometheus before it is appended, by format and
// compression: to decompress, to parse, and to find the series in the cache of the scrape
// loop. They come by turns, and each has the least time of all turns, since others may use the
// machine.
//
//	go test ./internal/exposition/compare -run '^$' -bench ScrapeFormats
func BenchmarkScrapeFormats(b *testing.B) {
	for _, each := range []int{1, 4, 10} {
		b.Run(fmt.Sprintf("points=%d", each), func(b *testing.B) {
			responses := scrapeResponses(b, each)
			least := make([]time.Duration, len(responses))
			for i := range least {
				least[i] = math.MaxInt64
			}
			samples := 0
			for b.Loop() {
				for i, r := range responses {
					begin := time.Now()
					samples = r.read(b)
					least[i] = min(least[i], time.Since(begin))
				}
			}
			b.ReportMetric(0, "ns/op")
			for i, r := range responses {
				b.ReportMetric(float64(least[i].Nanoseconds())/float64(samples), r.name+"-ns/sample")
				b.ReportMetric(float64(len(r.body))/float64(samples), r.name+"-B/sample")
			}
		})
	}
}

// scrapeResponse is what a Prometheus reads, and its cache.
type scrapeResponse struct {
	name, contentType string
	body              []byte
	open              func(io.Reader) (io.Reader, error)
	plain             bytes.Buffer
	cache             map[string]*uint64
	symbols           *labels.SymbolTable
}

// scrapeResponses are those of gateways with counters and gauges.
func scrapeResponses(b *testing.B, each int) (all []*scrapeResponse) {
	var bodies [][]byte
	for i := range each {
		var body strings.Builder
		for f := range 100 {
			fmt.Fprintf(&body, "# TYPE gateway_metric_%d gauge\n", f)
			for g := range 20 {
				fmt.Fprintf(&body, "gateway_metric_%d{gatewayID=\"gw%04d\",networkID=\"net1\",service=\"mme\"} %d.%d %d\n", f, g, f*g, i, 1_764_500_000_000+i*15_000)
			}
		}
		bodies = append(bodies, []byte(body.String()))
	}
	hub := pushed(b, bodies...)
	for _, format := range []struct{ name, accept string }{
		{"text", likesText}, {"protobuf", likesProtobuf}, {"openmetrics", openMetrics[0].likes}, {"openmetrics2", openMetrics[1].likes},
	} {
		contentType, body := answered(b, hub, format.accept)
		var gz, zst bytes.Buffer
		z, err := gzip.NewWriterLevel(&gz, gzip.BestSpeed)
		require.NoError(b, err)
		_, err = z.Write(body)
		require.NoError(b, errors.Join(err, z.Close()))
		s, err := zstd.NewWriter(&zst, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(512<<10))
		require.NoError(b, err)
		_, err = s.Write(body)
		require.NoError(b, errors.Join(err, s.Close()))
		for coding, r := range map[string]*scrapeResponse{
			"":      {body: body, open: func(r io.Reader) (io.Reader, error) { return r, nil }},
			"+gzip": {body: gz.Bytes(), open: func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
			"+zstd": {body: zst.Bytes(), open: func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r, zstd.WithDecoderConcurrency(1)) }},
		} {
			r.name, r.contentType, r.cache, r.symbols = format.name+coding, contentType, map[string]*uint64{}, labels.NewSymbolTable()
			all = append(all, r)
		}
	}
	return all
}

// read reads the response as a scrape loop does, but for the storage.
func (r *scrapeResponse) read(b *testing.B) (samples int) {
	in, err := r.open(bytes.NewReader(r.body))
	if err != nil {
		b.Fatal(err)
	}
	r.plain.Reset()
	if _, err := io.Copy(&r.plain, in); err != nil {
		b.Fatal(err)
	}
	p, err := textparse.New(r.plain.Bytes(), r.contentType, r.symbols, textparse.ParserOptions{IgnoreNativeHistograms: true, EnableOpenMetrics2: true})
	if err != nil {
		b.Fatal(err)
	}
	for {
		entry, err := p.Next()
		if err != nil {
			return samples
		}
		if entry != textparse.EntrySeries {
			continue
		}
		series, _, _ := p.Series()
		seen, ok := r.cache[string(series)]
		if !ok {
			var l labels.Labels
			p.Labels(&l)
			seen = new(uint64)
			r.cache[string(series)] = seen
		}
		*seen++
		samples++
	}
}
