package web

import (
	"html/template"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// facts are what the pages show.
type facts struct {
	Up                                 time.Duration
	Pending, Series                    int
	Received, Scraped, Dropped, Behind uint64
}

func (s *Server) facts() facts {
	pending, _ := s.store.Log.Pending()
	return facts{
		Up:       time.Since(s.started).Round(time.Second),
		Pending:  pending,
		Series:   s.store.Table().Size(),
		Received: s.Counts.Received.Load(),
		Scraped:  s.Counts.Scraped.Load(),
		Dropped:  s.Counts.Dropped(),
	}
}

var homePage = template.Must(template.New("home").Parse(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>edgehub</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
td { padding: .2rem 1.5rem .2rem 0; vertical-align: top } td:nth-child(2) { font-variant-numeric: tabular-nums }
code { background: #f3f3f3; padding: 0 .3em }
</style>
<h1>edgehub</h1>
<p>Takes the metrics of edge gateways and hands each sample to the Prometheus that scrapes it.</p>
<table>
<tr><td>Pending samples<td>{{.Pending}}
<tr><td>Series<td>{{.Series}}
<tr><td>Received<td>{{.Received}} samples
<tr><td>Scraped<td>{{.Scraped}} samples
<tr><td>Dropped<td>{{.Dropped}} samples
</table>
<ul>
<li><a href="/metrics">/metrics</a>: push with POST; a scraper takes, looking here takes nothing
<li><a href="/debug">/debug</a>, <a href="/debug?verbose">/debug?verbose</a>: what waits for a scrape
<li><a href="/gateways">/gateways</a>: the gateways that the hub knows, as metrics
<li><a href="/internal">/internal</a>: the hub's own metrics
<li><a href="/-/healthy">/-/healthy</a>, <a href="/-/ready">/-/ready</a>
</ul>
`))

// home serves GET /: the page for whoever looks with a browser.
func (s *Server) home(c echo.Context) error {
	c.Response().Header().Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	c.Response().WriteHeader(http.StatusOK)
	return homePage.Execute(c.Response(), s.facts())
}
