package front

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/exposition"
)

// retryAfter is what a refused sender is told to wait, in seconds.
const retryAfter = 5

// lingering is how long a refused sender may go on with a body that is not wanted, lest its connection is reset and the answer lost.
const lingering = time.Second

// receive reads the body of a push and has it used.
func (f *Front) receive(c echo.Context, limits body.Limits, use func(text []byte) error) error {
	g := f.gate.Load()
	if f.closed.Load() {
		return errStops
	}
	leave, err := g.enter()
	if err != nil {
		return err
	}
	defer leave()
	limits.Bytes, limits.Time = g.limits.BodyBytes, time.Duration(g.limits.BodyTime)
	b, whole, err := body.Receive(c.Response(), c.Request(), g.room, limits)
	defer func() { b.Release() }()
	if err == nil {
		return use(b.Bytes())
	}
	if !whole {
		c.Response().Header().Set("Connection", "close")
		if err := body.SetReadDeadline(c.Response(), time.Now().Add(lingering)); err != nil {
			return err
		}
	}
	r := g.refusalOf(err)
	if r.reason == "malformed" {
		r = &refusal{http.StatusBadRequest, "unreadable", "read the body: " + err.Error()}
	}
	return r
}

// push takes a body that a decoder reads.
func (f *Front) push(c echo.Context, limits body.Limits, read func(text []byte, to decode.Sink) error) (samples int, err error) {
	err = f.receive(c, limits, func(text []byte) error {
		samples, err = f.take(c.Request().Context(), func(to decode.Sink) error { return read(text, to) })
		return err
	})
	return samples, err
}

// answered counts what became of a push at a door, and returns its refusal.
func (f *Front) answered(c echo.Context, door string, samples int, err error) *refusal {
	if err == nil {
		f.counts.pushes.WithLabelValues(door).Inc()
		f.counts.samples.WithLabelValues(door).Add(float64(samples))
		return nil
	}
	r := f.gate.Load().refusalOf(err)
	f.counts.refused.WithLabelValues(door, r.reason).Inc()
	c.Response().Header().Set(exposition.ReasonHeader, r.reason)
	if r.status == http.StatusServiceUnavailable {
		c.Response().Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	return r
}

// pushMetrics serves POST /metrics.
func (f *Front) pushMetrics(c echo.Context) error {
	samples, err := f.takeMetrics(c)
	if r := f.answered(c, doorMetrics, samples, err); r != nil {
		return c.String(r.status, r.text+"\n")
	}
	return c.NoContent(http.StatusOK)
}

func (f *Front) takeMetrics(c echo.Context) (samples int, err error) {
	err = f.receive(c, body.Limits{}, func(text []byte) error {
		samples, err = f.takeText(c.Request().Context(), text)
		return err
	})
	return samples, err
}
