package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// Door says what a handler serves.
type Door int

// The doors. Probes are answered at each.
const (
	PushDoor   Door = 1 << iota // takes pushes
	ScrapeDoor                  // gives and shows samples
	BothDoors  = PushDoor | ScrapeDoor
)

// Handler returns the routes of a door.
func (s *Server) Handler(door Door) http.Handler {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.failed
	if door == PushDoor {
		e.POST(handoverPath, s.otherDoor("this port takes pushes and nothing else; a hub is told to hand over at the port of --scrape.listen-address"))
		for _, path := range []string{"/metrics", "/gateways", "/debug", "/internal", "/"} {
			e.GET(path, s.otherDoor("this port takes pushes and nothing else; samples are taken and shown at the port of --scrape.listen-address"))
		}
	}
	switch door {
	case PushDoor:
		e.POST("/metrics", s.push)
		e.POST(endedPath, s.ended)
	case ScrapeDoor:
		e.POST("/metrics", s.drainOr(s.otherDoor("this port gives and shows samples; pushes go to the port of --web.listen-address")))
		e.POST(endedPath, s.otherDoor("this port gives and shows samples; which gateways went elsewhere is said at the port of --web.listen-address"))
	case BothDoors:
		e.POST("/metrics", s.drainOr(s.push))
		e.POST(endedPath, s.ended)
	}
	if door&ScrapeDoor != 0 {
		e.GET("/metrics", s.onceRead(s.scrape))
		e.HEAD("/metrics", s.onceRead(s.head))
		e.GET("/gateways", s.onceRead(s.gatewayList))
		e.GET("/debug", s.onceRead(s.debug))
		e.GET("/internal", echo.WrapHandler(s.cfg.Own))
		e.GET("/", s.home)
		e.POST(handoverPath, s.handover)
	}
	s.groupRoutes(e, door)
	s.sharedRoutes(e, door)
	for path, handler := range map[string]echo.HandlerFunc{"/-/healthy": s.healthy, "/-/ready": s.ready} {
		e.GET(path, handler)
		e.HEAD(path, handler)
	}
	return s.desk.Handler(e)
}

// drainOr serves POST /metrics?drain=1 as a scrape, for clients that keep to what GET
// promises, and anything else by next.
func (s *Server) drainOr(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if c.Request().URL.RawQuery != "" && c.QueryParam("drain") == "1" { // a push has none to be taken apart
			return s.onceRead(s.scrape)(c)
		}
		return next(c)
	}
}

// head says what a look would, without a body: it must not take anything.
func (s *Server) head(c echo.Context) error {
	q, err := s.parse(c.Request())
	if err != nil {
		return s.badRequest(c, err)
	}
	setHeaders(c.Response().Header(), c.Request(), q.contentType)
	return c.NoContent(http.StatusOK)
}

func (s *Server) otherDoor(text string) echo.HandlerFunc {
	return func(c echo.Context) error { return c.String(http.StatusNotFound, text+"\n") }
}

func (s *Server) healthy(c echo.Context) error {
	return c.String(http.StatusOK, "edgehub is healthy.\n")
}

func (s *Server) ready(c echo.Context) error {
	if s.stopping() {
		if r := s.handing.Load(); r != nil {
			return c.String(http.StatusServiceUnavailable, "edgehub is stopping and hands over what it has: "+sayAccount(r.Account())+".\n")
		}
		return c.String(http.StatusServiceUnavailable, "edgehub is stopping.\n")
	}
	if err := s.store.Refuses(); err != nil {
		return c.String(http.StatusServiceUnavailable, "edgehub is not ready: "+err.Error()+".\n")
	}
	return c.String(http.StatusOK, "edgehub is ready.\n")
}

// onceRead serves what has to know what is on disk, and else answers 503: a scraper that got an empty response would believe
// that there is nothing. No series ends by that, as samples with times get no stale markers from a scrape that fails.
func (s *Server) onceRead(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := s.store.Reads(); err != nil {
			return s.busy(c, s.refusalOf(err).Reason, err.Error())
		}
		return next(c)
	}
}

// badRequest answers a GET that asks for what there is not.
func (s *Server) badRequest(c echo.Context, err error) error {
	s.Counts.RefusedReads.add("bad_request", 1)
	return c.String(http.StatusBadRequest, err.Error()+"\n")
}

// failed answers what echo itself refuses, such as an unknown path, as plain text.
func (s *Server) failed(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	status := http.StatusInternalServerError
	if e := (*echo.HTTPError)(nil); errors.As(err, &e) {
		status = e.Code
	} else {
		s.cfg.Logger.Error("request failed", "path", c.Request().URL.Path, "error", err)
	}
	if err := c.String(status, http.StatusText(status)+"\n"); err != nil {
		s.cfg.Logger.Debug("answer not sent", "error", err)
	}
}

// setDeadline bounds the writing of a response by what its scraper allows, where
// the server can. The server's own bound for reading a request must not be the
// shorter one, since it ends the request when it passes.
func setDeadline(w http.ResponseWriter, t time.Time) error {
	c := http.NewResponseController(w)
	err := errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
