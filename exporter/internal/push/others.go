package push

import (
	"net/http"
	"strings"

	"github.com/hubring/hubring/internal/exposition"
)

// Others are receivers that are no hubs, for Settings.Others: prometheus-edge-hub 1.1.0 and
// Pushgateway 1.11.3. They say nowhere who they are, so each of their answers is known by all
// that it has.

// otherTakes reports whether one of them has taken a push: its answer has no body and no
// type, which a page or a proxy's word has.
func otherTakes(a *answer) bool {
	return (a.status == http.StatusOK || a.status == http.StatusAccepted) && a.length == 0 && a.text == "" && a.header.Get("Content-Type") == ""
}

// otherRefuses reports whether one of them finds a push wrong.
func otherRefuses(a *answer) bool {
	if a.status != http.StatusBadRequest || !strings.EqualFold(a.header.Get("Content-Type"), "text/plain; charset=utf-8") {
		return false
	}
	for _, words := range []string{
		"error parsing metrics: ",            // prometheus-edge-hub
		"text format parsing error in line ", // Pushgateway, and this
		"pushed metrics are invalid or inconsistent with existing metrics: ",
	} {
		if strings.HasPrefix(a.text, words) {
			return true
		}
	}
	return false
}

// otherLacks reports whether it is what one of them says to a path that it does not have.
func otherLacks(a *answer) bool {
	switch contentType := a.header.Get("Content-Type"); a.status {
	case http.StatusNotFound: // prometheus-edge-hub, of /-/ready as well
		return contentType == "application/json; charset=UTF-8" && a.text == `{"message":"Not Found"}`
	case http.StatusMethodNotAllowed: // Pushgateway, of GET /metrics/job/-/ready
		return contentType == "text/plain; charset=utf-8" && a.text == "Method Not Allowed"
	case http.StatusBadRequest: // Pushgateway, of /metrics/job/gateways/ended
		return contentType == "text/plain; charset=utf-8" && a.text == `odd number of components in label string "/ended"`
	}
	return false
}

// otherIsReady reports whether one of them is there. prometheus-edge-hub does not know the
// question.
func otherIsReady(a *answer) bool {
	return otherLacks(a) || a.status == http.StatusOK && a.text == "OK" && a.header.Get("Content-Type") == "text/plain; charset=utf-8"
}

// judgeOther decides about an answer that is no hub's, if it is one of theirs.
func judgeOther(a *answer, isProbe, compressed bool) (Result, bool) {
	res := Result{Status: a.status, Known: true, Outcome: Delivered}
	switch {
	case isProbe && otherIsReady(a), !isProbe && otherTakes(a):
	case otherRefuses(a) && compressed && !exposition.AcceptsGzip(a.header): // taken for text
		res.Outcome = ResendPlain
	case otherRefuses(a):
		res.Outcome, res.Detail = Refused, a.detail()
	case otherLacks(a): // they are not told of gateways that left
		res.Outcome, res.Status, res.Detail = TryNext, http.StatusNotFound, a.detail()
	default:
		return Result{}, false
	}
	return res, true
}
