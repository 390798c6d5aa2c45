package web

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/hubring/hubring/cmd/hubquery/internal/moves"
	"github.com/hubring/hubring/cmd/hubquery/internal/raw"
	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

// lists is what Prometheus' handlers for names and remote read ask.
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
	if strings.HasPrefix(name, "U__") { // the server would take it for one that is escaped
		return "U__" + strings.ReplaceAll(name, "_", "__")
	}
	if model.LegacyValidation.IsValidLabelName(name) {
		return name
	}
	return url.PathEscape(model.EscapeName(name, model.ValueEncodingEscaping))
}

func (q *listsQuerier) names(ctx context.Context, path string, hints *storage.LabelHints, matchers []*labels.Matcher) ([]string, annotations.Annotations, error) {
	query := url.Values{}
	if len(matchers) > 0 {
		query.Set("match[]", selector(matchers))
	}
	// Outside are the API's times for "none was given".
	if q.from > minTime {
		query.Set("start", seconds(q.from))
	}
	if q.to < maxTime {
		query.Set("end", seconds(q.to))
	}
	if hints != nil && hints.Limit > 0 {
		query.Set("limit", strconv.Itoa(hints.Limit))
	}
	answers, warnings, err := gather[[]string](ctx, q.doors, within(q.from, q.to), path, query)
	if err != nil {
		return nil, nil, err
	}
	all := slices.Concat(answers...)
	slices.Sort(all)
	return slices.Compact(all), asAnnotations(warnings), nil
}

func seconds(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64) }

// Times outside are not those of samples.
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

// Select implements storage.Querier: raw series, for whoever reads hubquery remotely. They are those of one Prometheus,
// also of gateways that moved, and always of all shards: there is no way to say that some are missing.
func (q *listsQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	shards := q.doors.Shards.All()
	s := &raw.Storage{
		Shards: shards, Label: q.doors.Label, Budget: shard.NewBudget(q.doors.MaxSamples), MostSeries: q.doors.MaxSeries,
		Missing: func(_ *shard.Shard, err error) error { return err },
	}
	if len(shards) > 1 {
		known, err := moves.Ask(ctx, shards, q.doors.Label, q.from, q.to, nil)
		if err == nil {
			for _, missing := range known.Missing {
				err = missing
			}
		}
		if err != nil {
			note(ctx, err)
			return storage.ErrSeriesSet(err)
		}
		s.Moves = known
	}
	inner, err := s.Querier(q.from, q.to)
	if err != nil {
		return storage.ErrSeriesSet(err)
	}
	return &notedSet{SeriesSet: inner.Select(ctx, sorted, hints, matchers...), ctx: ctx}
}

// notedSet notes why it ended early.
type notedSet struct {
	storage.SeriesSet
	ctx context.Context
}

// Err implements storage.SeriesSet.
func (s *notedSet) Err() error {
	err := s.SeriesSet.Err()
	note(s.ctx, err)
	return err
}

// Close implements storage.LabelQuerier.
func (*listsQuerier) Close() error { return nil }

type chunkQuerier struct{ listsQuerier }

// Select implements storage.ChunkQuerier.
func (q *chunkQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.ChunkSeriesSet {
	return storage.NewSeriesSetToChunkSet(q.listsQuerier.Select(ctx, sorted, hints, matchers...))
}
