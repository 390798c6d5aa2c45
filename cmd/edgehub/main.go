// Edgehub takes the metrics of edge gateways and hands each sample, once, to the
// Prometheus server that scrapes it.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/version"

	"github.com/hubring/hubring/edgehub"
)

func main() {
	o, err := parse(os.Args[1:])
	if err != nil { // with Prometheus' status for it
		fmt.Fprintf(os.Stderr, "edgehub: %v; try --help\n", err)
		os.Exit(2)
	}
	logger := promslog.New(o.log)
	err = run(signals(), o, logger)
	if err != nil && !errors.Is(err, errLost) {
		logger.Error("edgehub failed", "error", err)
	}
	if err != nil {
		os.Exit(1)
	}
}

// told is what a hub is told from outside.
type told struct {
	stop   context.Context // ends when the hub should stop
	now    context.Context // ends when it should not even wait for that
	reload <-chan os.Signal
}

// signals tells of the first SIGTERM or SIGINT, of the second, and of SIGHUP. They are for
// the whole life of the process.
func signals() told {
	stop, first := context.WithCancel(context.Background())
	now, second := context.WithCancelCause(context.Background())
	end, reload := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt, syscall.SIGTERM)
	signal.Notify(reload, syscall.SIGHUP)
	go func() {
		<-end
		first()
		<-end
		second(errHurry)
	}()
	return told{stop, now, reload}
}

var (
	errHurry = errors.New("told a second time to stop")
	errLost  = errors.New("samples are lost") // it was logged

	errNotCome = errors.New("a scraper has not come in the time of --handover.after; another one has what it lacks")
)

// lastWords is how much of the time for a stop is kept for the end of connections, which
// tells whether their last responses were read. Of a short time it is a fifth.
const lastWords = 2 * time.Second

// run serves a hub until it is told to stop. Then it has the time that the options say to
// let scrapers take what waits, and what is under way finish, unless it is told to hurry. Its
// error is errLost if a sample is lost by that.
func run(told told, o options, logger *slog.Logger) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		versioncollector.NewCollector("edgehub"),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	o.hub.Registerer, o.hub.Logger, o.hub.Version = registry, logger, version.Version
	r := reloader{webFiles: webFiles(o), logger: logger}
	var err error
	if r.asking, err = newAsking(&o); err != nil {
		return err
	}
	hub, err := edgehub.New(o.hub)
	if err != nil {
		return err
	}
	logger.Info("starting edgehub", "version", version.Info(), "build_context", version.BuildContext())
	for _, say := range o.ancestor {
		args := []any{"flag", say.given, "is", cmp.Or(say.is, "nothing")}
		if say.why != "" {
			args = append(args, "why", say.why)
		}
		logger.Info("a flag of prometheus-edge-hub", args...)
	}
	serving, err := serve(hub, o, logger)
	if err != nil {
		closeAtOnce(hub)
		return fmt.Errorf("serve: %w", err)
	}
	defer r.start(told.reload)()

	select {
	case err := <-serving.Ended:
		err = errors.Join(err, serving.Close(1))
		closeAtOnce(hub)
		return fmt.Errorf("serve: %w", err)
	case <-told.stop.Done():
	}

	logger.Info("stopping; no more pushes are taken, scrapers may take what waits; once more to stop at once", "timeout", o.stopTimeout)
	deadline, cancel := context.WithTimeout(told.now, o.stopTimeout)
	defer cancel()
	drained, cancel := context.WithTimeout(deadline, o.stopTimeout-min(lastWords, o.stopTimeout/5))
	defer cancel()
	if err := drain(drained, hub, o.handover, logger); err != nil {
		logger.Warn("stopping without the rest", "error", err)
	}
	cut, err := serving.Shutdown(deadline)
	if cut != nil {
		logger.Warn("requests were cut off", "error", cut)
	}
	hub.Close(deadline) // what became of the last responses is told here
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return sayWhatIsLeft(hub.Stats(), len(o.handover.to) == 0, logger)
}

// drain lets scrapers take what waits, and where they have not after a while hands it over, if there is somebody to take it.
func drain(ctx context.Context, hub *edgehub.Hub, o handoverOptions, logger *slog.Logger) error {
	ctx, enough := context.WithCancelCause(ctx)
	defer enough(nil)
	drained, cancel := context.WithCancel(ctx)
	var handing sync.WaitGroup
	if len(o.to) > 0 {
		handing.Go(func() {
			for wait := o.after; sleep(drained, wait); wait = againAfter {
				for i, to := range o.to {
					if s := hub.Stats(); s.Pending+s.Unsure == 0 { // who is behind goes without
						enough(errNotCome)
						return
					}
					handOver(drained, hub, to, len(o.to)-i, logger)
				}
			}
		})
	}
	err := hub.Drain(ctx)
	cancel()
	handing.Wait()
	return err
}

// againAfter is how long after it failed a hub that stops tries again to hand over.
const againAfter = 5 * time.Second

// sleep says whether so much time has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// handOver hands over what waits to the first of so many hubs, and says what became of it. It leaves the others a share of the time: this
// one may be full, or not answer.
func handOver(ctx context.Context, hub *edgehub.Hub, to string, hubs int, logger *slog.Logger) {
	if end, bounded := ctx.Deadline(); bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/time.Duration(hubs))
		defer cancel()
	}
	logger.Info("scrapers have not come for what waits; it is handed over to another hub")
	h, err := hub.Handover(ctx, to, nil)
	args := []any{"to", h.To, "taken", h.Taken, "ended", h.Ended, "refused", h.Refused, "left", h.Left}
	if s := hub.Stats(); err != nil && s.Pending+s.Unsure > 0 {
		logger.Warn("not all was handed over", append(args, "error", err)...)
		return
	}
	logger.Info("handed over what waited", args...)
}

// closeAtOnce ends a hub that nothing is asked of any more.
func closeAtOnce(hub *edgehub.Hub) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	hub.Close(ctx)
}

// sayWhatIsLeft says what a hub takes along, and returns errLost if nobody else is known
// to have it: of a disk that may not stay that is no comfort.
func sayWhatIsLeft(stats edgehub.Stats, diskStays bool, logger *slog.Logger) error {
	if stats.Stored && diskStays {
		if stats.Behind > 0 {
			logger.Info("what waits is on disk, for the next start", "samples", stats.Behind)
		}
		return nil
	}
	lost := stats.Pending + stats.Unsure
	switch {
	case lost > 0 && stats.Stored:
		logger.Error("stopped with samples that no scraper is known to have; they are on disk alone", "samples", lost, "series", stats.Series)
		return errLost
	case lost > 0:
		logger.Error("stopped with samples that no scraper is known to have; they are gone", "samples", lost, "series", stats.Series)
		return errLost
	case stats.Behind > 0:
		logger.Warn("stopped with samples that not every scraper had taken; another one has them", "samples", stats.Behind)
	case stats.HandedOver > 0:
		logger.Info("stopped; every sample was scraped or handed over", "samples", stats.Received)
	default:
		logger.Info("stopped; every sample was scraped", "samples", stats.Received)
	}
	return nil
}
