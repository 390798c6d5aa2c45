// Package shard is what hubquery knows of shards: which there are, which servers have
// their samples, which of them answer, and how they are asked.
//
// A shard is one server or a pair. Of a pair the server that has more of the time in question
// answers; when it does not, the other one does.
package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"
	"github.com/prometheus/prometheus/promql"
)

const (
	learnEvery = 10 * time.Second // how often servers are asked whether they answer
	dialTime   = 2 * time.Second
)

// Set is the shards of a fleet. Its methods may be called from any goroutine.
type Set struct {
	// Silence is how long a server may take until it begins to answer; to be set before Use. 1 min.
	Silence time.Duration

	client *http.Client
	how    config.HTTPClientConfig
	logger *slog.Logger

	// MostRequests bounds how much is asked of one shard at a time; set it before Use. A Prometheus
	// works on 20 queries by default, and has the others wait.
	MostRequests int

	mu      sync.Mutex // of those who change it
	shards  atomic.Pointer[[]*Shard]
	changed chan struct{}

	up       *prometheus.GaugeVec
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// Shard is the servers that have the samples of one share of the fleet.
type Shard struct {
	Name    string
	Servers []*Server
	set     *Set
	cfg     Config
	up      atomic.Bool
	room    chan struct{}
	choice  choice // of a pair
}

// Up reports whether a server of the shard answered when it was last asked how it is.
func (sh *Shard) Up() bool { return sh.up.Load() }

// New makes a set of shards. how says how their servers are asked.
func New(how config.HTTPClientConfig, reg prometheus.Registerer, logger *slog.Logger) (*Set, error) {
	client, err := config.NewClientFromConfig(how, "hubquery", options()...)
	if err != nil {
		return nil, err
	}
	if client.CheckRedirect == nil {
		client.CheckRedirect = noDetour
	}
	s := &Set{
		Silence: time.Minute,
		client:  client, how: how, logger: logger, MostRequests: 20, changed: make(chan struct{}, 1),
		up: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "hubquery_shard_up", Help: "Whether a server of the shard answers.",
		}, []string{"shard"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hubquery_shard_requests_total", Help: "Queries asked of shards, by outcome: ok, refused (the shard's own error), unavailable, canceled (given up here).",
		}, []string{"shard", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "hubquery_shard_request_duration_seconds", Help: "How long shards take to answer a query.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}, []string{"shard"}),
	}
	s.shards.Store(&[]*Shard{})
	reg.MustRegister(s.up, s.requests, s.seconds)
	return s, nil
}

// options bound how long a machine that is gone can keep a query waiting.
func options() []config.HTTPClientOption {
	dialer := &net.Dialer{Timeout: dialTime, KeepAlive: 15 * time.Second}
	return []config.HTTPClientOption{
		config.WithDialContextFunc(dialer.DialContext),
		config.WithHTTP2Disabled(), // large answers beside each other, each with a connection of its own
	}
}

// All returns the shards, in the order of the configuration. The slice is not to be changed.
func (s *Set) All() []*Shard { return *s.shards.Load() }

// Use makes these the shards. Those that were there with the same servers stay as they are.
func (s *Set) Use(configs []Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, now := s.All(), make([]*Shard, 0, len(configs))
	for _, c := range configs {
		known := slices.IndexFunc(before, func(sh *Shard) bool {
			return sh.Name == c.Name && sh.cfg.Kind == c.Kind && slices.Equal(sh.cfg.Servers, c.Servers)
		})
		if known >= 0 {
			now = append(now, before[known])
			continue
		}
		sh := &Shard{Name: c.Name, set: s, cfg: c, room: make(chan struct{}, max(s.MostRequests, 1))}
		for _, address := range c.Servers {
			server, err := newServer(address, c.Kind, s.client, s.how, s.Silence)
			if err != nil {
				return err
			}
			sh.Servers = append(sh.Servers, server)
		}
		now = append(now, sh)
	}
	for _, old := range before {
		if !slices.ContainsFunc(now, func(sh *Shard) bool { return sh.Name == old.Name }) {
			s.up.DeleteLabelValues(old.Name)
			s.requests.DeletePartialMatch(prometheus.Labels{"shard": old.Name})
			s.seconds.DeleteLabelValues(old.Name)
		}
	}
	s.shards.Store(&now)
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return nil
}

// Archive returns a server that is no shard.
func (s *Set) Archive(address string) (*Server, error) {
	return newServer(address, Prometheus, s.client, s.how, s.Silence)
}

// Answered reports whether any shard has answered.
func (s *Set) Answered() bool {
	return slices.ContainsFunc(s.All(), (*Shard).Up)
}

// Learn asks all servers once whether they answer; its error names those that do not.
func (s *Set) Learn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, learnEvery)
	defer cancel()
	shards := s.All()
	errs := make([]error, len(shards))
	var wg sync.WaitGroup
	for i, sh := range shards {
		wg.Go(func() { errs[i] = sh.learn(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (sh *Shard) learn(ctx context.Context) error {
	errs := make([]error, len(sh.Servers))
	var wg sync.WaitGroup
	for i, server := range sh.Servers {
		wg.Go(func() { errs[i] = server.learn(ctx) })
	}
	wg.Wait()
	up := 0.0
	for _, err := range errs {
		if err == nil {
			up = 1
		}
	}
	sh.set.up.WithLabelValues(sh.Name).Set(up)
	sh.up.Store(up == 1)
	return errors.Join(errs...)
}

// Run keeps asking the servers whether they answer, until ctx ends.
func (s *Set) Run(ctx context.Context) {
	ticker := time.NewTicker(learnEvery)
	defer ticker.Stop()
	silent := ""
	for {
		err := s.Learn(ctx)
		if ctx.Err() != nil {
			return
		}
		said := ""
		if err != nil {
			said = err.Error()
		}
		if said != silent {
			silent = said
			if err != nil {
				s.logger.Warn("servers do not answer", "error", err)
			} else {
				s.logger.Info("all servers answer")
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.changed: // those that are new do not wait until they are known to answer
		case <-ticker.C:
		}
	}
}

// Query asks the shard for the values of an expression over what lies between from and to, in milliseconds.
func (sh *Shard) Query(ctx context.Context, q Query, from, to int64, budget *Budget) (series []promql.Series, warnings []string, err error) {
	err = sh.Ask(ctx, from, to, func(server *Server) (err error) {
		series, warnings, err = server.Query(ctx, q, budget)
		return err
	})
	return series, warnings, err
}

// Ask has ask ask the server of the shard that is best for what lies between from and to, and the other one of a pair where that
// is not available.
func (sh *Shard) Ask(ctx context.Context, from, to int64, ask func(*Server) error) error {
	began := time.Now()
	select {
	case sh.room <- struct{}{}:
	case <-ctx.Done():
		sh.count(began, context.Cause(ctx))
		return context.Cause(ctx)
	}
	// Whoever asks holds no room of another shard meanwhile, so nobody waits for each other.
	defer func() { <-sh.room }()
	var said error
	for _, server := range sh.best(ctx, from, to) {
		err := ask(server)
		var unavailable *UnavailableError
		if errors.As(err, &unavailable) {
			if said == nil {
				said = err
			} else {
				said = fmt.Errorf("%w; %w", said, err)
			}
			continue
		}
		sh.count(began, err)
		return err
	}
	err := fmt.Errorf("shard %s: %w", sh.Name, said)
	sh.count(began, err)
	return err
}

func (sh *Shard) count(began time.Time, err error) {
	var refused *RefusedError
	var unavailable *UnavailableError
	outcome := "canceled"
	switch {
	case err == nil, errors.Is(err, ErrHistograms):
		outcome = "ok"
	case errors.As(err, &unavailable):
		outcome = "unavailable"
	case errors.As(err, &refused):
		outcome = "refused"
	}
	sh.set.requests.WithLabelValues(sh.Name, outcome).Inc()
	sh.set.seconds.WithLabelValues(sh.Name).Observe(time.Since(began).Seconds())
}
