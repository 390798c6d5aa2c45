package magma_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http/httptest"

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

// export prints what a hub gets of a family, without the timestamps.
func export(item magma.MetricAndContext) {
	hub := exportertest.NewHub()
	defer hub.Close()
	server := httptest.NewServer(hub)
	defer server.Close()
	e, err := exporter.New(exporter.Config{Hubs: []exporter.Hub{{URL: server.URL}}})
	if err != nil {
		log.Print(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	err = e.Push(ctx, []magma.MetricAndContext{item})
	cancel()
	if err = errors.Join(err, <-ended); err != nil {
		log.Print(err)
	}
	for _, s := range hub.Samples() {
		fmt.Println(s.Series, s.Value)
	}
}

// A family and where it comes from.
func ExampleMetricAndContext() {
	export(magma.MetricAndContext{
		Family: gauge("load", 0.5),
		Context: magma.MetricContext{
			AdditionalContext: &magma.GatewayMetricContext{NetworkID: "net1", GatewayID: "gw-0017"},
		},
	})
	// Output: load{gatewayID="gw-0017",networkID="net1"} 0.5
}

// The context may give the family another name. Without more it sets no label.
func ExampleMetricContext() {
	export(magma.MetricAndContext{
		Family:  gauge("load", 0.5),
		Context: magma.MetricContext{MetricName: "gateway_load"},
	})
	// Output: gateway_load 0.5
}

// Each source has its labels, and all but a gateway's have one home.
func ExampleAdditionalMetricContext() {
	for _, from := range []magma.AdditionalMetricContext{
		&magma.GatewayMetricContext{NetworkID: "net1", GatewayID: "gw-0017"},
		&magma.CloudMetricContext{CloudHost: "controller-0"},
		&magma.PushedMetricContext{NetworkID: "net1"},
	} {
		export(magma.MetricAndContext{
			Family:  gauge("load", 0.5),
			Context: magma.MetricContext{AdditionalContext: from},
		})
	}
	// Output:
	// load{gatewayID="gw-0017",networkID="net1"} 0.5
	// load{cloudHost="controller-0"} 0.5
	// load{networkID="net1"} 0.5
}

// A gateway's metrics go to its home on the ring.
func ExampleGatewayMetricContext() {
	from := &magma.GatewayMetricContext{NetworkID: "net1", GatewayID: "gw-0017"}
	export(magma.MetricAndContext{Family: gauge("load", 0.5), Context: magma.MetricContext{AdditionalContext: from}})
	// Output: load{gatewayID="gw-0017",networkID="net1"} 0.5
}

// A cloud service's metrics have the host's name.
func ExampleCloudMetricContext() {
	from := &magma.CloudMetricContext{CloudHost: "controller-0"}
	export(magma.MetricAndContext{Family: gauge("load", 0.5), Context: magma.MetricContext{AdditionalContext: from}})
	// Output: load{cloudHost="controller-0"} 0.5
}

// Metrics of the push API have the network's name.
func ExamplePushedMetricContext() {
	from := &magma.PushedMetricContext{NetworkID: "net1"}
	export(magma.MetricAndContext{Family: gauge("load", 0.5), Context: magma.MetricContext{AdditionalContext: from}})
	// Output: load{networkID="net1"} 0.5
}
