// Package edgehub is a push gateway that keeps timestamps: it takes the metrics
// of many gateways and hands each sample, once, to the Prometheus server that
// scrapes it.
//
// A hub is a table of series and a log of samples with a cursor per scraper:
//
//	POST /metrics ─► scan ─► table: spelling → series ─► log: (series, time, value) ...
//	                                                      ▲                        ▲
//	                                                 cursor of the scraper        end
//	GET /metrics  ◄─ write ◄─ arrange by family, series, time ◄─ read from cursor to end
//
// What it promises to a sender: an answer of 200 means that every sample of the
// push is in the log; any other answer means that none is. What was wrong is
// said with the number of the line. A sample without a timestamp gets the time
// of its arrival.
//
// What it promises to a scraper: every sample of the log once, ordered by time
// within its series, the last value winning where a series has two for one
// time. The cursor moves when the whole response is out and the scraper is
// still there; a scrape that breaks off moves nothing and its samples come
// again. The body always parses, whatever was pushed. A response that can't be finished is cut off,
// never ended early, since half a body that ends cleanly would be believed.
//
// Only a scraper takes: a GET with the header that Prometheus sends,
// X-Prometheus-Scrape-Timeout-Seconds, or with ?drain=1. Any other GET looks.
//
// The log is in memory and ends with the process.
//
// Where to read on: server.go (routes), push.go and ingest.go (the way in),
// table.go (spelling to series), family.go (TYPE and HELP), log.go and cursor.go (samples and who has read
// them), scrape.go, arrange.go and response.go (the way out), handover.go (when a cursor may
// move).
package edgehub
