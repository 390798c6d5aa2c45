// Edgehub takes the metrics of edge gateways and hands each sample, once, to the
// Prometheus server that scrapes it.
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
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	webflag "github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/hubring/hubring/edgehub"
)

type options struct {
	hub         edgehub.Config
	web         *web.FlagConfig
	log         *promslog.Config
	stopTimeout time.Duration
	pprof       bool
}

func main() {
	o := parse(os.Args[1:])
	logger := promslog.New(o.log)
	stop, now := signals()
	if err := run(stop, now, o, logger); err != nil {
		logger.Error("edgehub failed", "error", err)
		os.Exit(1)
	}
}

// signals returns a context that ends with the first SIGTERM or SIGINT, and one
// that ends with the second. They are for the whole life of the process.
func signals() (stop, now context.Context) {
	stop, first := context.WithCancel(context.Background())
	now, second := context.WithCancelCause(context.Background())
	told := make(chan os.Signal, 2)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-told
		first()
		<-told
		second(errHurry)
	}()
	return stop, now
}

var errHurry = errors.New("told a second time to stop")

// parse reads the command line; a wrong one ends the process with status 2, as
// it does in Prometheus.
func parse(args []string) options {
	o := options{log: &promslog.Config{}}
	app := kingpin.New("edgehub", "Takes the metrics of edge gateways and hands each sample, once, to the Prometheus server that scrapes it.")
	o.web = webflag.AddFlags(app, ":9091")
	d := edgehub.DefaultConfig()
	integer := func(to *int, value int, name, help string) {
		app.Flag(name, help).Default(strconv.Itoa(value)).IntVar(to)
	}
	bytes := func(to *int64, value int64, name, help string) {
		app.Flag(name, help+" In bytes.").Default(strconv.FormatInt(value, 10)).Int64Var(to)
	}
	duration := func(to *time.Duration, value time.Duration, name, help string) {
		app.Flag(name, help).Default(value.String()).DurationVar(to)
	}
	integer(&o.hub.MaxSamples, d.MaxSamples, "limit.samples", "Samples that may wait for a scrape; a push beyond is answered 429.")
	integer(&o.hub.MaxSeries, d.MaxSeries, "limit.series", "Series that the hub may know; a push beyond is answered 429.")
	app.Flag("limit.policy", "What a hub does when --limit.samples wait: refuse pushes, so that senders keep what they have, or take the newest and let the oldest go.").Default(string(d.Policy)).EnumVar((*string)(&o.hub.Policy), string(edgehub.Refuse), string(edgehub.Newest))
	integer(&o.hub.MaxGatewaySeries, d.MaxGatewaySeries, "limit.gateway-series", "Series that one gateway may have; a push beyond is answered 429.")
	app.Flag("gateway.label", "Label that names a series' gateway.").Default(d.GatewayLabel).StringVar(&o.hub.GatewayLabel)
	bytes(&o.hub.MaxTableBytes, d.MaxTableBytes, "limit.table-bytes", "Text of all series and their metadata; a push beyond is answered 429.")
	integer(&o.hub.MaxLabels, d.MaxLabels, "limit.labels", "Labels that a series may have.")
	integer(&o.hub.MaxSeriesBytes, d.MaxSeriesBytes, "limit.series-bytes", "Length of a series as it is written, name and labels, and of a HELP or TYPE line.")
	bytes(&o.hub.MaxBodyBytes, d.MaxBodyBytes, "limit.body-bytes", "Size of a push, also after decompression; a larger one is answered 413.")
	bytes(&o.hub.MaxBodiesBytes, d.MaxBodiesBytes, "limit.bodies-bytes", "Memory for all pushes that are being read or taken in; one that finds no room is answered 503. Give it twice --limit.body-bytes at least.")
	integer(&o.hub.MaxPushes, d.MaxPushes, "limit.pushes", "Pushes that are taken in at the same time; one more is answered 503.")
	integer(&o.hub.MaxConnections, d.MaxConnections, "limit.connections", "Open connections of senders, idle or not; a push on one more is answered 503. Scrapers, probes and whoever looks have 64 more.")
	duration(&o.hub.HeaderTimeout, d.HeaderTimeout, "limit.header-time", "Time in which the header of a request must be there.")
	duration(&o.hub.BodyTimeout, d.BodyTimeout, "limit.body-time", "Time in which a push must be there; one that takes longer, or pauses for more than 10s, is answered 408.")
	integer(&o.hub.MaxScrapeSamples, d.MaxScrapeSamples, "scrape.max-samples", "Samples of one response; a scraper that is further behind catches up in several, the oldest first.")
	app.Flag("scrape.cursor", "Name of a scraper, which asks with /metrics?cursor=NAME; repeat it for each server of a pair. Without it there is one scraper, which needs no name.").PlaceHolder("NAME").StringsVar(&o.hub.Cursors)
	duration(&o.hub.MaxAge, d.MaxAge, "scrape.max-age", "Older samples are dropped and counted; keep it below Prometheus' out_of_order_time_window, where that is set.")
	duration(&o.hub.MaxAhead, d.MaxAhead, "scrape.max-ahead", "Samples further in the future are dropped and counted.")
	duration(&o.hub.IdleSeries, d.IdleSeries, "series.idle", "A series that was not pushed for so long is forgotten.")
	app.Flag("web.enable-pprof", "Serve profiles of the process on /debug/pprof/.").BoolVar(&o.pprof)
	app.Flag("web.stop-timeout", "Time for a stop as a whole: after SIGTERM or SIGINT no more pushes are taken, and scrapers get what waits. Give it more than their interval and timeout together. A second signal stops at once.").Default("75s").DurationVar(&o.stopTimeout)
	promslogflag.AddFlags(app, o.log)
	app.Version(version.Print("edgehub"))
	app.HelpFlag.Short('h')
	app.UsageWriter(os.Stdout)
	if _, err := app.Parse(args); err != nil {
		fmt.Fprintf(os.Stderr, "edgehub: %v; try --help\n", err)
		os.Exit(2)
	}
	return o
}

