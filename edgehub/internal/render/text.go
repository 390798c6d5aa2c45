package render

import (
	"io"
	"runtime"
	"slices"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/words"
	"github.com/hubring/hubring/internal/exposition"
)

// Text writes an arrangement in the text format, and a gauge of the hub's own behind it,
// unless that is nil. Names that are not classic are escaped as the scraper wants. Letters
// cannot say that a series ends, so markers are left out, as are native histograms, exemplars and start times, which are counted.
func Text(out io.Writer, a *arrange.Arrangement, escaping exposition.Escaping, own *Own) error {
	pooled := buffers.Get().(*[]byte)
	defer buffers.Put(pooled)
	w := lineWriter{out: out, buf: (*pooled)[:0], escaping: escaping, escapes: escaping != exposition.AllowUTF8 && a.Rank.Quoted}
	described := -1
	a.LeftOut = arrange.LeftOut{}
	var sample words.Sample
	for s := range eachSeries(a) {
		points := a.Of(s.id)
		if a.HasWords() {
			countWords(a, s.id, points, &sample)
		}
		if described != s.family && slices.ContainsFunc(points, hasLetters) {
			w.describe(&a.Rank.Families[s.family])
			described = s.family
		}
		if err := w.series(a.Rank, s.spelling, points); err != nil {
			return err
		}
	}
	if own != nil {
		w.own(own)
	}
	_, err := out.Write(w.buf)
	return err
}

func hasLetters(p arrange.Point) bool {
	return p.Value == p.Value || !samples.IsMarker(p.Value) && !p.Native()
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
				bytes += int64(n) * int64(a.Rank.TextBytes(id)+usualLineBytes)
			}
		}
		if held {
			bytes += int64(2*len(f.Name) + len(f.Help) + 40)
		}
	}
	return bytes
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
func (w *lineWriter) series(rank *series.Ranking, sp *series.Spelling, points []arrange.Point) error {
	buf := w.buf
	from, to := 0, 0 // where the buffer has the series, with a blank
	for _, p := range points {
		if !hasLetters(p) {
			continue
		}
		if begin := len(buf); to > 0 {
			buf = append(buf, buf[from:to]...)
		} else {
			buf = append(w.appendSeries(buf, rank, sp), ' ')
			from, to = begin, len(buf)
		}
		buf = exposition.AppendFloat(buf, p.Value)
		buf = w.stamp.append(buf, p.Time)
		if len(buf) >= flushBytes {
			if _, err := w.out.Write(buf); err != nil {
				return err
			}
			buf, to = buf[:0], 0
			runtime.Gosched() // pushes first
		}
	}
	w.buf = buf
	return nil
}

func (w *lineWriter) appendSeries(dst []byte, rank *series.Ranking, sp *series.Spelling) []byte {
	if w.escapes {
		return w.escaping.AppendSeries(dst, rank.AppendText(nil, sp))
	}
	return rank.AppendText(dst, sp)
}

// describe writes the HELP and TYPE lines of a family.
func (w *lineWriter) describe(f *series.Family) {
	name := f.Name
	if w.escapes {
		name = string(w.escaping.AppendName(nil, name))
	}
	w.buf = AppendMetadata(w.buf, name, f.Type, f.Help)
}

// own writes a gauge of the hub's own.
func (w *lineWriter) own(o *Own) {
	buf := append(AppendMetadata(w.buf, o.Name, "gauge", o.Help), o.Name...)
	separator := byte('{')
	for _, l := range o.Labels {
		buf = append(append(append(buf, separator), l[0]...), `="`...)
		buf = append(exposition.AppendLabelValue(buf, l[1]), '"')
		separator = ','
	}
	if separator == ',' {
		buf = append(buf, '}')
	}
	w.buf = append(exposition.AppendFloat(append(buf, ' '), o.Value), '\n')
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
