// Package api serves Prometheus' query API over several shards at once.
//
//	Grafana, promtool, curl ──► /api/v1 (Prometheus' web/api/v1)
//	                               │ PromQL engine
//	                               ▼
//	                            merged ──► shard 0, shard 1, ... (package shard)
package api

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/notifications"
	v1 "github.com/prometheus/prometheus/web/api/v1"

	"github.com/hubring/hubring/cmd/demo/stack/shard"
)

const (
	queryTimeout  = 2 * time.Minute
	maxSamples    = 50_000_000      // a query may hold at a time: Prometheus' default
	lookback      = 5 * time.Minute // Prometheus' default
	maxReadBytes  = 1 << 20         // in one frame of a remote read: Prometheus' default
	maxReads      = 10              // remote reads at a time: Prometheus' default
	maxReadFloats = 50_000_000      // samples in one remote read: Prometheus' default
)

// Lookback is how far back an instant query looks for a series' last sample.
const Lookback = lookback

// Handler returns a handler of Prometheus' query API over at least one shard.
// The shards must stay open while it serves. Host is the host:port that it is
// served on. A nil logger drops the engine's warnings.
func Handler(shards []*shard.Shard, host string, logger *slog.Logger) http.Handler {
	if logger == nil {
		logger = promslog.NewNopLogger()
	}
	router := route.New().WithPrefix("/api/v1")
	newAPI(shards, host, logger).Register(router)

	mux := http.NewServeMux()
	mux.Handle("/api/v1/", router)
	mux.HandleFunc("GET /{$}", welcome(host, len(shards)))
	for _, path := range []string{"/-/healthy", "/-/ready"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			writeText(w, "The demo's query API is up.\n")
		})
	}
	return mux
}

func newAPI(shards []*shard.Shard, host string, logger *slog.Logger) *v1.API {
	queries := parser.NewParser(parser.Options{})
	registry := prometheus.NewRegistry()
	engine := promql.NewEngine(promql.EngineOpts{
		Logger:                   logger,
		Reg:                      registry,
		MaxSamples:               maxSamples,
		Timeout:                  queryTimeout,
		LookbackDelta:            lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		Parser:                   queries,
	})
	return v1.NewAPI(
		engine,
		merged(shards),
		nil, nil, // nothing may be written through the API
		noExemplars{},
		func(context.Context) v1.ScrapePoolsRetriever { return targets(shards) },
		func(context.Context) v1.TargetRetriever { return targets(shards) },
		func(context.Context) v1.AlertmanagerRetriever { return nothing{} },
		func() config.Config { return shards[0].Config() },
		map[string]string{},
		v1.GlobalURLOptions{ListenAddress: host, Host: host, Scheme: "http"},
		func(h http.HandlerFunc) http.HandlerFunc { return h }, // always ready
		stores{},
		"",    // no directory of one TSDB
		false, // no admin API
		false, // no search API
		0,
		logger,
		func(context.Context) v1.RulesRetriever { return nothing{} },
		maxReadFloats,
		maxReads,
		maxReadBytes,
		false, // no agent
		regexp.MustCompile("^.*$"),
		runtimeInfo(time.Now()),
		buildInfo(),
		func() []notifications.Notification { return nil },
		func() (<-chan notifications.Notification, func(), bool) { return nil, nil, false },
		registry,
		registry,
		nil,   // the default statistics
		false, // no remote write
		nil,
		false, false, false, // no OTLP
		false, // no zero samples at start timestamps
		lookback,
		false, // no type and unit labels
		false, // no metadata in the WAL
		nil,
		nil,
		v1.OpenAPIOptions{ExternalURL: "http://" + host},
		queries,
	)
}

func welcome(host string, shards int) http.HandlerFunc {
	text := fmt.Sprintf(`Hubring's demo: Prometheus' query API over %d shards, as one.

It serves no pages. Point Grafana's Prometheus data source or promtool at
http://%s, or ask with curl:

  promtool query instant http://%[2]s 'count({gatewayID!=""})'
  curl -s http://%[2]s/api/v1/query --data-urlencode 'query=count by (gatewayID) ({gatewayID!=""})'
  curl -s http://%[2]s/api/v1/labels
  curl -s http://%[2]s/api/v1/label/gatewayID/values
  curl -s http://%[2]s/api/v1/targets
`, shards, host)
	return func(w http.ResponseWriter, _ *http.Request) { writeText(w, text) }
}

func writeText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	// A client that has gone is no one to report an error to.
	_, _ = io.WriteString(w, text)
}
