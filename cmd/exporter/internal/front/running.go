package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hubring/hubring/cmd/exporter/internal/config"
	"github.com/hubring/hubring/exporter"
)

// running is the exporter that samples go to, and what it was told. Another config makes another one.
type running struct {
	logger *slog.Logger

	mu       sync.RWMutex // held by who submits; who changes the exporter waits for them
	exporter *exporter.Exporter
	registry *prometheus.Registry // of its own metrics
	cfg      *config.Config

	reloading sync.Mutex
	draining  chan struct{} // closed when the exporter before has sent what it had
	lost      error         // what that ended with, then
	stop      context.CancelFunc
	stopped   context.Context
}

// Errors of a reload that changes nothing.
var (
	errDraining = errors.New("what was queued before the last reload is still on its way; reload again when it has arrived")
	errStopping = errors.New("the exporter is stopping")
)

// start starts the exporter of a config.
func start(cfg *config.Config, logger *slog.Logger) (*running, error) {
	r := &running{logger: logger, draining: make(chan struct{})}
	close(r.draining)
	r.stopped, r.stop = context.WithCancel(context.Background())
	var err error
	if r.exporter, r.registry, err = r.make(cfg); err != nil {
		return nil, err
	}
	r.cfg = cfg
	return r, nil
}

func (r *running) make(cfg *config.Config) (*exporter.Exporter, *prometheus.Registry, error) {
	c, err := cfg.Exporter()
	if err != nil {
		return nil, nil, err
	}
	registry := prometheus.NewRegistry()
	c.Registerer, c.Logger = registry, r.logger
	e, err := exporter.Start(c)
	return e, registry, err
}

// use calls do with the exporter, which stays the one until do returns.
func (r *running) use(do func(*exporter.Exporter, *config.Config) error) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return do(r.exporter, r.cfg)
}

// reload goes on with another config. What is queued is not lost: it is on disk, where the next exporter finds it, or the one before sends it while the
// next one takes what comes. Pushes wait meanwhile, no longer than the one before takes to leave the disk.
func (r *running) reload(cfg *config.Config) error {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	if r.stopped.Err() != nil {
		return errStopping
	}
	if same(cfg, r.cfg) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.cfg = cfg // what doors need of it
		return nil
	}
	select {
	case <-r.draining:
	default:
		return errDraining
	}
	if r.cfg.Spool.Dir != "" && cfg.Spool.Dir == r.cfg.Spool.Dir {
		return r.replace(cfg)
	}
	next, registry, err := r.make(cfg)
	if err != nil {
		return err
	}
	r.mu.Lock()
	before := r.exporter
	r.exporter, r.registry, r.cfg = next, registry, cfg
	r.mu.Unlock()
	r.draining = make(chan struct{})
	go r.drain(before, r.draining)
	return nil
}

// same says whether two configs make the same exporter.
func same(a, b *config.Config) bool {
	x, y := *a, *b
	x.Limits, y.Limits, x.OTLP, y.OTLP = config.Limits{}, config.Limits{}, config.OTLP{}, config.OTLP{}
	return reflect.DeepEqual(x, y)
}

// replace ends the exporter before the next one starts, since both have the same directory.
func (r *running) replace(cfg *config.Config) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.exporter.Close(r.stopped); err != nil {
		r.logger.Warn("the exporter before the reload could not leave all on disk", "error", err)
	}
	next, registry, err := r.make(cfg)
	if err != nil { // what a config alone can show was seen before
		var again error
		if next, registry, again = r.make(r.cfg); again != nil {
			return errors.Join(err, fmt.Errorf("go on as before: %w", again))
		}
		r.exporter, r.registry = next, registry
		return err
	}
	r.exporter, r.registry, r.cfg = next, registry, cfg
	return nil
}

// sayEvery is how often it is said what the exporter before a reload still has.
const sayEvery = 30 * time.Second

// drain lets an exporter send what it has, however long that takes, and ends it.
func (r *running) drain(before *exporter.Exporter, drained chan struct{}) {
	defer close(drained)
	for r.stopped.Err() == nil {
		ctx, cancel := context.WithTimeout(r.stopped, sayEvery)
		err := before.Flush(ctx)
		cancel()
		if err == nil {
			break
		}
		r.logger.Info("what was queued before the reload is still on its way", "samples", before.Status().Queue.Samples)
	}
	if r.lost = before.Close(r.stopped); r.lost != nil {
		r.logger.Error("samples that were queued before the reload are lost", "error", r.lost)
	}
}

// close ends the exporter, and the one before a reload, which both may send until ctx ends. Its error is an
// *exporter.UndeliveredError if samples are lost.
func (r *running) close(ctx context.Context) error {
	defer context.AfterFunc(ctx, r.stop)() // which ends what a reload waits for as well
	r.reloading.Lock()
	defer r.reloading.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.exporter.Close(ctx)
	<-r.draining
	r.stop()
	return errors.Join(err, r.lost)
}
