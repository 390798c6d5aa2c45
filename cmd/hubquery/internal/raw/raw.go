// Package raw is the raw series of all shards as one storage, for what cannot be worked out in the
// shards. A gateway that moved has one series here, as if it had stayed.
package raw

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/hubring/hubring/cmd/hubquery/internal/moves"
	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

// ErrTooManySeries says that a selector has more series than may be worked out here.
var ErrTooManySeries = errors.New("a selector of the query has too many series")

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
	merge := storage.ChainedSeriesMerge
	if q.moving() {
		merge = q.together
	}
	return &bounded{SeriesSet: storage.NewMergeSeriesSet(there, 0, merge), most: q.MostSeries}
}

func (q *querier) moving() bool { return q.Moves != nil && len(q.Moves.Moved) > 0 }

// unmoved takes out of a shard's series the markers by which hubs wrote down that a gateway moved away.
func (q *querier) unmoved(set storage.SeriesSet, on string) storage.SeriesSet {
	if !q.moving() {
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
		b.err = fmt.Errorf("%w: more than %d that cannot be worked out in their shards; name fewer, or aggregate them by gateway first", ErrTooManySeries, b.most)
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

// together makes one series of those that a gateway which moved has on several shards. Not all markers by which hubs
// wrote down a move are known for such by when the gateway came where: a hub that was told that the gateway had left may
// have taken in samples of it later, such as those of a request that nobody knew it still had. So a marker goes, too, if
// the series lives on another shard at its time.
func (q *querier) together(all ...storage.Series) storage.Series {
	first, ok := all[0].(*unmovedSeries)
	if !ok {
		return storage.ChainedSeriesMerge(all...)
	}
	return &storage.SeriesEntry{
		Lset: first.Labels(),
		SampleIteratorFn: func(it chunkenc.Iterator) chunkenc.Iterator {
			shares := make([][]chunks.Sample, len(all))
			for i, series := range all {
				it = series.Iterator(it)
				samples, err := storage.ExpandSamplesWithoutReplacingNaNs(it, nil)
				if err != nil {
					return broken{chunkenc.NewNopIterator(), err}
				}
				shares[i] = samples
			}
			return storage.NewListSeriesIterator(kept(joined(shares)))
		},
	}
}

// alive is how long a series lives at most after a sample without another one, for whoever wants to know whether a marker
// of the same series on another shard ended all of it.
const alive = 5 * time.Minute

// joined joins the samples of several shards, in order, without markers that did not end all of it.
func joined(shares [][]chunks.Sample) []chunks.Sample {
	var all []chunks.Sample
	for i, share := range shares {
		var last int64 // of the samples
		for _, sample := range share {
			if !stale(sample) {
				last = sample.T()
			} else if livesElsewhere(shares, i, last, sample.T()) {
				continue
			}
			all = append(all, sample)
		}
	}
	// Of those at one time a sample comes before a marker.
	slices.SortStableFunc(all, func(a, b chunks.Sample) int {
		return cmp.Or(cmp.Compare(a.T(), b.T()), cmp.Compare(rank(a), rank(b)))
	})
	return slices.CompactFunc(all, func(a, b chunks.Sample) bool { return a.T() == b.T() })
}

func rank(s chunks.Sample) int {
	if stale(s) {
		return 1
	}
	return 0
}

// livesElsewhere reports whether a series whose share of a shard ends at a time lives in another share then: it has a sample
// there which is no older than the last one here, or one before and one after.
func livesElsewhere(shares [][]chunks.Sample, here int, last, at int64) bool {
	for i, share := range shares {
		if i == here {
			continue
		}
		next, _ := slices.BinarySearchFunc(share, at+2, func(s chunks.Sample, t int64) int { return cmp.Compare(s.T(), t) })
		if next == 0 || stale(share[next-1]) {
			continue
		}
		before := share[next-1].T()
		if before >= last || next < len(share) && !stale(share[next]) && share[next].T()-before <= alive.Milliseconds() {
			return true
		}
	}
	return false
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
