package edgehub

import (
	"io"
	"net/http"
	"strconv"
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

// answer writes an arrangement as the response to r, compressed if r asks for
// that. An error means that the response is not whole.
func answer(r *http.Request, w http.ResponseWriter, a *arrangement, q request) error {
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
	if err := a.write(out, q.legacy); err != nil {
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
const flushBytes = 256 << 10

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
	buf := (*pooled)[:0]
	escape := legacy && a.rank.quoted
	stamp := stampCache{}
	for _, f := range a.rank.families {
		described := false
		for _, id := range a.rank.order[f.from:f.to] {
			if a.counts[id] == 0 {
				continue
			}
			if !described {
				buf = f.append(buf, escape)
				described = true
			}
			text := a.rank.text(id)
			if escape {
				text = string(exposition.AppendLegacy(nil, []byte(text)))
			}
			for _, p := range a.of(id) {
				buf = append(buf, text...)
				buf = append(buf, ' ')
				buf = exposition.AppendFloat(buf, p.value)
				buf = stamp.append(buf, p.time)
				if len(buf) >= flushBytes {
					if _, err := out.Write(buf); err != nil {
						return err
					}
					buf = buf[:0]
				}
			}
		}
	}
	_, err := out.Write(buf)
	return err
}

func (f *rankedFamily) append(dst []byte, escape bool) []byte {
	if escape && f.escaped != nil {
		return append(dst, f.escaped...)
	}
	return append(dst, f.metadata...)
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
		text := append(strconv.AppendInt(append(c.text[:0], ' '), ms, 10), '\n')
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
