package engine

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
	"github.com/hubring/hubring/cmd/hubquery/internal/split"
)

// archived makes stretches of their own of the steps that look at what the shards keep no
// longer. The archive has all that is old, so it works them out as they are.
func (q *query) archived(all []stretch, reach split.Reach) (out []stretch) {
	cfg := &q.engine.cfg
	if cfg.Archive == nil || q.expr.Type() != parser.ValueTypeVector {
		return all
	}
	kept := cfg.Now().Add(-cfg.ArchiveAfter).UnixMilli()
	if reach.From >= kept {
		return all
	}
	if reach.Fixed {
		return []stretch{{times: q.times, archive: true}}
	}
	first := kept + reach.Back.Milliseconds() // step that the shards can answer
	if first > q.times.End || q.times.Step == 0 {
		return []stretch{{times: q.times, archive: true}}
	}
	old := split.Times{Start: q.times.Start, Step: q.times.Step}
	old.End = old.Start + (first-1-old.Start)/old.Step*old.Step
	out = append(out, stretch{times: old, archive: true})
	for _, s := range all {
		if s.times.End <= old.End {
			continue
		}
		s.times.Start = max(s.times.Start, old.End+old.Step)
		out = append(out, s)
	}
	return out
}

// fromArchive asks the archive.
func (q *query) fromArchive(ctx context.Context, text string, times split.Times) (parser.Value, error) {
	var all []promql.Series
	for _, part := range portions(times) {
		series, warnings, err := q.engine.cfg.Archive.Query(ctx, shard.Query{
			Expr: text, Start: part.Start, End: part.End, Step: part.Step, Lookback: q.ownLookback,
		}, q.budget)
		if err != nil {
			if err := q.miss("archive", fmt.Errorf("archive: %w", err)); err != nil {
				return nil, err
			}
		}
		for _, w := range warnings {
			q.warn(warningError(w))
		}
		all = append(all, series...)
	}
	v, _ := direct(split.Whole(q.expr, times), [][]promql.Series{shard.Union(all)}, times)
	return v, nil
}
