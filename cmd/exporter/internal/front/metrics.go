package front

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/hubring/hubring/cmd/exporter/internal/lines"
)

// counts are what is counted at the doors.
type counts struct {
	pushes, samples    *prometheus.CounterVec
	refused            *prometheus.CounterVec
	refusedSamples     *prometheus.CounterVec
	rejected           *prometheus.CounterVec
	leftOut            *prometheus.CounterVec
	seconds            prometheus.Histogram
	reloads            *prometheus.CounterVec
	reloadTime, reload prometheus.Gauge
}

// The values of the label door.
const (
	doorMetrics = "metrics"
	doorWrite   = "remote_write"
	doorOTLP    = "otlp"
	doorGroups  = "groups"
	doorGRPC    = "grpc"
)

var doorNames = []string{doorMetrics, doorWrite, doorOTLP, doorGroups, doorGRPC}

func newCounts(r prometheus.Registerer) *counts {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hubring_exporter_" + name, Help: help}, labels)
		r.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "hubring_exporter_" + name, Help: help})
		r.MustRegister(g)
		return g
	}
	c := &counts{
		pushes:         vec("door_pushes_total", "Pushes that were taken, by protocol.", "door"),
		samples:        vec("door_samples_total", "Samples of pushes that were taken, by protocol.", "door"),
		refused:        vec("door_pushes_rejected_total", "Pushes that were refused, by protocol and reason.", "door", "reason"),
		refusedSamples: vec("door_refused_samples_total", "Samples of pushes that were refused, as far as they were read, by protocol.", "door"),
		rejected:       vec("door_rejected_samples_total", "Samples of pushes that were taken without them, by protocol and reason; the answer says which.", "door", "reason"),
		leftOut:        vec("door_left_out_total", "What was left out of pushes that were taken, or for which they were refused, since hubs are sent text, which cannot say it.", "reason"),
		reloads:        vec("config_reloads_total", "Attempts to read the config file again, by result.", "result"),
		reload:         gauge("config_last_reload_successful", "Whether the last attempt to read the config file succeeded."),
		reloadTime:     gauge("config_last_reload_success_timestamp_seconds", "When the config file was read that counts, in seconds since the epoch."),
	}
	c.seconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "hubring_exporter_door_push_seconds", Help: "How long pushes took.", Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8),
	})
	r.MustRegister(c.seconds)
	for _, door := range doorNames {
		c.refusedSamples.WithLabelValues(door)
		c.pushes.WithLabelValues(door)
		c.samples.WithLabelValues(door)
		for _, reason := range reasons {
			c.refused.WithLabelValues(door, reason)
			c.rejected.WithLabelValues(door, reason)
		}
	}
	for _, reason := range lines.Reasons {
		c.leftOut.WithLabelValues(reason)
	}
	for _, result := range []string{"success", "failure"} {
		c.reloads.WithLabelValues(result)
	}
	c.reload.Set(1)
	c.reloadTime.SetToCurrentTime()
	return c
}
