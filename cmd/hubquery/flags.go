package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/grafana/regexp"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	webflag "github.com/prometheus/exporter-toolkit/web/kingpinflag"
	"go.yaml.in/yaml/v3"

	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

type options struct {
	web           *web.FlagConfig
	log           *promslog.Config
	shardsFile    string
	shards        []shard.Config // instead of the file
	dns           *shard.DNS     // beside them; nil for none
	httpConfig    string
	silence       time.Duration
	label         string
	users         bool // are known by their passwords
	cors          *regexp.Regexp
	shardRequests int
	timeout       time.Duration
	concurrency   int
	queue         int
	maxSamples    int
	maxSeries     int
	maxMoved      int
	lookback      time.Duration
	defaultStep   time.Duration
	partial       bool
	archive       string
	archiveAfter  time.Duration
	stopTimeout   time.Duration
	collector     string // of spans
	experiments   bool
	pprof         bool
	given         map[string]string // flags, for the API
}

// parse reads the command line. --help and --version end the process.
func parse(args []string) (options, error) {
	o := options{log: &promslog.Config{}}
	app := kingpin.New("hubquery", "Answers PromQL over all shards of a fleet, as one Prometheus with all of their samples would: each shard works out its own part, and the parts are merged.")
	o.web = webflag.AddFlags(app, ":9099")
	app.Flag("shards.file", "YAML file that names the shards; it is read again when it changes.").PlaceHolder("FILE").StringVar(&o.shardsFile)
	var shards []string
	app.Flag("shard", "A shard and its server, or its pair of servers; repeatable, instead of --shards.file.").PlaceHolder("NAME=URL[,URL]").StringsVar(&shards)
	var dns string
	app.Flag("shards.dns", "Name of SRV records of servers that are asked, too: the number at the end of a pod's name is its shard's. A new server is known by it before Kubernetes has written the file.").PlaceHolder("http://NAME").StringVar(&dns)
	app.Flag("shards.http-config.file", "How servers are asked: TLS, passwords and more, in the form of Prometheus' http_config.").PlaceHolder("FILE").StringVar(&o.httpConfig)
	app.Flag("shards.max-requests", "Requests to one shard at a time, of all queries. A Prometheus works on as many by default.").Default("20").IntVar(&o.shardRequests)
	app.Flag("shards.response-timeout", "How long a server may take until it begins to answer; one that is known not to answer is waited for 2s. Less than --query.timeout, so that the rest can be answered.").Default("1m").DurationVar(&o.silence)
	app.Flag("gateway.label", "Label that names a series' gateway, as the hubs have it.").Default("gatewayID").StringVar(&o.label)
	app.Flag("query.timeout", "Time for a query, with waiting for others to end.").Default("2m").DurationVar(&o.timeout)
	app.Flag("query.max-concurrency", "Queries that are answered at a time. The last quarter is for those who have less than an even share.").Default("20").IntVar(&o.concurrency)
	app.Flag("query.max-waiting", "Queries that may wait for others to end, of one user or machine half of them; one more is answered 429.").Default("200").IntVar(&o.queue)
	app.Flag("query.max-samples", "Samples that one query may bring here, from all shards; beyond, 422.").Default("50000000").IntVar(&o.maxSamples)
	app.Flag("query.max-raw-series", "Series of one selector that may be worked out here, since their shards cannot; beyond, 422.").Default("500000").IntVar(&o.maxSeries)
	app.Flag("query.max-moved", "Gateways that moved between shards whose part is worked out from raw series at a time. If there are more, a warning says that rates over their moves are too low.").Default("10000").IntVar(&o.maxMoved)
	app.Flag("query.lookback-delta", "How far a selector looks back for a sample.").Default("5m").DurationVar(&o.lookback)
	app.Flag("query.default-step", "Step of subqueries that name none; a Prometheus takes its evaluation interval.").Default("1m").DurationVar(&o.defaultStep)
	app.Flag("query.partial-response", "Answer with a warning, and not with an error, where a shard does not answer. The parameter partial_response of a request overrides it.").BoolVar(&o.partial)
	app.Flag("query.experimental-functions", "Take PromQL's experimental functions, which the shards must take, too.").BoolVar(&o.experiments)
	app.Flag("archive.url", "A Thanos querier over store gateways, which is asked for what the shards keep no longer.").PlaceHolder("URL").StringVar(&o.archive)
	app.Flag("archive.after", "Age beyond which samples are asked of the archive: less than the servers' retention, and more than it takes to upload a block.").PlaceHolder("TIME").DurationVar(&o.archiveAfter)
	var origin string
	app.Flag("web.cors.origin", "Origins whose pages may ask, as a regular expression that is anchored.").Default(".*").StringVar(&origin)
	app.Flag("web.stop-timeout", "Time for queries that run when the process is told to stop.").Default("30s").DurationVar(&o.stopTimeout)
	app.Flag("web.enable-pprof", "Serve profiles of the process on /debug/pprof/.").BoolVar(&o.pprof)
	app.Flag("tracing.endpoint", "URL of a collector of OpenTelemetry (OTLP over HTTP) that gets a span for each query and for each request to a shard. Variables of OpenTelemetry say more: OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS and so on.").PlaceHolder("URL").StringVar(&o.collector)
	promslogflag.AddFlags(app, o.log)
	app.Version(version.Print("hubquery"))
	app.HelpFlag.Short('h')
	app.UsageWriter(os.Stdout)
	context, err := app.ParseContext(args)
	if err != nil {
		return options{}, err
	}
	if _, err := app.Parse(args); err != nil {
		return options{}, err
	}
	o.given = map[string]string{}
	for _, element := range context.Elements {
		if flag, ok := element.Clause.(*kingpin.FlagClause); ok && element.Value != nil {
			o.given[flag.Model().Name] = *element.Value
		}
	}
	if dns != "" {
		if o.dns, err = shard.ParseDNS(dns); err != nil {
			return o, fmt.Errorf("--shards.dns: %w", err)
		}
	}
	return o, o.settle(shards, origin)
}

