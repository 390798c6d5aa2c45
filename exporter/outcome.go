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
	// refused: the samples are at fault, and any hub would say so. A request
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
	reason  reason        // refused: what the parcel is counted as
	detail  string        // refused, tryNext and crowded: the hub's words, or the error
	wait    time.Duration // tryNext and crowded: Retry-After, 0 if there was none
	doubt   bool          // not delivered, and the hub may have taken the samples in all the same
}

// judge decides about an answered request.
func judge(status int, h http.Header, compressed bool, detail string, now time.Time) result {
	if status >= 200 && status <= 299 {
		return result{outcome: delivered}
	}
	// A hub that was replaced by one that cannot read gzip says 415, or, like
	// prometheus-edge-hub, takes it for text and says 400. Whoever can read it
	// advertises it.
	if compressed && (status == http.StatusUnsupportedMediaType ||
		status == http.StatusBadRequest && !exposition.AcceptsGzip(h)) {
		return result{outcome: resendPlain}
	}
	switch status {
	case http.StatusBadRequest: // a line that cannot be read
		return result{outcome: refused, reason: rejected400, detail: detail}
	case http.StatusRequestEntityTooLarge: // half of it may fit
		return result{outcome: refused, reason: rejected413, detail: detail}
	case http.StatusUnprocessableEntity: // read, and found wrong
		return result{outcome: refused, reason: rejected422, detail: detail}
	}
	if status == http.StatusTooManyRequests && strings.HasPrefix(h.Get(exposition.ReasonHeader), "gateway_") {
		return result{outcome: crowded, detail: detail, wait: retryAfter(h, now)}
	}
	// What is left says nothing about the samples. 429 and 503: the hub is
	// full or stopping. 401, 403, 404, 405, 3xx: this is not the hub that was
	// meant, or not for us; another one may be. 406: a full
	// prometheus-edge-hub. 5xx: its fault.
	return result{outcome: tryNext, detail: detail, wait: retryAfter(h, now)}
}
