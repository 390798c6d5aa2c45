package keeper

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/hubring/hubring/cmd/rulekeeper/internal/problem"
)

type metrics struct {
	successful  prometheus.Gauge
	succeededAt prometheus.Gauge
	files       prometheus.Gauge
	groups      prometheus.Gauge
	refused     *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	factory := promauto.With(registerer)
	gauge := func(name, help string) prometheus.Gauge {
		return factory.NewGauge(prometheus.GaugeOpts{Name: "hubring_rules_" + name, Help: help})
	}
	m := &metrics{
		successful:  gauge("last_load_successful", "Whether the rules that lie in the sources are the ones that the ruler has loaded."),
		succeededAt: gauge("last_load_success_timestamp_seconds", "When that was so last, in seconds since 1970."),
		files:       gauge("files", "Published rule files."),
		groups:      gauge("groups", "Groups in the published rule files."),
		refused:     factory.NewCounterVec(prometheus.CounterOpts{Name: "hubring_rules_refused_total", Help: "Sets of rules that were refused, each once, by reason."}, []string{"reason"}),
	}
	for _, reason := range problem.Refusals() {
		m.refused.WithLabelValues(string(reason))
	}
	return m
}

func (m *metrics) set(at state, changed change) {
	m.successful.Set(0)
	if at.good {
		m.successful.Set(1)
		m.succeededAt.SetToCurrentTime()
	}
	m.files.Set(float64(at.files))
	m.groups.Set(float64(at.groups))
	if !changed.problems {
		return
	}
	for _, reason := range problem.Reasons(at.problems) {
		if reason != problem.Waiting {
			m.refused.WithLabelValues(string(reason)).Inc()
		}
	}
}
