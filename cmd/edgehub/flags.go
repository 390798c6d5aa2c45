package main

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	webflag "github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"github.com/hubring/hubring/edgehub"
)

type options struct {
	hub          edgehub.Config
	serverConfig string // file that says how servers are asked; empty for none
	web          *web.FlagConfig
	scrapeWeb    *web.FlagConfig // without addresses where one door is for all
	grpcWeb      *web.FlagConfig // without addresses where nobody calls
	ancestor     []ancestorsSay
	log          *promslog.Config
	stopTimeout  time.Duration
	handover     handoverOptions
	pprof        bool
	groupsHub    string // the one hub that takes pushes to groups; empty for each
}

// handoverOptions say what a hub that stops does with what its scrapers do not come for.
type handoverOptions struct {
	to    []string      // URLs of other hubs, the first that takes it gets it; none for nothing
	after time.Duration // of the time for a stop; 0 for half of it
	file  string        // that says how another hub is reached; empty for none
}

// twoDoors says whether pushes have a port of their own.
func (o options) twoDoors() bool { return len(*o.scrapeWeb.WebListenAddresses) > 0 }

// calls says whether pushes come by gRPC, too.
func (o options) calls() bool { return len(*o.grpcWeb.WebListenAddresses) > 0 }

// parse reads the command line. --help and --version end the process.
func parse(args []string) (options, error) {
	o := options{log: &promslog.Config{}}
	args, said, err := fromAncestor(args)
	if err != nil {
		return options{}, err
	}
	o.ancestor = said
	app := kingpin.New("edgehub", "Takes the metrics of edge gateways and hands each sample, once, to the Prometheus server that scrapes it.")
	o.web = webflag.AddFlags(app, ":9091")
	d := edgehub.DefaultConfig()
	integer := func(to *int, value int, name, help string) {
		positive(app, name, help, to, value, whole[int])
	}
	bytes := func(to *int64, value int64, name, help string) {
		positive(app, name, help+" In bytes.", to, value, whole[int64])
	}
	duration := func(to *time.Duration, value time.Duration, name, help string) {
		positive(app, name, help, to, value, time.ParseDuration)
	}
	integer(&o.hub.MaxSamples, d.MaxSamples, "limit.samples", "Samples that may wait for a scrape; a push beyond what no scraper has is answered 429, and of several scrapers one that is further behind goes without.")
	integer(&o.hub.MaxSeries, d.MaxSeries, "limit.series", "Series that the hub may know; a push beyond is answered 429.")
	app.Flag("limit.policy", "What a hub does when --limit.samples wait that no scraper has: refuse pushes, so that senders keep what they have, or take the newest and let the oldest go.").Default(string(d.Policy)).EnumVar((*string)(&o.hub.Policy), string(edgehub.Refuse), string(edgehub.Newest))
	integer(&o.hub.MaxGatewaySeries, d.MaxGatewaySeries, "limit.gateway-series", "Series that one gateway may have; a push beyond is answered 429.")
	app.Flag("gateway.label", "Label that names a series' gateway.").Default(d.GatewayLabel).StringVar(&o.hub.GatewayLabel)
	firsts := app.Flag("gateway.first-samples", "Write beside the first samples of a gateway that comes, and each hour, the series edgehub_gateway_first_sample_timestamp_seconds, by which queries over several hubs find gateways that moved.").Default("true").Bool()
	app.Flag("gateway.ends-after", "A gateway that is silent for so many of its own intervals, 30s at least, is ended: its series get stale markers, which a scrape by protobuf carries. 0 for never.").Default(strconv.Itoa(d.EndsAfter)).IntVar(&o.hub.EndsAfter)
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
	app.Flag("scrape.max-bytes", "Bytes of one response before compression; a scraper that is further behind catches up in several. 0 is no bound; VictoriaMetrics and vmagent get at most 15 MiB anyway, since they refuse more than 16.").Default("0").Int64Var(&o.hub.MaxScrapeBytes)
	app.Flag("scrape.cursor", "Name of a scraper, which asks with /metrics?cursor=NAME; repeat it for each server of a pair. Without it there is one scraper, which needs no name.").PlaceHolder("NAME").StringsVar(&o.hub.Cursors)
	var servers []string
	app.Flag("scrape.server", "URL of the Prometheus that scrapes the hub. The hub asks it after each scrape whether it has stored the response, and gives the samples again if not. Where there are several cursors repeat it as NAME=URL. Without it the scraper's connection tells whether a response has arrived, which is not whether it was stored.").PlaceHolder("[NAME=]URL").StringsVar(&servers)
	app.Flag("scrape.server-config.file", "How the servers of --scrape.server are asked: TLS, passwords and more, in the form of Prometheus' http_config. It is read again on SIGHUP; files that it names are read again when they change.").PlaceHolder("FILE").StringVar(&o.serverConfig)
	o.scrapeWeb = &web.FlagConfig{
		WebListenAddresses: app.Flag("scrape.listen-address", "Address of a second port, for whoever takes or looks at samples; --web.listen-address is for pushes alone then. Probes (/-/healthy, /-/ready) are answered at both, without a password, but where a config file asks clients for certificates they need one, too. Repeatable. Without it one port is for all.").PlaceHolder("ADDRESS").Strings(),
		WebConfigFile:      app.Flag("scrape.web.config.file", "What --web.config.file is, for the port of --scrape.listen-address.").PlaceHolder("FILE").String(),
	}
	o.grpcWeb = &web.FlagConfig{
		WebListenAddresses: app.Flag("grpc.listen-address", "Address of a port for who pushes by gRPC, as to a prometheus-edge-hub (/grpc.MetricsController/Collect). Repeatable. Without it nobody can.").PlaceHolder("ADDRESS").Strings(),
		WebConfigFile:      app.Flag("grpc.web.config.file", "What --web.config.file is, for the port of --grpc.listen-address.").PlaceHolder("FILE").String(),
	}
	bytes(&o.hub.MaxMessageBytes, d.MaxMessageBytes, "grpc.max-message-bytes", "Size of a message that is pushed by gRPC, also after decompression; a larger one is answered RESOURCE_EXHAUSTED, as is one larger than --limit.bodies-bytes.")
	duration(&o.hub.MaxAge, d.MaxAge, "scrape.max-age", "Older samples are dropped and counted; keep it below Prometheus' out_of_order_time_window, where that is set.")
	duration(&o.hub.MaxAhead, d.MaxAhead, "scrape.max-ahead", "Samples further in the future are dropped and counted.")
	app.Flag("scrape.openmetrics2", "Answer by OpenMetrics 2.0 whoever likes it best, as Prometheus 3.15 reads it with --enable-feature=openmetrics2. It is a draft, and a later release may read it otherwise.").BoolVar(&o.hub.OpenMetrics2)
	duration(&o.hub.IdleSeries, d.IdleSeries, "series.idle", "A series that was not pushed for so long is forgotten.")
	app.Flag("storage.path", "Directory in which the log is kept as well, so that a hub which is killed goes on where it was: what a push is answered 200 for is there first. One hub at a time has it. Without it the log is in memory and ends with the process.").PlaceHolder("DIR").StringVar(&o.hub.StoragePath)
	app.Flag("storage.sync", "What survives a loss of power; the end of the process loses nothing. always: everything, each push waits for the disk; interval:100ms: what is older than that; os: what the system had written by itself.").Default(d.StorageSync).StringVar(&o.hub.StorageSync)
	app.Flag("limit.storage-bytes", "Size of the log on disk; beyond, a push is answered 503, or with --limit.policy=newest the oldest samples go. In bytes; 0 is no bound, since --limit.samples bounds it as well.").Default("0").Int64Var(&o.hub.MaxStorageBytes)
	remoteWrite := app.Flag("remote-write", "Take Prometheus' remote write, 1.0 and 2.0, on /api/v1/write, within the limits of pushes; a push for which there is no room is answered 503, since senders drop what is answered 429.").Default("true").Bool()
	otlp := app.Flag("otlp", "Take metrics of OpenTelemetry by OTLP over HTTP, in protobuf and JSON, on /v1/metrics, within the limits of pushes; a push for which there is no room is answered 503. They must be cumulative.").Default("true").Bool()
	app.Flag("otlp.translation-strategy", "How names of OTLP become those of Prometheus, as translation_strategy in its own configuration: UnderscoreEscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes, NoUTF8EscapingWithSuffixes or NoTranslation.").Default(d.OTLPStrategy).StringVar(&o.hub.OTLPStrategy)
	promote := app.Flag("otlp.promote-resource-attributes", "Attributes of resources that become labels of all series of theirs, parted by commas. The one that names the gateway (--gateway.label) always does.").PlaceHolder("NAME,…").String()
	app.Flag("otlp.promote-scope-metadata", "Give each series that comes by OTLP the name, version, schema URL and attributes of its scope as labels.").BoolVar(&o.hub.OTLPScopeMetadata)
	pushgateway := app.Flag("pushgateway", "Take pushes to groups as a Pushgateway does, on /metrics/job/JOB/LABEL/VALUE; what is pushed stays, and each scrape gives it without timestamps.").Default("true").Bool()
	app.Flag("pushgateway.hub", "Take them only if this is the --hub.name of the hub, as --no-pushgateway otherwise; for hubs whose flags are the same. A group belongs to one hub, and what one pushes to several comes out several times.").PlaceHolder("NAME").StringVar(&o.groupsHub)
	integer(&o.hub.MaxGroups, d.MaxGroups, "pushgateway.max-groups", "Groups that the hub may hold; a push to one more is answered 429.")
	integer(&o.hub.MaxGroupsSeries, d.MaxGroupsSeries, "pushgateway.max-series", "Series of all groups; a push beyond is answered 429.")
	bytes(&o.hub.MaxGroupsBytes, d.MaxGroupsBytes, "pushgateway.max-bytes", "Size of all groups, as protobuf; a push beyond is answered 429.")
	app.Flag("pushgateway.group-ttl", "Time after its last push when a group is deleted; a push with the header Hubring-Group-TTL says otherwise of its group. 0 for never.").Default("0s").DurationVar(&o.hub.GroupTTL)
	app.Flag("pushgateway.enable-admin-api", "Let whoever may push delete all groups, with PUT /api/v1/admin/wipe.").BoolVar(&o.hub.EnableGroupAdmin)
	app.Flag("hub.name", "Name of the hub on the exporters' ring, such as edgehub-0.edgehub:9091. Each answer says it (header Hubring-Hub), and an exporter that means another hub complains. Without it answers say only that a hub gives them.").PlaceHolder("NAME").StringVar(&o.hub.Name)
	app.Flag("web.enable-lifecycle", "Take POST /-/handover?to=URL, at the port where samples are shown: whoever may ask it has the hub stop taking pushes and hand over what no server has to the hub at any URL.").BoolVar(&o.hub.EnableLifecycle)
	app.Flag("handover.to", "URL of another hub; repeat it for some that are asked in turn. A hub that stops hands over to it what its scrapers have not come for in time, since nobody would have it then. For a hub whose log is in memory, or on a volume that goes away; a stop that leaves samples ends with status 1 then, disk or not.").PlaceHolder("URL").StringsVar(&o.handover.to)
	app.Flag("handover.after", "How long a hub that stops waits for its scrapers before it hands over; 0 for half of --web.stop-timeout.").Default("0s").DurationVar(&o.handover.after)
	app.Flag("handover.config.file", "How another hub is reached: TLS, passwords and more, as --scrape.server-config.file says how servers are.").PlaceHolder("FILE").StringVar(&o.handover.file)
	app.Flag("web.enable-pprof", "Serve profiles of the process on /debug/pprof/, at the port where samples are shown.").BoolVar(&o.pprof)
	app.Flag("web.stop-timeout", "Time for a stop as a whole: after SIGTERM or SIGINT no more pushes are taken, and scrapers get what waits. Give it more than their interval and timeout together. A second signal stops at once. A stop that loses samples ends with status 1.").Default("75s").DurationVar(&o.stopTimeout)
	promslogflag.AddFlags(app, o.log)
	app.Version(version.Print("edgehub"))
	app.HelpFlag.Short('h')
	app.UsageWriter(os.Stdout)
	if _, err := app.Parse(args); err != nil {
		return options{}, err
	}
	o.hub.NoFirstSamples, o.hub.NoPushgateway, o.hub.NoRemoteWrite, o.hub.NoOTLP = !*firsts, !*pushgateway || o.groupsHub != "" && o.groupsHub != o.hub.Name, !*remoteWrite, !*otlp
	for name := range strings.SplitSeq(*promote, ",") {
		if name = strings.TrimSpace(name); name != "" {
			o.hub.OTLPPromote = append(o.hub.OTLPPromote, name)
		}
	}
	return o, o.settle(servers)
}

