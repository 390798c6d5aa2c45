// Package exporter spreads the metrics of a fleet of gateways over many hubs.
// It is embedded in a controller: Start, Submit whatever gateways report, and Close at the end.
// (Or New and Run, for who runs his goroutines in a group.)
//
// # The life of a sample
//
//	Submit ──► normalise ──► encode ──► parcel ──► lane ──► outbox of one hub ──► request ──► hub
//	(caller's goroutine, no lock held)    │    (of one gateway)  │                   │
//	                                      │                      │                   ├─ 2xx of a hub: delivered
//	                          memory is bounded: refuse,       queue: first living   ├─ 400, 413, 422: halved, until
//	                          drop the oldest, or spill       hub of hashring's      │  the one bad parcel is dropped
//	                          to disk                         Walk(gatewayID)        ├─ 429 for a gateway's sake: halved,
//	                                                             ▲                   │  until that gateway waits alone
//	                                                             └───────────────────┴─ anything else: the hub is down,
//	                                                                                    its lanes move on
//
// Submit cleans up each metric, writes it in the text format and groups it by
// gateway. A parcel, one gateway's samples of one Submit, is the unit that is
// queued, sent, retried, spilled and rerouted. The parcels of a gateway are in its
// lane, in the order of submission. The queue puts the lane into the outbox of
// the first living hub of the gateway's own walk. Samples of no gateway share the
// key "" and so have one home, too. Each hub has a few senders: a sender takes the
// oldest parcels of its hub's lanes, joins them into a request, sends it, and
// decides once, at the response, what becomes of them. A lane that has something
// in a request is in no outbox; so a gateway is in one request at a time.
//
// Only a hub's answer says something about samples: it has the header Hubring-Hub. That
// of anybody else at its address, also a 200, means that the hub is down, but for
// what Config.Receivers lets in.
//
// A hub that fails is stepped over until it says on /-/ready that it is ready and takes
// a push of nothing, and then gets one request at a time until it has taken one. What has piled up for it comes
// at less than twice the rate at which samples are submitted for it anyway: what is fresh
// first, and of the gateways with a backlog one after the other.
//
// When another hub acknowledges a gateway's samples than before, the one that it left is
// told since when, and ends its series there: by a teller for each hub, so that samples
// do not wait, but for those of a gateway that returns to a hub which has not been told
// yet that it had left.
//
// The hubs are listed in the config, or asked for: members.DNS, members.File, or a
// Membership of the embedder's. They say how they become a ring, too (Hub.Placement). A change makes a new ring; lanes that wait go to their new homes,
// requests under way end where they are.
//
// # Promises
//
//   - Submit never touches the network or the logger, nor a disk but with SpoolAll, and never modifies the
//     caller's metrics or keeps a string of theirs. A mutex that it waits for is held for parts of a
//     millisecond, however many gateways are queued and whatever happens to hubs.
//   - Memory is bounded by Config.MaxQueueBytes, and a few requests per hub. When
//     it is full Submit takes nothing in and returns ErrQueueFull, or the oldest
//     samples of who has most make room: Config.Overflow.
//   - One hub's trouble, or one gateway's, stays its own: while one hub is slow, or a
//     gateway floods or is refused, Submits for those who have little are taken in.
//   - A gateway's samples arrive in the order of their submission, also when it
//     fails over and back, when the ring changes, and over a restart.
//   - A request that failed may have arrived all the same. Its parcels are sent
//     again, with the same timestamps, so receivers can tell.
//   - With SpoolAll a kill loses nothing that a Submit returned nil for, nor does a loss of power. What such a Submit
//     returns nil for was written and synced before. Samples that were delivered right before may come again.
//   - With Config.SpoolDir a restart loses nothing. A disk that is locked, full or fails
//     takes nothing with it: what is not safely there stays in memory. If SpoolDir can only be
//     read later, what an earlier Run left there arrives after what was submitted before then.
//   - Run owns every goroutine and returns when all have ended, and so does Close.
//
// # The account
//
// Every sample that Submit took in, or that was restored from SpoolDir, is in
// exactly one place, and every scrape of the exporter's own metrics sees it there:
//
//	samples_submitted_total + samples_restored_total
//	        = samples_delivered_total
//	        + samples_dropped_total{reason=~"rejected_.*|queue_overflow|spool_damaged|undelivered"}
//	        + queue_samples
//
// (all prefixed hubring_exporter_, and summed over hubs). The other reasons of
// samples_dropped_total are for samples that were never taken in: invalid ones,
// and those of a Submit that returned an error other than a RejectedError.
//
// # What stays
//
// What a controller is written against changes with a line [CHANGE] in CHANGELOG.md that says
// what to do, before v1.0.0, and with a new major version only from then on:
//
//   - Go: the names in this package, exportertest, magma, members, status, hashring and what is below that, and what they promise. Fields
//     of Config and of reports, methods and reasons may be added: name fields in literals.
//     Interfaces that an embedder implements, such as Membership, get no more methods.
//   - The ring: hashring.New has each gateway where it had it, for the same names and weights. Its testdata
//     pins that, and README.md has the format. Names of hubs by default are as Hub.WithDefaults says, and a
//     list of hubs, with the word for their placement, means what members.File says.
//   - SpoolDir: a release reads what the one before left. Files of a newer one it leaves alone.
//   - JSON of the status page: names and units. More names may come.
//   - Metrics: names, labels and units. More metrics may come, and more values of reason and outcome.
//
// Texts of errors and log lines, the look of the status page, default values and sizes of requests are
// nothing to rely on; errors are told apart with errors.Is and errors.As.
//
// # Map of rooms
//
// Each says in its own document what it has, and imports only what stands below it:
//
//	exporter         the face
//	magma            what a caller submits: a metric family and where it comes from
//	members          where the hubs come from: DNS, a file
//	status           what is said of an exporter
//	exportertest     a hub and a network for tests
//	internal/send    who sends, who tells hubs of gateways that left, who writes to disk
//	internal/queue   what waits, and for whom: decides, and does nothing
//	internal/encode  metrics to text, one gateway at a time
//	internal/push    one POST, one probe: bodies to a verdict
//	internal/roster  who the hubs are now, and when an answer is believed
//	internal/statuspage  the page and the JSON
//	internal/loglimit  log lines that do not fill a disk
//	internal/wire    one gateway's encoded samples; joining those of many into a request
//	internal/reason  the words for why samples were dropped
//
// # Map of files
//
//	config.go     Config, its defaults and its validation
//	policies.go   what Config lets one choose by name
//	exporter.go   New, Submit, Push, Flush
//	run.go        Run: all that works while it does
//	start.go      Start and Close: New with a Run of its own
//	membership.go who says who the hubs are; ring.go: the ring of them
//	inventory.go  which gateways are not with their owner
//	gather.go     the controller's own metrics
//	metrics.go    the exporter's own metrics
//	status.go     Status and its page; report.go: what they say
//	text.go       SubmitText: who has his metrics as text
//	keys.go       one copy of each gateway's ID
//	rejected.go   the error that says which samples were left out
//	awaited.go    what a Push waits for
//	drops.go      who wants to know of drops
package exporter
