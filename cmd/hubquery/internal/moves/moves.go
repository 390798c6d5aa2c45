// Package moves knows which gateways moved between shards, and when.
//
// A hub writes down when a gateway came to it, as a series of its own that goes with the gateway's
// first samples into the same scrape:
//
//	edgehub_gateway_first_sample_timestamp_seconds{gatewayID="gw-0017"} 1.7958e+09
//
// So whoever sees a gateway's samples on a shard can see when they began there. A gateway that has
// this series on two shards within a time has moved.
package moves

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
	"github.com/hubring/hubring/cmd/hubquery/internal/split"
)

const (
	// Series is what hubs write.
	Series = "edgehub_gateway_first_sample_timestamp_seconds"

	// again is how long it takes at most until a hub writes it again: an hour, and what a
	// gateway may be late.
	again = 75 * time.Minute
	// late is for samples that the hub before has got later than the new one got its first.
	late = time.Minute
	// ahead is for a marker that lies before the first sample at the new hub.
	ahead = time.Second

	mostNamed   = 500 // gateways that are asked for by name; beyond, all are
	mostSamples = 20_000_000
)

// Begin is that a gateway came to a shard, which At its first sample there, in milliseconds.
type Begin struct {
	Shard string
	At    int64
}

// Known is what the shards say of a time.
type Known struct {
	// Homes are the shards that had each gateway. Gateways that were asked for
	// by name and that no shard knows are not in it, nor, if none were asked for, any that did not begin then.
	Homes map[string][]string
	// Moved has for the gateways that moved when they came where, in order.
	Moved map[string][]Begin
	// Missing are shards that did not answer, and why.
	Missing map[string]error
}

// Ask asks the shards who moved between from and to, in milliseconds, for a query that looks back from there. names are
// the gateways in question; none means all.
func Ask(ctx context.Context, shards []*shard.Shard, label string, from, to int64, names []string) (*Known, error) {
	from, to = from-late.Milliseconds(), to+ahead.Milliseconds()
	budget := shard.NewBudget(mostSamples)
	if names == nil {
		came, missing, err := ask(ctx, shards, shard.Query{
			Expr: fmt.Sprintf("max_over_time(%s[%dms]) > %s", Series, to-from, seconds(from)), Start: to,
		}, from, to, budget)
		if err != nil {
			return nil, err
		}
		for _, series := range came {
			for _, s := range series {
				names = append(names, s.Metric.Get(label))
			}
		}
		slices.Sort(names)
		names = slices.Compact(names)
		if len(names) == 0 {
			return &Known{Missing: missing}, nil
		}
	}
	selector := Series
	if len(names) <= mostNamed {
		selector += "{" + split.Gateways{Label: label, Names: names}.Only().String() + "}"
	}
	series, missing, err := ask(ctx, shards, shard.Query{
		Expr: fmt.Sprintf("%s[%dms]", selector, to-from+again.Milliseconds()), Start: to,
	}, from-again.Milliseconds(), to, budget)
	if err != nil {
		return nil, err
	}
	k := known(shards, series, label)
	k.Missing = missing
	k.forget(from)
	return k, nil
}

func ask(ctx context.Context, shards []*shard.Shard, q shard.Query, from, to int64, budget *shard.Budget) (answers [][]promql.Series, missing map[string]error, err error) {
	answers = make([][]promql.Series, len(shards))
	errs := make([]error, len(shards))
	var wg sync.WaitGroup
	for i, sh := range shards {
		wg.Go(func() { answers[i], _, errs[i] = sh.Query(ctx, q, from, to, budget) })
	}
	wg.Wait()
	missing = map[string]error{}
	for i, err := range errs {
		var unavailable *shard.UnavailableError
		switch {
		case errors.As(err, &unavailable):
			missing[shards[i].Name] = err
		case err != nil:
			return nil, nil, err
		}
	}
	return answers, missing, nil
}

func known(shards []*shard.Shard, answers [][]promql.Series, label string) *Known {
	k := &Known{Homes: map[string][]string{}, Moved: map[string][]Begin{}}
	begins := map[string][]Begin{}
	for i, series := range answers {
		for _, s := range series {
			gateway := gatewayOf(s.Metric, label)
			if !slices.Contains(k.Homes[gateway], shards[i].Name) {
				k.Homes[gateway] = append(k.Homes[gateway], shards[i].Name)
			}
			last := math.Inf(-1)
			for _, p := range s.Floats {
				if p.F != last {
					begins[gateway] = append(begins[gateway], Begin{Shard: shards[i].Name, At: int64(math.Round(p.F * 1000))})
				}
				last = p.F
			}
		}
	}
	for gateway, homes := range k.Homes {
		if len(homes) > 1 {
			slices.SortStableFunc(begins[gateway], func(a, b Begin) int { return cmp.Compare(a.At, b.At) })
			k.Moved[gateway] = begins[gateway]
		}
	}
	return k
}

func gatewayOf(series labels.Labels, label string) string { return series.Get(label) }

// forget leaves out those that did not come anywhere since from.
func (k *Known) forget(from int64) {
	for gateway, begins := range k.Moved {
		if begins[len(begins)-1].At <= from {
			delete(k.Moved, gateway)
		}
	}
}

// Seen returns when, in milliseconds, a query that looks back and ahead so far sees a move to this shard.
func (b Begin) Seen(back, ahead time.Duration) (from, to int64) {
	return b.At - 1 - ahead.Milliseconds(), b.At + (back + late).Milliseconds()
}

// OfMove reports whether a stale marker of the gateway, at a time in milliseconds on a shard, is one
// by which its move away was written down. In the series as a whole there is none.
func (k *Known) OfMove(gateway, on string, at int64) bool {
	moved := false
	for _, b := range k.Moved[gateway] {
		if b.At > at+1 {
			break
		}
		moved = b.Shard != on
	}
	return moved
}

func seconds(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64) }
