package render

import (
	"io"
	"iter"
	"sync"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/internal/exposition"
)

// flushBytes is how much is written at once.
const flushBytes = 128 << 10

// buffers holds buffers for what is written.
var buffers = sync.Pool{New: func() any {
	buf := make([]byte, 0, flushBytes+flushBytes/16)
	return &buf
}}

// Format is how samples are written.
type Format struct {
	Protobuf    bool                // instead of text
	OpenMetrics Version             // likewise
	Escaping    exposition.Escaping // of names that are not classic
}

// Messages says whether a response is given as messages of the protobuf format, and not as text.
func (f Format) Messages() bool { return f.Protobuf || f.OpenMetrics != NoOpenMetrics }

// Body is what a response is written to, by one goroutine. Whoever adds something to an arrangement writes Messages or text.
type Body struct {
	io.Writer
	format  Format
	letters *openMetrics // the writer, where that is one
	pooled  *[]byte      // its buffer
}

// Open begins a response.
func (f Format) Open(out io.Writer) *Body {
	b := &Body{Writer: out, format: f}
	if f.OpenMetrics != NoOpenMetrics {
		b.pooled = buffers.Get().(*[]byte)
		b.letters = &openMetrics{out: out, second: f.OpenMetrics == OpenMetrics2, buf: (*b.pooled)[:0]}
		b.Writer = b.letters
	}
	return b
}

// Arrange writes an arrangement, and a gauge of the hub's own behind it, unless that is nil.
// What it leaves out it notes in the arrangement.
func (b *Body) Arrange(a *arrange.Arrangement, own *Own) error {
	switch {
	case b.letters != nil:
		err := b.letters.arrangement(a, b.format.Escaping, own)
		countAllWords(a)
		return err
	case b.format.Protobuf:
		return Proto(b.Writer, a, b.format.Escaping, own)
	}
	return Text(b.Writer, a, b.format.Escaping, own)
}

// End ends a response, to which nothing more is written.
func (b *Body) End() error {
	if b.letters == nil {
		return nil
	}
	defer buffers.Put(b.pooled)
	return b.letters.end()
}

// Bytes is about how many bytes an arrangement makes; at most an eighth more come out.
func (f Format) Bytes(a *arrange.Arrangement) int64 {
	switch {
	case f.Protobuf:
		return ProtoBytes(a, f.Escaping)
	case f.OpenMetrics == NoOpenMetrics:
		return TextBytes(a)
	}
	var n counted
	body := f.Open(&n)
	_, _ = body.Arrange(a, nil), body.End() // a count does not fail
	return int64(n)
}

// Own is a gauge of the hub's own, which has no time.
type Own struct {
	Name, Help string
	Labels     [][2]string // names and values
	Value      float64
}

// eachSeries yields the series that have points, in order.
func eachSeries(a *arrange.Arrangement) iter.Seq[found] {
	return func(yield func(found) bool) {
		var next ahead
		for next.from < len(a.Rank.Order) {
			next.look(a)
			for _, s := range next.series[:next.len] {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// found is a series that has points, and the number of its family.
type found struct {
	id       series.ID
	family   int
	spelling *series.Spelling
}

// ahead finds the series that are written next. Their spellings lie all over the memory; fetched
// one after the other each would be waited for, here many are on their way at the same
// time.
type ahead struct {
	series  [64]found
	len     int
	from    int // where to look on
	family  int
	touched series.ID
}

func (h *ahead) look(a *arrange.Arrangement) {
	h.len = 0
	for ; h.from < len(a.Rank.Order) && h.len < len(h.series); h.from++ {
		id := a.Rank.Order[h.from]
		if a.Count(id) == 0 {
			continue
		}
		for h.from >= a.Rank.Families[h.family].To {
			h.family++
		}
		s := &h.series[h.len]
		s.id, s.family, s.spelling = id, h.family, a.Rank.Spelling(id)
		h.touched ^= s.spelling.ID
		h.len++
	}
}
