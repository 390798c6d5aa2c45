package edgehub

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hubring/hubring/edgehub/internal/journal"
	"github.com/hubring/hubring/internal/decode/otlp"
	"github.com/hubring/hubring/internal/exposition"
)

// Config says how a Hub behaves. The zero value of every field means its
// default.
type Config struct {
	// MaxSamples bounds the samples that wait for a scraper. Those on their way to it
	// have room besides, as much as one response has. Where one of several is behind, what another one has got makes room for a push; beyond what no scraper
	// has, Policy says what happens. Default 4,000,000, about 80 MB; what has
	// waited for two minutes takes some 10 MB.
	MaxSamples int
	// MaxSeries bounds the series that the hub knows. A push that brings one
	// more is refused with 429. Default 1,000,000.
	MaxSeries int
	// MaxGatewaySeries bounds the series of one gateway; those of no gateway
	// are bounded by MaxSeries only. Default 10,000.
	MaxGatewaySeries int
	// GatewayLabel is the label whose value names a series' gateway. Default
	// "gatewayID".
	GatewayLabel string
	// MaxTableBytes bounds the text of all series, their other spellings and
	// the HELP and TYPE lines together. Default 1 GiB.
	MaxTableBytes int64
	// Policy says what happens to a push when MaxSamples wait that no scraper has.
	// Default Refuse.
	Policy Policy
	// MaxLabels bounds the labels of a series. Default 64.
	MaxLabels int
	// MaxSeriesBytes bounds the length of a series as it is written, and of a
	// HELP or TYPE line. Default 8 KiB.
	MaxSeriesBytes int
	// MaxBodyBytes bounds the body of a push, after decompression as well.
	// Default 64 MiB.
	MaxBodyBytes int64
	// MaxMessageBytes bounds a message that is pushed by gRPC (Hub.GRPCServer), likewise. One larger than MaxBodiesBytes finds no
	// room, whatever is said here. Default 64 MiB.
	MaxMessageBytes int64
	// MaxBodiesBytes bounds the memory of the bodies that are being read or taken
	// in at the same time, together; a compressed one counts beside its text.
	// A push that finds no room is refused with 503. Default 256 MiB.
	MaxBodiesBytes int64
	// MaxPushes bounds the pushes whose bodies are taken in at the same time.
	// One more is refused with 503. Default 64.
	MaxPushes int
	// MaxConnections bounds the connections of senders. A push on one more is
	// refused with 503. Scrapers and probes get through. Default 1,024.
	MaxConnections int
	// HeaderTimeout and BodyTimeout bound the reading of a request. Defaults 10
	// seconds and 1 minute.
	HeaderTimeout, BodyTimeout time.Duration
	// MaxScrapeSamples bounds the samples of one response; a scraper that is
	// further behind catches up in several, the oldest first. Default 2,000,000.
	MaxScrapeSamples int
	// MaxScrapeBytes bounds the bytes of one response, before it is compressed. Default
	// none; VictoriaMetrics and vmagent get at most 15 MiB, since they refuse more than 16.
	MaxScrapeBytes int64
	// MaxAge is the age beyond which a sample is dropped rather than scraped:
	// a sample older than Prometheus' out_of_order_time_window would fail the
	// whole scrape. Default 1 hour.
	MaxAge time.Duration
	// MaxAhead is how far in the future a sample may lie to be scraped.
	// Default 10 minutes, which is what Prometheus accepts.
	MaxAhead time.Duration
	// OpenMetrics2 has scrapers that like it best answered by OpenMetrics 2.0, as Prometheus 3.15 reads it
	// with its feature openmetrics2: a draft, which a later release may read otherwise. Default false.
	OpenMetrics2 bool
	// IdleSeries is how long a series stays known after its last sample was
	// scraped. Default 1 hour.
	IdleSeries time.Duration
	// NoFirstSamples makes the hub write nothing into its log when gateways come, so that what comes out is what
	// was pushed and markers. Queries over several hubs find gateways that moved by what it writes, the
	// series edgehub_gateway_first_sample_timestamp_seconds; who asks one server, or drains by other means, does not need it.
	NoFirstSamples bool
	// EndsAfter is after how many of its own intervals a gateway that was silent is ended, that is, its
	// series get stale markers; 30 seconds at least, and only after it pushed for four intervals. Default 3;
	// below 0 for never. It is at least 2.
	EndsAfter int
	// StoragePath is a directory in which the log is kept as well, which survives the process: what a push is
	// answered 200 for is there first. One hub at a time has it. Default none: the log is in memory alone.
	StoragePath string
	// StorageSync says what survives a loss of power, besides: "always" loses nothing, and each group of pushes waits for the disk;
	// "interval:100ms" loses what came in so long at most; "os" what the system had not written by itself.
	// Default "interval:100ms".
	StorageSync string
	// MaxStorageBytes bounds the log on disk. A push beyond it is refused with 503, or with the policy Newest the oldest samples go. Default 0, no bound of its own:
	// MaxSamples bounds it as well, at some 10 bytes a sample and the names of series in each segment of 64 MiB.
	MaxStorageBytes int64
	// NoRemoteWrite makes the hub answer 404 to remote write. Default false.
	NoRemoteWrite bool
	// NoOTLP makes the hub answer 404 to OTLP. Default false.
	NoOTLP bool
	// OTLPStrategy says how names of OTLP become those of Prometheus, with the words of its translation_strategy. Default
	// "UnderscoreEscapingWithSuffixes".
	OTLPStrategy string
	// OTLPPromote names attributes of resources that become labels of all series of theirs. One of the name of GatewayLabel always does. Default none.
	OTLPPromote []string
	// OTLPScopeMetadata gives each series that comes by OTLP the name, version, schema URL and attributes of its scope as labels. Default false.
	OTLPScopeMetadata bool
	// NoPushgateway makes the hub answer 404 to pushes to groups, as to a Pushgateway. What was pushed to groups stays, and each scraper
	// gets it with each scrape, without timestamps. Default false.
	NoPushgateway bool
	// MaxGroups bounds the groups, MaxGroupsSeries and MaxGroupsBytes what all of them hold. A push beyond is refused
	// with 429. Defaults 20,000, 200,000 and 128 MiB.
	MaxGroups, MaxGroupsSeries int
	MaxGroupsBytes             int64
	// GroupTTL is how long a group stays after its last push; a push may say otherwise of its group (header Hubring-Group-TTL). Default 0, for ever.
	GroupTTL time.Duration
	// EnableGroupAdmin lets whoever may push delete all groups (PUT /api/v1/admin/wipe). Default false.
	EnableGroupAdmin bool
	// Cursors names the scrapers; each gets every sample once and asks for
	// its own with /metrics?cursor=NAME. Default one scraper, which need not
	// say its name.
	Cursors []string
	// Servers says for a cursor which Prometheus scrapes it. The hub asks it after each
	// scrape whether the response is stored, and else gives the samples again. Without
	// one a scraper's connection tells whether it has read a response, which is not
	// whether it has stored it. Default none.
	Servers map[string]Server
	// EnableLifecycle lets whoever may take samples have the hub hand over what it has (POST /-/handover), which ends its taking pushes and
	// sends samples to any URL. Default false.
	EnableLifecycle bool
	// HandoverClient is how another hub is reached to which this one hands over, for TLS and passwords. It follows no redirects. Default one
	// with http.DefaultTransport.
	HandoverClient *http.Client
	// Name is the hub's name on the exporters' ring, which each answer says beside the version
	// (header Hubring-Hub), so that an exporter notices that it talks to another hub than it means.
	// Printable ASCII. Default none.
	Name string
	// Version is that of the program, for the same header. Default "unknown".
	Version string
	// Registerer takes the hub's own metrics, and /internal serves them if it
	// is a Gatherer as well. Default a new registry.
	Registerer prometheus.Registerer
	// Logger is where the hub logs. Default slog.Default().
	Logger *slog.Logger
}

