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
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

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
	// early is for samples that are older than the first one that the new hub got, and that it got later: two controllers
	// had them.
	early = 2 * time.Minute

	mostNamed   = 50 // gateways that are asked for by name; beyond, all are
	mostSamples = 20_000_000
)

// Begin is that a gateway came to a shard, which At its first sample there, in milliseconds.
type Begin struct {
	Shard string
	At    int64
}

// Known is what the shards say of a time.
type Known struct {
	// Homes are the shards that had each gateway that was asked for by name, or that moved.
	Homes map[string][]string
	// Moved has for the gateways that moved when they came where, in order.
	Moved map[string][]Begin
	// Missing are shards that did not answer, and why.
	Missing map[string]error
}

// Ask asks the shards who moved between from and to, in milliseconds, for a query that looks at what is between them. names are
// the gateways in question; none means all.
//
// Mostly nobody came anywhere, and one question that is answered by nothing is all it takes. If some did, they came
// newly, or their hub was started again, and the second question finds that they were nowhere else.
func Ask(ctx context.Context, shards []*shard.Shard, label string, from, to int64, names []string) (*Known, error) {
	a := asking{shards: shards, label: label, budget: shard.NewBudget(mostSamples)}
	a.from, a.to = Around(from, to)
	k := &Known{Missing: map[string]error{}}
	if names == nil {
		came, err := a.names(ctx, fmt.Sprintf("max_over_time(%s[%dms]) > %s", Series, a.to-a.from, Seconds(a.from)), k)
		if err != nil || len(came) == 0 {
			return k, err
		}
		there, err := a.names(ctx, fmt.Sprintf("max_over_time(%s[%dms])", selector(label, slices.Collect(maps.Keys(came))), a.long()), k)
		if err != nil {
			return k, err
		}
		for name := range came {
			if there[name] > 1 {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return k, nil
		}
	}
	answers, err := a.all(ctx, fmt.Sprintf("%s[%dms]", selector(label, names), a.long()), k)
	if err != nil {
		return k, err
	}
	k.learn(shards, answers, label)
	k.forget(a.from)
	return k, nil
}

// Around is the time in which gateways must have come that a query sees move which looks at what is between from and to.
func Around(from, to int64) (since, until int64) {
	return from - late.Milliseconds(), to + early.Milliseconds()
}

// Came is an expression of when, in seconds, the last one came to a shard that a query sees move; it has no value
// where nobody did. names are the gateways in question; none means all.
func Came(label string, from, to int64, names []string) string {
	since, until := Around(from, to)
	return fmt.Sprintf("max(max_over_time(%s[%dms] @ %s) > %s)", selector(label, names), until-since, Seconds(until), Seconds(since))
}

type asking struct {
	shards   []*shard.Shard
	label    string
	from, to int64
	budget   *shard.Budget
}

// long is the time in which a gateway that was on a shard before is seen there.
func (a *asking) long() int64 { return a.to - a.from + again.Milliseconds() }

// selector selects the gateways' series, and others where there are many.
func selector(label string, names []string) string {
	if len(names) == 0 || len(names) > mostNamed {
		return Series
	}
	return Series + "{" + split.Gateways{Label: label, Names: names}.Only().String() + "}"
}

// names returns on how many shards each gateway of an answer is.
func (a *asking) names(ctx context.Context, expr string, k *Known) (map[string]int, error) {
	answers, err := a.all(ctx, expr, k)
	if err != nil {
		return nil, err
	}
	on := map[string]int{}
	for _, series := range answers {
		for _, s := range series {
			on[s.Metric.Get(a.label)]++
		}
	}
	return on, nil
}

// all asks every shard.
func (a *asking) all(ctx context.Context, expr string, k *Known) ([][]promql.Series, error) {
	q := shard.Query{Expr: expr, Start: a.to}
	answers := make([][]promql.Series, len(a.shards))
	errs := make([]error, len(a.shards))
	var wg sync.WaitGroup
	for i, sh := range a.shards {
		if k.Missing[sh.Name] != nil { // it would be waited for again
			continue
		}
		wg.Go(func() { answers[i], _, errs[i] = sh.Query(ctx, q, a.from, a.to, a.budget) })
	}
	wg.Wait()
	for i, err := range errs {
		var unavailable *shard.UnavailableError
		switch {
		case errors.As(err, &unavailable):
			k.Missing[a.shards[i].Name] = err
		case err != nil:
			return nil, err
		}
	}
	return answers, nil
}

// learn takes what the shards have written down.
func (k *Known) learn(shards []*shard.Shard, answers [][]promql.Series, label string) {
	k.Homes, k.Moved = map[string][]string{}, map[string][]Begin{}
	begins := map[string][]Begin{}
	for i, series := range answers {
		for _, s := range series {
			gateway := s.Metric.Get(label)
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
}

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
	return b.At - (early + ahead).Milliseconds(), b.At + (back + late).Milliseconds()
}

// Same reports whether both know the same.
func (k *Known) Same(other *Known) bool {
	return maps.EqualFunc(k.Homes, other.Homes, slices.Equal) && maps.EqualFunc(k.Moved, other.Moved, slices.Equal)
}

// OfMove reports whether a stale marker of the gateway, at a time in milliseconds on a shard, is one
// by which its move away was written down: it came elsewhere since it came there. In the series as a whole there is none.
func (k *Known) OfMove(gateway, on string, at int64) bool {
	came := int64(math.MinInt64) // here, before the marker
	for _, b := range k.Moved[gateway] {
		if b.Shard == on && b.At <= at {
			came = b.At
		}
	}
	return slices.ContainsFunc(k.Moved[gateway], func(b Begin) bool {
		return b.Shard != on && b.At >= came && b.At <= at+1
	})
}

// Seconds writes milliseconds as PromQL takes times.
func Seconds(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64) }
