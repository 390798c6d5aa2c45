#!/usr/bin/env bash
# Prometheus 3.15 (github.com/prometheus/prometheus v0.315.0), query API: a step in seconds with a fraction may be
# cut by a millisecond, because it is multiplied as a floating point number and what lies behind the
# nanosecond is thrown away. step=33.51 becomes 33.509 s, so the points of a range drift from where they
# were asked for. The same step as a duration, 33510ms, is exact. So is step=345.6.
#
# Seen: the second point of a range that begins at 0, in seconds: 33.509 for 33.51, 33.51 for 33510ms, 345.6 for 345.6.
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
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	v1 "github.com/prometheus/prometheus/web/api/v1"
)

type nothing struct{}

func (nothing) Querier(int64, int64) (storage.Querier, error) { return storage.NoopQuerier(), nil }

func (nothing) ChunkQuerier(int64, int64) (storage.ChunkQuerier, error) {
	return storage.NoopChunkedQuerier(), nil
}

func main() {
	logger := slog.New(slog.DiscardHandler)
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1000, Timeout: time.Minute})
	api := v1.NewAPI(engine, nothing{}, nil, nil, nil, nil, nil, nil,
		func() config.Config { return config.DefaultConfig }, nil, v1.GlobalURLOptions{},
		func(f http.HandlerFunc) http.HandlerFunc { return f },
		nil, "", false, false, 0, logger, nil, 1000, 10, 1<<20, false, nil,
		func() (v1.RuntimeInfo, error) { return v1.RuntimeInfo{}, nil }, &v1.PrometheusVersion{},
		nil, nil, prometheus.NewRegistry(), prometheus.NewRegistry(), nil,
		false, nil, false, false, false, false, 5*time.Minute, false, false, nil, nil, v1.OpenAPIOptions{}, nil)
	router := route.New()
	api.Register(router.WithPrefix("/api/v1"))
	for _, step := range []string{"33.51", "33510ms", "345.6"} {
		w := httptest.NewRecorder()
		router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/query_range?query=time()&start=0&end=1000&step="+step, nil))
		var answer struct {
			Data struct{ Result []struct{ Values [][2]any } }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			panic(err)
		}
		fmt.Println(step, "->", answer.Data.Result[0].Values[1][0])
	}
}
GO
go run . > seen
cat seen
diff seen - <<'EXPECTED'
33.51 -> 33.509
33510ms -> 33.51
345.6 -> 345.6
EXPECTED
echo "as described"
