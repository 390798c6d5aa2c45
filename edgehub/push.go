package edgehub

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/internal/exposition"
)

// retryAfter is what a refused sender is told to wait, in seconds: a scrape
// makes room, and scrapes are some seconds apart.
const retryAfter = 5

// refusal is an answer other than 200: a status, a reason for the counters and a
// text for the sender.
type refusal struct {
	status int
	reason string
	text   string
	unread bool // the body was not read to its end
}

func (r *refusal) Error() string { return r.text }

// reasons are the values of the label of edgehub_pushes_rejected_total and
// edgehub_samples_rejected_total.
var reasons = []string{
	"malformed", "body_too_large", "encoding", "content_type", "unreadable",
	"too_slow", "bodies_bytes", "too_many_connections", "too_many_pushes",
	"hub_full", "gateway_share", "series_limit", "gateway_series", "table_bytes", "stopping",
}

// push serves POST /metrics.
func (h *Hub) push(c echo.Context) error {
	start := time.Now()
	// Tells the exporter that it may compress (RFC 7694).
	c.Response().Header().Set("Accept-Encoding", "gzip")
	n, err := h.take(c)
	h.metrics.pushSeconds.Observe(time.Since(start).Seconds())
	if err != nil {
		return h.refuse(c, n, err)
	}
	h.metrics.received(n)
	return c.NoContent(http.StatusOK)
}

// take reads a push into the log and returns the number of its samples, which
// are those that were refused if there is an error.
func (h *Hub) take(c echo.Context) (samples int, err error) {
	if !h.entrance.enter() {
		return 0, errStopping
	}
	defer h.entrance.leave()
	if err := h.mayPush(c.Request()); err != nil {
		return 0, err
	}
	b, err := h.receive(c.Response(), c.Request())
	defer b.release()
	if err == nil {
		samples, err = h.takeIn(b.bytes())
	}
	if err != nil {
		samples = samplesIn(b.bytes())
	}
	return samples, err
}

// errStopping is the answer to a push after Drain was called.
var errStopping = &refusal{
	status: http.StatusServiceUnavailable, reason: "stopping", unread: true,
	text: "the hub is stopping and takes no more; push to another one",
}

// mayPush says whether a push is to be read.
func (h *Hub) mayPush(r *http.Request) error {
	if conn, ok := connectionOf(r); ok && !h.connections.maySend(conn) {
		return &refusal{
			status: http.StatusServiceUnavailable, reason: "too_many_connections", unread: true,
			text: fmt.Sprintf("senders hold %d connections, which is the limit", h.cfg.MaxConnections),
		}
	}
	return checkContentType(r.Header.Get("Content-Type"))
}

// takeIn takes a text into the log if there is a place for one more.
func (h *Hub) takeIn(text []byte) (int, error) {
	select {
	case h.pushes <- struct{}{}:
		defer func() { <-h.pushes }()
	default:
		return 0, &refusal{
			status: http.StatusServiceUnavailable, reason: "too_many_pushes",
			text: fmt.Sprintf("%d pushes are under way, which is the limit", cap(h.pushes)),
		}
	}
	return h.ingest(text, time.Now())
}

// refuse answers an error of take, which had so many samples.
func (h *Hub) refuse(c echo.Context, samples int, err error) error {
	r := refusalOf(err)
	h.metrics.rejected.WithLabelValues(r.reason).Inc()
	h.metrics.refusedLines.WithLabelValues(r.reason).Add(float64(samples))
	c.Response().Header().Set(exposition.ReasonHeader, r.reason)
	if r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable {
		c.Response().Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if r.unread {
		// The answer goes out first; what the sender has on its way is thrown
		// away, for a moment, and the connection closed.
		c.Response().Header().Set("Connection", "close")
		if err := setReadDeadline(c.Response(), time.Now().Add(lingering)); err != nil {
			return fmt.Errorf("bound the rest of a refused push: %w", err)
		}
	}
	h.cfg.Logger.Debug("push refused", "status", r.status, "reason", r.reason, "error", r.text, "sender", c.Request().RemoteAddr)
	return c.String(r.status, r.text+"\n")
}

// refusalOf is the answer to an error of take.
func refusalOf(err error) *refusal {
	if r := (*refusal)(nil); errors.As(err, &r) {
		return r
	}
	r := &refusal{status: http.StatusBadRequest, reason: "malformed", text: err.Error()}
	if full := (*fullError)(nil); errors.As(err, &full) {
		r.status, r.reason = http.StatusTooManyRequests, full.reason
	}
	return r
}

// checkContentType refuses the formats that the hub does not read. Whatever else
// is sent, by curl for one, is taken for the text format.
func checkContentType(header string) error {
	media, _, _ := strings.Cut(header, ";")
	switch media = strings.ToLower(strings.TrimSpace(media)); media {
	case "application/openmetrics-text", "application/vnd.google.protobuf", "application/x-protobuf":
		return &refusal{
			status: http.StatusUnsupportedMediaType, reason: "content_type", unread: true,
			text: fmt.Sprintf("content type %s is not supported; send text/plain; version=0.0.4", media),
		}
	}
	return nil
}
