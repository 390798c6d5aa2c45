package edgehub

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
)

// scrape serves GET /metrics: a scraper takes, anybody else looks.
func (h *Hub) scrape(c echo.Context) error {
	start := time.Now()
	q, err := h.parseRequest(c.Request())
	if err != nil {
		h.metrics.refusedReads.WithLabelValues("bad_request").Inc()
		return c.String(http.StatusBadRequest, err.Error()+"\n")
	}
	if !q.takes() {
		return h.look(c, q)
	}
	cur := h.cursor(q)
	leave, err := h.enter(c, q, cur)
	if leave == nil {
		return err
	}
	defer leave()
	h.lastScrape.Store(start.UnixMilli())
	last := h.parting(c, q)
	defer last.close()
	v, t, most := h.log.read(cur)
	what := h.choice(q, start)
	what.most = most
	a := arrange(v, t.ranked(), what)
	samples := a.view.held.len() + a.passed
	if err := answer(c.Request(), last.or(c.Response()), a, q); err != nil {
		h.cutOff(c, cur, samples, err)
	}
	elapsed := time.Since(start)
	h.metrics.scrapeSeconds.Observe(elapsed.Seconds())
	a.points = nil // written; until the next scrape only the counts are needed
	h.whenTaken(c.Request(), &handover{
		explicit: q.explicit,
		closing:  closes(c.Request(), c.Response().Header()),
		commit: func() {
			h.log.took(cur, samples, elapsed, q.timeout)
			h.handedOver(q.scraper, cur, a)
		},
		lost: func() {
			h.metrics.aborted.Inc()
			h.log.cutOff(cur, samples)
		},
	})
	last.part()
	return nil
}

// look shows what waits for the scraper, and takes nothing.
func (h *Hub) look(c echo.Context, q request) error {
	leave, err := h.enter(c, q, nil)
	if leave == nil {
		return err
	}
	defer leave()
	v, t := h.log.peek(q.scraper, q.part, q.parts)
	what := h.choice(q, time.Now())
	what.onlyFirst = false
	if err := answer(c.Request(), c.Response(), arrange(v, t.ranked(), what), q); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// choice is what a response may hold, but for its size.
func (h *Hub) choice(q request, now time.Time) choice {
	return choice{
		part: q.part, parts: q.parts,
		most:      math.MaxInt,
		oldest:    now.Add(-h.cfg.MaxAge).UnixMilli(),
		newest:    now.Add(h.cfg.MaxAhead).UnixMilli(),
		onlyFirst: q.onlyFirst,
	}
}

// cutOff ends a response that can't be finished: half a body that ends cleanly
// would be believed.
func (h *Hub) cutOff(c echo.Context, cur *cursor, samples int, err error) {
	h.metrics.aborted.Inc()
	h.log.cutOff(cur, samples)
	h.cfg.Logger.Warn("scrape cut off; its samples come again, at most half as many at once",
		"scraper", c.Request().RemoteAddr, "samples", samples, "error", err)
	panic(http.ErrAbortHandler)
}

// cursor is the cursor that a scraper's request moves.
func (h *Hub) cursor(q request) *cursor {
	cur, resplit := h.log.cursor(q.scraper, q.part, q.parts, h.cfg.MaxScrapeSamples)
	if resplit {
		h.metrics.resplits.Inc()
		h.cfg.Logger.Info("a scraper comes with another number of parts; each begins where the one furthest behind was",
			"cursor", q.scraper.name, "parts", q.parts)
	}
	if q.onlyFirst {
		if _, said := h.warned.LoadOrStore(q.scraper.name+" "+q.release, true); !said {
			h.cfg.Logger.Warn("this Prometheus keeps only the first of several samples of a series; it is given one at a time and "+
				"falls behind where a series is pushed more often than it is scraped; upgrade it",
				"cursor", q.scraper.name, "version", q.release)
		}
		h.metrics.onlyFirst.Inc()
	}
	return cur
}

// enter finds a place among the scrapes or looks that are under way and bounds
// the time of this one. Without a place it answers and returns nil; looks have
// places of their own, so that whoever looks keeps no scraper out, and no scraper
// keeps another one out.
func (h *Hub) enter(c echo.Context, q request, cur *cursor) (leave func(), err error) {
	kind, places := "look", h.looks
	if cur != nil {
		kind, places = "scrape", h.scrapes
	}
	refuse := func(most int) error {
		h.metrics.refusedReads.WithLabelValues("too_many_" + kind + "s").Inc()
		c.Response().Header().Set("Retry-After", strconv.Itoa(retryAfter))
		return c.String(http.StatusServiceUnavailable, fmt.Sprintf("%d %ss are under way, which is the limit\n", most, kind))
	}
	if cur != nil && !h.log.enter(cur) {
		return nil, refuse(maxScrapesOfOne)
	}
	leaveCursor := func() {
		if cur != nil {
			h.log.leave(cur)
		}
	}
	select {
	case places <- struct{}{}:
	default:
		leaveCursor()
		return nil, refuse(cap(places))
	}
	leave = func() { leaveCursor(); <-places }
	if err := setDeadline(c.Response(), time.Now().Add(q.timeout)); err != nil {
		leave()
		return nil, fmt.Errorf("set the deadline of a %s: %w", kind, err)
	}
	return leave, nil
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
