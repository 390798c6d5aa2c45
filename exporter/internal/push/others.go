package push

import (
	"net/http"
	"strings"

	"github.com/hubring/hubring/internal/exposition"
	"github.com/hubring/hubring/internal/verdict"
)

// Others are receivers that are no hubs, for Settings.Others: prometheus-edge-hub 1.1.0. It
// says nowhere who it is, so each of its answers is known by all that it has.
//
// A Pushgateway is none: it takes no samples with timestamps. By default it says so (400). With
// --push.disable-consistency-check it answers 202 and throws them away (1.11.3).

// otherTakes reports whether it has taken a push: its answer has no body and no
// type, which a page or a proxy's word has.
func otherTakes(a *verdict.Answer) bool {
	return a.Status == http.StatusOK && a.Length == 0 && a.Text == "" && a.Header.Get("Content-Type") == ""
}

// otherRefuses reports whether it finds a push wrong.
func otherRefuses(a *verdict.Answer) bool {
	return a.Status == http.StatusBadRequest && strings.EqualFold(a.Header.Get("Content-Type"), "text/plain; charset=utf-8") &&
		strings.HasPrefix(a.Text, "error parsing metrics: ")
}

// otherLacks reports whether it is what it says to a path that it does not have, which
// /-/ready is, too.
func otherLacks(a *verdict.Answer) bool {
	return a.Status == http.StatusNotFound && a.Header.Get("Content-Type") == "application/json; charset=UTF-8" && a.Text == `{"message":"Not Found"}`
}

// judgeOther decides about an answer that is no hub's, if it is one of its.
func judgeOther(a *verdict.Answer, isProbe, compressed bool) (verdict.Result, bool) {
	res := verdict.Result{Status: a.Status, Known: true, Outcome: verdict.Delivered}
	switch {
	case isProbe && otherLacks(a), !isProbe && otherTakes(a):
	case otherRefuses(a) && compressed && !exposition.AcceptsGzip(a.Header): // taken for text
		res.Outcome = verdict.ResendPlain
	case otherRefuses(a):
		res.Outcome, res.Detail = verdict.Refused, a.Detail()
	case otherLacks(a): // it is not told of gateways that left
		res.Outcome, res.Status, res.Detail = verdict.TryNext, http.StatusNotFound, a.Detail()
	default:
		return verdict.Result{}, false
	}
	return res, true
}
