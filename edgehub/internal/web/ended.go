package web

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/edgehub/internal/store"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/door"
	"github.com/hubring/hubring/internal/exposition"
)

const endedPath = "/gateways/ended"

// Of one request that says which gateways went elsewhere.
const (
	maxEnds     = 10_000
	maxEndBytes = 1 << 20
)

// Why a gateway is ended.
const (
	moved  = "moved"
	silent = "silent"
)

// ended serves POST /gateways/ended: a line for each gateway that went elsewhere.
func (s *Server) ended(c echo.Context) error {
	c.Response().Header().Set("Accept-Encoding", "gzip")
	if err := s.takeEnds(c); err != nil {
		r := s.refusalOf(err)
		s.Counts.RejectedEnds.add(r.Reason, 1)
		return s.answer(c, r)
	}
	return c.NoContent(http.StatusOK)
}

func (s *Server) takeEnds(c echo.Context) error {
	if !s.exit.enter() {
		return errStopping
	}
	defer s.exit.leave()
	if err := s.mayConnect(c.Request()); err != nil {
		return err
	}
	if f, err := door.PushedFormat(c.Request().Header); err != nil || f.Read != nil {
		return &RefusedError{
			Status: http.StatusUnsupportedMediaType, Reason: "content_type", unread: true,
			Text: fmt.Sprintf("content type %.80q is not supported; gateways that ended are lines of text", c.Request().Header.Get(echo.HeaderContentType)),
		}
	}
	b, read, err := body.Receive(c.Response(), c.Request(), s.room, body.Limits{Bytes: maxEndBytes, Time: s.cfg.BodyTimeout})
	defer func() { b.Release() }()
	if err != nil {
		r := s.unreadable(err)
		r.unread = r.unread || !read
		if errors.Is(err, body.ErrTooLarge) {
			r.Text = fmt.Sprintf("the body is larger than %d bytes; send it in parts", maxEndBytes)
		}
		return r
	}
	ends, err := readEnds(b.Bytes())
	if err != nil {
		return err
	}
	for i := range ends {
		ends[i].Handed = handed(c.Request())
	}
	return s.endMoved(ends)
}

// readEnds reads lines of a gateway's name, escaped as in a query, a blank and the time of its
// first sample elsewhere.
func readEnds(text []byte) ([]store.End, error) {
	if n := bytes.Count(text, []byte{'\n'}); n > maxEnds {
		return nil, &RefusedError{
			Status: http.StatusRequestEntityTooLarge, Reason: "body_too_large",
			Text: fmt.Sprintf("the body has %d lines, and the limit is %d; send it in parts", n, maxEnds),
		}
	}
	var ends []store.End
	for line := range bytes.Lines(text) {
		end, err := readEnd(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(ends)+1, err)
		}
		ends = append(ends, end)
	}
	return ends, nil
}

func readEnd(line []byte) (store.End, error) {
	name, stamp, ok := bytes.Cut(bytes.TrimSuffix(line, []byte{'\n'}), []byte{' '})
	gateway, err := url.QueryUnescape(string(name))
	ms, err2 := strconv.ParseInt(string(stamp), 10, 64)
	switch {
	case line[len(line)-1] != '\n':
		return store.End{}, fmt.Errorf("%.100q does not end with a line feed", line)
	case !ok || err != nil || err2 != nil || ms < 0:
		return store.End{}, fmt.Errorf("%.100q is not a gateway's name, escaped as in the query of a URL, a blank and a time in milliseconds", line)
	}
	if unit := exposition.OtherUnit(ms); unit != "" {
		return store.End{}, &RefusedError{
			Status: http.StatusBadRequest, Reason: "time_unit",
			Text: fmt.Sprintf("%.100q has the time %d; times are in milliseconds, this one looks like %s", line, ms, unit),
		}
	}
	return store.End{Gateway: gateway, First: ms}, nil
}

// endMoved ends gateways if there is a place for one more who does.
func (s *Server) endMoved(ends []store.End) error {
	leave, err := s.enterIntake()
	if err != nil {
		return err
	}
	defer leave()
	e, err := s.store.End(ends, time.Now())
	s.hasEnded(e, err, moved)
	return err
}

// End ends gateways, or says why not.
func (s *Server) End(ends []store.End) *RefusedError {
	err := error(errStopping)
	if s.exit.enter() {
		defer s.exit.leave()
		err = s.endMoved(ends)
	}
	if err == nil {
		return nil
	}
	r := s.refusalOf(err)
	s.Counts.RejectedEnds.add(r.Reason, 1)
	return r
}

// EndSilent ends the gateways that fell silent. What finds no room is tried again. A hub that stops gets
// no more pushes and ends none for that.
func (s *Server) EndSilent(now time.Time) {
	if s.stopping() {
		return
	}
	if _, is := s.store.Disk(); is { // a scrape does not wait for that
		s.pursuits.Go(func() { s.endSilent(now) })
		return
	}
	s.endSilent(now)
}

func (s *Server) endSilent(now time.Time) {
	e, err := s.store.EndSilent(now)
	s.hasEnded(e, err, silent)
}

func (s *Server) hasEnded(e store.Ended, err error, reason string) {
	s.made(e.Made, err)
	if len(e.Gateways) == 0 {
		return
	}
	s.Counts.GatewaysEnded.add(reason, len(e.Gateways))
	names := quoted(e.Gateways[:min(len(e.Gateways), 10)])
	if reason == silent && s.silent.now() {
		s.cfg.Logger.Info("gateways fell silent, and their series end", "gateways", len(e.Gateways), "names", names)
		return
	}
	s.cfg.Logger.Debug("series of gateways end", "reason", reason, "gateways", len(e.Gateways), "names", names, "markers", e.Markers)
}
