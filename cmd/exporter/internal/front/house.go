package front

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/door"
	"github.com/hubring/hubring/internal/exposition"
)

// house is the exporter as one of the doors sees it.
type house struct {
	*Front
	gate *gate
	door string
}

// retryAfter is what a refused sender is told to wait, in seconds.
const retryAfter = 5

// lingering is how long a refused sender may go on with a body that is not wanted, lest its connection is reset and the answer lost.
const lingering = time.Second

// Receive implements door.House.
func (h house) Receive(c echo.Context, limits body.Limits, check func(http.Header) error, use func(message []byte, broken error) error) error {
	g := h.gate
	leave, err := h.enter(g)
	if err != nil {
		return err
	}
	defer leave()
	if err := check(c.Request().Header); err != nil {
		return err
	}
	limits.Bytes, limits.Time = g.limits.BodyBytes, time.Duration(g.limits.BodyTime)
	b, whole, err := body.Receive(c.Response(), c.Request(), g.room, limits)
	defer func() { b.Release() }()
	if err == nil {
		return use(b.Bytes(), nil)
	}
	r := g.unreadable(err)
	r.Unread = r.Unread || !whole
	return use(b.Bytes(), r)
}

// Take implements door.House.
func (h house) Take(c echo.Context, read func(decode.Sink) error) (samples int, err error) {
	if samples, err = h.take(c.Request().Context(), func(to decode.Sink, _ string) error { return read(to) }); err == nil {
		h.taken(h.door, samples)
	}
	return samples, err
}

// Refusal implements door.House.
func (h house) Refusal(err error) door.RefusedError { return *h.gate.refusalOf(err) }

// Say implements door.House.
func (h house) Say(c echo.Context, r door.RefusedError) error {
	c.Response().Header().Set(exposition.ReasonHeader, r.Reason)
	if r.Status == http.StatusServiceUnavailable {
		c.Response().Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if r.Unread {
		c.Response().Header().Set("Connection", "close")
		if err := body.SetReadDeadline(c.Response(), time.Now().Add(lingering)); err != nil {
			return err
		}
	}
	h.cfg.Logger.Debug("request refused", "path", c.Path(), "status", r.Status, "reason", r.Reason, "error", r.Text, "sender", c.Request().RemoteAddr)
	return nil
}

// Room implements door.House.
func (h house) Room() *body.Room { return h.gate.room }

// Refused implements door.House.
func (h house) Refused(reason string, samples int) {
	h.counts.refused.WithLabelValues(h.door, reason).Inc()
	h.counts.refusedSamples.WithLabelValues(h.door).Add(float64(samples))
}

// LeftOut implements door.House.
func (h house) LeftOut(reason string, samples int) {
	h.counts.rejected.WithLabelValues(h.door, reason).Add(float64(samples))
}

// LeftExemplars implements door.House.
func (h house) LeftExemplars(n int) { h.counts.leftOut.WithLabelValues("exemplar").Add(float64(n)) }

// Took implements door.House.
func (h house) Took(seconds float64) { h.counts.seconds.Observe(seconds) }

// answer says why a request was refused.
func (h house) answer(c echo.Context, samples int, err error) error {
	r := h.Refusal(err)
	h.Refused(r.Reason, samples)
	if err := h.Say(c, r); err != nil {
		return err
	}
	return c.String(r.Status, r.Text+"\n")
}
