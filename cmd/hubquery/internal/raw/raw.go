// Package raw is the raw series of all shards as one storage, for what cannot be worked out in the
// shards. A gateway that moved has one series here, as if it had stayed.
package raw

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/hubring/hubring/cmd/hubquery/internal/moves"
	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

// Storage reads series from shards. It is for one query.
type Storage struct {
	Shards []*shard.Shard
	Label  string       // that names the gateway
	Moves  *moves.Known // or nil
	Budget *shard.Budget
	// MostSeries bounds the series of one selector.
	MostSeries int
	// Missing is told of shards that do not answer. Its error ends the query.
	Missing func(*shard.Shard, error) error
}

// Querier implements storage.Queryable.
func (s *Storage) Querier(from, to int64) (storage.Querier, error) {
	return &querier{Storage: s, from: from, to: to}, nil
}

type querier struct {
	*Storage
	from, to int64
}

// Select implements storage.Querier. The series are always sorted.
func (q *querier) Select(ctx context.Context, _ bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	from, to := q.from, q.to
	if hints != nil {
		from, to = hints.Start, hints.End
	}
	sets := make([]storage.SeriesSet, len(q.Shards))
	errs := make([]error, len(q.Shards))
	var wg sync.WaitGroup
	for i, sh := range q.Shards {
		wg.Go(func() {
			errs[i] = sh.Ask(ctx, from, to, func(server *shard.Server) error {
				set, err := server.Series(ctx, from, to, hints, q.Budget, matchers...)
				sets[i] = set
				return err
			})
		})
	}
	wg.Wait()
	var there []storage.SeriesSet
	for i, err := range errs {
		var unavailable *shard.UnavailableError
		switch {
		case errors.As(err, &unavailable):
			if err := q.Missing(q.Shards[i], err); err != nil {
				return storage.ErrSeriesSet(err)
			}
		case err != nil:
			return storage.ErrSeriesSet(err)
		default:
			there = append(there, q.unmoved(sets[i], q.Shards[i].Name))
		}
	}
	return &bounded{SeriesSet: storage.NewMergeSeriesSet(there, 0, storage.ChainedSeriesMerge), most: q.MostSeries}
}

// unmoved takes out of a shard's series the markers by which hubs wrote down that a gateway moved away.
func (q *querier) unmoved(set storage.SeriesSet, on string) storage.SeriesSet {
	if q.Moves == nil || len(q.Moves.Moved) == 0 {
		return set
	}
	return &unmovedSet{SeriesSet: set, q: q, shard: on}
}

// LabelValues is not for this storage.
func (*querier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, errors.New("raw series have no label index")
}

// LabelNames is not for this storage.
func (*querier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, errors.New("raw series have no label index")
}

// Close implements storage.Querier.
func (*querier) Close() error { return nil }

type bounded struct {
	storage.SeriesSet
	most, n int
	err     error
}

func (b *bounded) Next() bool {
	if b.err != nil || !b.SeriesSet.Next() {
		return false
	}
	if b.n++; b.n > b.most {
		b.err = fmt.Errorf("a selector of the query has more than %d series that cannot be worked out in their shards: name fewer, or aggregate them by gateway first", b.most)
		return false
	}
	return true
}

func (b *bounded) Err() error {
	if b.err != nil {
		return b.err
	}
	return b.SeriesSet.Err()
}

type unmovedSet struct {
	storage.SeriesSet
	q     *querier
	shard string
}

func (s *unmovedSet) At() storage.Series {
	series := s.SeriesSet.At()
	gateway := series.Labels().Get(s.q.Label)
	if len(s.q.Moves.Moved[gateway]) == 0 {
		return series
	}
	return &unmovedSeries{Series: series, moves: s.q.Moves, gateway: gateway, shard: s.shard}
}

type unmovedSeries struct {
	storage.Series
	moves          *moves.Known
	gateway, shard string
}

func (s *unmovedSeries) Iterator(it chunkenc.Iterator) chunkenc.Iterator {
	samples, err := storage.ExpandSamplesWithoutReplacingNaNs(s.Series.Iterator(it), nil)
	if err != nil {
		return broken{chunkenc.NewNopIterator(), err}
	}
	return storage.NewListSeriesIterator(kept(slices.DeleteFunc(samples, func(sample chunks.Sample) bool {
		return stale(sample) && s.moves.OfMove(s.gateway, s.shard, sample.T())
	})))
}

// broken has no samples, and says why.
type broken struct {
	chunkenc.Iterator
	err error
}

func (b broken) Err() error { return b.err }

func stale(s chunks.Sample) bool {
	switch s.Type() {
	case chunkenc.ValHistogram:
		return value.IsStaleNaN(s.H().Sum)
	case chunkenc.ValFloatHistogram:
		return value.IsStaleNaN(s.FH().Sum)
	default:
		return value.IsStaleNaN(s.F())
	}
}

// kept implements storage.Samples.
type kept []chunks.Sample

func (k kept) Get(i int) chunks.Sample { return k[i] }
func (k kept) Len() int                { return len(k) }
