package web

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/render"
	"github.com/hubring/hubring/internal/exposition"
)

// enterLook finds a place among the looks that are under way and bounds the time of this
// one. Without a place it answers and returns nil. Looks have places of their own, so that
// whoever looks keeps no scraper out.
func (s *Server) enterLook(c echo.Context) (leave func(), err error) {
	select {
	case s.looks <- struct{}{}:
	default:
		return nil, s.busy(c, "too_many_looks", fmt.Sprintf("%d looks are under way, which is the limit", cap(s.looks)))
	}
	leave = func() { <-s.looks }
	if err := setDeadline(c.Response(), time.Now().Add(lookDeadline)); err != nil {
		leave()
		return nil, fmt.Errorf("set the deadline of a look: %w", err)
	}
	return leave, nil
}

// look shows what waits for the scraper, and takes nothing.
func (s *Server) look(c echo.Context, q request) error {
	leave, err := s.enterLook(c)
	if leave == nil {
		return err
	}
	defer leave()
	choice := s.choice(q, time.Now())
	choice.One = false
	pushed := s.groupsFor(q, time.Now())
	v, rank := s.store.Peek(q.scraper, q.part, q.parts)
	a := arrange.Arrange(v, rank, choice)
	err = respond(c.Request(), flushable{c.Response()}, q.contentType, func(w io.Writer) error {
		return s.writeResponse(w, q, a, nil, pushed)
	})
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// lookers notices clients that look at an interval, as a scraper would, while nobody takes.
type lookers struct {
	mu      sync.Mutex
	clients map[string]*looker
}

type looker struct {
	last time.Time
	gap  time.Duration
	even int // looks in a row after about the same time
}

const (
	maxLookers = 100
	evenLooks  = 5 // in a row make a scraper
)

// onlyLooks notices a client that looks again and again and takes nothing, and says so when
// no scraper has come: the hub fills.
func (s *Server) onlyLooks(r *http.Request) {
	s.lookers.mu.Lock()
	defer s.lookers.mu.Unlock()
	client, now := clientOf(r), time.Now()
	k, ok := s.lookers.clients[client]
	if !ok {
		if s.lookers.clients == nil || len(s.lookers.clients) >= maxLookers {
			s.lookers.clients = map[string]*looker{}
		}
		s.lookers.clients[client] = &looker{last: now}
		return
	}
	gap := now.Sub(k.last)
	if (gap - k.gap).Abs() > k.gap/4 {
		k.even = 0
	}
	k.even++
	k.last, k.gap = now, gap
	if k.even < evenLooks || !s.LastScrape().IsZero() {
		return
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err == nil && s.notes.first("looks "+client) {
		s.cfg.Logger.Warn("a client looks again and again and takes nothing, and no scraper has come, so that the hub fills; "+
			"a scraper sends "+timeoutHeader+", others take with ?drain=1",
			"client", host, "user_agent", r.UserAgent(), "every", gap.Round(time.Second/10))
	}
}

// debug serves GET /debug: what the hub holds, in words, and with ?verbose the
// samples that wait, as a scrape would write them. It takes nothing.
func (s *Server) debug(c echo.Context) error {
	leave, err := s.enterLook(c)
	if leave == nil {
		return err
	}
	defer leave()
	w := c.Response()
	w.Header().Set(echo.HeaderContentType, echo.MIMETextPlainCharsetUTF8)
	out := bufio.NewWriter(w)
	f := s.facts()
	fmt.Fprintf(out, "up             %s\n", f.Up)
	fmt.Fprintf(out, "series         %d of at most %d\n", f.Series, s.cfg.MaxSeries)
	fmt.Fprintf(out, "pending        %d samples of at most %d\n", f.Pending, s.cfg.MaxSamples)
	fmt.Fprintf(out, "received       %d samples\n", f.Received)
	fmt.Fprintf(out, "scraped        %d samples\n", f.Scraped)
	fmt.Fprintf(out, "dropped        %d samples, too old, too far ahead or set aside\n", f.Dropped)
	fmt.Fprintf(out, "let go         %d samples, to make room\n", s.Counts.LetGo.Load())
	doubts := s.Doubts()
	for _, l := range s.store.Log.Lags() {
		fmt.Fprintf(out, "cursor %-7q part %d of %d: %d samples, %.0f s behind", l.Scraper, l.Part, l.Parts, l.Samples, l.Age.Seconds())
		if l.LeftBehind > 0 {
			fmt.Fprintf(out, "; all parts were left %.0f samples behind", l.LeftBehind)
		}
		if d := doubts[l.Scraper]; l.Part == 1 {
			if d.SetAside > 0 {
				fmt.Fprintf(out, "; its server refuses %d series, which are set aside", d.SetAside)
			}
			if d.ReceiptsMissing {
				fmt.Fprint(out, "; its receipts do not arrive")
			}
		}
		fmt.Fprintln(out)
	}
	if c.QueryParams().Has("verbose") {
		fmt.Fprintln(out)
		v, rank := s.store.ReadWaiting()
		if err := render.Text(out, arrange.Arrange(v, rank, arrange.Everything), exposition.AllowUTF8, nil); err != nil {
			return fmt.Errorf("write the pending samples: %w", err)
		}
	}
	return out.Flush()
}
