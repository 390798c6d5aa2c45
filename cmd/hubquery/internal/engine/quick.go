package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/hubring/hubring/cmd/hubquery/internal/moves"
	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
	"github.com/hubring/hubring/cmd/hubquery/internal/split"
)

// Mostly nobody moves, and then a query is one request to each shard for each of its parts: what
// would make the answers wrong is asked in the same request, and seen in the same state of the shard:
//
//	(part) or label_replace(max(…who came…), "__hubquery_about__", "came", "", "")
//
// If somebody came the round was for nothing. Its time is remembered, so that the next query about it asks beforehand.

const (
	aboutLabel = "__hubquery_about__"
	aboutCame  = "came"  // a gateway came to the shard in the time in question
	aboutBlank = "blank" // the shard has series of no gateway that the part selects
	// quickTime is how long a round may take without a look at who came to a shard after it had answered. Moves
	// are written down where gateways left no sooner than some scrapes later.
	quickTime = time.Second
)

// aside is what shards said beside their answers to a part.
type aside struct {
	mu    sync.Mutex
	came  int64 // ms; 0 is that nobody did
	blank bool
}

// take notes what is said aside in an answer, and returns the answer without it.
func (a *aside) take(series []promql.Series) []promql.Series {
	return slices.DeleteFunc(series, func(s promql.Series) bool {
		about := s.Metric.Get(aboutLabel)
		if about == "" || len(s.Floats) == 0 {
			return about != ""
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		switch about {
		case aboutCame:
			a.came = max(a.came, int64(math.Round(s.Floats[0].F*1000)))
		case aboutBlank:
			a.blank = true
		}
		return true
	})
}

// beside is the text of a part and of what is asked beside it, if that is anything.
func beside(text, came, blank string) string {
	text = "(" + text + ")" + asAside(came, aboutCame)
	if blank != "" {
		text += asAside("("+blank+")", aboutBlank)
	}
	return text
}

func asAside(expr, about string) string {
	return fmt.Sprintf(` or label_replace(%s, "%s", "%s", "", "")`, expr, aboutLabel, about)
}

// blanks is an expression that has a value where a selector of expr has series of no gateway, within what is looked at.
func blanks(expr parser.Expr, label string, reach split.Reach) string {
	none := split.Gateways{Label: label, Names: []string{""}}.Only()
	var each []string
	for _, selector := range split.Selectors(expr, none) {
		each = append(each, fmt.Sprintf("group(last_over_time(%s[%dms] @ %s))", selector, max(reach.To-reach.From, 1), moves.Seconds(reach.To)))
	}
	return strings.Join(each, " or ")
}

// quick answers in one round, if nobody came to a shard. If it is not ok the query is to be answered otherwise.
func (q *query) quick(ctx context.Context, text string, reach split.Reach, names []string, shards []*shard.Shard) (v parser.Value, ok bool, err error) {
	cfg := &q.engine.cfg
	if len(shards) < 2 || q.engine.arrivals.between(moves.Around(reach.From, reach.To)) || len(q.archived([]stretch{{times: q.times}}, reach)) != 1 {
		return nil, false, nil
	}
	expr, err := cfg.Parser.ParseExpr(text)
	if err != nil {
		return nil, false, err
	}
	plan := split.Split(expr, q.times, cfg.GatewayLabel, len(shards), false)
	if plan.Raw || len(plan.Parts) == 0 {
		return nil, false, nil
	}
	q.budget = shard.NewBudget(cfg.MaxSamples)
	r := &round{plan: plan, shards: shards, storage: q.storage(shards, nil), came: moves.Came(cfg.GatewayLabel, reach.From, reach.To, names)}
	began := time.Now()
	answers, err := q.parts(ctx, r)
	if errors.Is(err, shard.ErrHistograms) {
		return nil, false, q.forget()
	}
	if err != nil {
		return nil, false, err
	}
	if r.aside.came > 0 {
		q.engine.arrivals.add(r.aside.came)
		return nil, false, q.forget()
	}
	if time.Since(began) > quickTime && reach.To >= cfg.Now().Add(-settled).UnixMilli() {
		known, err := moves.Ask(ctx, shards, cfg.GatewayLabel, reach.From, reach.To, names)
		if err != nil || len(known.Moved) > 0 {
			return nil, false, errors.Join(err, q.forget())
		}
	}
	v, err = q.merged(ctx, plan, q.times, answers, r.storage)
	return v, true, err
}

// forget takes back what a round has said that was for nothing.
func (q *query) forget() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.warnings, q.missing = nil, map[string]bool{}
	return nil
}

// arrivals remembers when gateways came to shards.
type arrivals struct {
	mu    sync.Mutex
	times []int64 // ms, sorted
}

const mostArrivals = 1024

func (a *arrivals) between(from, to int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	i, _ := slices.BinarySearch(a.times, from)
	return i < len(a.times) && a.times[i] <= to
}

func (a *arrivals) add(at int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i, there := slices.BinarySearch(a.times, at); !there {
		a.times = slices.Insert(a.times, i, at)
	}
	if len(a.times) > mostArrivals { // a query about the oldest has a round for nothing
		a.times = slices.Delete(a.times, 0, 1)
	}
}
