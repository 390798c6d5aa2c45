// Hubquery answers PromQL over all shards of a fleet, as one Prometheus with all of their samples
// would, and several times as fast: each shard's own Prometheus works out its part.
//
//	hubquery --shard=0=http://prometheus-0:9090 --shard=1=http://prometheus-1:9090
//
// It is asked as a Prometheus is, at http://localhost:9099.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/version"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/hubring/hubring/cmd/hubquery/internal/bounded"
	"github.com/hubring/hubring/cmd/hubquery/internal/engine"
	"github.com/hubring/hubring/cmd/hubquery/internal/gate"
	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
	"github.com/hubring/hubring/cmd/hubquery/internal/web"
)

const (
	headerTime = 10 * time.Second
	bodyTime   = time.Minute
	writeTime  = time.Minute // beyond the query's own
	idleTime   = 5 * time.Minute
	fileEvery  = 5 * time.Second // how often the file of shards is looked at
	spansTime  = 5 * time.Second // for the last spans to be sent
	dnsEvery   = time.Second     // and it and the DNS: exporters may learn of new hubs as quickly
)

func main() {
	o, err := parse(os.Args[1:])
	if err != nil { // with Prometheus' status for it
		fmt.Fprintf(os.Stderr, "hubquery: %v; try --help\n", err)
		os.Exit(2)
	}
	logger := promslog.New(o.log)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, o, logger)
	stop()
	if err != nil {
		logger.Error("hubquery failed", "error", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, o options, logger *slog.Logger) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		versioncollector.NewCollector("hubquery"))
	how := config.DefaultHTTPClientConfig
	if o.httpConfig != "" {
		cfg, _, err := config.LoadHTTPConfigFile(o.httpConfig)
		if err != nil {
			return fmt.Errorf("read %s: %w", o.httpConfig, err)
		}
		how = *cfg
	}
	shards, err := shard.New(how, registry, logger)
	if err != nil {
		return err
	}
	shards.Silence = o.silence
	shards.MostRequests = o.shardRequests
	stopTracing, err := startTracing(ctx, o.collector, logger)
	if err != nil {
		return err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), spansTime)
		defer cancel()
		if err := stopTracing(last); err != nil {
			logger.Warn("the last spans were not sent", "error", err)
		}
	}()
	f := newFollower(o.shardsFile, shards, registry, logger)
	f.dns = o.dns
	if err := f.begin(o.shards); err != nil {
		return err
	}
	promql := bounded.Parser{Parser: parser.NewParser(parser.Options{EnableExperimentalFunctions: o.experiments})}
	engineConfig := engine.Config{
		Shards: shards, GatewayLabel: o.label, Timeout: o.timeout, Lookback: o.lookback, DefaultStep: o.defaultStep,
		MaxSamples: o.maxSamples, MaxSeries: o.maxSeries, MaxMoved: o.maxMoved, ArchiveAfter: o.archiveAfter,
		Parser: promql, Registerer: registry, Logger: logger, Now: time.Now,
	}
	if o.archive != "" {
		if engineConfig.Archive, err = shards.Archive(o.archive); err != nil {
			return err
		}
	}
	var stopping atomic.Bool
	handler := web.New(web.Config{
		Engine: engine.New(engineConfig), Shards: shards, Gate: gate.New(o.concurrency, o.queue, registry), Parser: promql,
		Partial: o.partial, Timeout: o.timeout, Lookback: o.lookback, MaxSamples: o.maxSamples, MaxSeries: o.maxSeries,
		Label: o.label, Users: o.users, Flags: o.given, CORSOrigin: o.cors,
		Ready:    func() bool { return !stopping.Load() && shards.Answered() },
		Registry: registry, Logger: logger,
	})
	if o.pprof {
		handler = withPprof(handler)
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTime, ReadTimeout: bodyTime, IdleTimeout: idleTime,
		WriteTimeout: o.timeout + writeTime, // so that nobody who does not read his answer keeps his room
		ErrorLog:     slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	var working sync.WaitGroup
	defer working.Wait()
	work, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	working.Go(func() { shards.Run(work) })
	working.Go(func() { f.follow(work) })
	logger.Info("hubquery starts", "version", version.Info(), "shards", len(shards.All()))
	ended := make(chan error, 1)
	go func() { ended <- toolkit.ListenAndServe(server, o.web, logger) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	stopping.Store(true)
	logger.Info("hubquery stops", "timeout", o.stopTimeout)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.stopTimeout)
	defer cancel()
	if err := server.Shutdown(last); err != nil {
		logger.Warn("queries were cut off", "error", err)
		server.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func withPprof(handler http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
