package dashboard

// Selectors. A hub that is scraped in parts has a target for each, HOST:PORT#PART.
const (
	ofHub    = `instance=~"$hub"`
	ofHubJob = `job="edgehub-internal",instance=~"$hub",` + notGateways
	ofScrape = `job="edgehub",instance=~"$hub(#.+)?",` + notGateways
	ofServer = `job="prometheus",instance=~"$server",` + notGateways
	ofRuler  = `job="thanos-rule",` + notGateways
	ofRules  = `job=~"prometheus|thanos-rule",` + notGateways // the one or the other evaluates them
	ofThanos = `job=~"thanos-sidecar|thanos-compact|thanos-rule|thanos-store",` + notGateways
)

func perHub(metric string) query {
	return query{"max by (instance) (" + metric + "{" + ofHub + "})", "{{instance}}"}
}

// shareOfLimit is how much of a bound a hub uses.
func shareOfLimit(metric, limit string) query {
	return query{"max by (instance) (" + metric + "{" + ofHub + "} / " + limit + "{" + ofHub + "})", "{{instance}}"}
}

func reasons(metric string) query {
	return query{"sum by (reason) (rate(" + metric + "{" + ofHub + "}[$__rate_interval]))", "{{reason}}"}
}

// quantile of a histogram by a label.
func quantile(q, histogram, selector, by string) query {
	return query{
		"histogram_quantile(" + q + ", sum by (le, " + by + ") (rate(" + histogram + "_bucket{" + selector + "}[$__rate_interval])))",
		"{{" + by + "}} p" + q[len("0."):],
	}
}

