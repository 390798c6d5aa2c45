// Package exporter spreads the metrics of a fleet of gateways over many hubs.
// It is embedded in a controller: Submit takes metrics in, Run sends them.
//
// # The life of a sample
//
//	Submit ──► normalise ──► encode ──► parcel ──► outbox of one hub ──► request ──► hub
//	(caller's goroutine, no lock held)     │        (bounded memory)       │
//	                                       │                               ├─ 2xx: delivered
//	                              router: first living hub                 ├─ 400, 413, 422: halved, until
//	                              of hashring's Walk(gatewayID)            │  the one bad parcel is dropped
//	                                       ▲                               └─ anything else: the hub is
//	                                       └───────────────────────────────── down, its parcels move on
//
// Submit cleans up each metric, writes it in the text format and groups it by
// gateway. A parcel, one gateway's samples of one Submit, is the unit that is
// queued, sent, retried and rerouted. The router puts it into the outbox of the
// first living hub of the gateway's own walk. Samples of no gateway share the
// key "" and so have one home, too. Each hub has one sender: it joins parcels
// into a request, sends it, and decides once, at the response, what becomes of
// them. A hub that fails is stepped over until a probe finds it alive.
//
// # Promises
//
//   - Submit never touches the network and never modifies the caller's metrics.
//   - Memory is bounded by Config.MaxQueueBytes, and a request per hub. When it
//     is full Submit takes nothing in and returns ErrQueueFull.
//   - Undelivered parcels of one gateway are in one outbox, in the order of
//     their submission. So its samples arrive in that order, also when it fails
//     over and back.
//   - A request that failed may have arrived all the same. Its parcels are sent
//     again, with the same timestamps, so receivers can tell.
//   - Run owns every goroutine and returns when all have ended.
//
// # The account
//
// Every sample that Submit took in is in exactly one place, and every scrape of
// the exporter's own metrics sees it there:
//
//	samples_submitted_total = samples_delivered_total
//	                        + samples_dropped_total{reason=~"rejected_.*|undelivered"}
//	                        + queue_samples
//
// (all prefixed hubring_exporter_, and summed over hubs). The other reasons of
// samples_dropped_total are for samples that were never taken in: invalid ones,
// and those of a Submit that returned an error.
//
// # Map of files
//
//	metric.go     what a caller submits: a metric family and where it comes from
//	config.go     Config, its defaults and its validation
//	exporter.go   New, Submit, Run
//	normalise.go  names and types; why samples are dropped
//	labels.go     labels checked, sorted and written
//	encode.go     metrics to text, one gateway at a time
//	parcel.go     one gateway's encoded samples; joining parcels into a request
//	router.go     which outbox gets a parcel; hubs going down and coming up
//	outbox.go     one hub's pending parcels and its sender
//	push.go       one POST, one probe
//	outcome.go    response or error to outcome
//	retry.go      backoff, jitter, Retry-After
//	metrics.go    the account and the other self-metrics
package exporter
