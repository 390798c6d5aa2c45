package edgehub

import (
	"bufio"
	"io"
	"iter"
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
func answer(r *http.Request, w http.ResponseWriter, a *arrangement) error {
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
