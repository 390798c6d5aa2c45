package front

import (
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/hubring/hubring/cmd/exporter/internal/lines"
	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/internal/body"
)

// refusal is an answer other than success.
type refusal struct {
	status       int
	reason, text string
}

func (r *refusal) Error() string { return r.text }

// reasons are those for which pushes are refused.
var reasons = []string{
	"malformed", "native_histogram", "content_type", "encoding", "body_too_large", "too_many_samples", "unreadable", "too_slow",
	"bodies_bytes", "too_many_pushes", "queue_full", "not_kept", "no_hub", "hub", "stopping",
}

// errStops is the answer when the exporter was told to stop.
var errStops = &refusal{http.StatusServiceUnavailable, "stopping", "the exporter is stopping and takes no more; push to another one"}

// refusalOf is the answer to an error of the rooms below. What is full is 503 at each door: there are senders that drop what is answered 429.
func (g *gate) refusalOf(err error) *refusal {
	var known *refusal
	var encoding *body.EncodingError
	unavailable := func(reason string) *refusal { return &refusal{http.StatusServiceUnavailable, reason, err.Error()} }
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, exporter.ErrQueueFull):
		return unavailable("queue_full")
	case errors.Is(err, exporter.ErrNotKept):
		return unavailable("not_kept")
	case errors.Is(err, exporter.ErrClosed):
		return unavailable("stopping")
	case errors.Is(err, body.ErrNoRoom):
		return &refusal{http.StatusServiceUnavailable, "bodies_bytes", fmt.Sprintf("pushes that are being read leave no room for this one; the limit for all is %d bytes", g.room.Limit())}
	case errors.Is(err, body.ErrTooLarge):
		return &refusal{http.StatusRequestEntityTooLarge, "body_too_large", fmt.Sprintf("the body is larger than %d bytes; send it in parts", g.limits.BodyBytes)}
	case errors.As(err, new(*lines.TooManyError)):
		return &refusal{http.StatusRequestEntityTooLarge, "too_many_samples", err.Error()}
	case errors.As(err, new(*lines.NativeError)):
		return &refusal{http.StatusBadRequest, lines.NativeHistogram, err.Error()}
	case errors.As(err, &encoding) && encoding.Unknown:
		return &refusal{http.StatusUnsupportedMediaType, "encoding", err.Error()}
	case errors.As(err, &encoding):
		return &refusal{http.StatusBadRequest, "encoding", err.Error()}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &refusal{http.StatusRequestTimeout, "too_slow", fmt.Sprintf("the body paused for more than %v or took more than %v", body.MaxPause, g.limits.BodyTime)}
	}
	return &refusal{http.StatusBadRequest, "malformed", err.Error()}
}
