package statuspage

import (
	"net/url"
	"regexp"
	"time"

	"github.com/hubring/hubring/exporter/status"
)

// Present makes times, lists and texts of a report fit to be shown.
func Present(r *status.Report) {
	for _, t := range []*time.Time{&r.Time, &r.Members.LastSuccess, &r.Members.LastChange} {
		*t = stamp(*t)
	}
	r.Members.Held, r.Members.Fresh, r.Ends.Deaf = orEmpty(r.Members.Held), orEmpty(r.Members.Fresh), orEmpty(r.Ends.Deaf)
	r.Members.Detail, r.Members.LastError = withoutCredentials(r.Members.Detail), withoutCredentials(r.Members.LastError)
	if p := r.Ring.Placement; p != nil {
		p.Made, p.LastError = stamp(p.Made), withoutCredentials(p.LastError)
	}
	for i := range r.Hubs {
		h := &r.Hubs[i]
		h.DownSince, h.NextProbe, h.LastErrorAt = stamp(h.DownSince), stamp(h.NextProbe), stamp(h.LastErrorAt)
		h.URL, h.LastError = redacted(h.URL), withoutCredentials(h.LastError)
	}
	if g := r.Gateway; g != nil {
		g.HeldUntil = stamp(g.HeldUntil)
		for i := range g.Untold {
			g.Untold[i].EndedAt = stamp(g.Untold[i].EndedAt)
		}
	}
}

// stamp is t as it is shown.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// orEmpty makes nil [] in JSON.
func orEmpty(names []string) []string { return append([]string{}, names...) }

// redacted is a hub's URL without a password. Validate lets none pass; that is
// one place to be wrong in.
func redacted(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Redacted()
}

var credentials = regexp.MustCompile(`(://)[^/?#\s"]*@`)

// withoutCredentials takes what may be a password out of the URLs in an error: a
// transport or a Membership of the embedder's own may say anything.
func withoutCredentials(text string) string { return credentials.ReplaceAllString(text, "$1***@") }
