package exporter_test

import (
	"fmt"
	"log"
	"net/http/httptest"
	"slices"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/exportertest"
	"github.com/hubring/hubring/exporter/magma"
)

// gauge returns a family of one sample.
func gauge(name string, value float64) *dto.MetricFamily {
	return &dto.MetricFamily{
		Name: proto.String(name), Type: dto.MetricType_GAUGE.Enum(),
		Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: proto.Float64(value)}}},
	}
}

// report returns what a gateway reports.
func report(gateway string) []magma.MetricAndContext {
	from := &magma.GatewayMetricContext{NetworkID: "net1", GatewayID: gateway}
	return []magma.MetricAndContext{{
		Family:  gauge("load", 0.5),
		Context: magma.MetricContext{AdditionalContext: from},
	}}
}

// startHub returns a hub that keeps what is pushed to it, and its URL.
func startHub() (hub *exportertest.Hub, url string, stop func()) {
	hub = exportertest.NewHub()
	server := httptest.NewServer(hub)
	return hub, server.URL, func() { hub.Close(); server.Close() }
}

// startExporter returns an exporter that sends until stop, which flushes.
func startExporter(cfg exporter.Config) (e *exporter.Exporter, stop func()) {
	e, err := exporter.Start(cfg)
	if err != nil {
		log.Fatal(err)
	}
	return e, func() {
		if err := e.Close(ctx); err != nil {
			log.Fatal(err)
		}
	}
}

// show prints what a hub took in, without the timestamps.
func show(hub *exportertest.Hub) {
	var lines []string
	for _, s := range hub.Samples() {
		lines = append(lines, fmt.Sprint(s.Series, " ", s.Value))
	}
	slices.Sort(lines) // gateways have no order among each other
	for _, line := range lines {
		fmt.Println(line)
	}
}