// withPprof serves /debug/pprof/ beside the hub.
func withPprof(hub http.Handler) http.Handler {
	const path = "/debug/pprof/"
	profiles := http.NewServeMux()
	profiles.HandleFunc(path, pprof.Index)
	profiles.HandleFunc(path+"cmdline", pprof.Cmdline)
	profiles.HandleFunc(path+"profile", pprof.Profile)
	profiles.HandleFunc(path+"symbol", pprof.Symbol)
	profiles.HandleFunc(path+"trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, path) {
			profiles.ServeHTTP(w, r)
			return
		}
		hub.ServeHTTP(w, r)
	})
}

// run serves a hub until stop ends. Then it has the time that the options say to let
// scrapers take what waits, and what is under way finish, unless now ends, too.
func run(stop, now context.Context, o options, logger *slog.Logger) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		versioncollector.NewCollector("edgehub"),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	o.hub.Registerer, o.hub.Logger = registry, logger
	hub, err := edgehub.New(o.hub)
	if err != nil {
		return err
	}
	logger.Info("starting edgehub", "version", version.Info(), "build_context", version.BuildContext())

	server := hub.HTTPServer()
	if o.pprof {
		server.Handler = withPprof(server.Handler)
	}
	served := make(chan error, 1)
	go func() { served <- web.ListenAndServe(server, o.web, logger) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-stop.Done():
	}

	logger.Info("stopping; no more pushes are taken, scrapers may take what waits; once more to stop at once", "timeout", o.stopTimeout)
	deadline, cancel := context.WithTimeout(now, o.stopTimeout)
	defer cancel()
	if err := hub.Drain(deadline); err != nil {
		logger.Warn("stopping without the rest", "error", err)
	}
	if err := server.Shutdown(deadline); err != nil {
		logger.Warn("requests were cut off", "error", err)
		server.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	stats := hub.Stats()
	if stats.Pending > 0 {
		logger.Warn("stopped with samples that no scrape had taken; they are gone", "samples", stats.Pending, "series", stats.Series)
	} else {
		logger.Info("stopped; every sample was scraped", "samples", stats.Received)
	}
	return nil
}
