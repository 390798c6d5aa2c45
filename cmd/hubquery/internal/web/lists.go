package web

import (
	"context"
	"errors"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/hubring/hubring/cmd/hubquery/internal/engine"
	"github.com/hubring/hubring/cmd/hubquery/internal/raw"
	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

// lists is what Prometheus' handlers for names, exemplars and remote read ask.
type lists struct{ doors *doors }

// Querier implements storage.Queryable.
func (l *lists) Querier(from, to int64) (storage.Querier, error) {
	return &listsQuerier{lists: l, from: from, to: to}, nil
}

// ChunkQuerier implements storage.ChunkQueryable.
func (l *lists) ChunkQuerier(from, to int64) (storage.ChunkQuerier, error) {
	return &chunkQuerier{listsQuerier{lists: l, from: from, to: to}}, nil
}

type listsQuerier struct {
	*lists
	from, to int64
}

// LabelNames implements storage.LabelQuerier.
func (q *listsQuerier) LabelNames(ctx context.Context, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.names(ctx, "/api/v1/labels", hints, matchers)
}

// LabelValues implements storage.LabelQuerier.
func (q *listsQuerier) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.names(ctx, "/api/v1/label/"+escaped(name)+"/values", hints, matchers)
}

// escaped writes a label's name as the API takes it in a path.
func escaped(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
	}) {
		return url.PathEscape(utf8Name(name))
	}
	return name
}

func (q *listsQuerier) names(ctx context.Context, path string, hints *storage.LabelHints, matchers []*labels.Matcher) ([]string, annotations.Annotations, error) {
	query := url.Values{}
	if len(matchers) > 0 {
		query.Set("match[]", selector(matchers))
	}
	setTime(query, "start", q.from, math.MinInt64/2)
	setTime(query, "end", q.to, math.MaxInt64/2)
	if hints != nil && hints.Limit > 0 {
		query.Set("limit", strconv.Itoa(hints.Limit))
	}
	answers, warnings, err := gather[[]string](q.doors, ctx, path, query)
	if err != nil {
		return nil, nil, err
	}
	all := slices.Concat(answers...)
	slices.Sort(all)
	return slices.Compact(all), asAnnotations(warnings), nil
}

// setTime sets a time in milliseconds, unless it is so far away that it means none.
func setTime(query url.Values, name string, ms, none int64) {
	if (none < 0 && ms > minTime) || (none > 0 && ms < maxTime) {
		query.Set(name, strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64))
	}
}

// Times outside are not those of samples: Prometheus' API has such for "no time was given".
const (
	minTime = -62_135_596_800_000 // year 1
	maxTime = 253_402_300_799_000 // year 9999
)

func asAnnotations(warnings []string) annotations.Annotations {
	var all annotations.Annotations
	for _, w := range warnings {
		all.Add(errors.New(w))
	}
	return all
}

func selector(matchers []*labels.Matcher) string {
	texts := make([]string, len(matchers))
	for i, m := range matchers {
		texts[i] = m.String()
	}
	return "{" + strings.Join(texts, ",") + "}"
}

// Select implements storage.Querier: raw series, for whoever reads hubquery remotely.
func (q *listsQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	var missed []string
	s := &raw.Storage{
		Shards: q.doors.Shards.All(), Budget: shard.NewBudget(q.doors.MaxSamples), MostSeries: q.doors.MaxSeries,
		Missing: func(sh *shard.Shard, err error) error {
			if !engine.Partial(ctx) {
				return err
			}
			missed = append(missed, sh.Name)
			return nil
		},
	}
	inner, err := s.Querier(q.from, q.to)
	if err != nil {
		return storage.ErrSeriesSet(err)
	}
	return inner.Select(ctx, sorted, hints, matchers...)
}

// Close implements storage.LabelQuerier.
func (*listsQuerier) Close() error { return nil }

type chunkQuerier struct{ listsQuerier }

// Select implements storage.ChunkQuerier.
func (q *chunkQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.ChunkSeriesSet {
	return storage.NewSeriesSetToChunkSet(q.listsQuerier.Select(ctx, sorted, hints, matchers...))
}

// ExemplarQuerier implements storage.ExemplarQueryable.
func (l *lists) ExemplarQuerier(ctx context.Context) (storage.ExemplarQuerier, error) {
	return &exemplars{lists: l, ctx: ctx}, nil
}

type exemplars struct {
	*lists
	ctx context.Context
}

// Select implements storage.ExemplarQuerier.
func (e *exemplars) Select(from, to int64, sets ...[]*labels.Matcher) ([]exemplar.QueryResult, error) {
	selectors := make([]string, len(sets))
	for i, set := range sets {
		selectors[i] = selector(set)
	}
	query := url.Values{"query": {strings.Join(selectors, " + ")}}
	setTime(query, "start", from, math.MinInt64/2)
	setTime(query, "end", to, math.MaxInt64/2)
	type found struct {
		SeriesLabels labels.Labels `json:"seriesLabels"`
		Exemplars    []struct {
			Labels    labels.Labels `json:"labels"`
			Value     string        `json:"value"`
			Timestamp float64       `json:"timestamp"`
		} `json:"exemplars"`
	}
	answers, _, err := gather[[]found](e.doors, e.ctx, "/api/v1/query_exemplars", query)
	if err != nil {
		return nil, err
	}
	var all []exemplar.QueryResult
	for _, f := range slices.Concat(answers...) {
		r := exemplar.QueryResult{SeriesLabels: f.SeriesLabels}
		for _, x := range f.Exemplars {
			v, err := strconv.ParseFloat(x.Value, 64)
			if err != nil {
				return nil, err
			}
			r.Exemplars = append(r.Exemplars, exemplar.Exemplar{Labels: x.Labels, Value: v, Ts: int64(math.Round(x.Timestamp * 1000)), HasTs: true})
		}
		all = append(all, r)
	}
	return all, nil
}
