package shard

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Sample is one sample as a shard holds it.
type Sample struct {
	Shard int   // the shard's position in the list given to Union
	Time  int64 // milliseconds
	Value float64
}

// Union reads every sample of every shard, past the query engine: each series
// once, with all its samples in all shards, at least one, ordered by time and
// then by shard. A sample that two shards hold appears twice. The slice is only
// valid during the call; yield returns false to stop.
func Union(ctx context.Context, shards []*Shard, yield func(series labels.Labels, samples []Sample) bool) (err error) {
	readers := make([]*reader, 0, len(shards))
	for i, s := range shards {
		q, openErr := s.Querier(math.MinInt64, math.MaxInt64)
		if openErr != nil {
			return fmt.Errorf("read shard %d: %w", i, openErr)
		}
		defer func() { err = errors.Join(err, q.Close()) }()
		readers = append(readers, &reader{shard: i, set: q.Select(ctx, true, nil, everySeries)})
	}
	for _, r := range readers {
		r.next()
	}
	var samples []Sample
	for {
		series, ok := smallest(readers)
		if !ok {
			return nil
		}
		samples = samples[:0]
		for _, r := range readers {
			if !r.exhausted && labels.Equal(r.series.Labels(), series) {
				if samples, err = r.appendSamples(samples); err != nil {
					return err
				}
				r.next()
			}
		}
		slices.SortStableFunc(samples, func(a, b Sample) int {
			switch {
			case a.Time < b.Time:
				return -1
			case a.Time > b.Time:
				return 1
			}
			return 0
		})
		for _, r := range readers {
			if err := r.set.Err(); err != nil {
				return fmt.Errorf("read shard %d: %w", r.shard, err)
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(samples) > 0 && !yield(series, samples) {
			return nil
		}
	}
}

var everySeries = labels.MustNewMatcher(labels.MatchNotEqual, model.MetricNameLabel, "")

// reader walks through one shard's series in the order of their labels.
type reader struct {
	shard     int
	set       storage.SeriesSet
	series    storage.Series
	exhausted bool
	samples   chunkenc.Iterator
}

func (r *reader) next() {
	if r.exhausted = !r.set.Next(); !r.exhausted {
		r.series = r.set.At()
	}
}

func (r *reader) appendSamples(dst []Sample) ([]Sample, error) {
	r.samples = r.series.Iterator(r.samples)
	for kind := r.samples.Next(); kind != chunkenc.ValNone; kind = r.samples.Next() {
		if kind != chunkenc.ValFloat {
			return dst, fmt.Errorf("series %s in shard %d holds a %s, not a number", r.series.Labels(), r.shard, kind)
		}
		t, v := r.samples.At()
		if value.IsStaleNaN(v) {
			continue // the end of the series at a hub, and no sample
		}
		dst = append(dst, Sample{Shard: r.shard, Time: t, Value: v})
	}
	if err := r.samples.Err(); err != nil {
		return dst, fmt.Errorf("read %s in shard %d: %w", r.series.Labels(), r.shard, err)
	}
	return dst, nil
}

func smallest(readers []*reader) (labels.Labels, bool) {
	var least labels.Labels
	found := false
	for _, r := range readers {
		if r.exhausted {
			continue
		}
		if l := r.series.Labels(); !found || labels.Compare(l, least) < 0 {
			least, found = l, true
		}
	}
	return least, found
}
