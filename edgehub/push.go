package edgehub

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/labstack/echo/v4"
)

// retryAfter is what a refused sender is told to wait, in seconds: a scrape
// makes room, and scrapes are some seconds apart.
const retryAfter = 5

// refusal is an answer other than 200: a status, a reason for the counter and a
// text for the sender.
type refusal struct {
	status int
	reason string
	text   string
}

func (r *refusal) Error() string { return r.text }

// reasons are the values of the label of edgehub_pushes_rejected_total.
var reasons = []string{
	"malformed", "body_too_large", "encoding", "content_type", "unreadable",
	"hub_full", "gateway_share", "series_limit", "gateway_series", "table_bytes", "too_many_pushes",
}

// push serves POST /metrics.
func (h *Hub) push(c echo.Context) error {
	start := time.Now()
	// Tells the exporter that it may compress (RFC 7694).
	c.Response().Header().Set("Accept-Encoding", "gzip")
	n, err := h.take(c.Request(), start)
	h.metrics.pushSeconds.Observe(time.Since(start).Seconds())
	if err != nil {
		return h.refuse(c, err)
	}
	h.metrics.received(n)
	return c.NoContent(http.StatusOK)
}

// refuse answers an error of take.
func (h *Hub) refuse(c echo.Context, err error) error {
	var r *refusal
	if !errors.As(err, &r) {
		r = &refusal{http.StatusBadRequest, "malformed", err.Error()}
		if full := (*fullError)(nil); errors.As(err, &full) {
			r.status, r.reason = http.StatusTooManyRequests, full.reason
		}
	}
	h.metrics.rejected.WithLabelValues(r.reason).Inc()
	if r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable {
		c.Response().Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	h.cfg.Logger.Debug("push refused", "status", r.status, "reason", r.reason, "error", r.text, "sender", c.Request().RemoteAddr)
	return c.String(r.status, r.text+"\n")
}

// take reads a push into the log and returns the number of its samples.
func (h *Hub) take(r *http.Request, now time.Time) (int, error) {
	if err := checkContentType(r.Header.Get("Content-Type")); err != nil {
		return 0, err
	}
	select {
	case h.pushes <- struct{}{}:
		defer func() { <-h.pushes }()
	default:
		return 0, &refusal{
			http.StatusServiceUnavailable, "too_many_pushes",
			fmt.Sprintf("%d pushes are under way, which is the limit", cap(h.pushes)),
		}
	}
	body := bodies.Get().(*bytes.Buffer)
	defer func() {
		if body.Cap() <= maxKeptBody {
			body.Reset()
			bodies.Put(body)
		}
	}()
	if err := h.readBody(body, r); err != nil {
		return 0, err
	}
	return h.ingest(body.Bytes(), now)
}

var (
	bodies   = sync.Pool{New: func() any { return new(bytes.Buffer) }}
	inflater = sync.Pool{New: func() any { return new(gzip.Reader) }}
)

// maxKeptBody bounds the buffer that is kept for the next push.
const maxKeptBody = 8 << 20

// readBody reads and decompresses a body within its limit.
func (h *Hub) readBody(body *bytes.Buffer, r *http.Request) error {
	limit := h.cfg.MaxBodyBytes
	tooLarge := &refusal{
		http.StatusRequestEntityTooLarge, "body_too_large",
		fmt.Sprintf("the body is larger than %d bytes; send it in parts", limit),
	}
	if r.ContentLength > limit {
		return tooLarge
	}
	in := io.LimitReader(r.Body, limit+1)
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		if r.ContentLength > 0 {
			body.Grow(int(r.ContentLength) + bytes.MinRead)
		}
	case "gzip":
		z := inflater.Get().(*gzip.Reader)
		defer inflater.Put(z)
		if err := z.Reset(in); err != nil {
			return &refusal{http.StatusBadRequest, "encoding", fmt.Sprintf("decompress the body: %v", err)}
		}
		in = io.LimitReader(z, limit+1)
	default:
		return &refusal{
			http.StatusUnsupportedMediaType, "encoding",
			fmt.Sprintf("content encoding %.40q is not supported; send gzip or none", encoding),
		}
	}
	if _, err := body.ReadFrom(in); err != nil {
		return &refusal{http.StatusBadRequest, "unreadable", fmt.Sprintf("read the body: %v", err)}
	}
	if int64(body.Len()) > limit {
		return tooLarge
	}
	return nil
}

// checkContentType refuses the formats that the hub does not read. Whatever else
// is sent, by curl for one, is taken for the text format.
func checkContentType(header string) error {
	media, _, err := mime.ParseMediaType(header)
	if err != nil {
		return nil
	}
	switch media {
	case "application/openmetrics-text", "application/vnd.google.protobuf", "application/x-protobuf":
		return &refusal{
			http.StatusUnsupportedMediaType, "content_type",
			fmt.Sprintf("content type %s is not supported; send text/plain; version=0.0.4", media),
		}
	}
	return nil
}
