package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub"
	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/internal/bubble"
	"github.com/hubring/hubring/internal/logtest"
)

// handlers are hubs by name, and a transport to them.
type handlers map[string]http.Handler

// RoundTrip implements http.RoundTripper.
func (h handlers) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody // as a server has it
	}
	h[r.URL.Host].ServeHTTP(w, r)
	r.Body.Close()
	return w.Result(), nil
}

// scrape does what a Prometheus does whose connection nobody watches.
func (h handlers) scrape(t *testing.T, name string) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "5")
	h[name].ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
}

// The gateways of a hub that is full stay at the next one until it has room again, and not just for the next samples:
// it is down once, and up once.
func TestGatewaysOfAFullHubStayAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const gateways, limit, bite = 40, 400, 20
		hubs := handlers{}
		var listed []exporter.Hub
		stats := map[string]func() edgehub.Stats{}
		for _, c := range []edgehub.Config{{Name: "roomy"}, {Name: "full", MaxSamples: limit, MaxScrapeSamples: bite}} {
			c.Logger, c.NoFirstSamples = slog.New(slog.DiscardHandler), true
			hub, err := edgehub.New(c)
			require.NoError(t, err)
			defer hub.Close(t.Context())
			hubs[c.Name], stats[c.Name] = hub.Handler(), hub.Stats
			listed = append(listed, exporter.Hub{URL: "http://" + c.Name})
		}
		var log logtest.Buffer
		e, err := exporter.New(exporter.Config{Hubs: listed, Transport: hubs, Logger: log.Logger(), NoEnds: true})
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- e.Run(ctx) }()

		submitted := 0
		// report has all gateways report each second for a while. It returns how many samples the full hub took.
		report := func(seconds int) uint64 {
			before := stats["full"]().Received
			for range seconds {
				var items []magma.MetricAndContext
				for i := range gateways {
					item := magma.MetricAndContext{Family: &dto.MetricFamily{
						Name: new("load"), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: new(1.0)}}},
					}}
					item.Context.AdditionalContext = &magma.GatewayMetricContext{NetworkID: "network", GatewayID: fmt.Sprintf("gw-%02d", i)}
					items = append(items, item)
				}
				require.NoError(t, e.Submit(t.Context(), items))
				submitted += gateways
				bubble.Pass(time.Second)
			}
			return stats["full"]().Received - before
		}
		times := func(down, up int) {
			t.Helper()
			assert.Equal(t, down, log.Count(`msg="Hub is down, its samples move on"`), log.String())
			assert.Equal(t, up, log.Count(`msg="Hub is up`), log.String())
		}

		share := report(1)
		require.Positive(t, share)
		report(120)
		times(1, 0)
		assert.Zero(t, report(120), "it is not scraped")
		hubs.scrape(t, "full")
		hubs.scrape(t, "full")
		assert.Zero(t, report(60), "%d of %d samples have room: they would be there for a moment", 2*bite, limit)
		times(1, 0)
		for range limit/bite - 2 {
			hubs.scrape(t, "full")
		}
		report(6)
		assert.Equal(t, 3*share, report(3))
		times(1, 1)
		stop()
		require.NoError(t, <-ended)
		var took uint64
		for _, s := range stats {
			took += s().Received
		}
		assert.EqualValues(t, submitted, took)
	})
}