// settle reads the servers and reports what single flags cannot show.
func (o *options) settle(servers []string) error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, s := range servers {
		if err := o.addServer(s); err != nil {
			errs = append(errs, err)
		}
	}
	if o.hub.GatewayLabel == "" {
		fault("--gateway.label is empty; leave it out for %s", edgehub.DefaultConfig().GatewayLabel)
	}
	if slices.Contains(o.hub.Cursors, "") {
		fault("a --scrape.cursor is empty; leave it out where there is one scraper")
	}
	if o.hub.MaxScrapeBytes < 0 {
		fault("--scrape.max-bytes is %d, it must not be negative; 0 is no bound", o.hub.MaxScrapeBytes)
	}
	if o.hub.MaxStorageBytes < 0 {
		fault("--limit.storage-bytes is %d, it must not be negative; 0 is no bound", o.hub.MaxStorageBytes)
	}
	switch {
	case o.hub.EndsAfter == 0:
		o.hub.EndsAfter = -1 // the library reads 0 as its default
	case o.hub.EndsAfter < 2:
		fault("--gateway.ends-after is %d, it must be 2 at least, since a gateway may be a little late, or 0 for never", o.hub.EndsAfter)
	}
	if o.groupsHub != "" && o.hub.Name == "" {
		fault("--pushgateway.hub is %.100q, and this hub has no name; give it one with --hub.name", o.groupsHub)
	}
	if o.hub.GroupTTL < 0 {
		fault("--pushgateway.group-ttl is %v, it must not be negative; 0 keeps groups until they are deleted", o.hub.GroupTTL)
	}
	if o.stopTimeout < 0 {
		fault("--web.stop-timeout is %v, it must not be negative; 0 stops at once", o.stopTimeout)
	}
	if err := o.handover.settle(o.stopTimeout); err != nil {
		errs = append(errs, err)
	}
	if o.handover.file != "" && len(o.handover.to) == 0 && !o.hub.EnableLifecycle {
		fault("--handover.config.file says how another hub is reached, and none is to be; name one with --handover.to, or set --web.enable-lifecycle")
	}
	if o.serverConfig != "" && len(servers) == 0 {
		fault("--scrape.server-config.file says how servers are asked, and none is named; name one with --scrape.server")
	}
	if *o.grpcWeb.WebConfigFile != "" && !o.calls() {
		fault("--grpc.web.config.file is for a port that there is not; give it an address with --grpc.listen-address")
	}
	if *o.scrapeWeb.WebConfigFile != "" && !o.twoDoors() {
		fault("--scrape.web.config.file is for a second port, which there is not; give it an address with --scrape.listen-address")
	}
	return errors.Join(errs...)
}

