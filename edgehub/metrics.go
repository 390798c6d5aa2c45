package edgehub

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hubring/hubring/edgehub/internal/intake"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/store"
	"github.com/hubring/hubring/edgehub/internal/web"
)

func newHistograms() (push, scrape prometheus.Histogram) {
	seconds := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "edgehub", Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9), // to 33 s
		})
	}
	return seconds("push_duration_seconds", "Time from the first byte of a push's body to the answer."),
		seconds("scrape_duration_seconds", "Time that a scrape took to be written.")
}

func newFlushHistogram() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "edgehub", Name: "storage_flush_duration_seconds", Help: "Time that the disk took to make the log durable (fsync).",
		Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9), // to 33 s
	})
}

// storageCollectors export what is known of the log on disk.
func (h *Hub) storageCollectors() []prometheus.Collector {
	disk := func() store.OnDisk { d, _ := h.store.Disk(); return d }
	ready := func() float64 {
		if h.store.Refuses() != nil {
			return 0
		}
		return 1
	}
	return []prometheus.Collector{
		gauge("storage_ready", "1 while the log on disk is read and can be written; else pushes are refused, and /-/ready says why.", ready),
		gauge("storage_bytes", "Size of the log on disk.", func() float64 { return float64(disk().Bytes) }),
		gauge("limit_storage_bytes", "The most bytes of the log on disk; 0 for no bound.", func() float64 { return float64(h.cfg.MaxStorageBytes) }),
		gauge("storage_segments", "Files of the log on disk.", func() float64 { return float64(disk().Segments) }),
		counter("storage_failures_total", "Times that the disk failed to do something.", func() uint64 { return disk().Failures }),
		counter("storage_replayed_samples_total", "Samples that were read from disk at the start.", func() uint64 { return disk().Replayed }),
		counter("storage_lost_samples_total", "Samples that were on disk at the start, and could not be read; the log says which.", func() uint64 { return disk().Lost }),
		counter("storage_torn_tails_total", "Times that the log on disk ended in the middle of a push, which was cut off.", func() uint64 { return disk().Torn }),
	}
}

