#!/usr/bin/env bash
# Prometheus 3.15 (github.com/prometheus/prometheus v0.315.0), OTLP receiver: it has no native histograms finer than schema 8, so it merges the
# buckets of an exponential histogram of a larger scale. Where a bucket with samples follows empty ones, it may land one bucket too low.
#
# By OpenTelemetry's data model bucket i of scale s has the values in (2^(i/2^s), 2^((i+1)/2^s)], and one scale less merges 2i and 2i+1 to i. So
# offset -1 with the counts 0 1 0 at scale 9 is one sample in bucket 0, the values in (1, 2^(1/512)], and at scale 8 again in bucket 0: (1, 2^(1/256)].
# Prometheus makes it (2^(-1/256), 1] of that: the sample is at most 1 now, though it was more. The same with the count 1 in front of it, and the same sample at
# offset 0 without the empty bucket in front, are right. So is scale 8, where nothing is merged.
#
# Seen, a line each: scale, offset and counts, and the buckets with samples that come of it. The first one should be that of the second.
#
# Needs Go and the module proxy; works in a temp folder.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export GOWORK=off GOFLAGS=-mod=mod
cat > go.mod <<'MOD'
module finding
go 1.26.0
require (
	github.com/prometheus/prometheus v0.315.0
	go.opentelemetry.io/collector/pdata v1.66.0
)
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// shown is an appender that prints the buckets of a histogram.
type shown struct{ storage.AppenderV2 }

func (shown) Append(_ storage.SeriesRef, _ labels.Labels, _, _ int64, _ float64, h *histogram.Histogram, _ *histogram.FloatHistogram, _ storage.AppendV2Options) (storage.SeriesRef, error) {
	if h == nil { // target_info
		return 0, nil
	}
	for buckets := h.PositiveBucketIterator(); buckets.Next(); {
		if b := buckets.At(); b.Count > 0 {
			fmt.Printf(" (%.6f, %.6f] %d", b.Lower, b.Upper, b.Count)
		}
	}
	return 0, nil
}

func main() {
	for _, of := range []struct {
		scale, offset int32
		counts        []uint64
	}{
		{9, -1, []uint64{0, 1, 0}},
		{9, 0, []uint64{1, 0}},
		{9, -1, []uint64{1, 1, 0}},
		{8, -1, []uint64{0, 1, 0}},
	} {
		metrics := pmetric.NewMetrics()
		m := metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName("size")
		e := m.SetEmptyExponentialHistogram()
		e.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		p := e.DataPoints().AppendEmpty()
		p.SetTimestamp(1_700_000_000_000_000_000)
		p.SetScale(of.scale)
		p.Positive().SetOffset(of.offset)
		p.Positive().BucketCounts().FromRaw(of.counts)
		count := uint64(0)
		for _, n := range of.counts {
			count += n
		}
		p.SetCount(count)
		fmt.Print("scale ", of.scale, " offset ", of.offset, " counts ", of.counts, ":")
		_, err := prometheusremotewrite.NewPrometheusConverter(shown{}).FromMetrics(context.Background(), metrics, prometheusremotewrite.Settings{
			AddMetricSuffixes: true, PromoteResourceAttributes: prometheusremotewrite.NewPromoteResourceAttributes(config.OTLPConfig{}),
		})
		if err != nil {
			panic(err)
		}
		fmt.Println()
	}
}
GO
go run . > seen
cat seen
diff seen - <<'EXPECTED'
scale 9 offset -1 counts [0 1 0]: (0.997296, 1.000000] 1
scale 9 offset 0 counts [1 0]: (1.000000, 1.002711] 1
scale 9 offset -1 counts [1 1 0]: (0.997296, 1.000000] 1 (1.000000, 1.002711] 1
scale 8 offset -1 counts [0 1 0]: (1.000000, 1.002711] 1
EXPECTED
echo "as described"
