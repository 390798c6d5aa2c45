package exportertest_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/exportertest"
	"github.com/hubring/hubring/exporter/magma"
)

// What the package's documentation sketches, in full: a day of a real exporter whose
// hubs take turns to be away. Each sample arrives, and the test takes no time.
func TestAnExportersDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := exportertest.NewNetwork()
		defer n.Close()
		first, second := n.Add("edgehub-0"), n.Add("edgehub-1")
		e, err := exporter.New(exporter.Config{
			Hubs:      []exporter.Hub{{URL: "http://edgehub-0"}, {URL: "http://edgehub-1"}},
			Transport: n.Transport(),
			Logger:    slog.New(slog.DiscardHandler),
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- e.Run(ctx) }()

		const hours = 24
		for hour := range hours {
			away := []string{"edgehub-0", "edgehub-1"}[hour%2]
			n.Kill(away)
			require.NoError(t, e.Submit(ctx, []magma.MetricAndContext{load("gw-0017", hour)}))
			time.Sleep(time.Hour)
			n.Start(away)
			time.Sleep(time.Minute)
		}
		cancel()
		require.NoError(t, <-ended)

		arrived := map[float64]int{}
		for _, hub := range []*exportertest.Hub{first, second} {
			assert.Len(t, hub.Samples(), hours/2, "whichever was there")
			for _, s := range hub.Samples() {
				assert.Equal(t, "gw-0017", s.Gateway)
				arrived[s.Value]++
			}
		}
		assert.Len(t, arrived, hours)
	})
}

func load(gateway string, value int) magma.MetricAndContext {
	return magma.MetricAndContext{
		Family: &dto.MetricFamily{
			Name: proto.String("load"), Type: dto.MetricType_GAUGE.Enum(),
			Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: proto.Float64(float64(value))}}},
		},
		Context: magma.MetricContext{
			AdditionalContext: &magma.GatewayMetricContext{NetworkID: "network-1", GatewayID: gateway},
		},
	}
}
