package dataset

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/sync/errgroup"
)

const (
	// A server that is loaded two hours at a time merges otherwise than one that runs.
	importMinutes = 10
	importBytes   = 8 << 20 // of one request, about
	importsAtOnce = 2
)

// Import sends the whole, in the order of time, as lines of JSON to a VictoriaMetrics. done
// is called after each of how many windows.
func (s *Set) Import(ctx context.Context, target string, done func(n, of int)) error {
	f := s.fleet
	heads := make([][]byte, len(f.series))
	for i := range f.series {
		heads[i] = importHead(f.series[i].labels)
	}
	for from := 0; from < Minutes; from += importMinutes {
		w := window{start: s.Start, from: from, to: min(from+importMinutes, Minutes)}
		if err := f.importWindow(ctx, target, w, heads); err != nil {
			return fmt.Errorf("import minute %d: %w", from, err)
		}
		done(from/importMinutes+1, (Minutes+importMinutes-1)/importMinutes)
	}
	return nil
}

func (f *fleet) importWindow(ctx context.Context, target string, w window, heads [][]byte) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(importsAtOnce)
	var points []point
	var body []byte
	send := func() {
		full := body
		body = make([]byte, 0, importBytes+importBytes/4)
		g.Go(func() error {
			_, err := call(ctx, http.MethodPost, target, "application/json", full)
			return err
		})
	}
	for i := range f.series {
		points = f.whole(points[:0], &f.series[i], w)
		if len(points) == 0 {
			continue
		}
		if len(body) > importBytes {
			send()
		}
		body = appendLine(body, heads[i], points)
	}
	send()
	return g.Wait()
}

// importHead is a line's beginning, up to the values.
func importHead(lset labels.Labels) []byte {
	out := []byte(`{"metric":{`)
	first := true
	lset.Range(func(l labels.Label) {
		if !first {
			out = append(out, ',')
		}
		first = false
		out = strconv.AppendQuote(out, l.Name)
		out = append(out, ':')
		out = strconv.AppendQuote(out, l.Value)
	})
	return append(out, `},"values":[`...)
}

func appendLine(dst, head []byte, points []point) []byte {
	dst = append(dst, head...)
	for i, p := range points {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendFloat(dst, p.v, 'g', -1, 64)
	}
	dst = append(dst, `],"timestamps":[`...)
	for i, p := range points {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, p.t, 10)
	}
	return append(dst, "]}\n"...)
}
