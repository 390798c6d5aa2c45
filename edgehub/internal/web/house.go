package web

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/door"
)

// sharedRoutes adds the doors that other programs have, too.
func (s *Server) sharedRoutes(e *echo.Echo, at Door) {
	add := func(path string, serve echo.HandlerFunc, elsewhere string) {
		if at&PushDoor == 0 {
			serve = s.otherDoor("this port gives and shows samples; " + elsewhere + " to the port of --web.listen-address")
		}
		e.POST(path, serve)
	}
	if !s.cfg.NoRemoteWrite {
		add(door.WritePath, door.NewRemoteWrite(house{s}, s.cfg.MaxSeriesBytes, s.cfg.MaxBodyBytes).Serve, "remote write goes")
	}
	if s.cfg.OTLP != nil {
		add(door.OTLPPath, door.NewOTLP(house{s}, s.cfg.OTLP).Serve, "metrics of OTLP are pushed")
	}
}

// house is the hub as doors see it.
type house struct{ s *Server }

// Receive implements door.House.
func (h house) Receive(c echo.Context, limits body.Limits, check func(http.Header) error, use func(message []byte, broken error) error) error {
	limits.Bytes, limits.Time = h.s.cfg.MaxBodyBytes, h.s.cfg.BodyTimeout
	return h.s.receive(c, check, limits, use)
}

// Take implements door.House.
func (h house) Take(_ echo.Context, read func(decode.Sink) error) (int, error) {
	return h.s.takeIn(func(now time.Time) (int, samples.Made, error) { return h.s.cfg.Intake.Take(now, read) })
}

// Refusal implements door.House.
func (h house) Refusal(err error) door.RefusedError {
	r := h.s.refusalOf(err)
	return door.RefusedError{Status: r.Status, Reason: r.Reason, Text: r.Text, Unread: r.unread}
}

// Say implements door.House.
func (h house) Say(c echo.Context, r door.RefusedError) error {
	return h.s.sayRefused(c, refusedAt(&r))
}

// refusedAt is a refusal of a door.
func refusedAt(r *door.RefusedError) *RefusedError {
	return &RefusedError{Status: r.Status, Reason: r.Reason, Text: r.Text, unread: r.Unread}
}

// Room implements door.House.
func (h house) Room() *body.Room { return h.s.room }

// Refused implements door.House.
func (h house) Refused(reason string, samples int) { h.s.Counts.refused(reason, samples) }

// LeftOut implements door.House.
func (h house) LeftOut(reason string, samples int) { h.s.Counts.LeftOut.add(reason, samples) }

// LeftExemplars implements door.House.
func (h house) LeftExemplars(n int) { h.s.Counts.LeftExemplars.Add(uint64(n)) }

// Took implements door.House.
func (h house) Took(seconds float64) { h.s.cfg.PushSeconds.Observe(seconds) }
