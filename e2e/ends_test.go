package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// A gateway that went elsewhere ends in the hub's server at the millisecond that was said, and so does the
// series that tells since when it was there. Others go on, and when it comes back it is there again.
func TestEndOfAGateway(t *testing.T) {
	t.Parallel()
	s := ownStack(t, stack.Config{Shards: 1, HubsOnly: true})
	hub := s.Shards[0].Hub
	job := wholeScrape
	if !strings.Contains(job, "scrape_protocols") {
		job = replace(t, job, "    honor_labels: true\n", "    honor_labels: true\n    scrape_protocols: [PrometheusProto, PrometheusText0.0.4]\n")
	}
	server := promapi.New(startServer(t, s, stack.ServerConfig{}, job).Address)

	began := time.Now().Add(-2 * time.Minute).UnixMilli()
	report := func(gateway string, after int64) {
		mustPush(t, hub, fmt.Sprintf("# TYPE h histogram\nh_bucket{gatewayID=%[1]q,le=\"1\"} 1 %[2]d\nh_bucket{gatewayID=%[1]q,le=\"+Inf\"} 1 %[2]d\nh_sum{gatewayID=%[1]q} 1 %[2]d\nh_count{gatewayID=%[1]q} 1 %[2]d\nx{gatewayID=%[1]q} 1 %[2]d\n",
			gateway, began+after))
	}
	// there is how many series of a gateway there are so many milliseconds after began.
	there := func(ctx context.Context, gateway string, after int64) (int, error) {
		v, err := server.Vector(ctx, fmt.Sprintf("{gatewayID=%q} @ %.3f", gateway, float64(began+after)/1000))
		return len(v), err
	}
	is := func(gateway string, after int64, series int) {
		t.Helper()
		eventually(t, patience, func(ctx context.Context) error {
			n, err := there(ctx, gateway, after)
			if err == nil && n != series {
				err = fmt.Errorf("%d series of %s %d ms after the beginning, want %d", n, gateway, after, series)
			}
			return err
		})
	}
	for _, after := range []int64{0, 10_000, 20_000} {
		report("a", after)
		report("b", after)
	}
	is("a", 100_000, 6)
	end := fmt.Sprintf("a %d\n", began+30_000)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, hub.URL()+"/gateways/ended", strings.NewReader(end))
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusOK, answer.StatusCode)
	is("a", 30_000, 0)
	is("a", 29_999, 0)
	is("a", 29_998, 6)
	is("b", 30_000, 6)
	report("a", 60_000)
	is("a", 60_000, 6)
	is("a", 59_999, 0)
	first, err := server.Vector(t.Context(), fmt.Sprintf(`edgehub_gateway_first_sample_timestamp_seconds{gatewayID="a"} @ %.3f`, float64(began+60_000)/1000))
	require.NoError(t, err)
	require.Len(t, first, 1)
	require.InDelta(t, float64(began+60_000)/1000, float64(first[0].Value), 1e-4)
}
