// Exporter takes pushes of metrics in many protocols and sends each gateway's to its home among the hubs: the library of this repository
// as a process, for controllers in any language.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/version"

	"github.com/hubring/hubring/cmd/exporter/internal/config"
	"github.com/hubring/hubring/cmd/exporter/internal/front"
	"github.com/hubring/hubring/exporter"
)

func main() {
	o, err := parse(os.Args[1:])
	if err != nil { // with Prometheus' status for it
		fmt.Fprintf(os.Stderr, "exporter: %v; try --help\n", err)
		os.Exit(2)
	}
	if o.check {
		os.Exit(check(o.configFile))
	}
	stop, again := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	logger := promslog.New(o.log)
	if err := run(stop, again, reload, o, logger); err != nil {
		logger.Error("exporter failed", "error", err)
		os.Exit(1)
	}
}

// check says what is wrong with a config file, and returns the status of the process.
func check(path string) int {
	if _, err := config.Load(path); err != nil {
		fmt.Fprintf(os.Stderr, "exporter: %v\n", err)
		return 1
	}
	fmt.Printf("%s is valid\n", path)
	return 0
}

// run serves until stop ends. again is called then, so that a second signal ends the process at once.
func run(stop context.Context, again func(), reload <-chan os.Signal, o options, logger *slog.Logger) error {
	cfg, err := config.Load(o.configFile)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		versioncollector.NewCollector("hubring_exporter"),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	f, err := front.New(front.Config{
		Config: cfg, Load: func() (*config.Config, error) { return config.Load(o.configFile) },
		Lifecycle: o.lifecycle, Registry: registry, Logger: logger, Version: version.Version,
	})
	if err != nil {
		return err
	}
	logger.Info("starting exporter", "version", version.Info(), "build_context", version.BuildContext())
	serving, err := serve(f, o, logger)
	if err != nil {
		return errors.Join(fmt.Errorf("serve: %w", err), f.Close(ended()))
	}
	for {
		select {
		case <-reload:
			_ = f.Reload() // it was logged
			continue
		case err := <-serving.Ended:
			err = errors.Join(err, serving.Close(1))
			return errors.Join(fmt.Errorf("serve: %w", err), f.Close(ended()))
		case <-stop.Done():
		}
		break
	}
	again()
	logger.Info("stopping; no more pushes are taken, what is queued is sent; once more to stop at once", "timeout", o.stopTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), o.stopTimeout)
	defer cancel()
	cut, err := serving.Shutdown(ctx)
	if cut != nil {
		logger.Warn("requests were cut off", "error", cut)
	}
	if err != nil {
		logger.Warn("a server had ended", "error", err)
	}
	if err := f.Close(ctx); err != nil {
		if undelivered := (*exporter.UndeliveredError)(nil); errors.As(err, &undelivered) {
			return fmt.Errorf("stopped with samples that no hub took: %w", err)
		}
		return err
	}
	if n := f.Dropped(); n > 0 {
		logger.Warn("stopped; nothing is left, but samples were dropped before: the log says which, and hubring_exporter_samples_dropped_total why", "samples", n)
	} else {
		logger.Info("stopped; every sample was delivered or is on disk")
	}
	return nil
}

// ended is a context for what may take no time.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
