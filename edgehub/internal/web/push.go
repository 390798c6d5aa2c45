package web

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/store"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/door"
	"github.com/hubring/hubring/internal/exposition"
)

// lingering is how long a refused sender may go on with a body that is
// not wanted. A connection closed in the middle of it would be reset, and
// the answer lost.
const lingering = time.Second

// push serves POST /metrics.
func (s *Server) push(c echo.Context) error {
	start := time.Now()
	// Tells the exporter, and whoever else asks, that pushes may be compressed (RFC 7694).
	c.Response().Header().Set("Accept-Encoding", "gzip, zstd")
	n, err := s.take(c)
	s.cfg.PushSeconds.Observe(time.Since(start).Seconds())
	if err != nil {
		return s.refuse(c, n, err)
	}
	return c.NoContent(http.StatusOK)
}

// take reads a push and returns the number of its samples, which are those that were
// refused if there is an error.
func (s *Server) take(c echo.Context) (n int, err error) {
	var format door.Format
	check := func(h http.Header) (err error) {
		format, err = door.PushedFormat(h)
		return err
	}
	err = s.receive(c, check, body.Limits{Bytes: s.cfg.MaxBodyBytes, Time: s.cfg.BodyTimeout}, func(body []byte, broken error) error {
		if broken != nil {
			n = count(format, body)
			return broken
		}
		n, err = s.takeBody(format, body, handed(c.Request()))
		return err
	})
	return n, err
}

// receive lets a request in, checks its headers and brings its body to use, or what was read of it before it broke off, which use
// returns. The body is released then.
func (s *Server) receive(c echo.Context, check func(http.Header) error, limits body.Limits, use func(text []byte, broken error) error) error {
	if !s.entrance.enter() {
		return errStopping
	}
	defer s.entrance.leave()
	if err := s.mayConnect(c.Request()); err != nil {
		return err
	}
	if err := check(c.Request().Header); err != nil {
		return err
	}
	b, whole, err := body.Receive(c.Response(), c.Request(), s.room, limits)
	defer func() { b.Release() }()
	if err == nil {
		return use(b.Bytes(), nil)
	}
	r := s.unreadable(err)
	r.unread = r.unread || !whole
	return use(b.Bytes(), r)
}

// Push takes in a body, all or nothing, and returns the number of its samples, or why not.
func (s *Server) Push(f door.Format, body []byte) (n int, refused *RefusedError) {
	var err error
	if !s.entrance.enter() {
		n, err = count(f, body), errStopping
	} else {
		defer s.entrance.leave()
		n, err = s.takeBody(f, body, false)
	}
	if err != nil {
		r := s.refusalOf(err)
		s.Counts.refused(r.Reason, n)
		return 0, r
	}
	return n, nil
}

// mayConnect says whether anything is taken over a request's connection.
func (s *Server) mayConnect(r *http.Request) error {
	if conn := s.desk.Of(r); conn != nil && !conn.MaySend() {
		return &RefusedError{
			Status: http.StatusServiceUnavailable, Reason: "too_many_connections", unread: true,
			Text: fmt.Sprintf("senders hold %d connections, which is the limit", s.cfg.MaxConnections),
		}
	}
	if err := s.store.Refuses(); err != nil { // before its body is read
		refused := s.refusalOf(err)
		refused.unread = true
		return refused
	}
	return nil
}

// handed says whether another hub hands over what is in a request.
func handed(r *http.Request) bool { return r.Header.Get(exposition.HandoverHeader) != "" }

// takeIn has a push taken into the store if there is a place for one more.
func (s *Server) takeIn(read func(now time.Time) (int, samples.Made, error)) (int, error) {
	leave, err := s.enterIntake()
	if err != nil {
		return 0, err
	}
	defer leave()
	n, made, err := read(time.Now())
	s.made(made, err)
	if err == nil {
		s.Counts.Pushes.Add(1)
		s.Counts.Received.Add(uint64(n))
	}
	return n, err
}

// enterIntake finds a place among those who are taken in at the same time.
func (s *Server) enterIntake() (leave func(), err error) {
	select {
	case s.pushes <- struct{}{}:
		return func() { <-s.pushes }, nil
	default:
		return nil, &RefusedError{
			Status: http.StatusServiceUnavailable, Reason: "too_many_pushes",
			Text: fmt.Sprintf("%d pushes are under way, which is the limit", cap(s.pushes)),
		}
	}
}

// Made counts and says what was done to make room on disk.
func (s *Server) Made(m samples.Made) { s.made(m, nil) }

// made counts and says what was done to make room, or that there is none.
func (s *Server) made(m samples.Made, err error) {
	s.Counts.LetGo.Add(uint64(m.LetGo))
	for _, name := range m.Left {
		s.cfg.Logger.Warn("a scraper is too far behind and is left there: what it has not got and another scraper has makes room for pushes",
			"cursor", name, "limit", s.cfg.MaxSamples)
	}
	s.sayFull(m.LetGo, err)
}

// sayFull says, at most once a minute, that the hub has no room.
func (s *Server) sayFull(letGo int, err error) {
	full := (*store.FullError)(nil)
	if letGo == 0 && !errors.As(err, &full) || !s.full.now() {
		return
	}
	if letGo > 0 {
		s.cfg.Logger.Warn("the hub is full and lets the oldest samples go; is it being scraped?",
			"limit", s.cfg.MaxSamples, "let_go_so_far", s.Counts.LetGo.Load(), "last_scrape", s.LastScrape())
		return
	}
	s.cfg.Logger.Warn("pushes are refused for want of room", "reason", full.Reason, "error", err, "last_scrape", s.LastScrape())
}

// refuse answers an error of take, which had so many samples.
func (s *Server) refuse(c echo.Context, samples int, err error) error {
	r := s.refusalOf(err)
	s.Counts.refused(r.Reason, samples)
	return s.answer(c, r)
}

// answer says why a request was refused.
func (s *Server) answer(c echo.Context, r *RefusedError) error {
	if err := s.sayRefused(c, r); err != nil {
		return err
	}
	return c.String(r.Status, r.Text+"\n")
}

// sayRefused says in the header of an answer why a request was refused, and in the log.
func (s *Server) sayRefused(c echo.Context, r *RefusedError) error {
	c.Response().Header().Set(exposition.ReasonHeader, r.Reason)
	if r.Status == http.StatusTooManyRequests || r.Status == http.StatusServiceUnavailable {
		c.Response().Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if r.unread {
		// The answer goes out first; what the sender has on its way is thrown
		// away, for a moment, and the connection closed.
		c.Response().Header().Set("Connection", "close")
		if err := body.SetReadDeadline(c.Response(), time.Now().Add(lingering)); err != nil {
			return fmt.Errorf("bound the rest of a refused request: %w", err)
		}
	}
	s.cfg.Logger.Debug("request refused", "path", c.Path(), "status", r.Status, "reason", r.Reason, "error", r.Text, "sender", c.Request().RemoteAddr)
	return nil
}
