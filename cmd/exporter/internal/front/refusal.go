package front

import (
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/hubring/hubring/cmd/exporter/internal/lines"
	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/door"
)

// reasons are those for which pushes are refused.
var reasons = []string{
	"malformed", "native_histogram", "temporality", "content_type", "encoding", "body_too_large", "too_many_samples", "unreadable", "too_slow",
	"bodies_bytes", "too_many_pushes", "queue_full", "not_kept", "no_hub", "hub", "stopping",
}

// errStops is the answer when the exporter was told to stop.
var errStops = &door.RefusedError{Status: http.StatusServiceUnavailable, Reason: "stopping", Text: "the exporter is stopping and takes no more; push to another one", Unread: true}

// refusalOf is the answer to an error of the rooms below. What is full is 503 at each door: there are senders that drop what is answered 429.
func (g *gate) refusalOf(err error) *door.RefusedError {
	var known *door.RefusedError
	var encoding *body.EncodingError
	is := func(status int, reason string) *door.RefusedError {
		return &door.RefusedError{Status: status, Reason: reason, Text: err.Error()}
	}
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, exporter.ErrQueueFull):
		return is(http.StatusServiceUnavailable, "queue_full")
	case errors.Is(err, exporter.ErrNotKept):
		return is(http.StatusServiceUnavailable, "not_kept")
	case errors.Is(err, exporter.ErrClosed):
		return is(http.StatusServiceUnavailable, "stopping")
	case errors.Is(err, body.ErrNoRoom):
		r := is(http.StatusServiceUnavailable, "bodies_bytes")
		r.Text = fmt.Sprintf("pushes that are being read leave no room for this one; the limit for all is %d bytes", g.room.Limit())
		return r
	case errors.Is(err, body.ErrTooLarge):
		r := is(http.StatusRequestEntityTooLarge, "body_too_large")
		r.Text = fmt.Sprintf("the body is larger than %d bytes; send it in parts", g.limits.BodyBytes)
		return r
	case errors.As(err, new(*lines.TooManyError)):
		return is(http.StatusRequestEntityTooLarge, "too_many_samples")
	case errors.As(err, new(*lines.NativeError)):
		return is(http.StatusBadRequest, lines.NativeHistogram)
	case errors.As(err, &encoding) && encoding.Unknown:
		r := is(http.StatusUnsupportedMediaType, "encoding")
		r.Unread = true
		return r
	case errors.As(err, &encoding):
		return is(http.StatusBadRequest, "encoding")
	case errors.Is(err, os.ErrDeadlineExceeded):
		r := is(http.StatusRequestTimeout, "too_slow")
		r.Text = fmt.Sprintf("the body paused for more than %v or took more than %v", body.MaxPause, g.limits.BodyTime)
		return r
	}
	return is(http.StatusBadRequest, "malformed")
}

// unreadable is the answer to an error that kept a body from being read.
func (g *gate) unreadable(err error) *door.RefusedError {
	r := g.refusalOf(err)
	if r.Reason == "malformed" {
		r.Reason, r.Text = "unreadable", "read the body: "+err.Error()
	}
	return r
}