// register exports what the hub's rooms count.
func (h *Hub) register(in *intake.Intake, histograms ...prometheus.Collector) error {
	counts, log, table := &h.web.Counts, h.store.Log, h.store.Table
	pending := func() float64 { n, _ := log.Pending(); return float64(n) }
	oldest := func() float64 { _, age := log.Pending(); return age.Seconds() }
	inFlight := func() float64 { n, _ := h.web.PushesInFlight(); return float64(n) }
	collectors := []prometheus.Collector{
		counter("pushes_total", "Pushes that were taken.", counts.Pushes.Load),
		counter("samples_received_total", "Samples that were taken into the log.", counts.Received.Load),
		counter("type_conflicts_total", "TYPE lines, each counted once or more, that contradict the type of a family.", h.store.Conflicts),
		counter("unknown_types_total", "TYPE lines, each counted once or more, whose word is no type; they are read as untyped.", in.UnknownTypes),
		counter("scrapes_aborted_total", "Scrapes that were cut off, or whose scraper went without them; their samples come again.", counts.Aborted.Load),
		counter("series_expired_total", "Series that were forgotten because they were idle.", h.store.Expired),
		counter("scrape_resplits_total", "Times that a scraper came with another number of parts than before.", counts.Resplits.Load),
		counter("scrapes_one_at_a_time_total", "Scrapes by a scraper that keeps only the first of several samples of a series, and got no more.", counts.OneAtATime.Load),
		counter("connections_refused_total", "Connections that were closed because too many were open, idle ones first.", h.desk.Refused),
		counter("requests_unwatched_total", "Requests over connections that the hub does not watch, since its server listens without Hub.Listener; their responses count as taken.", h.desk.Unwatched),
		words(&counts.GatewaysEnded, "gateways_ended_total", "Gateways whose series were ended: those that moved to another hub, and those that fell silent.", "reason"),
		words(&counts.RejectedEnds, "ends_rejected_total", "Requests to end gateways that were refused, by reason.", "reason"),
		counter("markers_total", "Stale markers that the hub wrote into its log, to end series.", func() uint64 { _, n := log.Written(); return n }),
		counter("first_samples_total", "Samples that the hub wrote into its log of gateways' first samples.", func() uint64 { n, _ := log.Written(); return n }),
		words(&counts.RejectedPushes, "pushes_rejected_total", "Pushes that were refused, by reason; nothing of them was taken.", "reason"),
		words(&counts.RejectedSamples, "samples_rejected_total", "Samples of refused pushes, by reason, as far as their bodies were read.", "reason"),
		words(&counts.LeftOut, "samples_left_out_total", "Samples of pushes that were taken without them, by reason, which the answer says; remote write and OTLP want it so.", "reason"),
		counter("exemplars_left_out_total", "Exemplars of remote write whose series, or all of its samples, were refused.", counts.LeftExemplars.Load),
		words(&counts.ScrapedBy, "samples_scraped_total", "Samples that a scraper's cursor passed.", "cursor"),
		words(&counts.HandedOver, "samples_handed_over_total", "Samples that a scraper's cursor passed since another hub has taken them; those that the hub itself writes count, too.", "cursor"),
		words(&counts.Handovers, "handovers_total", "Times that the hub was to hand over what it had to another hub, by what became of it.", "result"),
		words(&counts.RefusedReads, "reads_refused_total", "Scrapes and looks that were refused, by reason.", "reason"),
		words(&counts.ExtrasLeftOut, "extras_left_out_total", "What is more than numbers, of samples that a scraper has got in a format that has no place for it; and what was cut of it, where samples had to go.", "what"),
		words(&counts.Unconfirmed, "handovers_unconfirmed_total", "Responses to scrapes that were written and are not known to be stored; their samples come again.", "cursor"),
		words(&counts.Conflicts, "scraper_conflicts_total", "Times that two scrapers were seen to share a cursor.", "cursor"),
		words(&counts.Proxied, "scrapes_proxied_total", "Scrapes that came through a proxy.", "cursor"),
		words(&counts.Queries, "receipt_queries_total", "Responses to scrapes whose receipt a server was asked for, by what it answered in the end.", "cursor", "result"),
		words(&counts.SetAsideSamples, "samples_set_aside_total", "Samples that were passed over since the server refuses their series, by reason and gateway.", "cursor", "reason", "gateway"),
		droppedCollector{counts},
		doubtCollector{h.web},
		lagCollector{log},
		gauge("pending_samples", "Samples that no scraper has, nor was handed. What one of several has not got is in edgehub_cursor_lag_samples.", pending),
		gauge("oldest_pending_seconds", "Time since the oldest of them arrived, to the second; 0 when there is none.", oldest),
		gauge("unsure_samples", "Samples that were handed to a scraper and are not known to have arrived.", func() float64 { return float64(log.Unsure()) }),
		gauge("sealed_samples", "Samples of the log that are packed, since they have waited for two minutes.", func() float64 { n, _ := log.Sealed(); return float64(n) }),
		gauge("sealed_bytes", "Memory for the packed samples.", func() float64 { _, bytes := log.Sealed(); return float64(bytes) }),
		gauge("limit_samples", "The most samples that may be pending, or wait for one scraper.", func() float64 { return float64(h.cfg.MaxSamples) }),
		gauge("pushes_in_flight", "Pushes that are being taken in; their bodies are read.", inFlight),
		gauge("limit_pushes", "The most pushes that are taken in at the same time.", func() float64 { return float64(h.cfg.MaxPushes) }),
		gauge("series", "Series that the hub knows.", func() float64 { return float64(table().Size()) }),
		gauge("limit_series", "The most series that the hub may know.", func() float64 { return float64(h.cfg.MaxSeries) }),
		gauge("table_bytes", "Text of the series and metadata that the hub knows.", func() float64 { return float64(table().Bytes()) }),
		gauge("limit_table_bytes", "The most text of series and metadata that the hub may know.", func() float64 { return float64(h.cfg.MaxTableBytes) }),
		gauge("bodies_bytes", "Memory for the bodies of pushes that are being read or taken in.", func() float64 { return float64(h.room.Used()) }),
		gauge("limit_bodies_bytes", "The most memory for the bodies of pushes.", func() float64 { return float64(h.room.Limit()) }),
		gauge("connections", "Open connections of senders, idle or not.", func() float64 { return float64(h.desk.Senders()) }),
		gauge("open_connections", "Open connections of senders, scrapers and others.", func() float64 { return float64(h.desk.Open()) }),
		gauge("limit_connections", "The most connections of senders.", func() float64 { return float64(h.cfg.MaxConnections) }),
	}
	collectors = append(collectors, extras("extras_received_total", "What is more than numbers, taken in with samples.", in.Received)...)
	collectors = append(collectors, extras("extras_rejected_total", "Likewise, that was brought with samples that were taken in, and is none that may be passed on.", in.LeftOut)...)
	if h.cfg.StoragePath != "" {
		collectors = append(collectors, h.storageCollectors()...)
	}
	if h.groups != nil {
		collectors = append(collectors, h.groupCollectors()...)
	}
	for _, c := range append(collectors, histograms...) {
		if err := h.cfg.Registerer.Register(c); err != nil {
			return err
		}
	}
	return nil
}

func gauge(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "edgehub", Name: name, Help: help}, value)
}

func counter(name, help string, value func() uint64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "edgehub", Name: name, Help: help},
		func() float64 { return float64(value()) })
}

