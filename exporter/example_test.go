package exporter_test

import (
	"context"
	"log"
	"os"
	"regexp"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/magma"
)

var (
	ctx    = context.Background()
	family *dto.MetricFamily
)

// A controller embeds the exporter: it runs it until it is told to stop, and
// submits what its gateways report. The README shows the same lines.
func Example() {
	e, err := exporter.New(exporter.Config{
		Hubs: []exporter.Hub{{URL: "http://edgehub-0:9091"}, {URL: "http://edgehub-1:9091"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(e.Run(ctx)) }() // when ctx ends it flushes, and says what it could not deliver

	report := magma.MetricAndContext{Family: family} // a MetricFamily of prometheus/client_model
	report.Context.AdditionalContext = &magma.GatewayMetricContext{NetworkID: "net1", GatewayID: "gw-0017"}
	if err := e.Submit(ctx, []magma.MetricAndContext{report}); err != nil { // never waits for the network
		log.Print(err) // nothing was taken in
	}
}

// The README's example is the one that compiles here.
func TestReadmeShowsTheExample(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)## Embed it\n\n```go\n(.*?)```").FindSubmatch(readme)
	require.NotNil(t, block, "no Go block under \"## Embed it\"")
	source, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	indented := regexp.MustCompile(`(?m)^(.+)$`).ReplaceAllString(strings.TrimSpace(string(block[1])), "\t$1")
	assert.Contains(t, string(source), indented)
}
