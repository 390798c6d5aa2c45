// Rulekeeper runs beside Thanos' ruler and has it load rules that were checked before,
// and no others.
//
//	rulekeeper --rules='/etc/hubring/rules/chart/*.yaml' --rules='/etc/hubring/rules/volume/*.yaml' \
//	    --to=/data/rules --reload-url=http://localhost:10902/-/reload
//	thanos rule --rule-file='/data/rules/current/*.yaml' ...
//
// A ruler alone does not protect itself: a wrong file makes it exit at start, and at a
// reload takes its own groups away. Rulekeeper looks at the files every --interval.
// If all of them are good it publishes copies, a whole set at once, and tells the
// ruler. If one is bad, nothing changes: the ruler keeps what it has,
// hubring_rules_last_load_successful is 0, and the log and the page on / say which
// file and which line. If the ruler refuses a set, the one before takes its place.
//
// A file is good if Prometheus' own code takes it, unknown fields refused, if its
// partial_response_strategy is one of Thanos', and if the copy, read as Thanos reads
// it, gives the same rules. In the copy, groups that name no strategy get the one of
// --partial-response.
//
// What is published stays in --to, which should outlive the container: after a restart
// with bad sources the set from before is still there. Where none is, the good files
// are published and the bad ones left out. --once does that before the ruler starts,
// and ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	webflag "github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/hubring/hubring/cmd/rulekeeper/internal/check"
	"github.com/hubring/hubring/cmd/rulekeeper/internal/keeper"
	"github.com/hubring/hubring/cmd/rulekeeper/internal/publish"
	"github.com/hubring/hubring/cmd/rulekeeper/internal/ruler"
	"github.com/hubring/hubring/cmd/rulekeeper/internal/source"
)

const (
	stopTime    = 5 * time.Second // for what is under way
	headerTime  = 10 * time.Second
	answerTime  = 30 * time.Second
	idleTime    = 5 * time.Minute                 // longer than scrapes are apart
	experiments = "promql-experimental-functions" // as Thanos calls them
)

type options struct {
	rules    []string
	to       string
	reload   string
	client   string // file with how to log in there
	interval time.Duration
	once     bool
	features []string
	check    check.Config
	limits   source.Limits
	web      *web.FlagConfig
	log      *promslog.Config
}

func main() {
	o, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "rulekeeper: %v; try --help\n", err)
		os.Exit(2)
	}
	logger := promslog.New(o.log)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, o, logger)
	stop()
	if err != nil {
		logger.Error("rulekeeper failed", "error", err)
		os.Exit(1)
	}
}

// parse reads the command line.
func parse(args []string) (options, error) {
	o := options{log: &promslog.Config{}}
	app := kingpin.New("rulekeeper", "Has Thanos' ruler load rules that were checked before, and no others.")
	app.Flag("rules", "Rule files: a pattern as Thanos' --rule-file takes it; repeatable.").Required().PlaceHolder("GLOB").StringsVar(&o.rules)
	app.Flag("to", "Folder to publish in, on a volume that outlives the container. The ruler reads DIR/current/*.yaml.").Required().PlaceHolder("DIR").StringVar(&o.to)
	app.Flag("reload-url", "Where the ruler is told to load its rules, with a POST.").Default("http://localhost:10902/-/reload").StringVar(&o.reload)
	app.Flag("reload-http-config", "HTTP client configuration file for --reload-url, with TLS and basic auth: what Prometheus has in a scrape job.").PlaceHolder("FILE").StringVar(&o.client)
	app.Flag("interval", "How often the rule files are looked at.").Default("30s").DurationVar(&o.interval)
	app.Flag("once", "Publish, tell no ruler, and exit: for an init container. Bad rules are no failure.").BoolVar(&o.once)
	app.Flag("partial-response", "What groups that name no partial_response_strategy get: warn, or nothing with abort and keep. Thanos then aborts: no alert while one server behind the querier does not answer.").Default(string(check.Warn)).EnumVar((*string)(&o.check.Partial), string(check.Warn), string(check.Abort), string(check.Keep))
	app.Flag("enable-feature", "What the ruler's --enable-feature has; repeatable. There is "+experiments+".").PlaceHolder("NAME").EnumsVar(&o.features, experiments)
	app.Flag("limit.file-bytes", "Size of a rule file.").Default("4194304").Int64Var(&o.limits.FileBytes)
	app.Flag("limit.total-bytes", "Size of all rule files together.").Default("33554432").Int64Var(&o.limits.TotalBytes)
	app.Flag("limit.files", "Number of rule files.").Default("1000").IntVar(&o.limits.Files)
	app.Flag("limit.expression-bytes", "Length of one expression.").Default(strconv.Itoa(32 << 10)).IntVar(&o.check.ExpressionBytes)
	o.web = webflag.AddFlags(app, ":10903")
	promslogflag.AddFlags(app, o.log)
	app.Version(version.Print("rulekeeper"))
	app.HelpFlag.Short('h')
	app.UsageWriter(os.Stdout)
	if _, err := app.Parse(args); err != nil {
		return o, err
	}
	o.check.Experimental = len(o.features) > 0
	return o, o.validate()
}

