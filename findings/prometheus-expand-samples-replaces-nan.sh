#!/usr/bin/env bash
# Prometheus' libraries, github.com/prometheus/prometheus v0.315.0 (3.15): storage.ExpandSamples makes
# -42 of every NaN. A stale marker is a NaN, so whoever copies a series with it turns the end of the series
# into a sample. It is exported and its comment does not say so; ExpandSamplesWithoutReplacingNaNs beside
# it does what the name of the other promises.
#
# Seen: of a series with 1, a stale marker and NaN, ExpandSamples gives 1, -42, -42.
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
require github.com/prometheus/prometheus v0.315.0
MOD
cat > main.go <<'GO'
package main

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

func main() {
	series := promql.NewStorageSeries(promql.Series{Floats: []promql.FPoint{
		{T: 1, F: 1}, {T: 2, F: math.Float64frombits(value.StaleNaN)}, {T: 3, F: math.NaN()},
	}})
	show := func(name string, expand func(chunkenc.Iterator, func(int64, int64, float64) chunks.Sample) []chunks.Sample) {
		fmt.Print(name)
		for _, s := range expand(series.Iterator(nil), nil) {
			fmt.Print(" ", s.F(), " ", value.IsStaleNaN(s.F()))
		}
		fmt.Println()
	}
	show("ExpandSamples:", func(it chunkenc.Iterator, _ func(int64, int64, float64) chunks.Sample) []chunks.Sample {
		all, _ := storage.ExpandSamples(it, nil)
		return all
	})
	show("ExpandSamplesWithoutReplacingNaNs:", func(it chunkenc.Iterator, _ func(int64, int64, float64) chunks.Sample) []chunks.Sample {
		all, _ := storage.ExpandSamplesWithoutReplacingNaNs(it, nil)
		return all
	})
}
GO
go run . > seen
cat seen
diff seen - <<'EXPECTED'
ExpandSamples: 1 false -42 false -42 false
ExpandSamplesWithoutReplacingNaNs: 1 false NaN true NaN false
EXPECTED
echo "as described"
