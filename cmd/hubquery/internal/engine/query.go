package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/stats"

	"github.com/hubring/hubring/cmd/hubquery/internal/moves"
	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
	"github.com/hubring/hubring/cmd/hubquery/internal/split"
)

const (
	// mostNamed bounds the gateways by whose names a query is sent to their shards only.
	mostNamed = 100
	// settled is how old samples are of which no more come: those of a scrape that is being committed.
	settled = 2 * time.Minute
	// mergingShare is the part of its time, one of so many, that a query which may be partial keeps for merging.
	mergingShare = 10
	// mostTries bounds how often a query is answered anew because gateways came in between.
	mostTries = 3
)

// query implements promql.Query.
type query struct {
	engine      *Engine
	text        string
	expr        parser.Expr
	times       split.Times
	lookback    time.Duration
	ownLookback time.Duration // 0: the shards' own
	partial     bool

	cancel  context.CancelFunc
	budget  *shard.Budget
	closers closers

	mu       sync.Mutex // of what follows
	warnings annotations.Annotations
	missing  map[string]error // shards that did not answer, and are not asked again
}

// closers gives results back to the engine when nobody reads them any more.
type closers struct {
	mu  sync.Mutex
	all []promql.Query
}

func (c *closers) add(q promql.Query) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, q)
}

// Exec implements promql.Query.
func (q *query) Exec(ctx context.Context) *promql.Result {
	ctx, q.cancel = context.WithTimeoutCause(ctx, q.engine.cfg.Timeout, promql.ErrQueryTimeout("query execution"))
	defer q.cancel()
	if end, ok := ctx.Deadline(); ok && q.partial { // some time has to be left to merge what has come
		ctx = shard.WithPatience(ctx, end.Add(-time.Until(end)/mergingShare))
	}
	q.missing = map[string]error{}
	value, err := q.run(ctx)
	if err == nil && len(q.missing) > 0 {
		q.engine.partial.Inc()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for name, err := range q.missing {
		// No warning of PromQL's: Thanos' ruler counts only the others, and by them it is known that rules see a part.
		q.warnings.Add(fmt.Errorf("the answer is without shard %s: %w", name, err))
	}
	return &promql.Result{Value: value, Err: plain(ctx, err), Warnings: q.warnings}
}

// plain makes an error one that the API has a status for.
func plain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if errors.Is(err, context.Canceled) {
		return promql.ErrQueryCanceled("query execution")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return promql.ErrQueryTimeout("query execution")
	}
	var storage promql.ErrStorage
	if errors.As(err, &storage) {
		err = storage.Err
	}
	var unavailable *shard.UnavailableError
	if errors.As(err, &unavailable) {
		return promql.ErrStorage{Err: err}
	}
	return err
}

