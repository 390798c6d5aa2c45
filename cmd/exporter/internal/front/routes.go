package front

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/internal/door"
)

// Handler returns the routes.
func (f *Front) Handler() http.Handler {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = f.failed
	e.POST("/metrics", f.pushMetrics)
	e.POST(door.WritePath, func(c echo.Context) error { return f.now.Load().write.Serve(c) })
	e.POST(door.OTLPPath, func(c echo.Context) error { return f.now.Load().otlp.Serve(c) })
	for _, path := range []string{"/metrics/job/*", "/metrics/job@base64/*", "//metrics/*"} { // the last one is told why not
		e.Any(path, f.pushGroup)
	}
	e.GET("/metrics", echo.WrapHandler(f.metrics()))
	e.GET("/", echo.WrapHandler(f.status()))
	e.HEAD("/", echo.WrapHandler(f.status()))
	for path, handler := range map[string]echo.HandlerFunc{"/-/healthy": f.healthy, "/-/ready": f.ready} {
		e.GET(path, handler)
		e.HEAD(path, handler)
	}
	e.POST("/-/reload", f.reloaded)
	return e
}

func (f *Front) healthy(c echo.Context) error {
	return c.String(http.StatusOK, "exporter is healthy.\n")
}

func (f *Front) ready(c echo.Context) error {
	if f.closed.Load() {
		return c.String(http.StatusServiceUnavailable, "exporter is stopping.\n")
	}
	return c.String(http.StatusOK, "exporter is ready.\n")
}

func (f *Front) reloaded(c echo.Context) error {
	if !f.cfg.Lifecycle {
		return c.String(http.StatusForbidden, "Lifecycle API is not enabled; start the exporter with --web.enable-lifecycle, or send SIGHUP.\n")
	}
	if err := f.Reload(); err != nil {
		return c.String(http.StatusInternalServerError, "all is as before: "+err.Error()+"\n")
	}
	return c.NoContent(http.StatusOK)
}

// failed answers what echo itself refuses, such as an unknown path, as plain text.
func (f *Front) failed(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	status := http.StatusInternalServerError
	if e := (*echo.HTTPError)(nil); errors.As(err, &e) {
		status = e.Code
	} else {
		f.cfg.Logger.Error("request failed", "path", c.Request().URL.Path, "error", err)
	}
	if err := c.String(status, http.StatusText(status)+"\n"); err != nil {
		f.cfg.Logger.Debug("answer not sent", "error", err)
	}
}