// Server is a Prometheus that can be asked over its HTTP API.
type Server struct {
	URL    string       // where its web pages are, such as http://localhost:9090
	Client *http.Client // nil for one without TLS settings and passwords
}

// Policy says what a full hub does.
type Policy string

const (
	// Refuse answers 429: nothing acknowledged is let go, and the sender keeps
	// what it has. A push without samples, by which an exporter tries a hub, is refused
	// likewise, and from the first refusal on until an eighth of MaxSamples is free.
	Refuse Policy = "refuse"
	// Newest takes the push and lets the oldest samples go, and counts them. Only
	// a gateway that floods is refused.
	Newest Policy = "newest"
)

const maxCursors = 64

// DefaultConfig returns the defaults of the bounds and times.
func DefaultConfig() Config {
	return Config{
		MaxSamples:       4_000_000,
		MaxSeries:        1_000_000,
		MaxGatewaySeries: 10_000,
		GatewayLabel:     "gatewayID",
		MaxTableBytes:    1 << 30,
		Policy:           Refuse,
		MaxLabels:        exposition.DefaultLimits.Labels,
		MaxSeriesBytes:   exposition.DefaultLimits.SeriesBytes,
		MaxBodyBytes:     64 << 20,
		MaxMessageBytes:  64 << 20,
		MaxBodiesBytes:   256 << 20,
		MaxPushes:        64,
		MaxConnections:   1024,
		HeaderTimeout:    10 * time.Second,
		BodyTimeout:      time.Minute,
		MaxScrapeSamples: 2_000_000,
		MaxAge:           time.Hour,
		MaxAhead:         10 * time.Minute,
		IdleSeries:       time.Hour,
		EndsAfter:        3,
		StorageSync:      "interval:100ms",
		OTLPStrategy:     otlp.Strategies[0],
		MaxGroups:        20_000,
		MaxGroupsSeries:  200_000,
		MaxGroupsBytes:   128 << 20,
	}
}

