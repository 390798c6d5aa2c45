package edgehub

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// timeoutHeader is sent by every Prometheus with a scrape, in seconds.
const timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// request is what a GET asks for.
type request struct {
	scraper  bool          // Prometheus' header is there
	explicit bool          // ?drain=1 is there
	timeout  time.Duration // in which the answer must be out
}

// takes says whether the request moves a cursor; if not, it looks.
func (q request) takes() bool { return q.scraper || q.explicit }

func parseRequest(r *http.Request) request {
	header := r.Header.Get(timeoutHeader)
	q := request{scraper: header != "", explicit: r.URL.Query().Get("drain") == "1", timeout: lookDeadline}
	if q.takes() {
		q.timeout = defaultDeadline
	}
	if seconds, err := strconv.ParseFloat(header, 64); err == nil && seconds > 0 && seconds < math.MaxInt32 {
		q.timeout = time.Duration(seconds * float64(time.Second))
	}
	return q
}

// scrape serves GET /metrics: a scraper takes, anybody else looks.
func (h *Hub) scrape(c echo.Context) error {
	start, r, w := time.Now(), c.Request(), c.Response()
	cur, err := h.cursorOf(r)
	if err != nil {
		h.metrics.refusedReads.WithLabelValues("unknown_cursor").Inc()
		return c.String(http.StatusBadRequest, err.Error()+"\n")
	}
	q := parseRequest(r)
	leave, err := h.enter(c, q)
	if leave == nil {
		return err
	}
	defer leave()
	v := h.log.read(cur)
	oldest, newest := start.Add(-h.cfg.MaxAge).UnixMilli(), start.Add(h.cfg.MaxAhead).UnixMilli()
	a := arrange(v, h.table.ranked(), oldest, newest)
	if err := answer(r, w, a); err != nil {
		if q.takes() {
			h.metrics.aborted.Inc()
			h.cfg.Logger.Warn("scrape cut off; its samples come again", "scraper", r.RemoteAddr, "samples", v.len(), "error", err)
		}
		// Half a body that ends cleanly would be believed.
		panic(http.ErrAbortHandler)
	}
	if !q.takes() {
		return nil
	}
	h.metrics.scrapeTime.Observe(time.Since(start).Seconds())
	var deadline time.Time
	if !q.explicit {
		deadline = start.Add(q.timeout)
	}
	a.points, a.starts = nil, nil // written; until the next scrape only the counts are needed
	to := v.to
	h.whenTaken(r, deadline, func() { h.handedOver(cur, to, a) })
	return nil
}

// enter finds a place among the scrapes or looks that are under way and bounds
// the time of this one. Without a place it answers and returns nil; looks have
// places of their own, so that whoever looks keeps no scraper out.
func (h *Hub) enter(c echo.Context, q request) (leave func(), err error) {
	kind, places := "look", h.looks
	if q.takes() {
		kind, places = "scrape", h.scrapes
	}
	select {
	case places <- struct{}{}:
	default:
		h.metrics.refusedReads.WithLabelValues("too_many_" + kind + "s").Inc()
		c.Response().Header().Set("Retry-After", strconv.Itoa(retryAfter))
		return nil, c.String(http.StatusServiceUnavailable, fmt.Sprintf("%d %ss are under way, which is the limit\n", cap(places), kind))
	}
	leave = func() { <-places }
	if err := setDeadline(c.Response(), time.Now().Add(q.timeout)); err != nil {
		leave()
		return nil, fmt.Errorf("set the deadline of a %s: %w", kind, err)
	}
	return leave, nil
}

// cursorOf is the cursor that a request names, or the only one.
func (h *Hub) cursorOf(r *http.Request) (*cursor, error) {
	query := r.URL.Query()
	if name := query.Get("cursor"); query.Has("cursor") || len(h.cfg.Cursors) == 1 {
		if !query.Has("cursor") {
			name = h.cfg.Cursors[0]
		}
		if c, ok := h.cursors[name]; ok {
			return c, nil
		}
		return nil, fmt.Errorf("there is no cursor %.60q; the hub was started with %s", name, strings.Join(quoted(h.cfg.Cursors), ", "))
	}
	return nil, fmt.Errorf("which scraper is it? add ?cursor= with one of %s", strings.Join(quoted(h.cfg.Cursors), ", "))
}

func quoted(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strconv.Quote(n)
	}
	return out
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
