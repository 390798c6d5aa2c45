package edgehub

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hubring/hubring/internal/exposition"
)

// timeoutHeader is sent by every Prometheus with a scrape, in seconds.
const timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// request is what a GET asks for.
type request struct {
	scraper     *scraper
	part, parts int           // of the series; part counts from 0
	prometheus  bool          // Prometheus' header is there
	explicit    bool          // ?drain=1 is there
	timeout     time.Duration // in which the answer must be out
	onlyFirst   bool          // it keeps only the first of several samples of a series
	release     string        // of a Prometheus that does
	legacy      bool          // it may choke on UTF-8 names
}

// takes says whether the request moves a cursor; if not, it looks.
func (q request) takes() bool { return q.prometheus || q.explicit }

func (h *Hub) parseRequest(r *http.Request) (request, error) {
	query := r.URL.Query()
	header := r.Header.Get(timeoutHeader)
	q := request{prometheus: header != "", explicit: query.Get("drain") == "1", timeout: lookDeadline}
	if q.takes() {
		q.timeout = defaultDeadline
	}
	if seconds, err := strconv.ParseFloat(header, 64); err == nil && seconds > 0 && seconds < math.MaxInt32 {
		q.timeout = min(time.Duration(seconds*float64(time.Second)), maxDeadline)
	}
	q.release, q.onlyFirst = onlyFirst(r.UserAgent())
	q.legacy = q.prometheus && !exposition.AcceptsUTF8(r.Header)
	var errs [2]error
	q.scraper, errs[0] = h.scraperOf(query)
	q.part, q.parts, errs[1] = partOf(query)
	return q, errors.Join(errs[:]...)
}

// partOf reads ?part=2&parts=10, the second of ten parts.
func partOf(query url.Values) (part, parts int, err error) {
	if !query.Has("part") && !query.Has("parts") {
		return 0, 1, nil
	}
	part, err1 := strconv.Atoi(query.Get("part"))
	parts, err2 := strconv.Atoi(query.Get("parts"))
	if err1 != nil || err2 != nil || parts < 1 || parts > maxParts || part < 1 || part > parts {
		return 0, 0, fmt.Errorf("part=%.20q of parts=%.20q: parts must be a number from 1 to %d and part one from 1 to parts",
			query.Get("part"), query.Get("parts"), maxParts)
	}
	return part - 1, parts, nil
}

// scraperOf is the scraper that a request names, or the only one.
func (h *Hub) scraperOf(query url.Values) (*scraper, error) {
	if !query.Has("cursor") {
		if len(h.cfg.Cursors) == 1 {
			return h.scrapers[h.cfg.Cursors[0]], nil
		}
		return nil, fmt.Errorf("which scraper is it? add ?cursor= with one of %s", strings.Join(quoted(h.cfg.Cursors), ", "))
	}
	if s, ok := h.scrapers[query.Get("cursor")]; ok {
		return s, nil
	}
	return nil, fmt.Errorf("there is no cursor %.60q; the hub was started with %s", query.Get("cursor"), strings.Join(quoted(h.cfg.Cursors), ", "))
}

func quoted(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strconv.Quote(n)
	}
	return out
}

// onlyFirst says whether a User-Agent is a Prometheus that keeps only the first of
// several samples of a series in a scrape: 2.52.0 to 2.53.2 and 2.54.0 (mended in
// 2.53.3 and 2.54.1, prometheus/prometheus#14685).
func onlyFirst(userAgent string) (release string, is bool) {
	version, ok := strings.CutPrefix(userAgent, "Prometheus/")
	if !ok {
		return "", false
	}
	release, _, _ = strings.Cut(version, "-")
	switch release {
	case "2.52.0", "2.52.1", "2.53.0", "2.53.1", "2.53.2", "2.54.0":
		return release, true
	}
	return "", false
}
