package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hubring/hubring/cmd/demo/stack/account"
	"github.com/hubring/hubring/cmd/demo/stack/api"
	"github.com/hubring/hubring/cmd/demo/stack/fleet"
	"github.com/hubring/hubring/cmd/demo/stack/shard"
	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/exporter/members"
	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/method"
)

// Config is what the flags say.
type Config struct {
	Hubs, Gateways int
	Interval       time.Duration
	Listen         string        // empty: see listen
	For            time.Duration // 0: until the context ends
	KillHub        int           // negative: none
	Placement      string        // as exporter.Hub's
	Scrape         []string
	Dir            string // for the shards; the caller removes it
	Out            io.Writer
	Logger         *slog.Logger
}

const (
	defaultListen = "127.0.0.1:9090"
	maxBackoff    = 2 * time.Second // a killed hub that is back gets its gateways soon
	flushTimeout  = 30 * time.Second
	stopTimeout   = 5 * time.Second
)

// errAccount means that the summary lists faults.
var errAccount = errors.New("the account has faults")

func (c Config) validate() error {
	var errs []error
	problem := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Hubs < 1 {
		problem("--hubs=%d: at least one is needed", c.Hubs)
	}
	if c.Gateways < 0 {
		problem("--gateways=%d must not be negative", c.Gateways)
	}
	if c.Interval < 100*time.Millisecond || c.Interval%time.Millisecond != 0 {
		problem("--interval=%s must be at least 100ms and full milliseconds", c.Interval)
	}
	if c.For < 0 {
		problem("--for=%s must not be negative", c.For)
	}
	if c.KillHub >= c.Hubs {
		problem("--kill-hub=%d: the last of %d hubs is %d", c.KillHub, c.Hubs, c.Hubs-1)
	}
	if c.Placement != "" {
		if _, err := method.Parse(c.Placement); err != nil {
			problem("--placement: %w", err)
		}
	}
	for _, raw := range c.Scrape {
		if u, err := url.Parse(raw); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			problem("--scrape=%s: it must look like http://localhost:9100/metrics", raw)
		}
	}
	return errors.Join(errs...)
}

// demo is the parts that run.
type demo struct {
	Config
	hosts    []*host
	shards   []*shard.Shard
	apis     []*served // of each shard, and of all of them
	address  string    // of the query API over all shards
	exporter *exporter.Exporter
	registry *prometheus.Registry
	ledger   *account.Ledger
	chaos    *chaos
	ring     *hashring.Ring // the exporter's
	started  time.Time
	ran      time.Duration // how long the gateways reported
	refused  atomic.Uint64 // samples that Submit did not take in
	watch    watch
	wrapHub  func(http.Handler) http.Handler // see host.wrap

	screen sync.Mutex // one line at a time
}

// run builds the demo, lets it run, and prints the account. Its error is
// errAccount if that has faults.
func run(ctx context.Context, cfg Config) (err error) {
	if err := cfg.validate(); err != nil {
		return err
	}
	d := newDemo(cfg)
	defer func() { err = errors.Join(err, d.close()) }()
	d.tell("starting %d hubs, %d Prometheus shards, %d gateways", cfg.Hubs, cfg.Hubs, cfg.Gateways)
	if err := d.build(); err != nil {
		return err
	}
	d.introduce()
	undelivered, err := d.operate(ctx)
	if err != nil {
		return err
	}
	d.drain()
	return d.conclude(undelivered)
}

// scrapeInterval is also the scrapes' timeout. Less than a second would not
// survive a busy machine.
func (c Config) scrapeInterval() time.Duration { return max(c.Interval, time.Second) }

func newDemo(cfg Config) *demo {
	return &demo{Config: cfg, ledger: account.NewLedger(), registry: prometheus.NewRegistry(), chaos: planOf(cfg)}
}

// build starts everything but the gateways.
func (d *demo) build() error {
	var hubs []exporter.Hub
	for i := range d.Hubs {
		h, err := d.startPair(i)
		if err != nil {
			return err
		}
		hubs = append(hubs, exporter.Hub{Name: h.name, URL: "http://" + h.addr, Placement: d.Placement})
	}
	var nodes []hashring.Node
	for _, h := range hubs {
		nodes = append(nodes, hashring.Node{Name: h.Name})
	}
	by, err := members.Method(hubs)
	if err != nil {
		return err
	}
	if d.ring, err = by.Ring(nodes); err != nil {
		return err
	}
	d.exporter, err = exporter.New(exporter.Config{
		Hubs: hubs, MaxBackoff: maxBackoff, FlushTimeout: flushTimeout,
		Registerer: d.registry, Logger: d.Logger,
	})
	if err != nil {
		return err
	}
	return d.serveAPI()
}

