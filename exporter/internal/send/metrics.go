package send

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hubring/hubring/internal/verdict"
)

// Metrics are of requests and of the disk.
type Metrics struct {
	pushSeconds   *prometheus.HistogramVec
	pushes        *prometheus.CounterVec
	spoolFailures prometheus.Counter
}

// NewMetrics returns those whose names begin with prefix.
func NewMetrics(prefix string) *Metrics {
	return &Metrics{
		pushSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    prefix + "push_duration_seconds",
			Help:    "Time from the start of a push to its outcome, compression included.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"hub"}),
		pushes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "pushes_total",
			Help: "Pushes by their outcome.",
		}, []string{"hub", "outcome"}),
		spoolFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "spool_failures_total",
			Help: "Times that SpoolDir could not be opened or samples could not be written to it.",
		}),
	}
}

// Collectors returns all of them.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.pushSeconds, m.pushes, m.spoolFailures}
}

// Know makes the series of a hub: a rate needs the zero before the first event.
func (m *Metrics) Know(hub string) {
	m.pushSeconds.WithLabelValues(hub)
	for outcome := range verdict.NumOutcomes {
		m.pushes.WithLabelValues(hub, outcome.String())
	}
}

// pushed notes how a push to a hub ended, and how long it took.
func (m *Metrics) pushed(hub string, outcome verdict.Outcome, took time.Duration) {
	m.pushSeconds.WithLabelValues(hub).Observe(took.Seconds())
	m.pushes.WithLabelValues(hub, outcome.String()).Inc()
}

// Forget ends the series of a hub that left.
func (m *Metrics) Forget(hub string) {
	m.pushSeconds.DeleteLabelValues(hub)
	m.pushes.DeletePartialMatch(prometheus.Labels{"hub": hub})
}
