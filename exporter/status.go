package exporter

import (
	"net/http"
	"time"

	"github.com/hubring/hubring/exporter/internal/statuspage"
	"github.com/hubring/hubring/exporter/status"
)

// Status returns what the exporter does now. It may be called at any time, also before and after Run. It
// takes some milliseconds where hubs are many, and Submit waits for a part of them: ask every few seconds, not for
// each sample.
func (e *Exporter) Status() status.Report {
	return e.presented(nil)
}

// StatusOf is Status with what there is to say about a gateway, or a key of SubmitFamilies, in its field Gateway, which
// is not nil. The ID "" stands for all that is of no gateway.
func (e *Exporter) StatusOf(gateway string) status.Report {
	return e.presented(&gateway)
}

func (e *Exporter) presented(gateway *string) status.Report {
	r := e.report(time.Now(), gateway)
	statuspage.Present(&r)
	return r
}

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
// The JSON is a status.Report, which says what its names mean. Times are in RFC 3339,
// UTC; one that never came is left out, and so is an error that there is not.
func (e *Exporter) Handler() http.Handler {
	return statuspage.Handler(func(gateway *string) status.Report { return e.report(time.Now(), gateway) })
}
