#!/usr/bin/env bash
# Thanos' promql-engine v0.0.0-20260513095632-c5f6038078e3 (with Prometheus' libraries v0.309.1, as Thanos 0.42.4 has
# them): its distributed engine cuts start, end and step to whole seconds, on purpose and without a word. A
# range query with a step of 1.5 s is answered for steps of 1 s, so there are more points than were asked for, at other times, and time()
# is not the time that was asked for. The engine by itself, without remote engines, keeps milliseconds.
#
# Seen: time() from 0.25 s to 4.75 s by 1.5 s. The engine: 0.25 1.75 3.25 4.75. The distributed engine: 0 1 2 3 4.
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
	github.com/prometheus/prometheus v0.309.1
	github.com/thanos-io/promql-engine v0.0.0-20260513095632-c5f6038078e3
)
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/thanos-io/promql-engine/api"
	"github.com/thanos-io/promql-engine/engine"
)

func main() {
	opts := engine.Opts{EngineOpts: promql.EngineOpts{
		MaxSamples: 1000, Timeout: time.Minute, NoStepSubqueryIntervalFn: func(int64) int64 { return 60_000 },
	}}
	nothing := storage.QueryableFunc(func(int64, int64) (storage.Querier, error) { return storage.NoopQuerier(), nil })
	start, end, step := time.UnixMilli(250), time.UnixMilli(4750), 1500*time.Millisecond
	ctx := context.Background()
	show := func(name string, q promql.Query, err error) {
		if err != nil {
			panic(err)
		}
		fmt.Print(name)
		for _, series := range q.Exec(ctx).Value.(promql.Matrix) {
			for _, p := range series.Floats {
				fmt.Print(" ", p.F)
			}
		}
		fmt.Println()
	}
	q, err := engine.New(opts).NewRangeQuery(ctx, nothing, nil, "time()", start, end, step)
	show("engine:", q, err)
	q, err = engine.NewDistributedEngine(opts).MakeRangeQuery(ctx, nothing, api.NewStaticEndpoints(nil), nil, "time()", start, end, step)
	show("distributed engine:", q, err)
}
GO
go run . > seen
cat seen
diff seen - <<'EXPECTED'
engine: 0.25 1.75 3.25 4.75
distributed engine: 0 1 2 3 4
EXPECTED
echo "as described"
