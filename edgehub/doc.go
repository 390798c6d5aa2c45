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
// push is in the log; any other answer means that none is, nor a name of it. What
// was wrong is said with the number of the line. A sample without a timestamp gets
// the time of its arrival. No sender can use up what others need: see Config for
// the bounds.
//
// What it promises to a scraper: every sample of the log once, ordered by time
// within its series, the last value winning where a series has two for one
// time. The cursor moves when the whole response is out and the scraper is
// still there; a scrape that breaks off moves nothing and its samples come
// again. One that was away catches up in responses that fit its time, the oldest
// first. The body always parses, whatever was pushed. A response that can't be
// finished is cut off, never ended early, since half a body that ends cleanly would
// be believed.
//
// Only a scraper takes: a GET with the header that Prometheus sends,
// X-Prometheus-Scrape-Timeout-Seconds, or with ?drain=1. Any other GET looks.
// ?cursor=a says which scraper it is, where there are several; ?part=2&parts=10
// asks for one tenth of the series, which then has a cursor of its own.
//
// The log is in memory and ends with the process. Drain stops a hub so that its
// scrapers have everything before.
//
// GET /gateways lists the gateways that the hub knows, as metrics.
//
// Where to read on: server.go (routes); the way in: connections.go (who may
// connect), push.go (a push and its refusal), body.go (its memory and time),
// ingest.go and chain.go (its lines), newcomers.go (what is new); what is kept:
// table.go, index.go and arena.go (spelling to series), family.go (TYPE and HELP),
// gateway.go (whose room it is), log.go, cursor.go and arrivals.go (samples, who
// has read them and since when they wait), expire.go (what goes); the way out:
// request.go, scrape.go, bite.go (how much), arrange.go (in which order),
// response.go (as text), handover.go (when a cursor may move); the end: entrance.go
// and drain.go, parting.go (the last scrape); beside it: gateways.go (their list),
// pages.go, metrics.go.
package edgehub
