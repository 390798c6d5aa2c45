package front

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/door"
	"github.com/hubring/hubring/internal/exposition"
)

// pushMetrics serves POST /metrics.
func (f *Front) pushMetrics(c echo.Context) error {
	h, start := house{f, f.now.Load(), doorMetrics}, time.Now()
	c.Response().Header().Set("Accept-Encoding", "gzip, zstd")
	n, err := h.pushed(c)
	h.Took(time.Since(start).Seconds())
	if err != nil {
		return h.answer(c, n, err)
	}
	return c.NoContent(http.StatusOK)
}

// pushed takes a push in, and returns how many samples it has.
func (h house) pushed(c echo.Context) (n int, err error) {
	var format door.Format
	check := func(header http.Header) (err error) {
		format, err = door.PushedFormat(header)
		return err
	}
	err = h.Receive(c, body.Limits{}, check, func(text []byte, broken error) error {
		switch {
		case broken != nil:
			return broken
		case format.Read != nil:
			n, err = h.Take(c, func(to decode.Sink) error { return format.Read(text, to) })
			return err
		}
		n = exposition.CountSamples(text)
		if err := h.takeText(c.Request().Context(), text, n); err != nil {
			return err
		}
		h.taken(h.door, n)
		return nil
	})
	return n, err
}
