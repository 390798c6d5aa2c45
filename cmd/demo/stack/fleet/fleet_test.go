package fleet

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

func TestFleetHasExactlyTheSeriesOfTheIssue(t *testing.T) {
	sources := New(347)
	distinct := map[string]bool{}
	gateways, others := 0, 0
	for _, s := range sources {
		series := s.Series()
		for _, l := range series {
			distinct[l.String()] = true
		}
		if s.Gateway {
			require.Len(t, series, GatewaySeries, s.Name)
			gateways++
		} else {
			others += len(series)
		}
	}
	require.Equal(t, 347, gateways)
	require.Equal(t, 1500, others)
	require.Len(t, distinct, 347*GatewaySeries+1500)
}

func TestFamiliesAreCleanForPromlint(t *testing.T) {
	for _, specs := range [][]spec{gatewaySpecs, cloudSpecs, pushedSpecs} {
		template := newTemplate(specs)
		template.write(1, time.Now().UnixMilli())
		problems, err := promlint.NewWithMetricFamilies(template.families).Lint()
		require.NoError(t, err)
		require.Empty(t, problems)
	}
}

// What is written into the messages has to be what Value says, series by
// series, since the account relies on it.
func TestReportCarriesTheValuesThatValueComputes(t *testing.T) {
	const at = 1_800_000_000_123
	for _, s := range New(2) {
		var got []float64
		for _, item := range s.Report(at) {
			for _, m := range item.Family.Metric {
				require.EqualValues(t, at, m.GetTimestampMs())
				got = append(got, valuesOf(m)...)
			}
		}
		var want []float64
		for i := range s.Series() {
			want = append(want, s.Value(i, at))
		}
		require.Equal(t, want, got, s.Name)
	}
}

func valuesOf(m *dto.Metric) []float64 {
	switch {
	case m.Counter != nil:
		return []float64{m.Counter.GetValue()}
	case m.Gauge != nil:
		return []float64{m.Gauge.GetValue()}
	}
	var values []float64
	for _, b := range m.Histogram.Bucket {
		values = append(values, float64(b.GetCumulativeCount()))
	}
	count := float64(m.Histogram.GetSampleCount())
	return append(values, count, m.Histogram.GetSampleSum(), count)
}

func TestCountersAndBucketsOnlyGrow(t *testing.T) {
	source := New(1)[0]
	for i, l := range source.Series() {
		slot := source.template.series[i]
		if slot.form == swings {
			continue
		}
		for at := int64(1_800_000_000_000); at < 1_800_000_060_000; at += 5_000 {
			require.LessOrEqual(t, source.Value(i, at), source.Value(i, at+5_000), "%s", l)
		}
		if le := l.Get(labels.BucketLabel); le != "" && le != "+Inf" {
			require.LessOrEqual(t, source.Value(i, 1_800_000_000_000), source.Value(i+1, 1_800_000_000_000), "%s", l)
		}
	}
}

func TestRunLetsEachSourceReportOnceARound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sources := New(20)
		ctx, cancel := context.WithCancel(t.Context())
		var order []*Source
		Run(ctx, sources, 50*time.Millisecond, func(s *Source, at int64) {
			require.Equal(t, time.Now().UnixMilli(), at)
			if order = append(order, s); len(order) == 2*len(sources) {
				cancel()
			}
		})
		require.Equal(t, append(append([]*Source{}, sources...), sources...), order)
	})
}
