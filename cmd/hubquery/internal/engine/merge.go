package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/hubring/hubring/cmd/hubquery/internal/raw"
	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
	"github.com/hubring/hubring/cmd/hubquery/internal/split"
)

// direct returns the answer where there is nothing to merge.
func direct(plan split.Plan, answers [][]promql.Series, times split.Times) (parser.Value, bool) {
	v, ok := plan.Merge.(*parser.VectorSelector)
	if !ok || len(plan.Parts) != 1 || plan.Parts[0].Share || len(v.LabelMatchers) != 1 || v.LabelMatchers[0].Name != split.PartLabel {
		return nil, false
	}
	if times.Step > 0 {
		return promql.Matrix(answers[0]), true
	}
	vector := make(promql.Vector, 0, len(answers[0]))
	for _, s := range answers[0] {
		if len(s.Floats) > 0 {
			vector = append(vector, promql.Sample{Metric: s.Metric, T: times.Start, F: s.Floats[0].F})
		}
	}
	return vector, true
}

// merge evaluates an expression here, over answers of shards and over raw series.
func (q *query) merge(ctx context.Context, text string, times split.Times, answers [][]promql.Series, raw *raw.Storage) (parser.Value, error) {
	sources := &sources{parts: answers, raw: raw}
	opts := promql.NewPrometheusQueryOpts(false, q.lookback)
	var (
		inner promql.Query
		err   error
	)
	if times.Step > 0 {
		inner, err = q.engine.merge.NewRangeQuery(ctx, sources, opts, text, time.UnixMilli(times.Start), time.UnixMilli(times.End), time.Duration(times.Step)*time.Millisecond)
	} else {
		inner, err = q.engine.merge.NewInstantQuery(ctx, sources, opts, text, time.UnixMilli(times.Start))
	}
	if err != nil {
		return nil, err
	}
	q.closers.add(inner)
	result := inner.Exec(ctx)
	for _, w := range result.Warnings {
		q.warn(w)
	}
	return result.Value, result.Err
}

// sources are what a merging expression selects from.
type sources struct {
	parts [][]promql.Series
	raw   *raw.Storage
}

// Querier implements storage.Queryable.
func (s *sources) Querier(from, to int64) (storage.Querier, error) {
	q := &sourcesQuerier{sources: s}
	if s.raw != nil {
		inner, err := s.raw.Querier(from, to)
		if err != nil {
			return nil, err
		}
		q.Querier = inner
	}
	return q, nil
}

type sourcesQuerier struct {
	*sources
	storage.Querier // of raw series
}

// Select implements storage.Querier.
func (q *sourcesQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	if at := slices.IndexFunc(matchers, func(m *labels.Matcher) bool { return m.Name == split.PartLabel }); at >= 0 {
		i, err := strconv.Atoi(matchers[at].Value)
		if err != nil || i < 0 || i >= len(q.parts) {
			return storage.ErrSeriesSet(fmt.Errorf("the label %s is hubquery's own", split.PartLabel))
		}
		return shard.NewSet(q.parts[i])
	}
	if q.Querier == nil {
		return storage.ErrSeriesSet(errors.New("a query without series selects some"))
	}
	return q.Querier.Select(ctx, sorted, hints, matchers...)
}

// Close implements storage.Querier.
func (*sourcesQuerier) Close() error { return nil }

// LabelNames implements storage.Querier.
func (*sourcesQuerier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, errors.New("answers have no label index")
}

// LabelValues implements storage.Querier.
func (*sourcesQuerier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, errors.New("answers have no label index")
}

// ended gives series that have steps without a value a stale marker there, lest the engine look back
// over it, as it may over samples and must not over answers.
func ended(series []promql.Series, times split.Times) []promql.Series {
	if times.Step == 0 {
		return series
	}
	out := make([]promql.Series, len(series))
	for i, s := range series {
		out[i] = promql.Series{Metric: s.Metric, Floats: gaps(s.Floats, times)}
	}
	return out
}

func gaps(points []promql.FPoint, times split.Times) []promql.FPoint {
	missing := 0
	for i, p := range points {
		if next := p.T + times.Step; next <= times.End && (i+1 == len(points) || points[i+1].T > next) {
			missing++
		}
	}
	if missing == 0 {
		return points
	}
	out := make([]promql.FPoint, 0, len(points)+missing)
	for i, p := range points {
		out = append(out, p)
		if next := p.T + times.Step; next <= times.End && (i+1 == len(points) || points[i+1].T > next) {
			out = append(out, promql.FPoint{T: next, F: math.Float64frombits(value.StaleNaN)})
		}
	}
	return out
}
