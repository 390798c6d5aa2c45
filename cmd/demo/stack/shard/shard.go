// Package shard runs one Prometheus inside this process: its TSDB in a
// directory of its own and its scrape manager, pointed at one hub.
//
//	config (YAML text) ──► scrape.Manager ──GET /metrics──► hub
//	                            │ append
//	                            ▼
//	                         tsdb.DB ◄── queries (package api), Union
//
// The code that scrapes, stores and queries is Prometheus' own; this package
// only does what Prometheus' main function does: put the parts together.
package shard

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// Config says what a shard scrapes and where it keeps it.
type Config struct {
	// Target is the hub's host:port.
	Target string
	// Interval is the time between two scrapes, and the limit for one.
	// It is a multiple of a millisecond and at least one.
	Interval time.Duration
	// Dir is where the shard makes its own directory, which Close removes.
	// Empty means the system's directory for temporary files.
	Dir string
	// Logger takes the warnings of the TSDB and of the scrapes. Nil drops them.
	Logger *slog.Logger
}

// Shard is a running Prometheus of one target. Its methods may be called from
// several goroutines until Close.
type Shard struct {
	config  *config.Config
	dir     string
	db      *tsdb.DB
	manager *scrape.Manager
	done    chan struct{} // closed when the scrape manager's Run has returned
}

// Open starts a shard: it scrapes until Close is called.
func Open(cfg Config) (*Shard, error) {
	if cfg.Logger == nil {
		cfg.Logger = promslog.NewNopLogger()
	}
	parsed, err := config.Load(configText(cfg), cfg.Logger)
	if err != nil {
		return nil, fmt.Errorf("scrape configuration for %s: %w", cfg.Target, err)
	}
	s := &Shard{config: parsed, done: make(chan struct{})}
	if s.dir, err = os.MkdirTemp(cfg.Dir, "hubring-shard-"); err != nil {
		return nil, fmt.Errorf("directory of the shard for %s: %w", cfg.Target, err)
	}
	if err := s.start(cfg.Logger); err != nil {
		return nil, errors.Join(fmt.Errorf("shard for %s: %w", cfg.Target, err), s.closeStorage())
	}
	return s, nil
}

func (s *Shard) start(logger *slog.Logger) error {
	registry := prometheus.NewRegistry()
	db, err := tsdb.Open(s.dir, logger, registry, tsdbOptions(s.config), nil)
	if err != nil {
		return fmt.Errorf("open TSDB: %w", err)
	}
	s.db = db

	s.manager, err = scrape.NewManager(&scrape.Options{
		DiscoveryReloadOnStartup: true,
		DiscoveryReloadInterval:  model.Duration(100 * time.Millisecond),
	}, logger, nil, nil, db, registry)
	if err != nil {
		return fmt.Errorf("scrape manager: %w", err)
	}
	if err := s.manager.ApplyConfig(s.config); err != nil {
		return fmt.Errorf("apply scrape configuration: %w", err)
	}
	targets := make(chan map[string][]*targetgroup.Group, 1)
	targets <- staticTargets(s.config)
	go func() {
		defer close(s.done)
		// Run returns nil in every case: it ends when the manager stops.
		_ = s.manager.Run(targets)
	}()
	return nil
}

// Close stops the scraping, closes the TSDB and removes what it wrote.
func (s *Shard) Close() error {
	s.manager.Stop()
	<-s.done
	return s.closeStorage()
}

func (s *Shard) closeStorage() error {
	var err error
	if s.db != nil {
		err = s.db.Close()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// SeriesCount is the number of series in the shard's head, the handful that a
// scrape writes about itself (up, scrape_duration_seconds) included.
func (s *Shard) SeriesCount() int { return int(s.db.Head().NumSeries()) }

// Scrapes is the shard's scrape manager, for the query API's lists of targets
// and of metadata.
func (s *Shard) Scrapes() *scrape.Manager { return s.manager }

// Config is the configuration that the shard runs with.
func (s *Shard) Config() config.Config { return *s.config }

// Querier reads the samples between two times in milliseconds.
func (s *Shard) Querier(mint, maxt int64) (storage.Querier, error) {
	return s.db.Querier(mint, maxt)
}

// ChunkQuerier reads the chunks between two times in milliseconds.
func (s *Shard) ChunkQuerier(mint, maxt int64) (storage.ChunkQuerier, error) {
	return s.db.ChunkQuerier(mint, maxt)
}

// tsdbOptions are Prometheus' defaults with two differences: no write-ahead
// log, since nothing outlives the demo, and no end of the retention before
// the account at the end has read every sample.
func tsdbOptions(cfg *config.Config) *tsdb.Options {
	opts := tsdb.DefaultOptions()
	opts.WALSegmentSize = -1
	opts.OutOfOrderTimeWindow = cfg.StorageConfig.TSDBConfig.OutOfOrderTimeWindow
	return opts
}

// staticTargets does the work of Prometheus' service discovery for the one
// mechanism that needs none.
func staticTargets(cfg *config.Config) map[string][]*targetgroup.Group {
	sets := make(map[string][]*targetgroup.Group, len(cfg.ScrapeConfigs))
	for _, job := range cfg.ScrapeConfigs {
		for _, mechanism := range job.ServiceDiscoveryConfigs {
			if static, ok := mechanism.(discovery.StaticConfig); ok {
				sets[job.JobName] = append(sets[job.JobName], static...)
			}
		}
	}
	return sets
}
