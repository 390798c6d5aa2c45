package exporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hubring/hubring/exporter/internal/encode"
	"github.com/hubring/hubring/exporter/internal/send"
	"github.com/hubring/hubring/exporter/members"
	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/placement"
	"github.com/hubring/hubring/internal/spool"
)

// The defaults of Config.
const (
	DefaultMaxQueueBytes = 64 << 20
	DefaultBatchBytes    = 1 << 20
	DefaultBatchWait     = 200 * time.Millisecond
	DefaultEndsDelay     = time.Minute
	DefaultPushTimeout   = 10 * time.Second
	DefaultFlushTimeout  = 10 * time.Second
	DefaultMinBackoff    = 250 * time.Millisecond
	DefaultMaxBackoff    = 5 * time.Second

	DefaultSenders        = 2
	DefaultCatchUp        = 1.6
	DefaultSpoolBytes     = 1 << 30
	DefaultGatherInterval = 30 * time.Second

	DefaultMembersInterval = 10 * time.Second
	DefaultMembersHold     = time.Minute
)

// Hub is one place to push to: the name by which the ring knows it, its URL and its weight.
type Hub = members.Hub

// Config says where to push and within which bounds. Only Hubs or Members is
// needed: a field that is zero has the default named in its comment.
type Config struct {
	// Hubs are the members of the ring, in any order.
	Hubs []Hub
	// Members is asked for the hubs when Hubs is empty: members.DNS, members.File, or
	// one of your own. While it knows of none, samples wait.
	Members Membership
	// MembersInterval is the time between two questions to Members; 10 s.
	MembersInterval time.Duration
	// MembersHold is how long a hub that Members does not name any more stays
	// in the ring, so that an answer that flaps moves nothing; 1 min.
	// If the hubs that it does not name any more and that still take pushes are more than those that
	// it names, they stay: rather its source is in trouble.
	MembersHold time.Duration
	// Ring builds the ring of the hubs, which have their names and weights; that which the hubs
	// name (Hub.Placement), and if they name none hashring.New. All controllers need the same one, so leave it to the
	// list of hubs where that can say it. One of your own, by hashring.FromTable say, must
	// make the same of the same hubs in whatever order they come. If the hubs name a placement as well it must be the
	// same ring. New returns its error. Where Members changes the hubs, an
	// error leaves the ring as it is, as an answer does that is no good.
	Ring func(nodes []hashring.Node) (*hashring.Ring, error)
	// Inventory is asked which gateways are not with their owners on that ring, so that no
	// hub has much more than its share: as hubctl place has written it down,
	// placement.File("…").Read (hashring/placement), or a function of your own. It is asked when
	// Run begins, before anything is sent, and every MembersInterval; it must return soon after
	// its context ends. After an error, which hubring_exporter_placement_failures_total
	// counts, what it said before counts. Nil has all gateways with their owners.
	Inventory func(ctx context.Context) (*placement.Placement, error)

	// Failover says where the samples of a hub go that is down; NextHub.
	Failover FailoverPolicy
	// Receivers says whose answers count; HubsOnly.
	Receivers Receivers
	// NoEnds leaves a hub untold when a gateway's samples go to another one. By
	// default it is told (POST /gateways/ended), and ends the gateway's series
	// right before they begin elsewhere, so that a query over both servers counts
	// them once and at once.
	NoEnds bool
	// EndsDelay is how long after the move that hub is told. The new hub's server should have scraped
	// by then, or the gateway would be on neither for that time: give it more than
	// two of their scrape intervals; 1 min.
	EndsDelay time.Duration
	// AsGauges makes every family gauges, as Magma's exporters do: a histogram
	// becomes the gauges name_bucket, name_sum and name_count. Timestamps and
	// labels stay.
	AsGauges bool
	// Labels are set on every sample, such as cluster or region; none. A label of the name
	// that a sample has already, its own or its context's, stays, as with Prometheus' external_labels. At most 32
	// of 1024 bytes each; neither gatewayID nor le nor quantile.
	Labels map[string]string
	// Gather lists sources of the controller's own metrics; none.
	Gather []Gather

	// MaxQueueBytes bounds the memory of samples that are queued or in
	// flight; 64 MiB. Beside it each of a hub's senders keeps one request of
	// about BatchBytes and its compressed form, and each Submit under way what
	// it has encoded; and the IDs of gateways, and where each is, have 16 MiB each at most.
	MaxQueueBytes int
	// Overflow says what happens when MaxQueueBytes are in use; RefuseNew.
	Overflow OverflowPolicy
	// SpoolDir is a directory of this exporter's own on a local disk. What does
	// not fit into three quarters of MaxQueueBytes goes there, and what is left
	// when Run ends; the next Run sends it. So a restart loses nothing; a crash
	// loses what was in memory, but for SpoolAll. Empty: nothing is written to disk.
	SpoolDir string
	// SpoolPolicy says whether all samples go there, so that a crash loses nothing either;
	// SpoolOverflow. SpoolAll needs a SpoolDir.
	SpoolPolicy SpoolPolicy
	// SpoolBytes bounds what is in SpoolDir; 1 GiB. Each record there, up to 64 KiB of one
	// gateway, takes some 300 bytes of MaxQueueBytes, which may be at its end before.
	SpoolBytes int64

	// Senders is how many requests to a hub may be under way at once; 2. Those
	// of a gateway never are.
	Senders int
	// BatchBytes is the size up to which parcels are joined into a request,
	// before compression; 1 MiB. A larger parcel is sent alone.
	BatchBytes int
	// BatchWait is how long a sample waits at most for others to share its
	// request; 200 ms.
	BatchWait time.Duration

	// PushTimeout bounds one request, from connecting to its answer; 10 s. The
	// question whether a hub is ready has 2 s at most.
	PushTimeout time.Duration
	// FlushTimeout is how long Run goes on sending when its context has
	// ended; 10 s.
	FlushTimeout time.Duration

	// MinBackoff is how long a hub is stepped over after its first failure,
	// doubled with each further one up to MaxBackoff; 250 ms and 5 s. Each
	// wait is shortened at random by up to a half. A longer Retry-After, up to
	// a minute, takes its place. After the wait the hub's /-/ready is asked,
	// and again after each further wait until it says yes.
	MinBackoff, MaxBackoff time.Duration
	// CatchUp is how fast a hub that was down is sent what has piled up for it,
	// as a multiple of what is submitted for it all the time; 1.6, at least
	// 1.1. It keeps the load of a hub that returns below twice the usual. Gateways that
	// are up to date go first, then one backlog after the other. A controller that submits
	// nothing sends 16 KiB/s, twice as much every 10 s, at most 4 MiB/s.
	CatchUp float64

	// Transport carries the requests: pushes, probes and word of gateways that left. It is the place for
	// whatever a connection or a header needs: TLS and certificates (an http.Transport's TLSClientConfig), a
	// password, a token or another header (a RoundTripper around it, see the examples), a proxy, or
	// otelhttp.NewTransport for traces. A request has samples of many gateways, networks and
	// Submits, so its context is none of theirs, and a header for each tenant, such as X-Scope-OrgID, needs an exporter
	// for each. Its User-Agent is hubring-exporter/VERSION.
	//
	// The default is one of the exporter's
	// own, with http.DefaultTransport's settings, the proxies of the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY) among them; where that is not an *http.Transport any
	// more, since the program has replaced it, it is http.DefaultTransport itself. It must be
	// safe for use by several goroutines.
	Transport http.RoundTripper
	// Registerer takes the exporter's own metrics. They are not registered
	// anywhere when it is nil. They stay there when Run has ended, until another
	// exporter with the same Registerer takes their place, as after a reload or an election of
	// another leader; its counters begin at 0. Of two at a time the second New returns an error: give
	// each its own, such as prometheus.WrapRegistererWith(prometheus.Labels{"fleet": "a"}, registry).
	Registerer prometheus.Registerer
	// OnDrop is told which samples were dropped after Submit had taken them in, or left out of a Submit that took in the rest;
	// not those of a Submit that returned an error other than a RejectedError. It is called by Run, for
	// one drop at a time, and may take its time: nobody waits for it but Run at its end. 1,024 drops wait
	// for it; those beyond are counted in hubring_exporter_drop_notices_missed_total. Nil for nobody.
	OnDrop func(Drop)
	// Logger is told about hubs that come and go and about dropped samples;
	// slog.Default().
	Logger *slog.Logger

	// random returns a number from 0 to n-1, for waits that are made uneven. It is
	// math/rand's; a simulation that is to be run again has its own.
	random func(n int64) int64
	// openDisk opens SpoolDir. A test's may fail.
	openDisk func(spool.Config) (send.Disk, error)
}

