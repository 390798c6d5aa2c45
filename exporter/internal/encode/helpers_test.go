package encode

import (
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/exporter/magma"
)

var (
	noContext = magma.MetricContext{}
	gw        = magma.MetricContext{AdditionalContext: &magma.GatewayMetricContext{NetworkID: "n", GatewayID: "g"}}
)

// family reads a family in protobuf's text format.
func family(t testing.TB, text string) *dto.MetricFamily {
	t.Helper()
	f := &dto.MetricFamily{}
	if err := prototext.Unmarshal([]byte(text), f); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f
}

func gaugeFamily(name string, value float64) *dto.MetricFamily {
	return &dto.MetricFamily{
		Name: proto.String(name), Type: dto.MetricType_GAUGE.Enum(),
		Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: proto.Float64(value)}}},
	}
}

// parse reads a text as prometheus-edge-hub does.
func parse(text string) error {
	p := expfmt.NewTextParser(model.LegacyValidation)
	_, err := p.TextToMetricFamilies(strings.NewReader(text))
	return err
}

func sampleLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// releaseAll is what becomes of the bodies in the end.
func releaseAll(e *Encoder) {
	for _, b := range e.Bodies {
		b.Release()
	}
	e.Bodies = e.Bodies[:0]
}
