package web

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/handover"
	"github.com/hubring/hubring/edgehub/internal/render"
	"github.com/hubring/hubring/edgehub/internal/samples"
)

// scrape serves GET /metrics: a scraper takes, anybody else looks.
func (s *Server) scrape(c echo.Context) error {
	start := time.Now()
	q, err := s.parse(c.Request())
	if err != nil {
		return s.badRequest(c, err)
	}
	if !q.takes() {
		s.onlyLooks(c.Request())
		return s.look(c, q)
	}
	l := s.lines.line(q)
	leave, ok := l.enter(clientOf(c.Request()))
	if !ok {
		return s.busy(c, "too_many_scrapes", "too many scrapes are under way")
	}
	defer leave()
	s.lastScrape.Store(start.UnixMilli())
	s.EndSilent(start)
	s.notice(l, q)
	if err := setDeadline(c.Response(), start.Add(q.timeout)); err != nil {
		return fmt.Errorf("set the deadline of a scrape: %w", err)
	}
	s.desk.Settle(l.key(), c.Request())
	settled := l.settle(q.timeout, clientOf(c.Request()))
	pushed := l.groups(q, start)
	q.maxBytes = beside(pushed, q)
	resp := l.prepare(c.Request(), q, start, settled)
	var own *render.Own
	if l.asks() {
		own = l.receiptOf(resp.number)
	}
	out := s.desk.Response(flushable{c.Response()}, c.Request(), start.Add(q.timeout), s.stopping())
	err = respond(c.Request(), out, q.contentType, func(w io.Writer) error {
		return s.writeResponse(w, q, resp.a, own, pushed)
	})
	elapsed := time.Since(start)
	if err != nil {
		s.cutOff(l, resp, c.Request(), err)
		out.Abort()
	}
	s.cfg.ReadSeconds.Observe(elapsed.Seconds())
	l.offered(resp, elapsed)
	out.Owe(&handover.Response{
		Key:   l.key(),
		Taken: func() { l.evidence(resp, arrived) },
		Lost: func(written bool) {
			if written {
				l.evidence(resp, unread)
			} else {
				l.evidence(resp, cutOff)
			}
		},
	})
	s.store.Sweep(time.Now(), s.lines.forget)
	return nil
}

// cutOff counts a response that could not be written to its end: half a body that ends
// cleanly would be believed.
func (s *Server) cutOff(l *line, resp *response, r *http.Request, err error) {
	s.Counts.Aborted.Add(1)
	l.mu.Lock()
	l.pace.cutOff(resp.tally.Passed)
	l.mu.Unlock()
	s.cfg.Logger.Warn("scrape cut off; its samples come again, at most half as many at once",
		"scraper", r.RemoteAddr, "samples", resp.tally.Passed, "error", err)
}

// passed counts what a cursor has passed.
func (s *Server) passed(cursor string, t samples.Tally, over []passedOver) {
	s.Counts.Scraped.Add(uint64(t.Passed))
	s.Counts.ScrapedBy.add(cursor, t.Passed)
	s.Counts.TooOld.Add(uint64(t.TooOld))
	s.Counts.Ahead.Add(uint64(t.Ahead))
	if t.TooOld+t.Ahead > 0 && s.dropped.now() {
		s.cfg.Logger.Warn("samples were dropped since their times are too old or too far ahead (--scrape.max-age, --scrape.max-ahead); is a gateway's clock wrong?",
			"cursor", cursor, "too_old", t.TooOld, "too_far_ahead", t.Ahead)
	}
	for _, o := range over {
		s.Counts.setAside(cursor, o.reason, o.gateway, o.samples)
	}
}

// Settled waits until what moved is counted.
func (s *Server) Settled() {
	s.moving.Lock()
	defer s.moving.Unlock()
}

// choice is what a response may hold, but for its size.
func (s *Server) choice(q request, now time.Time) arrange.Choice {
	now = s.serverTime(q, now)
	return arrange.Choice{
		Part: q.part, Parts: q.parts,
		Most:   math.MaxInt,
		Oldest: now.Add(-s.cfg.MaxAge).UnixMilli(),
		Newest: now.Add(s.cfg.MaxAhead).UnixMilli(),
		One:    q.one,
	}
}

// Noticed takes what the desk notices of a scraper, and says it once.
func (s *Server) Noticed(n handover.Notice) {
	k, ok := n.Key.(key)
	if !ok {
		return
	}
	cursor := s.cfg.Cursors[k.scraper]
	switch n.Kind {
	case handover.Conflict:
		s.lines.shared(k)
		s.conflict(cursor, n.Text)
	case handover.Proxied:
		s.Counts.Proxied.add(cursor, 1)
		if s.cfg.Servers[cursor] == nil && s.notes.first("proxied "+cursor) {
			s.cfg.Logger.Warn("a scraper comes through a proxy, and what the proxy has read the scraper may not have; "+
				"scrape the hub directly, or name the server with --scrape.server",
				"cursor", cursor, "seen", n.Text)
		}
	case handover.Unconfirmed:
		// gone says it, with what it knows besides.
	}
}

// notice says once that a scraper gets one sample at a time.
func (s *Server) notice(l *line, q request) {
	if q.one {
		s.Counts.OneAtATime.Add(1)
		if q.keepsOne != "" && s.notes.first("one "+l.name+" "+q.keepsOne) {
			s.cfg.Logger.Warn("this scraper keeps only the first of several samples of a series; it is given one at a time and "+
				"falls behind where a series is pushed more often than it is scraped",
				"cursor", l.name, "scraper", q.keepsOne)
		}
	}
}
