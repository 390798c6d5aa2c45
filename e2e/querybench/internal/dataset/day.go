package dataset

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"golang.org/x/sync/errgroup"
)

// blockMinutes is what a server's head is cut into.
const blockMinutes = 2 * 60

// blocksAtOnce bounds memory: each holds some 20 MiB a server for what it writes.
const blocksAtOnce = 4

// writeDay writes the blocks of the whole and of every division, several at the same
// time. done is called after each of how many.
func (f *fleet) writeDay(ctx context.Context, dir string, start int64, divisions []division, done func(n, of int)) error {
	symbols := f.symbols()
	var finished atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(min(blocksAtOnce, runtime.GOMAXPROCS(0)))
	for from := 0; from < dayMinutes; from += blockMinutes {
		g.Go(func() error {
			w := window{start: start, from: from, to: from + blockMinutes}
			if err := f.writeBlocks(ctx, dir, w, divisions, symbols); err != nil {
				return fmt.Errorf("write the blocks of minute %d: %w", from, err)
			}
			done(int(finished.Add(1)), dayMinutes/blockMinutes)
			return nil
		})
	}
	return g.Wait()
}

// writeBlocks writes one window: a block of the whole, and one of each part.
func (f *fleet) writeBlocks(ctx context.Context, dir string, w window, divisions []division, symbols []string) (err error) {
	var open []*block
	defer func() {
		if err != nil {
			for _, b := range open {
				_ = b.abandon() // what went wrong is known
			}
		}
	}()
	begin := func(data string) (*block, error) {
		b, err := newBlock(ctx, filepath.Join(dir, data), w.minTime(), w.maxTime(), symbols)
		if err == nil {
			open = append(open, b)
		}
		return b, err
	}
	whole, err := begin(wholeData)
	if err != nil {
		return err
	}
	parts := make([][]*block, len(divisions))
	for i, d := range divisions {
		for p := range d.parts {
			b, err := begin(partData(d.parts, p))
			if err != nil {
				return err
			}
			parts[i] = append(parts[i], b)
		}
	}
	if err := f.fill(ctx, w, whole, divisions, parts); err != nil {
		return err
	}
	for len(open) > 0 {
		b := open[0]
		open = open[1:]
		err = errors.Join(err, b.finish())
	}
	return err
}

// fill encodes each series once and adds it wherever it was.
func (f *fleet) fill(ctx context.Context, w window, whole *block, divisions []division, parts [][]*block) error {
	var points []point
	var all, some []chunks.Meta
	var err error
	for ref := range f.series {
		if ref%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		s := &f.series[ref]
		points = f.whole(points[:0], s, w)
		if all, err = encode(all[:0], points); err != nil {
			return err
		}
		if err := whole.add(ref, s.labels, all); err != nil {
			return err
		}
		for i, d := range divisions {
			stays := d.stays[s.source]
			for _, p := range homes(stays) {
				var same bool
				points, same = f.part(points[:0], s, stays, p, w)
				here := all
				if !same {
					if some, err = encode(some[:0], points); err != nil {
						return err
					}
					here = some
				}
				if err := parts[i][p].add(ref, s.labels, here); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// homes are the different parts of some stays.
func homes(stays []stay) []int {
	out := make([]int, 0, 2)
	for _, st := range stays {
		if !slices.Contains(out, st.part) {
			out = append(out, st.part)
		}
	}
	return out
}

// symbols are all names and values of labels, sorted.
func (f *fleet) symbols() []string {
	set := map[string]bool{"": true}
	for _, s := range f.series {
		s.labels.Range(func(l labels.Label) { set[l.Name], set[l.Value] = true, true })
	}
	return slices.Sorted(maps.Keys(set))
}
