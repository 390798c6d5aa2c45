package dataset

import (
	"context"
	"fmt"
	"net/http"
	"slices"
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
	return s.fleet.importAll(ctx, target, s.Start, s.fleet.whole, done)
}

// ImportPart sends what is in one of so many parts.
func (s *Set) ImportPart(ctx context.Context, parts, part int, target string, done func(n, of int)) error {
	d, err := s.fleet.divide(parts)
	if err != nil {
		return err
	}
	return s.fleet.importAll(ctx, target, s.Start, func(dst []point, of *series, w window) []point {
		stays := d.stays[of.source]
		if !slices.Contains(homes(stays), part) {
			return dst
		}
		points, same := s.fleet.part(dst, of, stays, part, w)
		if same {
			return s.fleet.whole(dst, of, w)
		}
		return points
	}, done)
}

// importAll sends the points that pick appends of each series and window.
func (f *fleet) importAll(ctx context.Context, target string, start int64, pick func([]point, *series, window) []point, done func(n, of int)) error {
	heads := make([][]byte, len(f.series))
	for i := range f.series {
		heads[i] = importHead(f.series[i].labels)
	}
	for from := 0; from < Minutes; from += importMinutes {
		w := window{start: start, from: from, to: min(from+importMinutes, Minutes)}
		if err := f.importWindow(ctx, target, w, heads, pick); err != nil {
			return fmt.Errorf("import minute %d: %w", from, err)
		}
		done(from/importMinutes+1, (Minutes+importMinutes-1)/importMinutes)
	}
	return nil
}

func (f *fleet) importWindow(ctx context.Context, target string, w window, heads [][]byte, pick func([]point, *series, window) []point) error {
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
		points = pick(points[:0], &f.series[i], w)
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
