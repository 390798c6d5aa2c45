package e2e

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/fleet"
	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/stack"
	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/magma"
)

// prometheus-edge-hub takes an exporter's samples where that is allowed. Where it is not, what it answers is no
// delivery: the samples wait for a hub. So they do of a Pushgateway in any case, since it throws away what has a
// timestamp, though it may answer 202.
func TestOtherReceivers(t *testing.T) {
	s := ownStack(t, stack.Config{})
	checkout, err := realbin.Checkout(".")
	require.NoError(t, err)
	programs, err := realbin.PeersDir(t.Context(), checkout, os.Stderr)
	require.NoError(t, err)
	start := func(program string, args func(address string) []string) string {
		address, err := process.FreeAddress()
		require.NoError(t, err)
		_, err = s.Run(program, filepath.Join(programs, program), args(address)...)
		require.NoError(t, err)
		eventually(t, patience, func(ctx context.Context) error { // one of them has no page for that
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
			if err != nil {
				return err
			}
			resp, err := http.DefaultClient.Do(req)
			if err == nil {
				err = resp.Body.Close()
			}
			return err
		})
		return "http://" + address
	}
	edgeHub := start(realbin.PrometheusEdgeHub, func(address string) []string {
		return []string{"-port=" + address[strings.LastIndexByte(address, ':')+1:]}
	})
	pushgateway := start(realbin.Pushgateway, func(address string) []string {
		return []string{"--web.listen-address=" + address, "--push.disable-consistency-check"}
	})
	require.ErrorIs(t, pushOne(t, edgeHub, exporter.HubsOnly, 1, 2*time.Second), context.DeadlineExceeded)
	require.NoError(t, pushOne(t, edgeHub, exporter.HubsAndOthers, 7, patience))
	require.ErrorIs(t, pushOne(t, pushgateway+"/metrics/job", exporter.HubsAndOthers, 7, 2*time.Second), context.DeadlineExceeded)

	families, err := fleet.Collect(t.Context(), edgeHub+"/metrics")
	require.NoError(t, err)
	var values []float64
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == "load" && labelOf(m, "gatewayID") == "gw-1" {
				values = append(values, m.GetGauge().GetValue())
			}
		}
	}
	assert.Contains(t, values, 7.0)
}

// pushOne pushes a sample to a receiver, and says whether it was delivered in some time.
func pushOne(t *testing.T, receiver string, believed exporter.Receivers, value float64, within time.Duration) error {
	t.Helper()
	e, err := exporter.New(exporter.Config{
		Hubs:      []exporter.Hub{{Name: "edgehub-0", URL: receiver}},
		Receivers: believed, FlushTimeout: time.Second, Logger: promslog.NewNopLogger(),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		_ = e.Run(ctx) // what is not delivered is what this is about
		close(ended)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	pushing, end := context.WithTimeout(t.Context(), within)
	defer end()
	return e.Push(pushing, []magma.MetricAndContext{{
		Family: &dto.MetricFamily{
			Name: new("load"), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: &value}}},
		},
		Context: magma.MetricContext{AdditionalContext: &magma.GatewayMetricContext{NetworkID: "network", GatewayID: "gw-1"}},
	}})
}
