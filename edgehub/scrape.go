package edgehub

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/internal/exposition"
)

// timeoutHeader is sent by every Prometheus with a scrape, in seconds.
const timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"

// scrape serves GET /metrics: a scraper takes, anybody else looks.
func (h *Hub) scrape(c echo.Context) error {
	r, w := c.Request(), c.Response()
	cur, err := h.cursorOf(r)
	if err != nil {
		return c.String(http.StatusBadRequest, err.Error()+"\n")
	}
	select {
	case h.reads <- struct{}{}:
		defer func() { <-h.reads }()
	default:
		h.metrics.refusedReads.Inc()
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		return c.String(http.StatusServiceUnavailable, fmt.Sprintf("%d scrapes are under way, which is the limit\n", cap(h.reads)))
	}
	start := time.Now()
	if err := setDeadline(w, start.Add(deadline(r))); err != nil {
		return fmt.Errorf("set the deadline of a scrape: %w", err)
	}
	taking := takes(r)
	v := h.log.read(cur)
	oldest, newest := start.Add(-h.cfg.MaxAge).UnixMilli(), start.Add(h.cfg.MaxAhead).UnixMilli()
	a := arrange(v, h.table.ranked(), oldest, newest)
	if err := answer(r, w, a); err != nil {
		// Half a body that ends cleanly would be believed.
		if taking {
			h.metrics.aborted.Inc()
			h.cfg.Logger.Warn("scrape cut off; its samples come again", "scraper", r.RemoteAddr, "samples", v.len(), "error", err)
		}
		panic(http.ErrAbortHandler)
	}
	if taking {
		h.metrics.scrapeTime.Observe(time.Since(start).Seconds())
		h.whenOut(r, func() { h.handedOver(cur, v, a) })
	}
	return nil
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

// takes says whether a request is a scraper's.
func takes(r *http.Request) bool {
	return r.Header.Get(timeoutHeader) != "" || r.URL.Query().Get("drain") == "1"
}

// deadline is the time in which a scrape must be over.
func deadline(r *http.Request) time.Duration {
	seconds, err := strconv.ParseFloat(r.Header.Get(timeoutHeader), 64)
	if err != nil || !(seconds > 0) || seconds > math.MaxInt32 {
		return defaultDeadline
	}
	return time.Duration(seconds * float64(time.Second))
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

var deflaters = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	if err != nil {
		panic("BUG: gzip level: " + err.Error())
	}
	return z
}}

// answer writes an arrangement as the response to r, compressed if r asks for
// that. An error means that the response is not whole.
func answer(r *http.Request, w http.ResponseWriter, a *arrangement) error {
	w.Header().Set("Content-Type", exposition.ContentType)
	w.Header().Add("Vary", "Accept-Encoding")
	var out io.Writer = w
	if acceptsGzip(r.Header.Values("Accept-Encoding")) {
		w.Header().Set("Content-Encoding", "gzip")
		z := deflaters.Get().(*gzip.Writer)
		defer deflaters.Put(z)
		z.Reset(w)
		out = z
	}
	if err := write(out, a); err != nil {
		return err
	}
	if z, ok := out.(*gzip.Writer); ok {
		if err := z.Close(); err != nil {
			return err
		}
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return err
	}
	return r.Context().Err()
}

// write encodes an arrangement in the text format.
func write(out io.Writer, a *arrangement) error {
	w := bufio.NewWriterSize(out, 64<<10)
	for line := range a.lines() {
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return w.Flush()
}

// lines yields the text of an arrangement, a few lines at a time. The bytes are
// valid until the next.
func (a *arrangement) lines() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var buf []byte
		for _, f := range a.rank.families {
			metadata := false
			for _, id := range a.rank.order[f.from:f.to] {
				if a.counts[id] == 0 {
					continue
				}
				buf = buf[:0]
				if !metadata {
					buf = append(buf, f.metadata...)
					metadata = true
				}
				for _, p := range a.of(id) {
					buf = append(buf, a.rank.series[id].text...)
					buf = append(buf, ' ')
					buf = exposition.AppendFloat(buf, p.value)
					buf = append(buf, ' ')
					buf = strconv.AppendInt(buf, p.time, 10)
					buf = append(buf, '\n')
				}
				if !yield(buf) {
					return
				}
			}
		}
	}
}

// acceptsGzip reads the Accept-Encoding headers of a request; a quality of 0
// refuses.
func acceptsGzip(headers []string) bool {
	for _, h := range headers {
		for part := range strings.SplitSeq(h, ",") {
			coding, params, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
				quality, found := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
				q, err := strconv.ParseFloat(quality, 64)
				return !found || err == nil && q > 0
			}
		}
	}
	return false
}