func (q *query) run(ctx context.Context) (parser.Value, error) {
	cfg := &q.engine.cfg
	expr, err := split.Prepare(q.expr, q.times, cfg.DefaultStep)
	if err != nil {
		return nil, err
	}
	text := expr.String() // what follows parses it anew for each stretch, since dividing changes it
	if split.Constant(expr) {
		return q.merge(ctx, text, q.times, nil, nil)
	}
	reach := split.ReachOf(expr, q.times, q.lookback)
	names := split.Named(expr, cfg.GatewayLabel, mostNamed)
	if value, ok, err := q.quick(ctx, text, reach, names, cfg.Shards.All()); ok || err != nil {
		return value, err
	}
	shards, known, err := q.who(ctx, expr, reach, names)
	for range mostTries {
		if err != nil {
			return nil, err
		}
		value, err := q.pieces(ctx, text, reach, shards, known, "")
		if err != nil || reach.To < cfg.Now().Add(-settled).UnixMilli() {
			return value, err
		}
		// A gateway may have come somewhere after that was asked and before its new shard answered. Whoever sees its
		// samples can see that it came, so it is known now.
		before := known
		if shards, known, err = q.who(ctx, expr, reach, names); err == nil && before.Same(known) {
			return value, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return q.pieces(ctx, text, reach, shards, known, "")
}

// pieces answers stretch by stretch; came is what is asked beside each part, or empty.
func (q *query) pieces(ctx context.Context, text string, reach split.Reach, shards []*shard.Shard, known *moves.Known, came string) (parser.Value, error) {
	q.budget = shard.NewBudget(q.engine.cfg.MaxSamples) // another try has all of it again
	var pieces []parser.Value
	for _, s := range q.archived(stretches(q.times, reach, known), reach) {
		v, err := q.stretch(ctx, text, s, shards, known, came)
		if err != nil {
			return nil, err
		}
		pieces = append(pieces, v)
	}
	return join(pieces)
}

// who returns the shards that have what expr looks at, and what they know of moves.
func (q *query) who(ctx context.Context, expr parser.Expr, reach split.Reach, names []string) ([]*shard.Shard, *moves.Known, error) {
	cfg := &q.engine.cfg
	shards := q.there(cfg.Shards.All())
	if len(shards) <= 1 {
		return shards, &moves.Known{}, nil
	}
	var known *moves.Known
	var err error
	if names == nil {
		known, err = q.engine.history.Ask(ctx, shards, cfg.GatewayLabel, reach.From, reach.To)
	} else {
		known, err = moves.Ask(ctx, shards, cfg.GatewayLabel, reach.From, reach.To, names)
	}
	if err != nil {
		return nil, nil, err
	}
	for name, err := range known.Missing {
		if err := q.miss(name, err); err != nil {
			return nil, nil, err
		}
	}
	if names == nil || !split.AtHome(expr) {
		return shards, known, nil
	}
	var homes []*shard.Shard
	for _, sh := range shards {
		if slices.ContainsFunc(names, func(name string) bool { return slices.Contains(known.Homes[name], sh.Name) }) {
			homes = append(homes, sh)
		}
	}
	for _, name := range names {
		if len(known.Homes[name]) == 0 { // hubs that do not write it down, or samples from before they did
			return shards, known, nil
		}
	}
	return homes, known, nil
}

// miss notes that a shard does not answer; its error ends the query.
func (q *query) miss(name string, err error) error {
	if !q.partial {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.missing[name] == nil {
		q.missing[name] = err
	}
	return nil
}

// there returns the shards that have answered so far: others would be waited for again, with each question.
func (q *query) there(shards []*shard.Shard) []*shard.Shard {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.missing) == 0 {
		return shards
	}
	return slices.DeleteFunc(slices.Clone(shards), func(sh *shard.Shard) bool { return q.missing[sh.Name] != nil })
}

func (q *query) warn(warnings ...error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range warnings {
		q.warnings.Add(w)
	}
}

// join puts the pieces of a range one after the other.
func join(pieces []parser.Value) (parser.Value, error) {
	if len(pieces) == 1 {
		return pieces[0], nil
	}
	var all []promql.Series
	at := map[uint64]int{} // in all, by the hash of a series' labels
	for _, piece := range pieces {
		m, ok := piece.(promql.Matrix)
		if !ok {
			return nil, fmt.Errorf("a range query gave %T", piece)
		}
		for _, s := range m {
			if i, there := at[s.Metric.Hash()]; there && labels.Equal(all[i].Metric, s.Metric) {
				all[i].Floats = append(slices.Clip(all[i].Floats), s.Floats...)
				all[i].Histograms = append(slices.Clip(all[i].Histograms), s.Histograms...)
				continue
			}
			at[s.Metric.Hash()] = len(all)
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b promql.Series) int { return labels.Compare(a.Metric, b.Metric) })
	return promql.Matrix(all), nil
}

// Close implements promql.Query.
func (q *query) Close() {
	for _, c := range q.closers.all {
		c.Close()
	}
}

// Statement implements promql.Query.
func (q *query) Statement() parser.Statement {
	return &parser.EvalStmt{
		Expr: q.expr, Start: time.UnixMilli(q.times.Start), End: time.UnixMilli(q.times.End),
		Interval: time.Duration(q.times.Step) * time.Millisecond, LookbackDelta: q.lookback,
	}
}

// Stats implements promql.Query: samples are those that came from shards, after they were worked out there.
func (q *query) Stats() *stats.Statistics {
	s := &stats.Statistics{Timers: stats.NewQueryTimers(), Samples: stats.NewQuerySamples(false)}
	if q.budget != nil {
		taken := int64(q.budget.Taken())
		s.Samples.TotalSamples, s.Samples.PeakSamples = taken, int(taken)
	}
	return s
}

// Cancel implements promql.Query.
func (q *query) Cancel() {
	if q.cancel != nil {
		q.cancel()
	}
}

// String implements promql.Query.
func (q *query) String() string { return q.text }
