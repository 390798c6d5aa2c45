package edgehub

import (
	"io"
	"net/http"
	"runtime"
	"sync"

	"github.com/klauspost/compress/gzip"

	"github.com/hubring/hubring/internal/exposition"
)

var deflaters = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	if err != nil {
		panic("BUG: gzip level: " + err.Error())
	}
	return z
}}

// answer writes an arrangement as the response to r.
func answer(r *http.Request, w http.ResponseWriter, a *arrangement, q request) error {
	return respond(r, w, func(out io.Writer) error { return a.write(out, q.legacy) })
}

// respond has a text in the text format written as the response to r, compressed if r
// asks for that. An error means that the response is not whole.
func respond(r *http.Request, w http.ResponseWriter, write func(io.Writer) error) error {
	w.Header().Set("Content-Type", exposition.ContentType)
	w.Header().Add("Vary", "Accept-Encoding")
	var out io.Writer = w
	if exposition.AcceptsGzip(r.Header) {
		w.Header().Set("Content-Encoding", "gzip")
		z := deflaters.Get().(*gzip.Writer)
		defer deflaters.Put(z)
		z.Reset(w)
		out = z
	}
	if err := write(out); err != nil {
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

// flushBytes is how much text is written at once.
const flushBytes = 128 << 10

// texts holds buffers for the text of a response.
var texts = sync.Pool{New: func() any {
	buf := make([]byte, 0, flushBytes+flushBytes/16)
	return &buf
}}

// write encodes an arrangement in the text format. For a scraper that knows only
// the classic names, others are escaped.
func (a *arrangement) write(out io.Writer, legacy bool) error {
	pooled := texts.Get().(*[]byte)
	defer texts.Put(pooled)
	w := lineWriter{out: out, buf: (*pooled)[:0], escape: legacy && a.rank.quoted}
	family, described := 0, -1
	var next ahead
	for from := 0; from < len(a.rank.order); from = next.to {
		next.look(a, from)
		for _, s := range next.series[:next.len] {
			for s.place >= a.rank.families[family].to {
				family++
			}
			if described != family {
				w.describe(&a.rank.families[family])
				described = family
			}
			if err := w.series(s.text, a.of(s.id)); err != nil {
				return err
			}
		}
	}
	_, err := out.Write(w.buf)
	return err
}

// ahead finds the series that are written next. Their texts lie all over the
// memory; fetched one after the other each would be waited for, here many are on
// their way at the same time.
type ahead struct {
	series [64]struct {
		id    seriesID
		place int // in the order
		text  string
	}
	len     int
	to      int // where to look on
	touched byte
}

func (h *ahead) look(a *arrangement, from int) {
	h.len = 0
	for h.to = from; h.to < len(a.rank.order) && h.len < len(h.series); h.to++ {
		id := a.rank.order[h.to]
		if a.shares[id].count == 0 {
			continue
		}
		s := &h.series[h.len]
		s.id, s.place, s.text = id, h.to, a.rank.text(id)
		h.touched ^= s.text[0] ^ s.text[len(s.text)-1]
		h.len++
	}
}

// lineWriter writes the lines of a response.
type lineWriter struct {
	out    io.Writer
	buf    []byte
	escape bool // names that are not classic
	stamp  stampCache
}

// series writes the points of a series.
func (w *lineWriter) series(text string, points []point) error {
	if w.escape {
		text = string(exposition.AppendLegacy(nil, []byte(text)))
	}
	buf := w.buf
	for _, p := range points {
		buf = append(buf, text...)
		buf = append(buf, ' ')
		buf = exposition.AppendFloat(buf, p.value)
		buf = w.stamp.append(buf, p.time)
		if len(buf) >= flushBytes {
			if _, err := w.out.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
			runtime.Gosched() // pushes first
		}
	}
	w.buf = buf
	return nil
}

// describe writes the HELP and TYPE lines of a family.
func (w *lineWriter) describe(f *rankedFamily) {
	if w.escape && f.escaped != nil {
		w.buf = append(w.buf, f.escaped...)
		return
	}
	w.buf = append(w.buf, f.metadata...)
}

// stampCache holds the text of the timestamp that was written last. Those of a
// scrape lie close together, so mostly only their last digits differ.
type stampCache struct {
	from int64 // the times that begin like this one are from here on
	text [24]byte
	len  int // 0 when there is nothing to begin with
}

const stampSpan = 100_000 // milliseconds that five digits tell apart

// append appends a blank, the timestamp and the end of the line.
func (c *stampCache) append(dst []byte, ms int64) []byte {
	last := ms - c.from
	if c.len == 0 || ms < c.from || last >= stampSpan {
		text := append(exposition.AppendTimestamp(append(c.text[:0], ' '), ms), '\n')
		c.len = len(text)
		if ms < stampSpan { // it has no five digits, or a sign
			c.len = 0
			return append(dst, text...)
		}
		last = ms % stampSpan
		c.from = ms - last
	}
	n := uint32(last)
	digits := c.text[c.len-6 : c.len-1]
	digits[4], n = byte('0'+n%10), n/10
	digits[3], n = byte('0'+n%10), n/10
	digits[2], n = byte('0'+n%10), n/10
	digits[1], n = byte('0'+n%10), n/10
	digits[0] = byte('0' + n)
	return append(dst, c.text[:c.len]...)
}
