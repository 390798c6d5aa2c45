package edgehub

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the hub's own. The counts that Stats returns are kept as whole
// numbers and exported from there.
type metrics struct {
	receivedCount, scrapedCount, droppedCount, letGoCount atomic.Uint64

	pushes        prometheus.Counter
	rejected      *prometheus.CounterVec // by reason
	refusedLines  *prometheus.CounterVec // by reason
	conflicts     prometheus.Counter
	scraped       *prometheus.CounterVec // by cursor
	dropped       *prometheus.CounterVec // by reason
	aborted       prometheus.Counter
	refusedReads  *prometheus.CounterVec // by reason
	expired       prometheus.Counter
	resplits      prometheus.Counter
	onlyFirst     prometheus.Counter
	pushSeconds   prometheus.Histogram
	scrapeSeconds prometheus.Histogram
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
		pushes:        counter("pushes_total", "Pushes that were taken."),
		rejected:      counters("pushes_rejected_total", "Pushes that were refused, by reason; nothing of them was taken.", "reason"),
		refusedLines:  counters("samples_rejected_total", "Samples of refused pushes, by reason, as far as their bodies were read.", "reason"),
		conflicts:     counter("type_conflicts_total", "TYPE lines, each counted once or more, that contradict the type of a family."),
		scraped:       counters("samples_scraped_total", "Samples that a scraper's cursor passed.", "cursor"),
		dropped:       counters("samples_dropped_total", "Samples that were acknowledged and not given to a scraper, by reason.", "reason"),
		aborted:       counter("scrapes_aborted_total", "Scrapes that were cut off, or whose scraper went without them; their samples come again."),
		refusedReads:  counters("reads_refused_total", "Scrapes and looks that were refused, by reason.", "reason"),
		expired:       counter("series_expired_total", "Series that were forgotten because they were idle."),
		pushSeconds:   seconds("push_duration_seconds", "Time from the first byte of a push's body to the answer."),
		resplits:      counter("scrape_resplits_total", "Times that a scraper came with another number of parts than before."),
		onlyFirst:     counter("scrapes_one_at_a_time_total", "Scrapes by a Prometheus that keeps only the first of several samples of a series, and got no more."),
		scrapeSeconds: seconds("scrape_duration_seconds", "Time that a scrape took to be written."),
	}
	for _, reason := range reasons {
		m.rejected.WithLabelValues(reason)
		m.refusedLines.WithLabelValues(reason)
	}
	for _, reason := range []string{"too_many_scrapes", "too_many_looks", "bad_request"} {
		m.refusedReads.WithLabelValues(reason)
	}
	for _, reason := range []string{"too_old", "too_far_ahead", "let_go"} {
		m.dropped.WithLabelValues(reason)
	}
	for name := range h.scrapers {
		m.scraped.WithLabelValues(name)
	}
	pending := func() float64 { n, _ := h.log.pending(); return float64(n) }
	oldest := func() float64 { _, since := h.log.pending(); return age(since) }
	collectors := []prometheus.Collector{
		m.pushes, m.rejected, m.refusedLines, m.conflicts, m.scraped, m.dropped, m.aborted, m.refusedReads, m.expired, m.resplits, m.onlyFirst, m.pushSeconds, m.scrapeSeconds,
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: "edgehub", Name: "samples_received_total", Help: "Samples that were taken into the log.",
		}, func() float64 { return float64(m.receivedCount.Load()) }),
		gauge("pending_samples", "Samples that no scraper has got yet. What one of several has not got is in edgehub_cursor_lag_samples.", pending),
		gauge("oldest_pending_seconds", "Time since the oldest of them arrived, to the second; 0 when there is none.", oldest),
		gauge("limit_samples", "The most samples that may be pending, or wait for one scraper.", func() float64 { return float64(h.cfg.MaxSamples) }),
		gauge("pushes_in_flight", "Pushes that are being taken in; their bodies are read.", func() float64 { return float64(len(h.pushes)) }),
		gauge("limit_pushes", "The most pushes that are taken in at the same time.", func() float64 { return float64(cap(h.pushes)) }),
		gauge("series", "Series that the hub knows.", func() float64 { return float64(h.table.Load().size()) }),
		gauge("limit_series", "The most series that the hub may know.", func() float64 { return float64(h.cfg.MaxSeries) }),
		gauge("table_bytes", "Text of the series and metadata that the hub knows.", func() float64 { return float64(h.table.Load().bytes()) }),
		gauge("limit_table_bytes", "The most text of series and metadata that the hub may know.", func() float64 { return float64(h.cfg.MaxTableBytes) }),
		lagCollector{h.log},
	}
	collectors = append(collectors, h.bodies.collectors()...)
	collectors = append(collectors, h.connections.collectors()...)
	for _, c := range collectors {
		if err := h.cfg.Registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func gauge(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "edgehub", Name: name, Help: help}, value)
}

// age is the time in seconds since a time in milliseconds, 0 meaning none.
func age(since int64) float64 {
	if since == 0 {
		return 0
	}
	return max(0, time.Since(time.UnixMilli(since)).Seconds())
}

// lagCollector exports how far behind each cursor is, and what it was left behind. Which there are depends on
// how their scrapers split.
type lagCollector struct{ log *log }

var (
	lagSamples = prometheus.NewDesc("edgehub_cursor_lag_samples",
		"Samples between a cursor and the end of the log; for one part of several those of the other parts, too.", []string{"cursor", "part"}, nil)
	lagSeconds = prometheus.NewDesc("edgehub_cursor_lag_seconds",
		"Time since the oldest sample arrived that a cursor has not passed, to the second; 0 when there is none.", []string{"cursor", "part"}, nil)
	lagLeftBehind = prometheus.NewDesc("edgehub_samples_left_behind_total",
		"Samples that a cursor which was far behind will not get, since they were in the way and another cursor had passed them; with several parts about.", []string{"cursor"}, nil)
)

// Describe implements prometheus.Collector.
func (c lagCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- lagSamples
	descs <- lagSeconds
	descs <- lagLeftBehind
}

// Collect implements prometheus.Collector.
func (c lagCollector) Collect(metrics chan<- prometheus.Metric) {
	for _, l := range c.log.lags() {
		part := ""
		if l.parts > 1 {
			part = fmt.Sprintf("%d/%d", l.part, l.parts)
		}
		metrics <- prometheus.MustNewConstMetric(lagSamples, prometheus.GaugeValue, float64(l.samples), l.scraper, part)
		if l.part == 1 {
			metrics <- prometheus.MustNewConstMetric(lagLeftBehind, prometheus.CounterValue, l.leftBehind, l.scraper)
		}
		metrics <- prometheus.MustNewConstMetric(lagSeconds, prometheus.GaugeValue, age(l.since), l.scraper, part)
	}
}

func (m *metrics) received(samples int) {
	m.pushes.Inc()
	m.receivedCount.Add(uint64(samples))
}

func (m *metrics) letGo(samples int) {
	if samples == 0 {
		return
	}
	m.letGoCount.Add(uint64(samples))
	m.dropped.WithLabelValues("let_go").Add(float64(samples))
}

func (m *metrics) handedOver(s *scraper, t tally) {
	m.scrapedCount.Add(uint64(t.passed))
	m.droppedCount.Add(uint64(t.tooOld + t.ahead))
	m.scraped.WithLabelValues(s.name).Add(float64(t.passed))
	m.dropped.WithLabelValues("too_old").Add(float64(t.tooOld))
	m.dropped.WithLabelValues("too_far_ahead").Add(float64(t.ahead))
}
