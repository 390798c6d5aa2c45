package exporter

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// account is where every sample is. The router's mutex guards it, and a scrape
// reads all of it under that mutex: what doc.go says about the sums holds in
// every scrape.
type account struct {
	submitted     uint64
	dropped       [numReasons]uint64
	queuedBytes   int // queued or in flight
	queuedSamples int
}

// hubAccount is the part of one hub.
type hubAccount struct {
	delivered uint64
	rerouted  uint64
}

// metrics are the exporter's own.
type metrics struct {
	router      *router
	pushSeconds *prometheus.HistogramVec
	pushes      *prometheus.CounterVec
}

var (
	descSubmitted = prometheus.NewDesc("hubring_exporter_samples_submitted_total",
		"Samples that Submit took in. Each of them is delivered, dropped as rejected or undelivered, or queued.", nil, nil)
	descDelivered = prometheus.NewDesc("hubring_exporter_samples_delivered_total",
		"Samples that the hub said yes to.", []string{"hub"}, nil)
	descRerouted = prometheus.NewDesc("hubring_exporter_samples_rerouted_total",
		"Samples that left the hub's queue for another hub's: it was down, or their home was up again.", []string{"hub"}, nil)
	descDropped = prometheus.NewDesc("hubring_exporter_samples_dropped_total",
		"Samples that were dropped. They had been submitted if the reason is undelivered or begins with rejected; else they were not taken in.", []string{"reason"}, nil)
	descQueueBytes = prometheus.NewDesc("hubring_exporter_queue_bytes",
		"Memory of the samples that are queued or in flight.", nil, nil)
	descQueueSamples = prometheus.NewDesc("hubring_exporter_queue_samples",
		"Samples that are queued or in flight.", nil, nil)
	descHubUp = prometheus.NewDesc("hubring_exporter_hub_up",
		"1 if samples are sent to the hub, 0 if it is stepped over until a probe succeeds.", []string{"hub"}, nil)
)

func newMetrics(r *router) *metrics {
	m := &metrics{
		router: r,
		pushSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "hubring_exporter_push_duration_seconds",
			Help:    "Time from the start of a push to its outcome, compression included.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"hub"}),
		pushes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hubring_exporter_pushes_total",
			Help: "Pushes by their outcome.",
		}, []string{"hub", "outcome"}),
	}
	for _, o := range r.outboxes { // a rate needs the zero before the first event
		m.pushSeconds.WithLabelValues(o.hub.Name)
		for _, outcome := range outcomeNames {
			m.pushes.WithLabelValues(o.hub.Name, outcome)
		}
	}
	return m
}

// register makes the metrics known to reg, all or none.
func (m *metrics) register(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	var done []prometheus.Collector
	for _, c := range []prometheus.Collector{m, m.pushSeconds, m.pushes} {
		if err := reg.Register(c); err != nil {
			for _, c := range done {
				reg.Unregister(c)
			}
			if _, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
				return fmt.Errorf("register metrics: another exporter uses this Registerer; wrap it with a label of each one's own: %w", err)
			}
			return fmt.Errorf("register metrics: %w", err)
		}
		done = append(done, c)
	}
	return nil
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descSubmitted, descDelivered, descRerouted, descDropped, descQueueBytes, descQueueSamples, descHubUp} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, metric := range m.router.snapshot() {
		ch <- metric
	}
}

// snapshot returns the account of one moment.
func (r *router) snapshot() []prometheus.Metric {
	var all []prometheus.Metric
	add := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		all = append(all, prometheus.MustNewConstMetric(d, t, v, labels...))
	}
	const count, level = prometheus.CounterValue, prometheus.GaugeValue

	r.mu.Lock()
	defer r.mu.Unlock()
	add(descSubmitted, count, float64(r.account.submitted))
	add(descQueueBytes, level, float64(r.account.queuedBytes))
	add(descQueueSamples, level, float64(r.account.queuedSamples))
	for why, n := range r.account.dropped {
		if reason(why) != taken {
			add(descDropped, count, float64(n), reason(why).String())
		}
	}
	for _, o := range r.outboxes {
		up := 1.0
		if o.down {
			up = 0
		}
		add(descHubUp, level, up, o.hub.Name)
		add(descDelivered, count, float64(o.account.delivered), o.hub.Name)
		add(descRerouted, count, float64(o.account.rerouted), o.hub.Name)
	}
	return all
}

// dropLog logs dropped samples, a few lines per reason and then one every ten
// seconds, so that a fleet's worth of bad samples does not fill a disk. What was
// dropped in between is in the counter.
type dropLog struct {
	log   *slog.Logger
	limit [numReasons]rate.Sometimes
}

func newDropLog(log *slog.Logger) *dropLog {
	d := &dropLog{log: log}
	for i := range d.limit {
		d.limit[i].First = 5
		d.limit[i].Interval = 10 * time.Second
	}
	return d
}

func (d *dropLog) report(why reason, msg string, samples int, attrs ...any) {
	d.limit[why].Do(func() {
		d.log.Warn(msg, append([]any{slog.String("reason", why.String()), slog.Int("samples", samples)}, attrs...)...)
	})
}
