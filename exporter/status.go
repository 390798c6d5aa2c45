package exporter

import (
	"net/http"
	"time"

	"github.com/hubring/hubring/exporter/internal/status"
)

// Handler returns the exporter's status, for people and for programs. Mount it
// anywhere, behind a prefix or not, and where only those can look who may know
// the hubs and the gateways: it asks nobody who they are. It never shows a
// password, and takes GET and HEAD only.
//
// It is a page of HTML, or JSON with ?format=json or if the request's Accept
// header prefers application/json. With ?gateway=ID it says which hub is the
// home of that gateway, or of that key of SubmitFamilies, who would be next, and
// which one is in use now; an empty ID stands for all that is of no gateway.
//
// All of an answer is of one moment, but members, which may be a moment older.
// The JSON is an object. Times are in RFC 3339, UTC; one that never came is left
// out, and so is an error that there is not. More fields may come:
//
//	time      when it was so
//	state     new: Run was not called yet; running; or closed: Submit refuses
//	ring      fingerprint (16 hex digits, empty while no hub is known; controllers
//	          with different ones disagree), hubs (how many)
//	members   where the hubs come from. source: config, dns, file, what a Membership
//	          of your own calls itself, or other; detail: which name or file. The
//	          rest is empty if source is config: interval_seconds, hold_seconds, lookups, failures, changes,
//	          last_success, last_change, last_error (while lookups fail), held (not
//	          named any more and still in the ring), fresh (named once and not in
//	          it yet)
//	hubs[]    sorted by name. name, calls_itself (left out unless the hub says that
//	          it has another name: is its address right?), url, weight, state (up,
//	          catching_up, down), down_since, next_probe, failures (in a row), queued_samples,
//	          queued_bytes, requests (under way), held_gateways (of which the hub
//	          takes no more now), sent_samples (again and again included),
//	          delivered_samples, rerouted_samples, last_error, last_error_at (may
//	          be long ago: look at state)
//	queue     samples (in memory, also those under way), bytes, max_bytes,
//	          oldest_seconds, spool_samples, spool_error (left out unless SpoolDir cannot be
//	          used now), gateways (with something queued)
//	totals    submitted, restored, spilled, delivered, and dropped: an object of
//	          those reasons that occurred. In samples, also of hubs that left
//	ends      of gateways that went to another hub: told, dropped, unsupported and
//	          overtaken (as in ends_total), waiting (an object of hubs that are to be
//	          told, also of hubs that left, and of how many), deaf (hubs that do not
//	          know of it)
//	config    failover (next_hub, wait_for_owner), overflow (refuse_new,
//	          drop_oldest), receivers (hubs_only, hubs_and_others), tells_ends, as_gauges, gather_sources, spool_dir,
//	          max_spool_bytes, senders, batch_bytes, batch_wait_seconds,
//	          push_timeout_seconds, flush_timeout_seconds, min_backoff_seconds,
//	          max_backoff_seconds, catch_up (left out if without bound)
//	gateway   only if asked for. id, owner, in_use (the hub that its samples go
//	          to, or wait for, now; both empty while no hub is known), walk (hub
//	          and state of the owner and those who would be next, in order, 12 at
//	          most), queued_samples (that wait), under_way (some are in a request
//	          or being written to disk), held_until (the hub takes no more of it
//	          before), at (the hub that acknowledged its latest samples, empty while
//	          none did), untold[] (hub, ended_at: hubs that it left and that are not
//	          told yet, and the time of its first sample elsewhere)
func (e *Exporter) Handler() http.Handler {
	return status.Handler(func(gateway *string) status.Report { return e.report(time.Now(), gateway) })
}
