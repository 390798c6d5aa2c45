package web

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hubring/hubring/edgehub/internal/render"
	"github.com/hubring/hubring/internal/exposition"
)

// timeoutHeader is sent by every Prometheus with a scrape, in seconds.
const timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

const (
	maxParts        = 64
	defaultDeadline = time.Minute     // of a drain, which names none
	maxDeadline     = 5 * time.Minute // of a scrape that names a longer one
	lookDeadline    = 20 * time.Second
)

// request is what a GET asks for.
type request struct {
	scraper     int           // its number
	part, parts int           // of the series; part counts from 0
	prometheus  bool          // Prometheus' header is there
	explicit    bool          // ?drain=1 is there
	timeout     time.Duration // in which the answer must be out
	one         bool          // it keeps only one sample of a series in a scrape
	keepsOne    string        // the User-Agent of one that does
	maxBytes    int64         // before compression; 0 for no bound
	format      render.Format
	contentType string
}

// takes says whether the request moves a cursor; if not, it looks.
func (q request) takes() bool { return q.prometheus || q.explicit }

func (s *Server) parse(r *http.Request) (request, error) {
	query := r.URL.Query()
	header := r.Header.Get(timeoutHeader)
	q := request{prometheus: header != "", explicit: query.Get("drain") == "1", timeout: lookDeadline}
	if q.takes() {
		q.timeout = defaultDeadline
	}
	if seconds, err := strconv.ParseFloat(header, 64); err == nil && seconds > 0 && seconds < math.MaxInt32 {
		q.timeout = min(time.Duration(seconds*float64(time.Second)), maxDeadline)
	}
	if keepsOne(r.UserAgent()) {
		q.one, q.keepsOne = true, r.UserAgent()
	}
	q.one = q.one || query.Get("one") == "1"
	q.format, q.contentType = formatOf(r.Header, q.prometheus, r.UserAgent(), s.cfg.OpenMetrics2)
	var errs [3]error
	q.scraper, errs[0] = s.scraperOf(query)
	q.part, q.parts, errs[1] = partOf(query)
	q.maxBytes, errs[2] = s.maxBytes(query, r.UserAgent())
	return q, errors.Join(errs[:]...)
}

// formatOf is the format in which a request is answered: protobuf where a Prometheus likes it
// as much as text, since that costs both ends less, and OpenMetrics where it is liked best. A Prometheus
// names that first unless it is told otherwise. It gets text, as long as it names it as well: that costs it less, and has
// the type of each counter. Version 2.0 it names where it is told to, and so is the hub: second.
//
// Others that list protobuf get text as long as they take it. A large family comes in several
// messages, and Telegraf keeps the last; a Prometheus before 3 knows the bucket le="1" by this
// name from text, and would know it as le="1.0" from protobuf and OpenMetrics.
func formatOf(h http.Header, prometheus bool, userAgent string, second bool) (f render.Format, contentType string) {
	standing, escaping := exposition.NegotiateProtobuf(h)
	old := strings.HasPrefix(userAgent, "Prometheus/2.")
	om := exposition.NegotiateOpenMetrics(h, second)
	draft := om.Version == "2.0.0"
	if !old && (om.Standing == exposition.Alone || om.Standing == exposition.Ahead && (draft || !prometheus)) {
		f = render.Format{OpenMetrics: render.OpenMetrics1, Escaping: om.Escaping}
		if draft {
			f.OpenMetrics = render.OpenMetrics2
		}
		return f, om.ContentType
	}
	if standing == exposition.Alone || standing == exposition.Ahead && prometheus && !old {
		return render.Format{Protobuf: true, Escaping: escaping}, exposition.ProtobufContentType
	}
	f.Escaping, contentType = exposition.Negotiate(h)
	if !prometheus && contentType == exposition.ContentType {
		f.Escaping = exposition.AllowUTF8 // no scraper that may choke on it
	}
	return f, contentType
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

// vmBytes is what a response to VictoriaMetrics or vmagent has at most, of text: 1.151 refuses
// more than 16 MiB unless it is told otherwise, and does not say so to the hub.
const vmBytes = 15 << 20

// maxBytes is the bound of a response in bytes: the least of what the hub, the scraper's URL
// and the kind of scraper say.
func (s *Server) maxBytes(query url.Values, userAgent string) (int64, error) {
	most := s.cfg.MaxScrapeBytes
	if userAgent == "vm_promscrape" && (most == 0 || most > vmBytes) {
		most = vmBytes
	}
	if !query.Has("max-bytes") {
		return most, nil
	}
	n, err := strconv.ParseInt(query.Get("max-bytes"), 10, 64)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("max-bytes=%.20q must be a number of bytes, at least 1", query.Get("max-bytes"))
	}
	if most == 0 || n < most {
		most = n
	}
	return most, nil
}

// scraperOf is the number of the scraper that a request names, or the only one's.
func (s *Server) scraperOf(query url.Values) (int, error) {
	if !query.Has("cursor") {
		if len(s.cfg.Cursors) == 1 {
			return 0, nil
		}
		return 0, fmt.Errorf("which scraper is it? add ?cursor= with one of %s", strings.Join(quoted(s.cfg.Cursors), ", "))
	}
	for i, name := range s.cfg.Cursors {
		if name == query.Get("cursor") {
			return i, nil
		}
	}
	return 0, fmt.Errorf("there is no cursor %.60q; the hub was started with %s", query.Get("cursor"), strings.Join(quoted(s.cfg.Cursors), ", "))
}

func quoted(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strconv.Quote(n)
	}
	return out
}

// keepsOne says whether a User-Agent is of a scraper that keeps only the first of several
// samples of a series in a scrape: Prometheus 2.52.0 to 2.53.2 and 2.54.0 (mended in
// 2.53.3 and 2.54.1, prometheus/prometheus#14685), and the OpenTelemetry Collector. Builds of
// the latter have names of their own, so others say ?one=1.
func keepsOne(userAgent string) bool {
	if strings.HasPrefix(userAgent, "otelcol") {
		return true
	}
	version, ok := strings.CutPrefix(userAgent, "Prometheus/")
	if !ok {
		return false
	}
	release, _, _ := strings.Cut(version, "-")
	switch release {
	case "2.52.0", "2.52.1", "2.53.0", "2.53.1", "2.53.2", "2.54.0":
		return true
	}
	return false
}
