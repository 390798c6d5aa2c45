package verdict

import (
	"net/http"
	"strings"
	"time"

	"github.com/hubring/hubring/internal/exposition"
)

// Outcome is what becomes of a request. It is decided once, where the response
// or the error is seen.
type Outcome int

const (
	// Delivered says that the hub answers for the samples from now on.
	Delivered Outcome = iota
	// Refused says that the samples are at fault, and any hub would say so. Of several
	// bodies one may be.
	Refused
	// TryNext says that the hub is at fault, or cannot take more now.
	TryNext
	// Crowded says that the hub takes no more of one of the gateways, and of the others
	// it does.
	Crowded
	// ResendPlain says that the hub does not read compressed bodies. The next request goes out
	// without.
	ResendPlain
	// Cut says that the context ended; nothing can be said about the request.
	Cut

	// NumOutcomes is how many there are.
	NumOutcomes
)

var outcomeNames = [NumOutcomes]string{"delivered", "refused", "failed", "crowded", "resent_plain", "cut"}

// String is the word for it in metrics.
func (o Outcome) String() string { return outcomeNames[o] }

// Result is an outcome with its reason.
type Result struct {
	Outcome Outcome
	Status  int           // 0 if there was no answer; Refused: 400, 413 or 422
	Known   bool          // a hub gave the answer
	Name    string        // by which it calls itself, empty if it has not said so
	Reason  string        // in one word, where a hub gave one
	Detail  string        // Refused, TryNext and Crowded: the hub's words, or the error
	Wait    time.Duration // TryNext and Crowded: Retry-After, 0 if there was none
	Doubt   bool          // not delivered, and the hub may have taken the samples in all the same
}

// Judge decides about an answered request.
func Judge(a *Answer, compressed bool, now time.Time) Result {
	res := Result{Status: a.Status}
	id, ok := a.Hub()
	if !ok { // whatever it says, it says nothing about the samples
		res.Outcome, res.Detail, res.Wait = TryNext, a.Strange(), retryAfter(a.Header, now)
		// An older hub took them. A proxy that lost a hub's answer says 502 to 504.
		res.Doubt = a.Success() || a.Status >= 500
		return res
	}
	res.Known, res.Name = true, id.Name
	if a.Success() {
		res.Outcome = Delivered
		return res
	}
	// A hub that was replaced by one that cannot read gzip says 415, or takes it for
	// text and says 400. Whoever can read it advertises it.
	if compressed && (a.Status == http.StatusUnsupportedMediaType ||
		a.Status == http.StatusBadRequest && !exposition.AcceptsGzip(a.Header)) {
		res.Outcome = ResendPlain
		return res
	}
	res.Detail = a.Detail()
	why := a.Header.Get(exposition.ReasonHeader)
	res.Reason = why
	if blames(a.Status) && why != "" {
		res.Outcome = Refused
		return res
	}
	res.Wait = retryAfter(a.Header, now)
	if a.Status == http.StatusTooManyRequests && strings.HasPrefix(why, "gateway_") {
		res.Outcome = Crowded
		return res
	}
	// What is left says nothing about the samples. 429 and 503: the hub is
	// full or stopping. 401, 403, 404, 405, 3xx: this is not the hub that was
	// meant, or not for us; another one may be. 5xx: its fault, and it gives its
	// reason where it knows what became of the samples.
	res.Outcome = TryNext
	res.Doubt = a.Status >= 500 && why == ""
	return res
}

// blames reports whether a hub blames the samples by a status, if it says why: they
// cannot be read, half of them may fit, or they were read and found wrong.
func blames(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return false
}
