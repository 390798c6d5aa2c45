package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand"
	"os"
	"path/filepath"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"
)

const (
	chunkSamples = 120 // as a head cuts them
	// Room for a file of chunks is set aside before it is written, and blocks are written
	// side by side.
	segmentBytes = 128 << 20
)

// block is one block in the making. Series are added in their order, with all their
// samples.
type block struct {
	dir    string
	meta   tsdb.BlockMeta
	chunks *chunks.Writer
	index  *index.Writer
	metas  []chunks.Meta
}

// newBlock begins a block in a folder of a server's data. Its name follows from its
// time, so the data of a seed are the same files.
func newBlock(ctx context.Context, data string, from, to int64, symbols []string) (*block, error) {
	id, err := ulid.New(uint64(to), rand.New(rand.NewSource(from)))
	if err != nil {
		return nil, err
	}
	b := &block{dir: filepath.Join(data, id.String())}
	b.meta = tsdb.BlockMeta{ULID: id, MinTime: from, MaxTime: to, Version: 1}
	b.meta.Compaction = tsdb.BlockMetaCompaction{Level: 1, Sources: []ulid.ULID{id}}
	if b.chunks, err = chunks.NewWriter(filepath.Join(b.dir, "chunks"), chunks.WithSegmentSize(segmentBytes)); err != nil {
		return nil, err
	}
	if b.index, err = index.NewWriter(ctx, filepath.Join(b.dir, "index")); err != nil {
		return nil, errors.Join(err, b.chunks.Close())
	}
	for _, s := range symbols {
		if err := b.index.AddSymbol(s); err != nil {
			return nil, errors.Join(err, b.abandon())
		}
	}
	return b, nil
}

// add writes a series. The chunks may be those of another block, too.
func (b *block) add(ref int, lset labels.Labels, encoded []chunks.Meta) error {
	if len(encoded) == 0 {
		return nil
	}
	b.metas = append(b.metas[:0], encoded...) // writing puts references into them
	if err := b.chunks.WriteChunks(b.metas...); err != nil {
		return err
	}
	if err := b.index.AddSeries(storage.SeriesRef(ref), lset, b.metas...); err != nil {
		return err
	}
	b.meta.Stats.NumSeries++
	for _, m := range encoded {
		b.meta.Stats.NumChunks++
		b.meta.Stats.NumSamples += uint64(m.Chunk.NumSamples())
	}
	return nil
}

// finish writes what is left. A block without a series vanishes.
func (b *block) finish() error {
	if err := errors.Join(b.chunks.Close(), b.index.Close()); err != nil {
		return err
	}
	if b.meta.Stats.NumSeries == 0 {
		return os.RemoveAll(b.dir)
	}
	b.meta.Stats.NumFloatSamples = b.meta.Stats.NumSamples
	content, err := json.MarshalIndent(b.meta, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.dir, "meta.json"), content, 0o644)
}

// abandon closes what cannot become a block.
func (b *block) abandon() error {
	var err error
	for _, c := range []io.Closer{b.chunks, b.index} {
		err = errors.Join(err, c.Close())
	}
	return err
}

// point is a sample.
type point struct {
	t int64
	v float64
}

// encode makes chunks of samples.
func encode(dst []chunks.Meta, points []point) ([]chunks.Meta, error) {
	for len(points) > 0 {
		n := min(len(points), chunkSamples)
		c := chunkenc.NewXORChunk()
		app, err := c.Appender()
		if err != nil {
			return nil, fmt.Errorf("encode a chunk: %w", err)
		}
		for _, p := range points[:n] {
			app.Append(0, p.t, p.v)
		}
		dst = append(dst, chunks.Meta{Chunk: c, MinTime: points[0].t, MaxTime: points[n-1].t})
		points = points[n:]
	}
	return dst, nil
}

// window is the minutes that a block is made of, and the fleet's time.
type window struct {
	start    int64 // of minute 0
	from, to int
}

func (w window) minTime() int64 { return w.start + int64(w.from)*Minute }
func (w window) maxTime() int64 { return w.start + int64(w.to)*Minute }

// time is that of a source's sample in a minute.
func (f *fleet) time(start int64, source, minute int) int64 {
	return start + int64(minute)*Minute + f.sources[source].phase
}

// whole appends what one server has of a series in a window.
func (f *fleet) whole(dst []point, s *series, w window) []point {
	if s.kind != first {
		for minute := w.from; minute < w.to; minute++ {
			at := f.time(w.start, s.source, minute)
			dst = append(dst, point{at, f.value(s, minute, at)})
		}
		return dst
	}
	for _, st := range f.staysOf(s.source, []int{0, 1}) {
		dst = f.comings(dst, s, st, w)
	}
	return dst
}

// comings appends the samples of FirstSample of one stay.
func (f *fleet) comings(dst []point, s *series, st stay, w window) []point {
	for _, minute := range st.comings() {
		if minute >= w.from && minute < w.to {
			at := f.time(w.start, s.source, minute)
			dst = append(dst, point{at, f.value(s, minute, at)})
		}
	}
	return dst
}

// part appends what one of several servers has, and says whether that is all that the
// whole has.
func (f *fleet) part(dst []point, s *series, stays []stay, part int, w window) (points []point, same bool) {
	for _, st := range stays {
		if st.part != part {
			continue
		}
		if st.from <= w.from && st.to >= w.to && s.kind != first {
			return dst, true
		}
		if s.kind == first {
			dst = f.comings(dst, s, st, w)
		} else {
			for minute := max(st.from, w.from); minute < min(st.to+st.overlap, w.to); minute++ {
				at := f.time(w.start, s.source, minute)
				dst = append(dst, point{at, f.value(s, minute, at)})
			}
		}
		if end := f.time(w.start, s.source, st.to) - 1; st.marked && end >= w.minTime() && end < w.maxTime() {
			dst = append(dst, point{end, staleNaN})
		}
	}
	return dst, false
}

var staleNaN = math.Float64frombits(value.StaleNaN)
