package exporter

import (
	"net/http"
	"strings"
	"time"

	"github.com/hubring/hubring/internal/exposition"
)

// outcome is what becomes of a request. It is decided once, where the response
// or the error is seen.
type outcome int

const (
	// delivered: the hub answers for the samples from now on.
	delivered outcome = iota
	// refused: the hub says that the samples are at fault, and any would. A request
	// of several parcels is halved; a parcel alone is dropped.
	refused
	// tryNext: the hub is at fault, or cannot take more now. It is down for a
	// while, and its parcels go to the next hub of their walk.
	tryNext
	// crowded: the hub takes no more of one of the gateways, and of the others
	// it does. A request of several parcels is halved; a parcel alone waits.
	crowded
	// resendPlain: the hub does not read compressed bodies. The same request
	// goes out again without.
	resendPlain
	// cut: Run's flush is over; nothing can be said about the request.
	cut
)

var outcomeNames = [...]string{"delivered", "refused", "failed", "crowded", "resent_plain", "cut"}

func (o outcome) String() string { return outcomeNames[o] }

// result is an outcome with its reason.
type result struct {
	outcome outcome
	status  int           // 0 if there was no answer
	known   bool          // a hub gave the answer
	name    string        // by which it calls itself, empty if it has not said so
	reason  reason        // refused: what the parcel is counted as
	detail  string        // refused, tryNext and crowded: the hub's words, or the error
	wait    time.Duration // tryNext and crowded: Retry-After, 0 if there was none
	doubt   bool          // not delivered, and the hub may have taken the samples in all the same
}

// judge decides about an answered request.
func judge(a *answer, compressed bool, now time.Time) result {
	res := result{status: a.status}
	id, ok := a.hub()
	if !ok { // whatever it says, it says nothing about the samples
		res.outcome, res.detail, res.wait = tryNext, a.strange(), retryAfter(a.header, now)
		// An older hub took them. A proxy that lost a hub's answer says 502 to 504.
		res.doubt = a.success() || a.status >= 500
		return res
	}
	res.known, res.name = true, id.Name
	if a.success() {
		res.outcome = delivered
		return res
	}
	// A hub that was replaced by one that cannot read gzip says 415, or takes it for
	// text and says 400. Whoever can read it advertises it.
	if compressed && (a.status == http.StatusUnsupportedMediaType ||
		a.status == http.StatusBadRequest && !exposition.AcceptsGzip(a.header)) {
		res.outcome = resendPlain
		return res
	}
	res.detail = a.detail()
	why := a.header.Get(exposition.ReasonHeader)
	if blamed, ok := blames[a.status]; ok && why != "" {
		res.outcome, res.reason = refused, blamed
		return res
	}
	res.wait = retryAfter(a.header, now)
	if a.status == http.StatusTooManyRequests && strings.HasPrefix(why, "gateway_") {
		res.outcome = crowded
		return res
	}
	// What is left says nothing about the samples. 429 and 503: the hub is
	// full or stopping. 401, 403, 404, 405, 3xx: this is not the hub that was
	// meant, or not for us; another one may be. 5xx: its fault, and it gives its
	// reason where it knows what became of the samples.
	res.outcome = tryNext
	res.doubt = a.status >= 500 && why == ""
	return res
}

// blames are the statuses by which a hub blames the samples, if it says why.
var blames = map[int]reason{
	http.StatusBadRequest:            rejected400, // a line that cannot be read
	http.StatusRequestEntityTooLarge: rejected413, // half of it may fit
	http.StatusUnprocessableEntity:   rejected422, // read, and found wrong
}