// withDefaults returns a copy with every zero field filled in.
func (c Config) withDefaults() Config {
	setDefault(&c.MaxQueueBytes, DefaultMaxQueueBytes)
	setDefault(&c.BatchBytes, min(DefaultBatchBytes, max(c.MaxQueueBytes, 1)))
	setDefault(&c.BatchWait, DefaultBatchWait)
	setDefault(&c.EndsDelay, DefaultEndsDelay)
	setDefault(&c.PushTimeout, DefaultPushTimeout)
	setDefault(&c.FlushTimeout, DefaultFlushTimeout)
	if c.MinBackoff == 0 && c.MaxBackoff > 0 {
		c.MinBackoff = min(DefaultMinBackoff, c.MaxBackoff)
	}
	setDefault(&c.MinBackoff, DefaultMinBackoff)
	setDefault(&c.MaxBackoff, max(DefaultMaxBackoff, c.MinBackoff))
	setDefault(&c.Senders, DefaultSenders)
	setDefault(&c.CatchUp, DefaultCatchUp)
	setDefault(&c.SpoolBytes, DefaultSpoolBytes)
	setDefault(&c.MembersInterval, DefaultMembersInterval)
	setDefault(&c.MembersHold, DefaultMembersHold)
	c.Gather = slices.Clone(c.Gather)
	for i := range c.Gather {
		setDefault(&c.Gather[i].Interval, DefaultGatherInterval)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.random == nil {
		c.random = rand.Int64N
	}
	if c.openDisk == nil {
		c.openDisk = send.OpenDisk
	}
	c.Hubs = withDefaults(c.Hubs)
	return c
}

// withDefaults returns a copy of the hubs, each with its defaults.
func withDefaults(hubs []Hub) []Hub {
	all := slices.Clone(hubs)
	for i := range all {
		all[i] = all[i].WithDefaults()
	}
	return all
}

func setDefault[T int | int64 | float64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Validate reports every problem of the config at once, joined by errors.Join.
// New calls it.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	problem := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	switch {
	case len(c.Hubs) == 0 && c.Members == nil:
		problem("Hubs is empty and there is no Members: name at least one hub to push to")
	case len(c.Hubs) > 0 && c.Members != nil:
		problem("Hubs and Members are both set: use one of them")
	case c.Members != nil:
		if v, ok := c.Members.(interface{ Validate() error }); ok {
			if err := v.Validate(); err != nil {
				problem("Members: %w", err)
			}
		}
	default:
		if err := validateHubs(c.Hubs); err != nil {
			errs = append(errs, err)
		}
	}
	if c.Failover != NextHub && c.Failover != WaitForOwner {
		problem("Failover is %d: use NextHub or WaitForOwner", c.Failover)
	}
	if c.Receivers != HubsOnly && c.Receivers != HubsAndOthers {
		problem("Receivers is %d: use HubsOnly or HubsAndOthers", c.Receivers)
	}
	if c.Overflow != RefuseNew && c.Overflow != DropOldest {
		problem("Overflow is %d: use RefuseNew or DropOldest", c.Overflow)
	}
	if c.SpoolPolicy != SpoolOverflow && c.SpoolPolicy != SpoolAll {
		problem("SpoolPolicy is %d: use SpoolOverflow or SpoolAll", c.SpoolPolicy)
	}
	if c.SpoolPolicy == SpoolAll && c.SpoolDir == "" {
		problem("SpoolPolicy is SpoolAll and there is no SpoolDir: name a directory to keep samples in")
	}
	if _, err := encode.NewLabels(c.Labels); err != nil {
		problem("Labels: %w", err)
	}
	for i, g := range c.Gather {
		if g.Gatherer == nil {
			problem("Gather[%d] has no Gatherer", i)
		}
		if g.Interval < 0 {
			problem("Gather[%d].Interval is %s: it must not be negative", i, g.Interval)
		}
	}
	if c.Senders < 0 {
		problem("Senders is %d: it must not be negative", c.Senders)
	}
	if !(c.CatchUp >= minCatchUp) {
		problem("CatchUp is %g: with less than %g times what is submitted a hub never catches up", c.CatchUp, minCatchUp)
	}
	if c.SpoolBytes < 0 {
		problem("SpoolBytes is %d: it must not be negative", c.SpoolBytes)
	}
	if c.MaxQueueBytes < 0 {
		problem("MaxQueueBytes is %d: it must not be negative", c.MaxQueueBytes)
	}
	if c.BatchBytes < 0 {
		problem("BatchBytes is %d: it must not be negative", c.BatchBytes)
	}
	if c.MaxQueueBytes >= 0 && c.BatchBytes > c.MaxQueueBytes {
		problem("BatchBytes %d is larger than MaxQueueBytes %d: a full request would never come together", c.BatchBytes, c.MaxQueueBytes)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"BatchWait", c.BatchWait},
		{"EndsDelay", c.EndsDelay},
		{"PushTimeout", c.PushTimeout},
		{"FlushTimeout", c.FlushTimeout},
		{"MinBackoff", c.MinBackoff},
		{"MaxBackoff", c.MaxBackoff},
		{"MembersInterval", c.MembersInterval},
		{"MembersHold", c.MembersHold},
	} {
		if d.value < 0 {
			problem("%s is %s: it must not be negative", d.name, d.value)
		}
	}
	if c.MaxBackoff >= 0 && c.MinBackoff > c.MaxBackoff {
		problem("MinBackoff %s is longer than MaxBackoff %s", c.MinBackoff, c.MaxBackoff)
	}
	return errors.Join(errs...)
}

// minCatchUp is the least CatchUp: with 1 a hub would never catch up.
const minCatchUp = 1.1

// validateHubs reports every problem of hubs that have their defaults.
func validateHubs(hubs []Hub) error {
	var errs []error
	problem := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(hubs) > hashring.MaxNodes {
		problem("Hubs has %d hubs, at most %d are supported", len(hubs), hashring.MaxNodes)
	}
	seen := map[string]int{}
	for i, h := range hubs {
		if err := h.Validate(); err != nil {
			problem("Hubs[%d] %q: %w", i, h.Name, err)
		} else if first, ok := seen[h.Name]; ok {
			problem("Hubs[%d] and Hubs[%d] have the same name %q: each hub needs its own", first, i, h.Name)
		} else {
			seen[h.Name] = i
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if _, err := members.Method(hubs); err != nil {
		return fmt.Errorf("Hubs: %w", err)
	}
	return nil
}
