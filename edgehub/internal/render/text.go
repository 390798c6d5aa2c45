package render

import (
	"io"
	"runtime"
	"sync"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/internal/exposition"
)

// flushBytes is how much text is written at once.
const flushBytes = 128 << 10

// texts holds buffers for the text of a response.
var texts = sync.Pool{New: func() any {
	buf := make([]byte, 0, flushBytes+flushBytes/16)
	return &buf
}}

// Text writes an arrangement in the text format, and tail behind it. Names that are not
// classic are escaped as the scraper wants.
func Text(out io.Writer, a *arrange.Arrangement, escaping exposition.Escaping, tail []byte) error {
	pooled := texts.Get().(*[]byte)
	defer texts.Put(pooled)
	w := lineWriter{out: out, buf: (*pooled)[:0], escaping: escaping, escapes: escaping != exposition.AllowUTF8 && a.Rank.Quoted}
	family, described := 0, -1
	var next ahead
	for from := 0; from < len(a.Rank.Order); from = next.to {
		next.look(a, from)
		for _, s := range next.series[:next.len] {
			for s.place >= a.Rank.Families[family].To {
				family++
			}
			if described != family {
				w.describe(&a.Rank.Families[family])
				described = family
			}
			if err := w.series(s.text, a.Of(s.id)); err != nil {
				return err
			}
		}
	}
	w.buf = append(w.buf, tail...)
	_, err := out.Write(w.buf)
	return err
}

// usualLineBytes is what a line takes besides its series: a value, a time, two blanks and
// the end.
const usualLineBytes = 8 + 13 + 3

// TextBytes is about how many bytes of text an arrangement makes; at most an eighth more
// come out.
func TextBytes(a *arrange.Arrangement) (bytes int64) {
	for i := range a.Rank.Families {
		f, held := &a.Rank.Families[i], false
		for _, id := range a.Rank.Order[f.From:f.To] {
			if n := a.Count(id); n > 0 {
				held = true
				bytes += int64(n) * int64(len(a.Rank.Text(id))+usualLineBytes)
			}
		}
		if held {
			bytes += int64(2*len(f.Name) + len(f.Help) + 40)
		}
	}
	return bytes
}

// ahead finds the series that are written next. Their texts lie all over the
// memory; fetched one after the other each would be waited for, here many are on
// their way at the same time.
type ahead struct {
	series [64]struct {
		id    series.ID
		place int // in the order
		text  string
	}
	len     int
	to      int // where to look on
	touched byte
}

func (h *ahead) look(a *arrange.Arrangement, from int) {
	h.len = 0
	for h.to = from; h.to < len(a.Rank.Order) && h.len < len(h.series); h.to++ {
		id := a.Rank.Order[h.to]
		if a.Count(id) == 0 {
			continue
		}
		s := &h.series[h.len]
		s.id, s.place, s.text = id, h.to, a.Rank.Text(id)
		h.touched ^= s.text[0] ^ s.text[len(s.text)-1]
		h.len++
	}
}

// lineWriter writes the lines of a response.
type lineWriter struct {
	out      io.Writer
	buf      []byte
	escapes  bool // there are names that are not classic, and they are escaped
	escaping exposition.Escaping
	stamp    stampCache
}

// series writes the points of a series.
func (w *lineWriter) series(text string, points []arrange.Point) error {
	if w.escapes {
		text = string(w.escaping.AppendSeries(nil, []byte(text)))
	}
	buf := w.buf
	for _, p := range points {
		buf = append(buf, text...)
		buf = append(buf, ' ')
		buf = exposition.AppendFloat(buf, p.Value)
		buf = w.stamp.append(buf, p.Time)
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
func (w *lineWriter) describe(f *series.Family) {
	name := f.Name
	if w.escapes {
		name = string(w.escaping.AppendName(nil, name))
	}
	w.buf = AppendMetadata(w.buf, name, f.Type, f.Help)
}

// AppendMetadata appends the HELP and TYPE lines of a family, as far as they say something.
func AppendMetadata(dst []byte, name, kind, help string) []byte {
	if help != "" {
		dst = append(dst, "# HELP "...)
		dst = exposition.AppendName(dst, name)
		dst = append(dst, ' ')
		dst = exposition.AppendHelp(dst, help)
		dst = append(dst, '\n')
	}
	if kind != "" {
		dst = append(dst, "# TYPE "...)
		dst = exposition.AppendName(dst, name)
		dst = append(dst, ' ')
		dst = append(dst, kind...)
		dst = append(dst, '\n')
	}
	return dst
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