// settle checks where it goes, and when.
func (h *handoverOptions) settle(stopTimeout time.Duration) error {
	for _, to := range h.to {
		u, err := url.Parse(to)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("--handover.to has the URL %q, it must be like http://HOST:PORT or https://HOST:PORT", redacted(to))
		}
	}
	if stopTimeout >= 0 && (h.after < 0 || h.after > stopTimeout) {
		return fmt.Errorf("--handover.after is %v, it must be part of --web.stop-timeout, which is %v", h.after, stopTimeout)
	}
	if h.after == 0 {
		h.after = stopTimeout / 2
	}
	return nil
}

// addServer reads one --scrape.server, URL or NAME=URL.
func (o *options) addServer(flag string) error {
	cursors := o.hub.Cursors
	if len(cursors) == 0 {
		cursors = []string{""}
	}
	cursor, address, named := splitServer(flag, cursors)
	switch {
	case named && !slices.Contains(cursors, cursor) && len(o.hub.Cursors) == 0:
		return fmt.Errorf("--scrape.server names the cursor %q, and no cursor has a name; give the URL alone, or the name with --scrape.cursor", cursor)
	case named && !slices.Contains(cursors, cursor):
		return fmt.Errorf("--scrape.server names the cursor %q, which there is not; those of --scrape.cursor are %s", cursor, strings.Join(cursors, ", "))
	case !named && len(cursors) > 1:
		return fmt.Errorf("--scrape.server=%s does not say for which cursor, and there are several (%s); write NAME=URL", redacted(address), strings.Join(cursors, ", "))
	case !named:
		cursor = cursors[0]
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("--scrape.server has the URL %q, it must be like http://HOST:PORT or https://HOST:PORT", redacted(address))
	}
	if _, twice := o.hub.Servers[cursor]; twice {
		if cursor == "" {
			return errors.New("--scrape.server is given twice, and there is one scraper; name the scrapers with --scrape.cursor")
		}
		return fmt.Errorf("--scrape.server is given twice for the cursor %q; a cursor has one server", cursor)
	}
	if o.hub.Servers == nil {
		o.hub.Servers = map[string]edgehub.Server{}
	}
	o.hub.Servers[cursor] = edgehub.Server{URL: address}
	return nil
}

