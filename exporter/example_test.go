package exporter_test

import (
	"context"
	"iter"
	"log"
	"os"
	"os/signal"
	"syscall"

	dto "github.com/prometheus/client_model/go"

	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/magma"
)

var ctx = context.Background()

// received stands for what a controller gets from its gateways.
func received(context.Context) iter.Seq[*dto.MetricFamily] {
	return func(func(*dto.MetricFamily) bool) {}
}

// A controller embeds the exporter: it submits what its gateways report, and closes it
// when it is told to stop. The README shows the same lines.
func Example() {
	e, err := exporter.Start(exporter.Config{
		Hubs: []exporter.Hub{{URL: "http://edgehub-0:9091"}, {URL: "http://edgehub-1:9091"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for family := range received(ctx) { // each a MetricFamily of prometheus/client_model, until ctx ends
		report := magma.MetricAndContext{Family: family}
		report.Context.AdditionalContext = &magma.GatewayMetricContext{NetworkID: "net1", GatewayID: "gw-0017"}
		if err := e.Submit(context.Background(), []magma.MetricAndContext{report}); err != nil { // never waits for the network
			log.Print(err) // it says what was not taken in
		}
	}
	if err := e.Close(context.Background()); err != nil { // sends what is queued: without it that is lost
		log.Print(err) // it says what no hub took
	}
}