// validate refuses values that would never work.
func (o *options) validate() error {
	if o.interval <= 0 {
		return fmt.Errorf("--interval is %s, it must be above 0", o.interval)
	}
	if o.limits.FileBytes <= 0 || o.limits.TotalBytes <= 0 || o.limits.Files <= 0 || o.check.ExpressionBytes <= 0 {
		return errors.New("a --limit is not above 0")
	}
	return nil
}

// run keeps a ruler's rules until ctx ends, or publishes them once.
func run(ctx context.Context, o options, logger *slog.Logger) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		versioncollector.NewCollector("rulekeeper"),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	k, err := build(o, registry, logger)
	if err != nil {
		return err
	}
	logger.Info("starting rulekeeper", "version", version.Info(), "build_context", version.BuildContext())
	if o.once {
		return k.Once(ctx)
	}
	return serve(ctx, o, k, registry, logger)
}

// build puts a Keeper together.
func build(o options, registry *prometheus.Registry, logger *slog.Logger) (*keeper.Keeper, error) {
	sources, err := source.New(o.rules, o.limits)
	if err != nil {
		return nil, err
	}
	store, err := publish.Open(o.to)
	if err != nil {
		return nil, err
	}
	transport, err := rulerTransport(o.client)
	if err != nil {
		return nil, err
	}
	r, err := ruler.New(o.reload, transport)
	if err != nil {
		return nil, err
	}
	return keeper.New(keeper.Config{
		Sources:    sources,
		Checker:    check.New(o.check),
		Store:      store,
		Ruler:      r,
		Interval:   o.interval,
		Registerer: registry,
		Logger:     logger,
	}), nil
}

// rulerTransport returns how requests go to the ruler, with what the file says if there is one.
func rulerTransport(file string) (http.RoundTripper, error) {
	if file == "" {
		return http.DefaultTransport.(*http.Transport).Clone(), nil
	}
	client, _, err := config.LoadHTTPConfigFile(file)
	if err != nil {
		return nil, fmt.Errorf("read --reload-http-config: %w", err)
	}
	transport, err := config.NewRoundTripperFromConfig(*client, "ruler")
	if err != nil {
		return nil, fmt.Errorf("use --reload-http-config %s: %w", file, err)
	}
	return transport, nil
}

// serve keeps the rules and tells of it, until ctx ends or the address cannot be had.
func serve(ctx context.Context, o options, k *keeper.Keeper, registry *prometheus.Registry, logger *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	mux := http.NewServeMux()
	mux.Handle("/", k.Handler())
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: headerTime, ReadTimeout: headerTime, WriteTimeout: answerTime, IdleTimeout: idleTime}
	served, kept := make(chan error, 1), make(chan struct{})
	go func() { served <- web.ListenAndServe(server, o.web, logger) }()
	go func() { defer close(kept); k.Run(ctx) }()

	var err error
	select {
	case err = <-served:
		cancel()
		<-kept
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	logger.Info("stopping; what is published stays")
	deadline, release := context.WithTimeout(context.Background(), stopTime)
	defer release()
	select {
	case <-kept:
	case <-deadline.Done(): // a check of very many rules; it can end anywhere
	}
	if err := server.Shutdown(deadline); err != nil {
		server.Close()
	}
	if err = <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
