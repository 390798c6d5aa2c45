package web

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/edgehub/internal/groups"
	"github.com/hubring/hubring/edgehub/internal/intake"
	"github.com/hubring/hubring/edgehub/internal/store"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/door"
)

// retryAfter is what a refused client is told to wait, in seconds: a scrape
// makes room, and scrapes are some seconds apart.
const retryAfter = 5

// RefusedError is an answer other than 200: a status, a reason for the counters and a
// text for the sender.
type RefusedError struct {
	Status int
	Reason string
	Text   string

	unread bool // the body was not read to its end
}

func (r *RefusedError) Error() string { return r.Text }

// reasons are the reasons for which pushes are refused.
var reasons = []string{
	"malformed", "time_unit", "reserved_name", "native_histogram", "body_too_large", "encoding", "content_type", "unreadable",
	"too_slow", "bodies_bytes", "too_many_connections", "too_many_pushes",
	"too_many_samples", "hub_full", "gateway_share", "series_limit", "gateway_series", "table_bytes", "stopping",
}

// leftReasons are those for which samples of a push are left out of which the others are taken.
var leftReasons = []string{"malformed", "time_unit", "reserved_name", "native_histogram", "temporality"}

// storageReasons are those of a hub with a disk, for pushes and for ends.
var storageReasons = []string{store.Unavailable, store.Replaying, store.Failed, store.Full, store.Slow}

// groupReasons are those for which pushes to groups are refused.
var groupReasons = append([]string{
	"body_too_large", "encoding", "unreadable", "too_slow", "bodies_bytes", "too_many_connections", "too_many_pushes", "stopping",
}, groups.Reasons...)

// endReasons are those for which it is not taken that gateways went elsewhere.
var endReasons = []string{
	"malformed", "time_unit", "body_too_large", "encoding", "content_type", "unreadable", "too_slow", "bodies_bytes",
	"too_many_connections", "too_many_pushes", "too_many_samples", "hub_full", "gateway_share", "stopping",
}

// readReasons are the reasons for which scrapes and looks are refused.
var readReasons = []string{"too_many_scrapes", "too_many_looks", "bad_request"}

// errStopping is the answer to a push after the hub began to drain.
var errStopping = &RefusedError{
	Status: http.StatusServiceUnavailable, Reason: "stopping", unread: true,
	Text: "the hub is stopping and takes no more; push to another one",
}

// refusalOf is the answer to an error of the rooms below: each knows a reason of its own
// and nothing of HTTP.
func (s *Server) refusalOf(err error) *RefusedError {
	var (
		known    *RefusedError
		atDoor   *door.RefusedError
		full     *store.FullError
		refused  *intake.RefusedError
		encoding *body.EncodingError
		storage  *store.StorageError
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &atDoor):
		return refusedAt(atDoor)
	case asGroupRefusal(err) != nil:
		return asGroupRefusal(err)
	case errors.As(err, &full):
		return &RefusedError{Status: statusOf(full.Reason, http.StatusTooManyRequests), Reason: full.Reason, Text: err.Error()}
	case errors.As(err, &storage):
		return &RefusedError{Status: http.StatusServiceUnavailable, Reason: storage.Reason, Text: err.Error()}
	case errors.As(err, &refused):
		return &RefusedError{Status: statusOf(refused.Reason, http.StatusBadRequest), Reason: refused.Reason, Text: err.Error()}
	case errors.As(err, &encoding):
		if encoding.Unknown {
			return &RefusedError{Status: http.StatusUnsupportedMediaType, Reason: "encoding", Text: err.Error(), unread: true}
		}
		return &RefusedError{Status: http.StatusBadRequest, Reason: "encoding", Text: err.Error()}
	case errors.Is(err, body.ErrTooLarge):
		return &RefusedError{
			Status: http.StatusRequestEntityTooLarge, Reason: "body_too_large",
			Text: fmt.Sprintf("the body is larger than %d bytes; send it in parts", s.cfg.MaxBodyBytes),
		}
	case errors.Is(err, body.ErrNoRoom):
		return &RefusedError{
			Status: http.StatusServiceUnavailable, Reason: "bodies_bytes",
			Text: fmt.Sprintf("pushes that are being read leave no room for this one; the limit for all is %d bytes", s.room.Limit()),
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &RefusedError{
			Status: http.StatusRequestTimeout, Reason: "too_slow",
			Text: fmt.Sprintf("the body paused for more than %v or took more than %v", body.MaxPause, s.cfg.BodyTimeout),
		}
	}
	return &RefusedError{Status: http.StatusBadRequest, Reason: "malformed", Text: err.Error()}
}

// statusOf is the usual one, but for what could not be taken in however empty the hub is: its sender halves it.
func statusOf(reason string, usual int) int {
	if reason == "too_many_samples" {
		return http.StatusRequestEntityTooLarge
	}
	return usual
}

// unreadable is the answer to an error that kept a body from being read.
func (s *Server) unreadable(err error) *RefusedError {
	r := s.refusalOf(err)
	if r.Reason == "malformed" {
		r.Reason, r.Text = "unreadable", fmt.Sprintf("read the body: %v", err)
	}
	return r
}

// busy answers a read that finds no place.
func (s *Server) busy(c echo.Context, reason, text string) error {
	s.Counts.RefusedReads.add(reason, 1)
	c.Response().Header().Set("Retry-After", strconv.Itoa(retryAfter))
	return c.String(http.StatusServiceUnavailable, text+"\n")
}
