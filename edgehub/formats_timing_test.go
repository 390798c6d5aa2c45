package edgehub

import (
	"bytes"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// The same push of known series in each format. They come by turns, and each has the least processor time of all turns, since others
// may use the machine.
//
//	go test ./edgehub -run '^$' -bench PushFormats
func BenchmarkPushFormats(b *testing.B) {
	const gateways, families = 100, 100
	text := fleet(gateways, families, base)
	pushes := []struct {
		name   string
		format Format
		body   []byte
		least  time.Duration
	}{
		{"text", Text, text, time.Hour},
		{"openmetrics", OpenMetrics, written(b, text, expfmt.TypeOpenMetrics), time.Hour},
		{"protobuf", Protobuf, written(b, text, expfmt.TypeProtoDelim), time.Hour},
	}
	h := newHub(b, Config{})
	for b.Loop() {
		for i := range pushes {
			p := &pushes[i]
			begin := processorTime(b)
			if n, err := h.Push(b.Context(), p.format, p.body); err != nil || n != gateways*families {
				b.Fatal(n, err)
			}
			p.least = min(p.least, processorTime(b)-begin)
			passAll(h)
		}
	}
	b.ReportMetric(0, "ns/op")
	for _, p := range pushes {
		b.ReportMetric(float64(p.least.Nanoseconds())/(gateways*families), p.name+"-ns/sample")
		b.ReportMetric(float64(len(p.body))/(gateways*families), p.name+"-B/sample")
	}
}

// written is a text as client_golang would have it in another format.
func written(b *testing.B, text []byte, kind expfmt.FormatType) []byte {
	b.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		b.Fatal(err)
	}
	var out bytes.Buffer
	encoder := expfmt.NewEncoder(&out, expfmt.NewFormat(kind))
	for _, f := range families {
		if err := encoder.Encode(f); err != nil {
			b.Fatal(err)
		}
	}
	return out.Bytes()
}
