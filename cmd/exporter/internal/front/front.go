package front

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/hubring/hubring/cmd/exporter/internal/config"
	"github.com/hubring/hubring/cmd/exporter/internal/lines"
	"github.com/hubring/hubring/exporter"
)

// Config is what a Front is made of.
type Config struct {
	Config    *config.Config
	Load      func() (*config.Config, error) // reads it again
	Lifecycle bool                           // POST /-/reload is taken
	Registry  *prometheus.Registry           // of the process
	Logger    *slog.Logger
	Version   string
}

// Front takes pushes. Its methods may be called from any goroutine.
type Front struct {
	cfg       Config
	running   *running
	now       atomic.Pointer[gate]
	types     lines.Types
	counts    *counts
	reloading sync.Mutex
	closed    atomic.Bool
}

// answerTimeout is how long a hub may take to answer what is handed on to it.
const answerTimeout = 10 * time.Second

// discard is for what net/http would log itself.
var discard = log.New(io.Discard, "", 0)

// New starts an exporter and returns what takes pushes for it. Close ends it.
func New(cfg Config) (*Front, error) {
	f := &Front{cfg: cfg, counts: newCounts(cfg.Registry)}
	g, err := f.newGate(cfg.Config)
	if err != nil {
		return nil, err
	}
	if f.running, err = start(cfg.Config, cfg.Logger); err != nil {
		return nil, err
	}
	f.now.Store(g)
	return f, nil
}

// Reload reads the config file again. A file that is wrong, or that comes too soon, changes nothing; the error says why, and is logged.
func (f *Front) Reload() error {
	f.reloading.Lock() // so that the file that was read last counts
	defer f.reloading.Unlock()
	if err := f.reload(); err != nil {
		f.counts.reloads.WithLabelValues("failure").Inc()
		f.counts.reload.Set(0)
		f.cfg.Logger.Error("told to read the config file again; all is as before", "error", err)
		return err
	}
	f.counts.reloads.WithLabelValues("success").Inc()
	f.counts.reload.Set(1)
	f.counts.reloadTime.SetToCurrentTime()
	f.cfg.Logger.Info("read the config file again")
	return nil
}

func (f *Front) reload() error {
	cfg, err := f.cfg.Load()
	if err != nil {
		return err
	}
	g, err := f.newGate(cfg)
	if err != nil {
		return err
	}
	if err := f.running.reload(cfg); err != nil {
		return err
	}
	f.now.Store(g)
	return nil
}

// Close sends what is queued until ctx ends, and ends the exporter.
func (f *Front) Close(ctx context.Context) error {
	f.closed.Store(true)
	return f.running.close(ctx)
}

// Dropped is how many samples that were taken hubs have refused, or had to make room for others, since the exporter that there is now started.
func (f *Front) Dropped() (samples uint64) {
	f.running.mu.RLock()
	defer f.running.mu.RUnlock()
	for _, n := range f.running.exporter.Status().Totals.Dropped {
		samples += n
	}
	return samples
}

// Server is the HTTP server of all doors.
func (f *Front) Server() *http.Server {
	return f.bounded(f.Handler())
}

// bounded is a server with bounds for those who do not say anything.
func (f *Front) bounded(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute}
}

// Gather implements prometheus.Gatherer: what the process has, and the exporter that there is now.
func (f *Front) Gather() (families []*dto.MetricFamily, err error) {
	own := prometheus.Gatherers{f.cfg.Registry}
	f.running.mu.RLock()
	own = append(own, f.running.registry)
	f.running.mu.RUnlock()
	return own.Gather()
}

// metrics serves the process' own.
func (f *Front) metrics() http.Handler { return promhttp.HandlerFor(f, promhttp.HandlerOpts{}) }

// status serves the page of the exporter that there is now.
func (f *Front) status() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var page http.Handler
		_ = f.running.use(func(e *exporter.Exporter, _ *config.Config) error { // it has no error of its own
			page = e.Handler()
			return nil
		})
		page.ServeHTTP(w, r)
	})
}
