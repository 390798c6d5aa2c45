package exporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/exporter/internal/encode"
	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/internal/exposition"
)

// gatewayReport is about what a gateway of a real fleet reports: 303 samples, of
// which a third is in histograms.
func gatewayReport(id string) []magma.MetricAndContext {
	c := magma.MetricContext{AdditionalContext: &magma.GatewayMetricContext{NetworkID: "network-1", GatewayID: id}}
	var items []magma.MetricAndContext
	for i := range 67 {
		f := &dto.MetricFamily{
			Name: proto.String(fmt.Sprintf("enodeb_some_quantity_%d_total", i)), Type: dto.MetricType_COUNTER.Enum(),
			Help: proto.String("How much of the quantity was seen since the start."),
		}
		for j := range 3 {
			f.Metric = append(f.Metric, &dto.Metric{
				Label: []*dto.LabelPair{
					{Name: proto.String("service"), Value: proto.String("enodebd")},
					{Name: proto.String("device"), Value: proto.String(fmt.Sprintf("radio-%d", j))},
				},
				Counter: &dto.Counter{Value: proto.Float64(float64(i*j) + 0.25)}, TimestampMs: proto.Int64(1_700_000_000_000),
			})
		}
		items = append(items, magma.MetricAndContext{Family: f, Context: c})
	}
	for i := range 6 {
		h := &dto.Histogram{SampleCount: proto.Uint64(1000), SampleSum: proto.Float64(123.5)}
		for b := range 14 {
			h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: proto.Float64(float64(b) / 8), CumulativeCount: proto.Uint64(uint64(b * 70))})
		}
		items = append(items, magma.MetricAndContext{Family: &dto.MetricFamily{
			Name: proto.String(fmt.Sprintf("request_%d_seconds", i)), Type: dto.MetricType_HISTOGRAM.Enum(),
			Metric: []*dto.Metric{{Histogram: h, Label: []*dto.LabelPair{{Name: proto.String("service"), Value: proto.String("mme")}}}},
		}, Context: c})
	}
	return items
}

// Encoding, beside expfmt for the same families. expfmt writes no labels of the
// gateway, checks nothing and keeps no order of labels.
//
//	go test ./exporter -run '^$' -bench Encode
func BenchmarkEncode(b *testing.B) {
	items := gatewayReport("gateway-00042")
	samples := encode.Count(items)
	b.Run("exporter", func(b *testing.B) {
		size := 0
		now := time.UnixMilli(1_700_000_000_000)
		perSample(b, samples, func() {
			e := encode.New(now, false)
			e.Encode(items)
			size = len(e.Bodies[0].Text)
			releaseAll(e)
			e.Release()
		})
		b.ReportMetric(float64(size)/float64(samples), "bytes/sample")
	})
	b.Run("expfmt", func(b *testing.B) {
		perSample(b, samples, func() {
			var buf bytes.Buffer
			for i := range items {
				if _, err := expfmt.MetricFamilyToText(&buf, items[i].Family); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

// releaseAll is what becomes of the bodies in the end.
func releaseAll(e *encode.Encoder) {
	for _, p := range e.Bodies {
		p.Release()
	}
	e.Bodies = e.Bodies[:0]
}

// Joining the parcels of 30 gateways into one request.
//
//	go test ./exporter -run '^$' -bench Join
func BenchmarkJoin(b *testing.B) {
	var batch []*wire.Body
	samples := 0
	for i := range 30 {
		for _, p := range bodiesOf(gatewayReport(fmt.Sprint("gateway-", i))...) {
			batch = append(batch, p)
			samples += p.Samples
		}
	}
	var j wire.Joiner
	var body []byte
	perSample(b, samples, func() { body = j.Join(body[:0], batch) })
}

// discard is a transport to hubs that take everything.
type discard struct{ header http.Header }

func (d discard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body == nil { // a probe
		return &http.Response{StatusCode: http.StatusOK, Header: d.header, Body: http.NoBody}, nil
	}
	_, err := io.Copy(io.Discard, req.Body)
	return &http.Response{StatusCode: http.StatusOK, Header: d.header, Body: http.NoBody}, errors.Join(err, req.Body.Close())
}

// All that the exporter does for a sample, from Submit to the answer, without a
// network: 30 gateways, three hubs.
//
//	go test ./exporter -run '^$' -bench Pipeline
func BenchmarkPipeline(b *testing.B) {
	var items []magma.MetricAndContext
	for i := range 30 {
		items = append(items, gatewayReport(fmt.Sprint("gateway-", i))...)
	}
	for _, coding := range []string{"identity", "gzip"} {
		b.Run(coding, func(b *testing.B) {
			e, err := New(Config{
				Hubs:      []Hub{{URL: "http://a"}, {URL: "http://b"}, {URL: "http://c"}},
				Transport: discard{http.Header{exposition.HubHeader: {"edgehub/1"}, "Accept-Encoding": {coding}}},
				Logger:    slog.New(slog.DiscardHandler),
			})
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error)
			go func() { ended <- e.Run(ctx) }()
			perSample(b, encode.Count(items), func() {
				if err := errors.Join(e.Submit(ctx, items), e.Flush(ctx)); err != nil {
					b.Fatal(err)
				}
			})
			cancel()
			if err := <-ended; err != nil {
				b.Fatal(err)
			}
		})
	}
}

// perSample runs f in a benchmark and reports time and allocations per sample.
func perSample(b *testing.B, samples int, f func()) {
	b.Helper()
	allocs := testing.AllocsPerRun(20, f)
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(samples), "ns/sample")
	b.ReportMetric(allocs/float64(samples), "allocs/sample")
}
