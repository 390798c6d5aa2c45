// Package engine answers PromQL over all shards.
//
// The life of a query: it is parsed and made explicit (split.Prepare); the shards are asked who moved
// in the time that it looks at (moves); its steps are cut into stretches with and without movers
// (stretches.go); of each stretch the expression is divided (split), its parts are asked of the shards, and worked out here from raw series
// for the gateways that moved (parts.go); and Prometheus' engine merges the answers (merge.go).
package engine

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"

	"github.com/hubring/hubring/cmd/hubquery/internal/bounded"
	"github.com/hubring/hubring/cmd/hubquery/internal/moves"
	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
	"github.com/hubring/hubring/cmd/hubquery/internal/split"
)

// Config says how queries are answered.
type Config struct {
	Shards       *shard.Set
	GatewayLabel string
	Timeout      time.Duration
	Lookback     time.Duration
	DefaultStep  time.Duration // of subqueries without one
	MaxSamples   int           // in memory for one query, over all shards
	MaxSeries    int           // raw ones of one selector
	MaxMoved     int           // gateways that are worked out from raw series at a time
	Archive      *shard.Server // for what is older than ArchiveAfter; or nil
	ArchiveAfter time.Duration
	Parser       bounded.Parser
	Registerer   prometheus.Registerer
	Logger       *slog.Logger
	Now          func() time.Time
}

// Engine implements promql.QueryEngine. Its methods may be called from any goroutine.
type Engine struct {
	cfg      Config
	merge    *promql.Engine
	history  moves.History
	arrivals arrivals

	partial prometheus.Counter
	moved   prometheus.Counter
	parts   *prometheus.CounterVec
}

// New makes an engine.
func New(cfg Config) *Engine {
	e := &Engine{
		cfg: cfg, history: moves.History{Now: cfg.Now},
		merge: promql.NewEngine(promql.EngineOpts{
			Logger: cfg.Logger, MaxSamples: cfg.MaxSamples, Timeout: cfg.Timeout, LookbackDelta: cfg.Lookback,
			NoStepSubqueryIntervalFn: func(int64) int64 { return cfg.DefaultStep.Milliseconds() },
			EnableAtModifier:         true, EnableNegativeOffset: true, Parser: cfg.Parser.Parser,
		}),
		partial: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hubquery_partial_answers_total", Help: "Queries that were answered without a shard.",
		}),
		moved: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hubquery_moved_gateways_total", Help: "Gateways that were worked out from raw series because they moved, over all queries.",
		}),
		parts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hubquery_parts_total", Help: "Parts of queries, by where they were worked out: shards, raw (from raw series, here).",
		}, []string{"where"}),
	}
	cfg.Registerer.MustRegister(e.partial, e.moved, e.parts)
	return e
}

type partialKey struct{}

// WithPartial says for the queries of ctx whether they are answered without a shard that
// does not answer.
func WithPartial(ctx context.Context, partial bool) context.Context {
	return context.WithValue(ctx, partialKey{}, partial)
}

// Partial reports what WithPartial said, by default false.
func Partial(ctx context.Context) bool {
	p, _ := ctx.Value(partialKey{}).(bool)
	return p
}

// NewInstantQuery implements promql.QueryEngine; the storage is not used.
func (e *Engine) NewInstantQuery(ctx context.Context, _ storage.Queryable, opts promql.QueryOpts, text string, at time.Time) (promql.Query, error) {
	ms := at.UnixMilli()
	return e.newQuery(ctx, opts, text, split.Times{Start: ms, End: ms})
}

// NewRangeQuery implements promql.QueryEngine; the storage is not used.
func (e *Engine) NewRangeQuery(ctx context.Context, _ storage.Queryable, opts promql.QueryOpts, text string, start, end time.Time, step time.Duration) (promql.Query, error) {
	// Prometheus' API makes 33.509999999s of a step of 33.51 s, and its engine 33.509 s of that.
	exact := step.Round(time.Millisecond)
	if exact <= 0 || (step-exact).Abs() > time.Microsecond {
		return nil, fmt.Errorf("a step of %v is no whole number of milliseconds above 0, which is what Prometheus can keep apart", step)
	}
	step = exact
	return e.newQuery(ctx, opts, text, split.Times{Start: start.UnixMilli(), End: end.UnixMilli(), Step: step.Milliseconds()})
}

func (e *Engine) newQuery(ctx context.Context, opts promql.QueryOpts, text string, times split.Times) (*query, error) {
	expr, err := e.cfg.Parser.ParseExpr(text)
	if err != nil {
		return nil, err
	}
	if kind := expr.Type(); times.Step > 0 && kind != parser.ValueTypeVector && kind != parser.ValueTypeScalar {
		return nil, fmt.Errorf("invalid expression type %q for range query, must be Scalar or instant Vector", parser.DocumentedType(kind))
	}
	q := &query{engine: e, text: text, expr: expr, times: times, lookback: e.cfg.Lookback, partial: Partial(ctx)}
	if opts != nil && opts.LookbackDelta() > 0 {
		q.lookback = opts.LookbackDelta()
		q.ownLookback = q.lookback
	} else if q.lookback != shard.Lookback {
		q.ownLookback = q.lookback
	}
	return q, nil
}
