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

// beside is the text of a part and of what is asked beside it.
func beside(text, came, blank string) string {
	if came == "" && blank == "" {
		return text
	}
	text = "(" + text + ")"
	if came != "" {
		text += asAside(came, aboutCame)
	}
	if blank != "" {
		text += asAside("("+blank+")", aboutBlank)
	}
	return text
}

func asAside(expr, about string) string {
	return fmt.Sprintf(` or label_replace(%s, "%s", "%s", "", "")`, expr, aboutLabel, about)
}

// blanks is an expression that has a value where a selector of expr has series of no gateway, within what is looked at.
func blanks(expr parser.Expr, none split.Gateways, reach split.Reach) string {
	var each []string
	for _, selector := range split.Selectors(expr, none.Only()) {
		each = append(each, fmt.Sprintf("group(last_over_time(%s[%dms] @ %s))", selector, max(reach.To-reach.From, 1), moves.Seconds(reach.To)))
	}
	return strings.Join(each, " or ")
}

// errCame says that a round was for nothing.
var errCame = errors.New("a gateway came to a shard meanwhile")

// quick answers in one round, if nobody came to a shard but who is known to have. If it is not ok the query is to be answered otherwise.
func (q *query) quick(ctx context.Context, text string, reach split.Reach, names []string, shards []*shard.Shard) (v parser.Value, ok bool, err error) {
	if len(shards) < 2 {
		return nil, false, nil
	}
	cfg := &q.engine.cfg
	known, since := &moves.Known{}, reach.From
	if names == nil {
		known, since = q.engine.history.Known(shards, reach.From, reach.To)
	}
	came := ""
	if since <= reach.To {
		if q.engine.arrivals.between(moves.Around(since, reach.To)) {
			return nil, false, nil
		}
		came = moves.Came(cfg.GatewayLabel, since, reach.To, names)
	}
	began := time.Now()
	v, err = q.pieces(ctx, text, reach, shards, known, came)
	if err == nil && came != "" && time.Since(began) > quickTime && reach.To >= cfg.Now().Add(-settled).UnixMilli() {
		var after *moves.Known
		if after, err = moves.Ask(ctx, shards, cfg.GatewayLabel, since, reach.To, names); err == nil && len(after.Moved) > 0 {
			err = errCame
		}
	}
	if errors.Is(err, errCame) {
		q.forget()
		return nil, false, nil
	}
	return v, err == nil, err
}

// forget takes back what the shards have said in a round that was for nothing.
func (q *query) forget() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.warnings = nil
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
