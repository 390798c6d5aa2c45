#!/usr/bin/env bash
# Prometheus 3.15 (github.com/prometheus/prometheus v0.315.0): the parameter of an aggregation is worked out
# once for a whole range query, at the first step, when what is aggregated has an @ and so is the same at each
# step. A parameter that changes, as scalar(p) may, is then that of the first step everywhere. Without the
# @, with the same values, it is worked out for each step.
#
# Seen: p is 0, then 1; a is 1 and 2 all the time. quantile(scalar(p), a) is 1 2, quantile(scalar(p), a @ 0) is 1 1.
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
	"context"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/tsdb"
)

func main() {
	db, err := tsdb.Open(os.Args[1], nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		panic(err)
	}
	a := db.Appender(context.Background())
	for step := range 2 {
		t := int64(step) * 60_000
		_, _ = a.Append(0, labels.FromStrings("__name__", "p"), t, float64(step))
		_, _ = a.Append(0, labels.FromStrings("__name__", "a", "n", "1"), t, 1)
		_, _ = a.Append(0, labels.FromStrings("__name__", "a", "n", "2"), t, 2)
	}
	if err := a.Commit(); err != nil {
		panic(err)
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1000, Timeout: time.Minute, EnableAtModifier: true})
	for _, expr := range []string{"quantile(scalar(p), a)", "quantile(scalar(p), a @ 0)"} {
		q, err := engine.NewRangeQuery(context.Background(), db, nil, expr, time.UnixMilli(0), time.UnixMilli(60_000), time.Minute)
		if err != nil {
			panic(err)
		}
		fmt.Print(expr, ":")
		for _, p := range q.Exec(context.Background()).Value.(promql.Matrix)[0].Floats {
			fmt.Print(" ", p.F)
		}
		fmt.Println()
	}
}
GO
go run . data 2>/dev/null > seen
cat seen
diff seen - <<'EXPECTED'
quantile(scalar(p), a): 1 2
quantile(scalar(p), a @ 0): 1 1
EXPECTED
echo "as described"
