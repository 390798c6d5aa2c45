package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/grafana/regexp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/hubring/hubring/cmd/hubquery/internal/moves"
	"github.com/hubring/hubring/cmd/hubquery/internal/raw"
	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
	"github.com/hubring/hubring/cmd/hubquery/internal/split"
)

const (
	// mostSteps is how many steps a Prometheus works out at a time, less than its 11,000.
	mostSteps = 10_000
	// mostAsks bounds the requests of one query that are under way.
	mostAsks = 64
	// movedShard is how the share of gateways that moved is told from those of shards.
	movedShard = "\xffmoved"
)

// stretch answers the steps of a stretch.
func (q *query) stretch(ctx context.Context, text string, s stretch, shards []*shard.Shard, known *moves.Known) (parser.Value, error) {
	if s.archive {
		return q.fromArchive(ctx, text, s.times)
	}
	expr, err := q.engine.cfg.Parser.ParseExpr(text)
	if err != nil {
		return nil, err
	}
	movers := s.movers
	if most := q.engine.cfg.MaxMoved; len(movers) > most {
		q.warn(fmt.Errorf("%w: %d gateways moved between shards, more than the %d that are worked out from raw series: rates over their moves are too low, and those whose old hub died count twice until the lookback is over",
			annotations.PromQLWarning, len(movers), most))
		movers = nil
	}
	q.engine.moved.Add(float64(len(movers)))
	storage := q.storage(shards, known)
	var plan split.Plan
	if len(shards) == 1 && len(movers) == 0 && expr.Type() == parser.ValueTypeVector {
		plan = split.Whole(expr, s.times)
	} else {
		plan = split.Split(expr, s.times, q.engine.cfg.GatewayLabel, len(shards), len(movers) > 0)
	}
	answers, err := q.parts(ctx, plan, shards, movers, storage)
	if errors.Is(err, shard.ErrHistograms) {
		// They do not come by the query API as they are.
		q.engine.parts.WithLabelValues("raw").Inc()
		return q.merge(ctx, text, s.times, nil, storage)
	}
	if err != nil {
		return nil, err
	}
	if v, ok := direct(plan, answers, s.times); ok {
		return v, nil
	}
	for i, part := range plan.Parts {
		answers[i] = ended(answers[i], part.Times)
	}
	return q.merge(ctx, plan.Merge.String(), s.times, answers, storage)
}

func (q *query) storage(shards []*shard.Shard, known *moves.Known) *raw.Storage {
	return &raw.Storage{
		Shards: shards, Label: q.engine.cfg.GatewayLabel, Moves: known, Budget: q.budget, MostSeries: q.engine.cfg.MaxSeries,
		Missing: func(sh *shard.Shard, err error) error { return q.miss(sh.Name, err) },
	}
}

// parts asks all shards for all parts, and returns what they and the gateways that moved give for each.
func (q *query) parts(ctx context.Context, plan split.Plan, shards []*shard.Shard, movers []string, storage *raw.Storage) ([][]promql.Series, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	answers := make([][][]promql.Series, len(plan.Parts)) // of each part and shard
	room := make(chan struct{}, mostAsks)
	var wg sync.WaitGroup
	start := func(do func() error) {
		wg.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			if ctx.Err() == nil {
				if err := do(); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i, part := range plan.Parts {
		answers[i] = make([][]promql.Series, len(shards)+1)
		apart := split.Gateways{Label: q.engine.cfg.GatewayLabel, Names: movers}
		if part.Blank && len(shards) > 1 {
			apart.Names = append(slices.Clip(movers), "")
		}
		text := part.Expr.String()
		if len(apart.Names) > 0 {
			restricted := split.Restrict(part.Expr, apart.Only())
			start(func() (err error) {
				answers[i][len(shards)], err = q.fromRaw(ctx, restricted, part, storage)
				return err
			})
			text = split.Restrict(part.Expr, apart.Without())
		}
		for k, sh := range shards {
			start(func() (err error) {
				answers[i][k], err = q.fromShard(ctx, sh, text, part)
				return err
			})
		}
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	all := make([][]promql.Series, len(plan.Parts))
	for i := range plan.Parts {
		all[i] = slices.Concat(answers[i]...)
		if !plan.Parts[i].Share && len(shards) > 1 {
			all[i] = shard.Union(all[i])
		}
	}
	return all, nil
}

// fromShard asks one shard for a part.
func (q *query) fromShard(ctx context.Context, sh *shard.Shard, text string, part split.Part) ([]promql.Series, error) {
	q.engine.parts.WithLabelValues("shards").Inc()
	reach := split.ReachOf(part.Expr, part.Times, q.lookback)
	var all []promql.Series
	for _, times := range portions(part.Times) {
		series, warnings, err := sh.Query(ctx, shard.Query{
			Expr: text, Start: times.Start, End: times.End, Step: times.Step, Lookback: q.ownLookback,
		}, reach.From, reach.To, q.budget)
		var unavailable *shard.UnavailableError
		if errors.As(err, &unavailable) {
			return nil, q.miss(sh.Name, err)
		}
		if err != nil {
			return nil, err
		}
		for _, w := range warnings {
			q.warn(warningError(w))
		}
		all = append(all, series...)
	}
	if len(portions(part.Times)) > 1 {
		all = shard.Union(all)
	}
	if part.Share {
		mark(all, sh.Name)
	}
	return all, nil
}

// warningError is what a shard's engine says about an expression.
type warningError string

// position is where in an expression a warning sees its reason. A part is another expression.
var position = regexp.MustCompile(` \(\d+:\d+\)$`)

func (w warningError) Error() string { return position.ReplaceAllString(string(w), "") }

// Unwrap tells infos from warnings, as the API does.
func (w warningError) Unwrap() error {
	if strings.HasPrefix(string(w), annotations.PromQLInfo.Error()) {
		return annotations.PromQLInfo
	}
	return annotations.PromQLWarning
}

// portions cuts steps into what a server takes at a time.
func portions(t split.Times) []split.Times {
	if t.Step == 0 || (t.End-t.Start)/t.Step < mostSteps {
		return []split.Times{t}
	}
	var all []split.Times
	for start := t.Start; start <= t.End; start += mostSteps * t.Step {
		all = append(all, split.Times{Start: start, End: min(start+(mostSteps-1)*t.Step, t.End), Step: t.Step})
	}
	return all
}

// fromRaw works a part out from raw series.
func (q *query) fromRaw(ctx context.Context, text string, part split.Part, storage *raw.Storage) ([]promql.Series, error) {
	q.engine.parts.WithLabelValues("raw").Inc()
	v, err := q.merge(ctx, text, part.Times, nil, storage)
	if err != nil {
		return nil, err
	}
	var all []promql.Series
	switch v := v.(type) {
	case promql.Matrix:
		all = slices.Clone(v)
	case promql.Vector:
		for _, s := range v {
			if s.H != nil {
				return nil, shard.ErrHistograms
			}
			all = append(all, promql.Series{Metric: s.Metric, Floats: []promql.FPoint{{T: s.T, F: s.F}}})
		}
	default:
		return nil, fmt.Errorf("a part gave %T", v)
	}
	for _, s := range all {
		if len(s.Histograms) > 0 {
			return nil, shard.ErrHistograms
		}
	}
	if part.Share {
		mark(all, movedShard)
	}
	return all, nil
}

// mark tells shares of different shards apart.
func mark(series []promql.Series, shard string) {
	b := labels.NewBuilder(labels.EmptyLabels())
	for i := range series {
		b.Reset(series[i].Metric)
		series[i].Metric = b.Set(split.ShardLabel, shard).Labels()
	}
}
