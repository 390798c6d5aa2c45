package edgehub

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// HTTPServer returns a server with the hub's routes, limits and hooks. The
// caller serves it on listeners of its own, and ends it with Drain, after which
// scrapers have everything, and Shutdown, or with Close, which cuts off what is
// under way.
func (h *Hub) HTTPServer() *http.Server {
	server := &http.Server{
		Handler:           h.Handler(),
		ReadHeaderTimeout: h.cfg.HeaderTimeout,
		ReadTimeout:       h.cfg.BodyTimeout,
		WriteTimeout:      h.cfg.BodyTimeout + lookDeadline, // begins before the body is read; a scrape sets its own
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(h.cfg.Logger.Handler(), slog.LevelDebug),
	}
	// A handover is confirmed by what becomes of its connection, so a scrape
	// needs one of its own: no HTTP/2, which would share it.
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	h.hooks(server)
	return server
}

// Handler returns the hub's routes. Where it is served by another server than
// HTTPServer's, a cursor moves when the handler is done, a moment before the
// response is complete.
func (h *Hub) Handler() http.Handler {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = h.failed
	e.POST("/metrics", h.push)
	e.GET("/metrics", h.scrape)
	e.GET("/gateways", h.gatewayList)
	e.GET("/debug", h.debug)
	e.GET("/internal", echo.WrapHandler(h.internal()))
	e.GET("/", h.home)
	for path, handler := range map[string]echo.HandlerFunc{"/-/healthy": h.healthy, "/-/ready": h.ready} {
		e.GET(path, handler)
		e.HEAD(path, handler)
	}
	return h.counted(e)
}

func (h *Hub) healthy(c echo.Context) error {
	return c.String(http.StatusOK, "edgehub is healthy.\n")
}

func (h *Hub) ready(c echo.Context) error {
	if h.retired.Load() || h.drains() {
		return c.String(http.StatusServiceUnavailable, "edgehub is stopping.\n")
	}
	return c.String(http.StatusOK, "edgehub is ready.\n")
}

// internal serves the hub's own metrics.
func (h *Hub) internal() http.Handler {
	if g, ok := h.cfg.Registerer.(prometheus.Gatherer); ok {
		return promhttp.HandlerFor(g, promhttp.HandlerOpts{Registry: h.cfg.Registerer})
	}
	return http.NotFoundHandler()
}

// failed answers what echo itself refuses, such as an unknown path, as plain text.
func (h *Hub) failed(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	status := http.StatusInternalServerError
	if e := (*echo.HTTPError)(nil); errors.As(err, &e) {
		status = e.Code
	} else {
		h.cfg.Logger.Error("request failed", "path", c.Request().URL.Path, "error", err)
	}
	if err := c.String(status, http.StatusText(status)+"\n"); err != nil {
		h.cfg.Logger.Debug("answer not sent", "error", err)
	}
}