// startPair starts a hub and the shard that scrapes it. Each needs the other's address, so the shard's API has
// one before there is a shard.
func (d *demo) startPair(i int) (*host, error) {
	queries, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("query API of shard %d: %w", i, err)
	}
	h := newHost(i, "http://"+queries.Addr().String(), d.Dir, d.Logger)
	h.wrap = d.wrapHub
	if err := h.start(); err != nil {
		return nil, errors.Join(err, queries.Close())
	}
	d.hosts = append(d.hosts, h)
	s, err := shard.Open(shard.Config{Target: h.addr, Interval: d.scrapeInterval(), Dir: d.Dir, Logger: d.Logger.With("shard", i)})
	if err != nil {
		return nil, errors.Join(err, queries.Close())
	}
	d.shards = append(d.shards, s)
	d.serve(queries, api.Handler([]*shard.Shard{s}, queries.Addr().String(), d.Logger))
	return h, nil
}

// statusPath is where the exporter's status page is.
const statusPath = "/exporter"

func (d *demo) serveAPI() error {
	listener, err := listen(d.Listen)
	if err != nil {
		return fmt.Errorf("query API: %w", err)
	}
	d.address = listener.Addr().String()
	mux := http.NewServeMux()
	mux.Handle("/", api.Handler(d.shards, d.address, d.Logger))
	mux.Handle(statusPath, d.exporter.Handler())
	d.serve(listener, mux)
	return nil
}

// served is a query API that is served.
type served struct {
	*http.Server
	done chan struct{} // closed when Serve has returned
}

// serve serves a query API until close.
func (d *demo) serve(listener net.Listener, handler http.Handler) {
	s := &served{done: make(chan struct{}), Server: &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(d.Logger.Handler(), slog.LevelDebug),
	}}
	d.apis = append(d.apis, s)
	go func() {
		defer close(s.done)
		if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			d.Logger.Error("Query API stopped serving", "error", err)
		}
	}()
}

// listen takes the address that is asked for. Without one it prefers the port
// that Prometheus has and takes a free one if that is in use.
func listen(address string) (net.Listener, error) {
	if address != "" {
		return net.Listen("tcp", address)
	}
	if listener, err := net.Listen("tcp", defaultListen); err == nil {
		return listener, nil
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// operate lets gateways report until the context ends or the time is over, and
// then the exporter flush. It returns what could not be delivered.
func (d *demo) operate(ctx context.Context) (undelivered *exporter.UndeliveredError, err error) {
	if d.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.For)
		defer cancel()
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	d.started = time.Now()

	flush, stopExporter := context.WithCancel(context.WithoutCancel(ctx))
	defer stopExporter()
	exported := make(chan error, 1)
	go func() { exported <- d.exporter.Run(flush) }()

	var senders, others sync.WaitGroup
	d.startSenders(ctx, &senders)
	others.Go(func() { d.report(ctx) })
	others.Go(func() {
		if err := d.chaos.run(ctx, d.hosts, d.event); err != nil {
			fail(err)
		}
	})
	senders.Wait()
	d.ran = time.Since(d.started)
	others.Wait()
	stopExporter()
	d.event("the gateways have stopped; the exporter sends what it still holds")
	runErr := d.waitFor("the exporter", exported)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return nil, cause
	}
	if undelivered, ok := errors.AsType[*exporter.UndeliveredError](runErr); ok {
		return undelivered, nil
	}
	return nil, runErr
}

// submitter hands a report to the exporter and is false if that refused it.
type submitter func(ctx context.Context, items []magma.MetricAndContext, samples int) bool

func (d *demo) startSenders(ctx context.Context, senders *sync.WaitGroup) {
	submit := func(ctx context.Context, items []magma.MetricAndContext, samples int) bool {
		err := d.exporter.Submit(ctx, items)
		if err != nil && ctx.Err() == nil {
			d.refused.Add(uint64(samples))
			d.Logger.Warn("A report was refused", "samples", samples, "error", err)
		}
		return err == nil
	}
	sources := fleet.New(d.Gateways)
	groups := make(map[*fleet.Source]*account.Group, len(sources))
	sizes := make(map[*fleet.Source]int, len(sources))
	for _, s := range sources {
		var keys []string
		for _, series := range s.Series() {
			keys = append(keys, account.Key(series))
		}
		groups[s], sizes[s] = d.ledger.Define(s.Name, s.Gateway, keys, s.Value), len(keys)
	}
	senders.Go(func() {
		fleet.Run(ctx, sources, d.Interval, func(s *fleet.Source, at int64) {
			if submit(ctx, s.Report(at), sizes[s]) {
				groups[s].Record(at)
			}
		})
	})
	for i, target := range d.Scrape {
		c := newCollector(target, i+1, d.ledger, d.Logger)
		senders.Go(func() { c.run(ctx, d.Interval, submit) })
	}
}

// close stops what build started, in the order of the data.
func (d *demo) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var errs []error
	for _, s := range d.apis {
		if err := s.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop the query API: %w", err), s.Close())
		}
		<-s.done
	}
	for _, s := range d.shards {
		errs = append(errs, s.Close())
	}
	for _, h := range d.hosts {
		errs = append(errs, h.stop(ctx))
	}
	return errors.Join(errs...)
}
