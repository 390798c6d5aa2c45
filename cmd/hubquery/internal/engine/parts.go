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
	// How the shares of gateways that moved and of none are told from those of shards.
	movedShard, noGateway = "\xffmoved", "\xffnone"
)

// stretch answers the steps of a stretch.
func (q *query) stretch(ctx context.Context, text string, s stretch, shards []*shard.Shard, known *moves.Known, came string) (parser.Value, error) {
	if s.archive {
		return q.fromArchive(ctx, text, s.times)
	}
	expr, err := q.engine.cfg.Parser.Parser.ParseExpr(text)
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
	shards = q.there(shards)
	storage := q.storage(shards, known)
	var plan split.Plan
	if len(shards) == 1 && len(movers) == 0 && expr.Type() == parser.ValueTypeVector {
		plan = split.Whole(expr, s.times)
	} else {
		plan = split.Split(expr, s.times, q.engine.cfg.GatewayLabel, len(shards), len(movers) > 0)
	}
	if plan.Raw && came != "" {
		return nil, errCame // nothing is asked beside raw series
	}
	answers, err := q.parts(ctx, &round{plan: plan, shards: shards, movers: movers, storage: storage, came: came})
	if errors.Is(err, shard.ErrHistograms) && came != "" {
		return nil, errCame
	}
	if errors.Is(err, shard.ErrHistograms) {
		// They do not come by the query API as they are.
		q.engine.parts.WithLabelValues("raw").Inc()
		return q.merge(ctx, text, s.times, nil, storage)
	}
	if err != nil {
		return nil, err
	}
	return q.merged(ctx, plan, s.times, answers, storage)
}

// merged puts the answers to the parts of a plan together.
func (q *query) merged(ctx context.Context, plan split.Plan, times split.Times, answers [][]promql.Series, storage *raw.Storage) (parser.Value, error) {
	if v, ok := direct(plan, answers, times); ok {
		return v, nil
	}
	for i, part := range plan.Parts {
		answers[i] = ended(answers[i], part.Times)
	}
	return q.merge(ctx, plan.Merge.String(), times, answers, storage)
}

func (q *query) storage(shards []*shard.Shard, known *moves.Known) *raw.Storage {
	return &raw.Storage{
		Shards: shards, Label: q.engine.cfg.GatewayLabel, Moves: known, Budget: q.budget, MostSeries: q.engine.cfg.MaxSeries,
		Missing: func(sh *shard.Shard, err error) error { return q.miss(sh.Name, err) },
	}
}

// round is what is asked of shards at a time.
type round struct {
	plan    split.Plan
	shards  []*shard.Shard
	movers  []string // they are worked out from raw series
	storage *raw.Storage
	came    string // is asked beside each part; or nothing is
}

// parts asks all shards for all parts, and returns what they give for each, with the gateways that moved and the
// series of no gateway.
func (q *query) parts(ctx context.Context, r *round) ([][]promql.Series, error) {
	n := len(r.shards)
	answers := make([][][]promql.Series, len(r.plan.Parts)) // of each part and shard, of movers, of no gateway
	asides := make([]aside, len(r.plan.Parts))
	w := newWork(ctx)
	defer w.cancel(nil)
	fromRaw := func(i, k int, name string, of split.Gateways) {
		part := r.plan.Parts[i]
		restricted := split.Restrict(part.Expr, of.Only())
		w.start(func(ctx context.Context) (err error) {
			answers[i][k], err = q.fromRaw(ctx, restricted, part, r.storage)
			if part.Share {
				mark(answers[i][k], name)
			}
			return err
		})
	}
	movers, none := split.Gateways{Label: q.engine.cfg.GatewayLabel, Names: r.movers}, split.Gateways{Label: q.engine.cfg.GatewayLabel, Names: []string{""}}
	for i, part := range r.plan.Parts {
		answers[i] = make([][]promql.Series, n+2)
		if len(movers.Names) > 0 {
			fromRaw(i, n, movedShard, movers)
		}
		apart, blank := movers, ""
		if part.Blank && n > 1 {
			apart.Names = append(slices.Clip(apart.Names), "")
			blank = blanks(part.Expr, none, split.ReachOf(part.Expr, part.Times, q.lookback))
		}
		text := part.Expr.String()
		if len(apart.Names) > 0 {
			text = split.Restrict(part.Expr, apart.Without())
		}
		text = beside(text, r.came, blank)
		for k, sh := range r.shards {
			w.start(func(ctx context.Context) (err error) {
				answers[i][k], err = q.fromShard(ctx, sh, text, part, &asides[i])
				return err
			})
		}
	}
	if err := w.wait(); err != nil {
		return nil, err
	}
	for i := range asides {
		if asides[i].came > 0 {
			q.engine.arrivals.add(asides[i].came)
			return nil, errCame
		}
	}
	for i := range asides {
		if asides[i].blank {
			fromRaw(i, n+1, noGateway, none)
		}
	}
	if err := w.wait(); err != nil {
		return nil, err
	}
	all := make([][]promql.Series, len(r.plan.Parts))
	for i, part := range r.plan.Parts {
		all[i] = slices.Concat(answers[i]...)
		if !part.Share && n > 1 {
			all[i] = shard.Union(all[i])
		}
	}
	return all, nil
}

// work is what is done beside each other, some at a time, until one fails.
type work struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	room   chan struct{}
	all    sync.WaitGroup
}

func newWork(ctx context.Context) *work {
	w := &work{room: make(chan struct{}, mostAsks)}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	return w
}

func (w *work) start(do func(context.Context) error) {
	w.all.Go(func() {
		w.room <- struct{}{}
		defer func() { <-w.room }()
		if w.ctx.Err() == nil {
			if err := do(w.ctx); err != nil {
				w.cancel(err)
			}
		}
	})
}

// wait waits until all is done.
func (w *work) wait() error {
	w.all.Wait()
	return context.Cause(w.ctx)
}

// fromShard asks one shard for a part.
func (q *query) fromShard(ctx context.Context, sh *shard.Shard, text string, part split.Part, said *aside) ([]promql.Series, error) {
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
		all = append(all, said.take(series)...)
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
