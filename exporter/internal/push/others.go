package push

import (
	"net/http"
	"strings"

	"github.com/hubring/hubring/internal/exposition"
)

// Others are receivers that are no hubs, for Settings.Others: prometheus-edge-hub 1.1.0. It
// says nowhere who it is, so each of its answers is known by all that it has.
//
// A Pushgateway is none: it takes no samples with timestamps. By default it says so (400). With
// --push.disable-consistency-check it answers 202 and throws them away (1.11.3).

// otherTakes reports whether it has taken a push: its answer has no body and no
// type, which a page or a proxy's word has.
func otherTakes(a *answer) bool {
	return a.status == http.StatusOK && a.length == 0 && a.text == "" && a.header.Get("Content-Type") == ""
}

// otherRefuses reports whether it finds a push wrong.
func otherRefuses(a *answer) bool {
	return a.status == http.StatusBadRequest && strings.EqualFold(a.header.Get("Content-Type"), "text/plain; charset=utf-8") &&
		strings.HasPrefix(a.text, "error parsing metrics: ")
}

// otherLacks reports whether it is what it says to a path that it does not have, which
// /-/ready is, too.
func otherLacks(a *answer) bool {
	return a.status == http.StatusNotFound && a.header.Get("Content-Type") == "application/json; charset=UTF-8" && a.text == `{"message":"Not Found"}`
}

// judgeOther decides about an answer that is no hub's, if it is one of its.
func judgeOther(a *answer, isProbe, compressed bool) (Result, bool) {
	res := Result{Status: a.status, Known: true, Outcome: Delivered}
	switch {
	case isProbe && otherLacks(a), !isProbe && otherTakes(a):
	case otherRefuses(a) && compressed && !exposition.AcceptsGzip(a.header): // taken for text
		res.Outcome = ResendPlain
	case otherRefuses(a):
		res.Outcome, res.Detail = Refused, a.detail()
	case otherLacks(a): // it is not told of gateways that left
		res.Outcome, res.Status, res.Detail = TryNext, http.StatusNotFound, a.detail()
	default:
		return Result{}, false
	}
	return res, true
}