func hubs() Dashboard {
	return board("hubring-hubs", "Hubring / Hubs",
		"Each hub's log of samples, its bounds and what it refuses; its Prometheus servers; rules and Thanos.",
		"now-3h", []Variable{
			choice("hub", "Hub", "edgehub_limit_samples", "instance"),
			choice("server", "Prometheus", "prometheus_build_info{job=\"prometheus\","+notGateways+"}", "instance"),
			constant("timeout", "14"),
		},
		row{title: "Samples that wait", panels: []Panel{
			graph(8, "Fill", "percentunit", "Samples that wait for a scrape, as a part of edgehub.limitSamples. A full hub refuses pushes, or lets the oldest samples go with limitPolicy newest.",
				shareOfLimit("edgehub_pending_samples", "edgehub_limit_samples")).from(0.7, "red"),
			graph(8, "Oldest sample that waits", "s", "Above two scrape intervals: the hub's Prometheus is away or too slow.",
				perHub("edgehub_oldest_pending_seconds")),
			graph(8, "Lag of each scraper", "s", "How long the oldest sample waits that this scraper has not got: the servers of a pair are apart here, and so are the parts of a scrape.",
				query{"max by (instance, cursor, part) (edgehub_cursor_lag_seconds{" + ofHub + "})", "{{instance}} {{cursor}} {{part}}"}),
			graph(12, "Samples received and scraped", "cps", "Each scraper gets every sample, so the servers of a pair are two lines like the received one.",
				query{"sum by (instance) (rate(edgehub_samples_received_total{" + ofHub + "}[$__rate_interval]))", "{{instance}} received"},
				query{"sum by (instance, cursor) (rate(edgehub_samples_scraped_total{" + ofHub + "}[$__rate_interval]))", "{{instance}} scraped {{cursor}}"}),
			graph(12, "Samples that wait", "short", "The same as the fill, in samples, beside the lowest bound of these hubs.",
				perHub("edgehub_pending_samples"),
				query{"min(edgehub_limit_samples{" + ofHub + "})", "limit"}).bound("limit"),
		}},
		row{title: "Refused and dropped", panels: []Panel{
			graph(8, "Samples dropped, by reason", "cps", "Samples that were acknowledged and no scraper got: outside edgehub.maxAge or maxAhead (a gateway's clock is wrong, or it was offline for long), or let go when the hub was full.",
				reasons("edgehub_samples_dropped_total")),
			graph(8, "Pushes refused, by reason", "reqps", "Nothing of a refused push is taken. malformed, content_type, encoding and unreadable are the sender's fault; the others are bounds.",
				reasons("edgehub_pushes_rejected_total")),
			graph(8, "Samples of refused pushes, by reason", "cps", "As far as the bodies were read. Exporters send them again.",
				reasons("edgehub_samples_rejected_total")),
			graph(8, "Scrapes refused, by reason", "reqps", "too_many_scrapes: more at once than scrapers and their parts.",
				reasons("edgehub_reads_refused_total")),
			graph(8, "Scrapes that went wrong", "reqps", "aborted: the response was cut off and comes again. resplit: a scraper came with another number of parts. one at a time: this Prometheus release keeps only the first of several samples; use another.",
				query{"sum by (instance) (rate(edgehub_scrapes_aborted_total{" + ofHub + "}[$__rate_interval]))", "{{instance}} aborted"},
				query{"sum by (instance) (rate(edgehub_scrape_resplits_total{" + ofHub + "}[$__rate_interval]))", "{{instance}} resplit"},
				query{"sum by (instance) (rate(edgehub_scrapes_one_at_a_time_total{" + ofHub + "}[$__rate_interval]))", "{{instance}} one at a time"}),
			graph(8, "Connections closed and types contradicted", "cps", "Connections that were closed because too many were open, and TYPE lines that contradict what a family was before.",
				query{"sum by (instance) (rate(edgehub_connections_refused_total{" + ofHub + "}[$__rate_interval]))", "{{instance}} connections"},
				query{"sum by (instance) (rate(edgehub_type_conflicts_total{" + ofHub + "}[$__rate_interval]))", "{{instance}} types"}),
		}},
		row{title: "Pushes, scrapes and receipts", panels: []Panel{
			graph(6, "Pushes", "reqps", "Pushes a second that were taken in.",
				query{"sum by (instance) (rate(edgehub_pushes_total{" + ofHub + "}[$__rate_interval]))", "{{instance}}"}),
			graph(6, "Time of a push", "s", "From the first byte of the body to the answer, so a slow sender shows here, too.",
				quantile("0.50", "edgehub_push_duration_seconds", ofHub, "instance"),
				quantile("0.99", "edgehub_push_duration_seconds", ofHub, "instance")),
			graph(6, "Pushes in flight", "percentunit", "Pushes that are being taken in, as a part of --limit.pushes; one beyond is refused (too_many_pushes).",
				shareOfLimit("edgehub_pushes_in_flight", "edgehub_limit_pushes")).from(0.9, "orange"),
			graph(6, "Time of a scrape, in the hub", "s", "Until a response is written, which waits for the scraper to read.",
				quantile("0.50", "edgehub_scrape_duration_seconds", ofHub, "instance"),
				quantile("0.99", "edgehub_scrape_duration_seconds", ofHub, "instance")),
			graph(8, "Receipts asked for, by answer", "reqps", "Each response has a receipt, and its server is asked for it. missing: the response was not stored and comes again. failed: the server did not answer.",
				query{"sum by (result) (rate(edgehub_receipt_queries_total{" + ofHub + "}[$__rate_interval]))", "{{result}}"}),
			graph(8, "Responses that come again", "reqps", "unconfirmed: written, and not stored. A few when a server restarts; if they go on, look at its disk and at limits in its scrape job. conflicts: two scrapers on one cursor, each of which lacks what the other one got.",
				query{"sum by (instance, cursor) (rate(edgehub_handovers_unconfirmed_total{" + ofHub + "}[$__rate_interval]))", "{{instance}} {{cursor}} unconfirmed"},
				query{"sum by (instance, cursor) (rate(edgehub_scraper_conflicts_total{" + ofHub + "}[$__rate_interval]))", "{{instance}} {{cursor}} conflicts"}),
			graph(8, "Series set aside", "short", "Series that a server refuses, so that they are left out and all others go on. The hub's log names them.",
				query{"max by (instance, cursor) (edgehub_set_aside_series{" + ofHub + "})", "{{instance}} {{cursor}}"}).from(1, "red"),
		}},
		row{title: "Room of the hubs", panels: []Panel{
			graph(6, "Series", "percentunit", "Series that a hub knows, as a part of edgehub.limitSeries; new ones beyond are refused (series_limit).",
				shareOfLimit("edgehub_series", "edgehub_limit_series")).from(0.9, "orange"),
			graph(6, "Text of series", "percentunit", "Names, labels and help texts, as a part of --limit.table-bytes; beyond, new ones are refused (table_bytes).",
				shareOfLimit("edgehub_table_bytes", "edgehub_limit_table_bytes")).from(0.9, "orange"),
			graph(6, "Bodies", "percentunit", "Memory for pushes that are being read or taken in, as a part of --limit.bodies-bytes; beyond, pushes are refused (bodies_bytes).",
				shareOfLimit("edgehub_bodies_bytes", "edgehub_limit_bodies_bytes")).from(0.9, "orange"),
			graph(6, "Connections", "percentunit", "Senders' connections, as a part of --limit.connections; a push on one more is refused (too_many_connections).",
				shareOfLimit("edgehub_connections", "edgehub_limit_connections")).from(0.9, "orange"),
			graph(6, "Series forgotten", "cps", "Series that nobody pushed for --series.idle. Many all the time: gateways make new series with each report.",
				query{"sum by (instance) (rate(edgehub_series_expired_total{" + ofHub + "}[$__rate_interval]))", "{{instance}}"}),
			graph(6, "Memory", "bytes", "Resident memory of the process. The container's limit is edgehub.resources.",
				query{"max by (instance) (process_resident_memory_bytes{" + ofHubJob + "})", "{{instance}}"}),
			graph(6, "CPU", "short", "Cores in use.",
				query{"sum by (instance) (rate(process_cpu_seconds_total{" + ofHubJob + "}[$__rate_interval]))", "{{instance}}"}),
			graph(6, "Restarts in an hour", "short", "What a hub that is killed has not handed over is lost.",
				query{"changes(process_start_time_seconds{" + ofHubJob + "}[1h])", "{{instance}}"}),
		}},
		row{title: "Their Prometheus servers", panels: []Panel{
			graph(6, "Time of a scrape", "s", "As Prometheus measures it. A scrape that takes prometheus.scrapeTimeout fails, and its samples come again; raise edgehub.parts before.",
				query{"max by (instance) (scrape_duration_seconds{" + ofScrape + "})", "{{instance}}"},
				query{"vector($timeout)", "timeout"}).bound("timeout"),
			graph(6, "Samples in a scrape", "short", "",
				query{"max by (instance) (scrape_samples_scraped{" + ofScrape + "})", "{{instance}}"}),
			states(6, "Hubs scraped", "The scrape that hands over, by hub.", texts("0", "failed", "red", "1", "ok", "green"),
				query{"min by (instance) (up{" + ofScrape + "})", "{{instance}}"}),
			states(6, "Configuration", "refused: the server runs on with what it had; its log says why.", texts("0", "refused", "red", "1", "ok", "green"),
				query{"min by (instance) (prometheus_config_last_reload_successful{" + ofServer + "})", "{{instance}}"}),
			graph(6, "Samples out of order", "cps", "appended: late samples within prometheus.outOfOrderTimeWindow, as after a failover; they are kept. too old and out of bounds: they are lost, and too old ones fail the whole scrape.",
				query{"sum by (instance) (rate(prometheus_tsdb_head_out_of_order_samples_appended_total{" + ofServer + "}[$__rate_interval]))", "{{instance}} appended"},
				query{"sum by (instance) (rate(prometheus_tsdb_too_old_samples_total{" + ofServer + "}[$__rate_interval]))", "{{instance}} too old"},
				query{"sum by (instance) (rate(prometheus_target_scrapes_sample_out_of_bounds_total{" + ofServer + "}[$__rate_interval]))", "{{instance}} out of bounds"},
				query{"sum by (instance) (rate(prometheus_target_scrapes_sample_duplicate_timestamp_total{" + ofServer + "}[$__rate_interval]))", "{{instance}} duplicate"}),
			graph(6, "Series in memory", "short", "A server's memory grows with them: some 4 KiB each, and more while they change.",
				query{"max by (instance) (prometheus_tsdb_head_series{" + ofServer + "})", "{{instance}}"}),
			graph(6, "Write-ahead log", "bytes", "What a server reads when it starts. It shrinks every two hours.",
				query{"max by (instance) (prometheus_tsdb_wal_storage_size_bytes{" + ofServer + "})", "{{instance}}"}),
			graph(6, "Memory of Prometheus", "bytes", "Resident memory of the process. The container's limit is prometheus.resources.",
				query{"max by (instance) (process_resident_memory_bytes{" + ofServer + "})", "{{instance}}"}),
		}},
		row{title: "Rules and Thanos (query.enabled)", collapsed: true, panels: []Panel{
			graph(8, "Time of a round of rules, of its interval", "percentunit", "A group that takes longer than its interval misses rounds.",
				query{"max by (instance) (prometheus_rule_group_last_duration_seconds{" + ofRules + "} / prometheus_rule_group_interval_seconds{" + ofRules + "})", "{{instance}}"}).from(1, "red"),
			graph(8, "Rules that fail", "cps", "failed: evaluations that gave nothing. partial: the ruler did them on what a part of the servers answered. missed: rounds that began too late for their interval.",
				query{"sum by (instance) (rate(prometheus_rule_evaluation_failures_total{" + ofRules + "}[$__rate_interval]))", "{{instance}} failed"},
				query{"sum by (instance) (rate(thanos_rule_evaluation_with_warnings_total{" + ofRuler + "}[$__rate_interval]))", "{{instance}} partial"},
				query{"sum by (instance) (rate(prometheus_rule_group_iterations_missed_total{" + ofRules + "}[$__rate_interval]))", "{{instance}} missed"}),
			graph(8, "Alerts that were not delivered", "cps", "dropped: the ruler's queue was full, or no Alertmanager took them. errors: attempts that failed.",
				query{"sum by (instance) (rate(thanos_alert_queue_alerts_dropped_total{" + ofRuler + "}[$__rate_interval]) + rate(thanos_alert_sender_alerts_dropped_total{" + ofRuler + "}[$__rate_interval]))", "{{instance}} dropped"},
				query{"sum by (instance) (rate(thanos_alert_sender_errors_total{" + ofRuler + "}[$__rate_interval]))", "{{instance}} errors"}),
			states(12, "Rules and compactor", "refused: the ruler goes on with the rules that it had. halted: the compactor found blocks that it cannot join; its log says which, and nothing is deleted from the bucket any more.",
				texts("0", "refused", "red", "1", "loaded", "green", "2", "runs", "green", "3", "halted", "red"),
				query{"min by (instance) (hubring_rules_last_load_successful{job=\"rulekeeper\"})", "{{instance}} rules"},
				query{"2 + max by (instance) (thanos_compact_halted{" + ofThanos + "})", "{{instance}}"}),
			graph(12, "Bucket operations that fail", "cps", "With objectStorage.enabled. A sidecar keeps a block until its upload succeeds; prometheus.retention must not end before.",
				query{"sum by (job, operation) (rate(thanos_objstore_bucket_operation_failures_total{" + ofThanos + "}[$__rate_interval]))", "{{job}} {{operation}}"}),
		}},
	)
}
