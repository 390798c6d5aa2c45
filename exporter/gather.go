package exporter

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hubring/hubring/exporter/magma"
)

// Gather is a source of the controller's own metrics, such as the registry that
// its /metrics page serves. Run gathers and submits them at an interval.
type Gather struct {
	// Gatherer is asked once at a time. Run does not return before it has.
	Gatherer prometheus.Gatherer
	// Interval is the time between two gatherings; 30 s. The first one comes
	// at a random moment of the first interval, so that controllers that were
	// started together do not gather in step.
	Interval time.Duration
	// Context says where the metrics come from. The default sets no label; a
	// CloudMetricContext with the host's name tells controllers apart.
	Context magma.AdditionalMetricContext
}

// gatherEvery gathers and submits until ctx ends.
func (e *Exporter) gatherEvery(ctx context.Context, g Gather) {
	timer := time.NewTimer(time.Duration(e.cfg.random(int64(g.Interval))))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(g.Interval)
		if err := e.gather(ctx, g); err != nil && ctx.Err() == nil {
			e.metrics.gatherFailures.Inc()
			e.limits.Log("gather", slog.LevelWarn, "The controller's own metrics were not all gathered or submitted", "error", err)
		}
	}
}

// gather submits what is gathered, also if that is not all.
func (e *Exporter) gather(ctx context.Context, g Gather) error {
	families, err := g.Gatherer.Gather()
	items := make([]magma.MetricAndContext, len(families))
	for i, f := range families {
		items[i] = magma.MetricAndContext{Family: f, Context: magma.MetricContext{AdditionalContext: g.Context}}
	}
	return errors.Join(err, e.Submit(ctx, items))
}
