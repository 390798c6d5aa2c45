package doors

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/stack"
)

// What is more than numbers is in the server as its sender had it: native histograms, exemplars and start times, by the library's own protobuf.
// The classic buckets beside a native histogram are where a server wants them, which is not here.
func TestNativeHistogramsExemplarsAndStartTimes(t *testing.T) {
	t.Parallel()
	s := startWith(t, stack.Config{
		Protobuf: true, Features: []string{"exemplar-storage", "created-timestamp-zero-ingestion"}, HubArgs: []string{"--no-gateway.first-samples"},
	})
	const pushes, each, kept = 3, 40, 10
	registry := prometheus.NewRegistry()
	labels := prometheus.Labels{"gatewayID": "gw"}
	requests := prometheus.NewCounter(prometheus.CounterOpts{Name: "requests_total", Help: "Requests.", ConstLabels: labels})
	durations := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "duration_seconds", Help: "Durations.", ConstLabels: labels, Buckets: []float64{0.1, 1, 10},
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxExemplars: kept,
	})
	classic := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "classic_seconds", ConstLabels: labels, Buckets: []float64{0.1, 1, 10}})
	registry.MustRegister(requests, durations, classic)

	for n := range pushes {
		for i := range each {
			v := float64(1+i) / 10
			id := prometheus.Labels{"trace_id": fmt.Sprintf("%d-%d", n, i)}
			requests.(prometheus.ExemplarAdder).AddWithExemplar(1, id)
			durations.(prometheus.ExemplarObserver).ObserveWithExemplar(v, id)
			classic.(prometheus.ExemplarObserver).ObserveWithExemplar(v, id)
		}
		select { // each push has a time of its own, and the first one comes after the start
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
		}
		pushFamilies(t, s.hub.URL(), registry)
	}
	const all = pushes * each
	s.has(map[string]float64{
		`requests_total{gatewayID="gw"}`:                                                     all,
		`histogram_count(duration_seconds{gatewayID="gw"})`:                                  all,
		`round(histogram_sum(duration_seconds{gatewayID="gw"}))`:                             pushes * each * (each + 1) / 2 / 10,
		`histogram_quantile(0.5, duration_seconds) > bool 1.8`:                               1,
		`histogram_quantile(0.5, duration_seconds) < bool 2.2`:                               1,
		`histogram_fraction(0, +Inf, duration_seconds)`:                                      1,
		`classic_seconds_bucket{gatewayID="gw",le="1.0"}`:                                    pushes * 10,
		`classic_seconds_count{gatewayID="gw"}`:                                              all,
		`count({__name__=~"duration_seconds.*"})`:                                            1,
		`count_over_time(requests_total[10m])`:                                               pushes + 1, // a zero at its start
		`min_over_time(requests_total[10m])`:                                                 0,
		`count_over_time(duration_seconds[10m])`:                                             pushes + 1,
		`count_over_time(classic_seconds_count[10m])`:                                        pushes + 1,
		`histogram_count(increase(duration_seconds[10m])) >= bool ` + strconv.Itoa(all-each): 1,
	})
	s.eventually(func(ctx context.Context) error {
		for query, want := range map[string]int{"requests_total": pushes, "duration_seconds": pushes * kept, "classic_seconds_bucket": pushes * 3} {
			n, err := s.exemplars(ctx, query)
			if err != nil {
				return err
			}
			if n != want {
				return fmt.Errorf("%s has %d exemplars, not %d", query, n, want)
			}
		}
		return nil
	})
}

// pushFamilies pushes what a registry has, as delimited protobuf.
func pushFamilies(t *testing.T, hub string, from prometheus.Gatherer) {
	t.Helper()
	families, err := from.Gather()
	require.NoError(t, err)
	var body bytes.Buffer
	format := expfmt.NewFormat(expfmt.TypeProtoDelim)
	encoder := expfmt.NewEncoder(&body, format)
	for _, f := range families {
		require.NoError(t, encoder.Encode(f))
	}
	resp, err := http.Post(hub+"/metrics", string(format), &body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

// exemplars is how many exemplars the server has of a query's series, each with the label that it was sent with.
func (s *shard) exemplars(ctx context.Context, query string) (n int, err error) {
	var found []struct {
		Exemplars []struct{ Labels map[string]string }
	}
	now := time.Now()
	err = s.server.Get(ctx, "/api/v1/query_exemplars", url.Values{
		"query": {query}, "start": {strconv.FormatInt(now.Add(-time.Hour).Unix(), 10)}, "end": {strconv.FormatInt(now.Add(time.Hour).Unix(), 10)},
	}, &found)
	for _, series := range found {
		for _, e := range series.Exemplars {
			if e.Labels["trace_id"] == "" {
				return n, fmt.Errorf("an exemplar without its label: %v", e.Labels)
			}
			n++
		}
	}
	return n, err
}