// settle reports what single flags cannot show.
func (o *options) settle(shards []string, origin string) error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, text := range shards {
		cfg, err := shard.ParseFlag(text)
		if err != nil {
			fault("--shard: %w", err)
			continue
		}
		o.shards = append(o.shards, cfg)
	}
	switch {
	case o.shardsFile == "" && len(shards) == 0:
		fault("no shard is named: give --shards.file, or --shard=NAME=URL for each")
	case o.shardsFile != "" && len(shards) > 0:
		fault("--shards.file and --shard exclude each other")
	case len(o.shards) > 0:
		if err := shard.Check(o.shards); err != nil {
			fault("--shard: %w", err)
		}
	}
	var err error
	if o.cors, err = regexp.Compile("^(?:" + origin + ")$"); err != nil {
		fault("--web.cors.origin: %w", err)
	}
	if o.users, err = passwords(*o.web.WebConfigFile); err != nil {
		fault("--web.config.file: %w", err)
	}
	if o.label == "" {
		fault("--gateway.label is empty; leave it out for gatewayID")
	}
	for name, n := range map[string]int{
		"query.max-concurrency": o.concurrency, "query.max-waiting": o.queue, "query.max-samples": o.maxSamples,
		"query.max-raw-series": o.maxSeries, "query.max-moved": o.maxMoved,
		"shards.max-requests": o.shardRequests,
	} {
		if n <= 0 {
			fault("--%s is %d, it must be above 0", name, n)
		}
	}
	for name, t := range map[string]time.Duration{
		"shards.response-timeout": o.silence, "query.timeout": o.timeout, "query.lookback-delta": o.lookback, "query.default-step": o.defaultStep,
	} {
		if t < time.Millisecond {
			fault("--%s is %v, it must be 1ms at least", name, t)
		}
	}
	if (o.archive == "") != (o.archiveAfter == 0) {
		fault("--archive.url and --archive.after need each other")
	}
	if u, err := url.Parse(o.collector); o.collector != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		fault("--tracing.endpoint: %q is no URL", o.collector)
	}
	if u, err := url.Parse(o.archive); o.archive != "" && (err != nil || u.Host == "") {
		fault("--archive.url: %q is no URL", o.archive)
	}
	return errors.Join(errs...)
}

// passwords reports whether the users that requests name have shown a password.
func passwords(webConfig string) (bool, error) {
	if webConfig == "" {
		return false, nil
	}
	if err := web.Validate(webConfig); err != nil {
		return false, err
	}
	content, err := os.ReadFile(webConfig)
	if err != nil {
		return false, err
	}
	var file struct {
		Users map[string]string `yaml:"basic_auth_users"`
	}
	err = yaml.Unmarshal(content, &file)
	return len(file.Users) > 0, err
}
