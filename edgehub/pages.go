package edgehub

import (
	"bufio"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// debug serves GET /debug: what the hub holds, in words, and with ?verbose the
// samples that wait, as a scrape would write them. It takes nothing.
func (h *Hub) debug(c echo.Context) error {
	leave, err := h.enter(c, request{timeout: lookDeadline}, nil)
	if leave == nil {
		return err
	}
	defer leave()
	w := c.Response()
	w.Header().Set(echo.HeaderContentType, echo.MIMETextPlainCharsetUTF8)
	out := bufio.NewWriter(w)
	s := h.Stats()
	fmt.Fprintf(out, "up             %s\n", time.Since(h.started).Round(time.Second))
	fmt.Fprintf(out, "series         %d of at most %d\n", s.Series, h.cfg.MaxSeries)
	fmt.Fprintf(out, "pending        %d samples of at most %d\n", s.Pending, h.cfg.MaxSamples)
	fmt.Fprintf(out, "received       %d samples\n", s.Received)
	fmt.Fprintf(out, "scraped        %d samples\n", s.Scraped)
	fmt.Fprintf(out, "dropped        %d samples, too old or too far ahead\n", s.Dropped)
	fmt.Fprintf(out, "let go         %d samples, to make room\n", s.LetGo)
	for _, l := range h.log.lags() {
		fmt.Fprintf(out, "cursor %-7q part %d of %d: %d samples, %.0f s behind\n", l.scraper, l.part, l.parts, l.samples, age(l.since))
	}
	if c.QueryParams().Has("verbose") {
		fmt.Fprintln(out)
		if err := h.waiting().write(out, false); err != nil {
			return fmt.Errorf("write the pending samples: %w", err)
		}
	}
	return out.Flush()
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
func (h *Hub) home(c echo.Context) error {
	c.Response().Header().Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	c.Response().WriteHeader(http.StatusOK)
	return homePage.Execute(c.Response(), h.Stats())
}
