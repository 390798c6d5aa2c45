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
// push is in the log; any other answer means that none is, nor a name of it (where a disk fails names may stay). What
// was wrong is said with the number of the line. A sample without a timestamp gets
// the time of its arrival. No sender can use up what others need: see Config for
// the bounds.
//
// What it promises to a scraper: every sample of the log once, ordered by time
// within its series, the last value winning where a series has two for one
// time. Where Config.Servers names the scraper's server the cursor moves when that has stored
// the response, which it is asked; else when the connection tells that the scraper has
// read it. What does not arrive, or is not stored, comes again, and a series that the
// server refuses is set aside, so that the others go on. A scraper that
// was away catches up in responses that fit its time, the oldest
// first. The body always parses, whatever was pushed. A response that can't be
// finished is cut off, never ended early, since half a body that ends cleanly would
// be believed.
//
// Only a scraper takes: a GET with the header that Prometheus sends,
// X-Prometheus-Scrape-Timeout-Seconds, or with ?drain=1. Any other GET looks.
// ?cursor=a says which scraper it is, where there are several; ?part=2&parts=10
// asks for one tenth of the series, which then has a cursor of its own; ?one=1 for
// one sample of a series at most; ?max-bytes=N for no more text than that. Of several
// scrapers one that is dead stops nobody: what another one has got makes room for
// pushes, and the dead one goes without it.
//
// A gateway that went elsewhere ends here: POST /gateways/ended, or End, says which, and a gateway that
// fell silent the hub finds by itself (Config.EndsAfter). Each of its series gets a stale marker, a sample
// like others that only protobuf can carry. When a gateway comes, or comes back, the hub writes the time of
// its first sample into its own log, as the series edgehub_gateway_first_sample_timestamp_seconds.
//
// The log is in memory and ends with the process, unless Config.StoragePath names a directory for it. Then a push is on disk
// before it is answered, and a hub that starts there goes on where the last one was: until it has read
// that, and while the disk fails, it is not ready and refuses pushes with 503. Drain stops a hub so that its
// scrapers have everything before.
//
// A hub that goes away for good while its servers are down gives what none of them has to another hub: see
// Hub.Handover.
//
// Each answer has the header Hubring-Hub: edgehub/VERSION NAME, with the name of Config.Name if there is
// one. Exporters believe no answer without it.
//
// Remote write, on /api/v1/write, is a push as well, with answers of its own: 204, 400 where only a part is stored, and 503 for want of
// room, since its senders drop what is answered 429 (Config.NoRemoteWrite).
//
// So is OTLP over HTTP, on /v1/metrics, in protobuf and JSON: 200, with what was left out in the answer's partial_success, and 503 for
// want of room (Config.NoOTLP). Its metrics become series as Prometheus' own receiver makes them; they must be cumulative.
//
// Who pushes families by gRPC, as to a prometheus-edge-hub, does so at a port of its own: see Hub.GRPCServer.
//
// What is pushed as to a Pushgateway, on /metrics/job/JOB/LABEL/VALUE, is no part of the log: it has no times, stays until
// it is deleted or replaced, and goes with each response (Config.NoPushgateway).
//
// GET /gateways lists the gateways that the hub knows, as metrics.
//
// The package is a face. The rooms below it, each with the life of what passes through
// in its document: internal/web (the doors), body and intake (the way in), store over
// series and samples (what is kept), arrange and render (the way out), handover, receipt
// and trial (what became of it).
package edgehub