func (c Config) withDefaults() Config {
	d := DefaultConfig()
	setDefault(&c.MaxSamples, d.MaxSamples)
	setDefault(&c.MaxSeries, d.MaxSeries)
	setDefault(&c.MaxGatewaySeries, d.MaxGatewaySeries)
	setDefault(&c.GatewayLabel, d.GatewayLabel)
	setDefault(&c.MaxTableBytes, d.MaxTableBytes)
	setDefault(&c.Policy, d.Policy)
	setDefault(&c.MaxLabels, d.MaxLabels)
	setDefault(&c.MaxSeriesBytes, d.MaxSeriesBytes)
	setDefault(&c.MaxBodyBytes, d.MaxBodyBytes)
	setDefault(&c.MaxMessageBytes, d.MaxMessageBytes)
	setDefault(&c.MaxBodiesBytes, d.MaxBodiesBytes)
	setDefault(&c.MaxPushes, d.MaxPushes)
	setDefault(&c.MaxConnections, d.MaxConnections)
	setDefault(&c.HeaderTimeout, d.HeaderTimeout)
	setDefault(&c.BodyTimeout, d.BodyTimeout)
	setDefault(&c.MaxScrapeSamples, d.MaxScrapeSamples)
	setDefault(&c.MaxAge, d.MaxAge)
	setDefault(&c.MaxAhead, d.MaxAhead)
	setDefault(&c.IdleSeries, d.IdleSeries)
	setDefault(&c.EndsAfter, d.EndsAfter)
	setDefault(&c.StorageSync, d.StorageSync)
	setDefault(&c.OTLPStrategy, d.OTLPStrategy)
	setDefault(&c.MaxGroups, d.MaxGroups)
	setDefault(&c.MaxGroupsSeries, d.MaxGroupsSeries)
	setDefault(&c.MaxGroupsBytes, d.MaxGroupsBytes)
	if len(c.Cursors) == 0 {
		c.Cursors = []string{""}
	}
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	if c.HandoverClient == nil {
		c.HandoverClient = &http.Client{}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// otlp is what reads OTLP, or nil.
func (c Config) otlp() (*otlp.Translator, error) {
	if c.NoOTLP {
		return nil, nil
	}
	return otlp.New(otlp.Config{Strategy: c.OTLPStrategy, Promote: c.OTLPPromote, Gateway: c.GatewayLabel, ScopeMetadata: c.OTLPScopeMetadata})
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate reports every fault of a config with defaults.
func (c Config) validate() error {
	var errs []error
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"MaxSamples", int64(c.MaxSamples)},
		{"MaxSeries", int64(c.MaxSeries)},
		{"MaxGatewaySeries", int64(c.MaxGatewaySeries)},
		{"MaxTableBytes", c.MaxTableBytes},
		{"MaxLabels", int64(c.MaxLabels)},
		{"MaxSeriesBytes", int64(c.MaxSeriesBytes)},
		{"MaxBodyBytes", c.MaxBodyBytes},
		{"MaxMessageBytes", c.MaxMessageBytes},
		{"MaxBodiesBytes", c.MaxBodiesBytes},
		{"MaxPushes", int64(c.MaxPushes)},
		{"MaxConnections", int64(c.MaxConnections)},
		{"HeaderTimeout", int64(c.HeaderTimeout)},
		{"BodyTimeout", int64(c.BodyTimeout)},
		{"MaxScrapeSamples", int64(c.MaxScrapeSamples)},
		{"MaxScrapeBytes", c.MaxScrapeBytes},
		{"MaxAge", int64(c.MaxAge)},
		{"MaxAhead", int64(c.MaxAhead)},
		{"IdleSeries", int64(c.IdleSeries)},
		{"MaxStorageBytes", c.MaxStorageBytes},
		{"MaxGroups", int64(c.MaxGroups)},
		{"MaxGroupsSeries", int64(c.MaxGroupsSeries)},
		{"MaxGroupsBytes", c.MaxGroupsBytes},
		{"GroupTTL", int64(c.GroupTTL)},
	} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("%s is %d, it must not be negative", n.name, n.value))
		}
	}
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"MaxSamples", int64(c.MaxSamples)}, {"MaxSeries", int64(c.MaxSeries)}, {"MaxScrapeSamples", int64(c.MaxScrapeSamples)}, {"MaxBodyBytes", c.MaxBodyBytes},
	} {
		if n.value > math.MaxInt32/2 {
			errs = append(errs, fmt.Errorf("%s is %d, at most %d is possible", n.name, n.value, math.MaxInt32/2))
		}
	}
	if !exposition.IsHubName(c.Name) {
		errs = append(errs, fmt.Errorf("the name is %.100q, it must be printable ASCII without a blank at either end, of at most %d bytes", c.Name, exposition.MaxHubName))
	}
	if c.Policy != Refuse && c.Policy != Newest {
		errs = append(errs, fmt.Errorf("the policy is %q, it must be %q or %q", c.Policy, Refuse, Newest))
	}
	if c.EndsAfter == 1 || c.EndsAfter > math.MaxInt16 {
		errs = append(errs, fmt.Errorf("EndsAfter is %d, it must be from 2 to %d, since a gateway may be a little late, or below 0 for never", c.EndsAfter, math.MaxInt16))
	}
	if _, err := journal.ParseSync(c.StorageSync); err != nil {
		errs = append(errs, fmt.Errorf("StorageSync: %w", err))
	}
	if c.MaxBodiesBytes < c.MaxBodyBytes {
		errs = append(errs, fmt.Errorf("MaxBodiesBytes is %d, which is less than MaxBodyBytes, %d", c.MaxBodiesBytes, c.MaxBodyBytes))
	}
	if len(c.Cursors) > maxCursors {
		errs = append(errs, fmt.Errorf("%d cursors are named, at most %d are possible", len(c.Cursors), maxCursors))
	}
	seen := map[string]bool{}
	for _, name := range c.Cursors {
		if seen[name] {
			errs = append(errs, fmt.Errorf("cursor %q is named twice", name))
		}
		if name == "" && len(c.Cursors) > 1 {
			errs = append(errs, errors.New("with several cursors each needs a name"))
		}
		seen[name] = true
	}
	for cursor := range c.Servers {
		if !seen[cursor] {
			errs = append(errs, fmt.Errorf("a server is named for cursor %q, which there is not", cursor))
		}
	}
	return errors.Join(errs...)
}