// splitServer parts NAME=URL. Names and URLs may have "=" in them.
func splitServer(flag string, cursors []string) (cursor, address string, named bool) {
	for _, c := range cursors {
		if rest, ok := strings.CutPrefix(flag, c+"="); ok && c != "" && len(c) >= len(cursor) {
			cursor, address, named = c, rest, true
		}
	}
	if named {
		return cursor, address, true
	}
	before, after, ok := strings.Cut(flag, "=")
	if ok && !strings.Contains(before, "://") {
		return before, after, true
	}
	return "", flag, false
}

// redacted is a URL, or what should be one, without a password.
func redacted(address string) string {
	if at := strings.LastIndex(address, "@"); at >= 0 {
		scheme, _, ok := strings.Cut(address[:at], "://")
		if ok {
			return scheme + "://xxxxx" + address[at:]
		}
		return "xxxxx" + address[at:]
	}
	return address
}

// positive adds a flag for a number that must be above 0. The library reads 0 as its
// default, which whoever writes 0 does not mean.
func positive[T int | int64 | time.Duration](app *kingpin.Application, name, help string, to *T, value T, parse func(string) (T, error)) {
	app.Flag(name, help).Default(fmt.Sprint(value)).SetValue(&positiveValue[T]{name, to, value, parse})
}

// positiveValue is a kingpin.Value.
type positiveValue[T int | int64 | time.Duration] struct {
	name  string
	to    *T
	value T // without the flag
	parse func(string) (T, error)
}

func (v *positiveValue[T]) String() string { return fmt.Sprint(*v.to) }

func (v *positiveValue[T]) Set(text string) error {
	n, err := v.parse(text)
	if err != nil {
		return fmt.Errorf("--%s is %q, which is not of the form %v", v.name, text, v.value)
	}
	if n <= 0 {
		return fmt.Errorf("--%s is %s, it must be more than 0; leave it out for %v", v.name, text, v.value)
	}
	*v.to = n
	return nil
}

// whole reads a whole number, also as templates write large ones: 4e+06.
func whole[T int | int64](s string) (T, error) {
	if n, err := strconv.ParseInt(s, 0, 64); err == nil {
		return T(n), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if n := T(f); err == nil && math.Abs(f) < 1<<53 && float64(n) == f {
		return n, nil
	}
	return 0, strconv.ErrSyntax
}