// extras export what is more than numbers by what it is.
func extras(name, help string, now func() intake.Extras) (all []prometheus.Collector) {
	for what, of := range map[string]func(intake.Extras) uint64{
		"native_histogram": func(e intake.Extras) uint64 { return e.Histograms },
		"exemplar":         func(e intake.Extras) uint64 { return e.Exemplars },
		"start_time":       func(e intake.Extras) uint64 { return e.Starts },
	} {
		all = append(all, prometheus.NewCounterFunc(
			prometheus.CounterOpts{Namespace: "edgehub", Name: name, Help: help, ConstLabels: prometheus.Labels{"what": what}},
			func() float64 { return float64(of(now())) },
		))
	}
	return all
}

// wordCollector exports counts by a word, or by several with a NUL between them.
type wordCollector struct {
	counts *web.Words
	desc   *prometheus.Desc
}

func words(counts *web.Words, name, help string, labels ...string) prometheus.Collector {
	return wordCollector{counts, prometheus.NewDesc("edgehub_"+name, help, labels, nil)}
}

// Describe implements prometheus.Collector.
func (c wordCollector) Describe(descs chan<- *prometheus.Desc) { descs <- c.desc }

// Collect implements prometheus.Collector.
func (c wordCollector) Collect(metrics chan<- prometheus.Metric) {
	c.counts.Each(func(word string, n uint64) {
		metrics <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, float64(n), strings.Split(word, "\x00")...)
	})
}

var dropped = prometheus.NewDesc("edgehub_samples_dropped_total",
	"Samples that were acknowledged and not given to a scraper, by reason.", []string{"reason"}, nil)

// droppedCollector exports why samples were not written.
type droppedCollector struct{ counts *web.Counts }

// Describe implements prometheus.Collector.
func (c droppedCollector) Describe(descs chan<- *prometheus.Desc) { descs <- dropped }

// Collect implements prometheus.Collector.
func (c droppedCollector) Collect(metrics chan<- prometheus.Metric) {
	for reason, n := range map[string]uint64{
		"too_old": c.counts.TooOld.Load(), "too_far_ahead": c.counts.Ahead.Load(),
		"let_go": c.counts.LetGo.Load(), "set_aside": c.counts.SetAside.Load(),
	} {
		metrics <- prometheus.MustNewConstMetric(dropped, prometheus.CounterValue, float64(n), reason)
	}
}

var (
	setAside = prometheus.NewDesc("edgehub_set_aside_series",
		"Series that a cursor's server refuses and that are left out of its responses; they are tried again now and then.", []string{"cursor"}, nil)
	clockAhead = prometheus.NewDesc("edgehub_server_clock_ahead_seconds",
		"By how much the clock of a cursor's server is ahead of the hub's, to a second; which samples are too old or too far ahead is told by the server's.", []string{"cursor"}, nil)
	receiptsMissing = prometheus.NewDesc("edgehub_receipts_missing",
		"1 while receipts do not arrive at a cursor's server although samples do, so that its connection has to do.", []string{"cursor"}, nil)
)

// doubtCollector exports what is in doubt of each cursor.
type doubtCollector struct{ web *web.Server }

// Describe implements prometheus.Collector.
func (c doubtCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- setAside
	descs <- receiptsMissing
	descs <- clockAhead
}

// Collect implements prometheus.Collector.
func (c doubtCollector) Collect(metrics chan<- prometheus.Metric) {
	for cursor, d := range c.web.Doubts() {
		missing := 0.0
		if d.ReceiptsMissing {
			missing = 1
		}
		metrics <- prometheus.MustNewConstMetric(setAside, prometheus.GaugeValue, float64(d.SetAside), cursor)
		metrics <- prometheus.MustNewConstMetric(receiptsMissing, prometheus.GaugeValue, missing, cursor)
		if d.Known {
			metrics <- prometheus.MustNewConstMetric(clockAhead, prometheus.GaugeValue, d.Ahead.Seconds(), cursor)
		}
	}
}

// lagCollector exports how far behind each cursor is, and what it was left behind. Which there are depends on
// how their scrapers split.
type lagCollector struct{ log *samples.Log }

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
	for _, l := range c.log.Lags() {
		part := ""
		if l.Parts > 1 {
			part = fmt.Sprintf("%d/%d", l.Part, l.Parts)
		}
		metrics <- prometheus.MustNewConstMetric(lagSamples, prometheus.GaugeValue, float64(l.Samples), l.Scraper, part)
		if l.Part == 1 {
			metrics <- prometheus.MustNewConstMetric(lagLeftBehind, prometheus.CounterValue, l.LeftBehind, l.Scraper)
		}
		metrics <- prometheus.MustNewConstMetric(lagSeconds, prometheus.GaugeValue, l.Age.Seconds(), l.Scraper, part)
	}
}
