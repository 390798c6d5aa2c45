package edgehub

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the hub's own. The counts that Stats returns are kept as whole
// numbers and exported from there.
type metrics struct {
	receivedCount, scrapedCount, droppedCount atomic.Uint64

	pushes       prometheus.Counter
	rejected     *prometheus.CounterVec // by reason
	refusedLines *prometheus.CounterVec // by reason
	conflicts    prometheus.Counter
	scraped      *prometheus.CounterVec // by cursor
	dropped      *prometheus.CounterVec // by reason
	aborted      prometheus.Counter
	refusedReads *prometheus.CounterVec // by reason
	expired      prometheus.Counter
	pushSeconds  prometheus.Histogram
	scrapeTime   prometheus.Histogram
}

func newMetrics(h *Hub) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "edgehub", Name: name, Help: help})
	}
	counters := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "edgehub", Name: name, Help: help}, []string{label})
	}
	seconds := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "edgehub", Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9), // to 33 s
		})
	}
	m := &metrics{
		pushes:       counter("pushes_total", "Pushes that were taken."),
		rejected:     counters("pushes_rejected_total", "Pushes that were refused, by reason; nothing of them was taken.", "reason"),
		refusedLines: counters("samples_rejected_total", "Samples of refused pushes, by reason, as far as their bodies were read.", "reason"),
		conflicts:    counter("type_conflicts_total", "TYPE lines, each counted once or more, that contradict the type of a family."),
		scraped:      counters("samples_scraped_total", "Samples that a scraper's cursor passed.", "cursor"),
		dropped:      counters("samples_dropped_total", "Samples that were left out of a scrape, by reason.", "reason"),
		aborted:      counter("scrapes_aborted_total", "Scrapes that were cut off; their samples come again."),
		refusedReads: counters("reads_refused_total", "Scrapes and looks that were refused, by reason.", "reason"),
		expired:      counter("series_expired_total", "Series that were forgotten because they were idle."),
		pushSeconds:  seconds("push_duration_seconds", "Time from the first byte of a push's body to the answer."),
		scrapeTime:   seconds("scrape_duration_seconds", "Time that a scrape took to be written."),
	}
	for _, reason := range reasons {
		m.rejected.WithLabelValues(reason)
		m.refusedLines.WithLabelValues(reason)
	}
	for _, reason := range []string{"too_many_scrapes", "too_many_looks", "unknown_cursor"} {
		m.refusedReads.WithLabelValues(reason)
	}
	for _, reason := range []string{"too_old", "too_far_ahead"} {
		m.dropped.WithLabelValues(reason)
	}
	collectors := []prometheus.Collector{
		m.pushes, m.rejected, m.refusedLines, m.conflicts, m.scraped, m.dropped, m.aborted, m.refusedReads, m.expired, m.pushSeconds, m.scrapeTime,
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: "edgehub", Name: "samples_received_total", Help: "Samples that were taken into the log.",
		}, func() float64 { return float64(m.receivedCount.Load()) }),
		gauge("pending_samples", "Samples that some scraper has not got yet.", nil, func() float64 { return float64(h.log.waiting()) }),
		gauge("limit_samples", "The most samples that may be pending.", nil, func() float64 { return float64(h.cfg.MaxSamples) }),
		gauge("pushes_in_flight", "Pushes that are being taken in; their bodies are read.", nil, func() float64 { return float64(len(h.pushes)) }),
		gauge("limit_pushes", "The most pushes that are taken in at the same time.", nil, func() float64 { return float64(cap(h.pushes)) }),
		gauge("series", "Series that the hub knows.", nil, func() float64 { return float64(h.table.size()) }),
		gauge("limit_series", "The most series that the hub may know.", nil, func() float64 { return float64(h.cfg.MaxSeries) }),
	}
	collectors = append(collectors, h.bodies.collectors()...)
	collectors = append(collectors, h.connections.collectors()...)
	for _, c := range h.cursors {
		m.scraped.WithLabelValues(c.name)
		collectors = append(collectors, gauge("cursor_lag_samples", "Samples between a scraper's cursor and the end of the log.",
			prometheus.Labels{"cursor": c.name}, func() float64 { return float64(h.log.pending(c)) }))
	}
	for _, c := range collectors {
		if err := h.cfg.Registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func gauge(name, help string, labels prometheus.Labels, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "edgehub", Name: name, Help: help, ConstLabels: labels}, value)
}

func (m *metrics) received(samples int) {
	m.pushes.Inc()
	m.receivedCount.Add(uint64(samples))
}

func (m *metrics) handedOver(c *cursor, passed uint64, a *arrangement) {
	m.scrapedCount.Add(passed)
	m.droppedCount.Add(uint64(a.tooOld + a.ahead))
	m.scraped.WithLabelValues(c.name).Add(float64(passed))
	m.dropped.WithLabelValues("too_old").Add(float64(a.tooOld))
	m.dropped.WithLabelValues("too_far_ahead").Add(float64(a.ahead))
}
