// Package split divides a PromQL expression into what each shard answers by itself and
// what is left to merge.
//
// It rests on one fact: the series of a gateway are all on one shard. So whatever keeps
// gateways apart, a function of a series, a sum by gateway, one series of a gateway over
// another, can be worked out where they are, and the answers of the shards are put side by
// side. A sum over gateways is a sum of the shards' sums. The rest is merged from the
// answers to its innermost parts:
//
//	quantile(0.9, sum by (gatewayID) (rate(x[5m])))
//	               └────────── asked of each shard ─┘
//
// The merging expression is PromQL, too, in which {__hubquery_part__="0"} stands for the
// answer to the first part. The engine that works it out is Prometheus' own, as it is in
// the shards, so what is merged and what is pushed down cannot mean different things.
package split

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

const (
	// PartLabel is the label by which the merging expression selects the answer to a part.
	PartLabel = "__hubquery_part__"
	// ShardLabel tells the shards' shares in one sum apart, until they are summed.
	ShardLabel = "__hubquery_shard__"
)

// Times are the steps at which an expression is evaluated, in milliseconds. An instant has
// Start and End alike and no Step.
type Times struct {
	Start, End, Step int64
}

// Part is an expression that every shard can answer for its own gateways.
type Part struct {
	Expr  parser.Expr
	Times Times
	// Share says that the shards' answers are shares of one sum, so that series with the
	// same labels are not the same.
	Share bool
	// Blank says that series of no gateway, which several shards may have, would be taken for
	// ones that are on one shard only. They have to be worked out from raw series.
	Blank bool
}

// Plan is a divided expression.
type Plan struct {
	Merge parser.Expr
	Parts []Part
	// Raw says that Merge has selectors of its own, which need raw series of all shards.
	Raw bool
}

type splitter struct {
	label  string
	shards int
	moved  bool
	plan   Plan
}

// Split divides expr, which Prepare has gone over; label is the one that names the gateway,
// shards how many are asked for each part, and moved says that raw series of gateways that moved are
// one more that answers. It may change expr.
func Split(expr parser.Expr, times Times, label string, shards int, moved bool) Plan {
	s := &splitter{label: label, shards: shards, moved: moved}
	s.plan.Merge = s.divide(expr, times)
	return s.plan
}

// Whole is a plan by which the only shard that has what expr looks at answers all of it.
func Whole(expr parser.Expr, times Times) Plan {
	s := &splitter{}
	s.plan.Merge = s.part(expr, times, false, false)
	return s.plan
}

// Constant reports whether expr has no series in it.
func Constant(expr parser.Expr) bool {
	none := true
	eachSelector(expr, func(*parser.VectorSelector) { none = false })
	return none
}

// divide returns the expression that is left of expr once its parts are taken out.
func (s *splitter) divide(expr parser.Expr, times Times) parser.Expr {
	if isVector(expr) {
		if ok, blank := s.apart(expr); ok {
			if agg, is := unwrap(expr).(*parser.AggregateExpr); is && s.summable(agg) {
				return s.shares(agg, times) // fewer series, and none of no gateway by themselves
			}
			return s.part(expr, times, false, blank)
		}
	}
	switch e := expr.(type) {
	case *parser.ParenExpr:
		e.Expr = s.divide(e.Expr, times)
	case *parser.UnaryExpr:
		e.Expr = s.divide(e.Expr, times)
	case *parser.StepInvariantExpr:
		return s.divide(e.Expr, times)
	case *parser.BinaryExpr:
		e.LHS, e.RHS = s.divide(e.LHS, times), s.divide(e.RHS, times)
	case *parser.AggregateExpr:
		if s.summable(e) {
			return s.shares(e, times)
		}
		if e.Param != nil {
			e.Param = s.divide(e.Param, times)
		}
		e.Expr = s.divide(e.Expr, times)
	case *parser.SubqueryExpr:
		e.Expr = s.divide(e.Expr, nested(e, times))
	case *parser.Call:
		return s.call(e, times)
	case *parser.VectorSelector, *parser.MatrixSelector:
		s.plan.Raw = true
	}
	return expr
}

func (s *splitter) call(e *parser.Call, times Times) parser.Expr {
	switch e.Func.Name {
	case "absent", "absent_over_time":
		// What is absent is so on every shard. The labels of the answer come from the selector,
		// so the shards have to give it.
		if ok, _ := s.apart(e.Args[0]); ok && !s.moved {
			return s.everywhere(e, times)
		}
		s.plan.Raw = true
		return e
	case "info":
		// It looks up series by itself.
		s.plan.Raw = true
		return e
	}
	for i, arg := range e.Args {
		e.Args[i] = s.divide(arg, times)
	}
	return e
}

// part takes expr out and returns what stands for the answers.
func (s *splitter) part(expr parser.Expr, times Times, share, blank bool) parser.Expr {
	s.plan.Parts = append(s.plan.Parts, Part{Expr: expr, Times: times, Share: share, Blank: blank})
	return &parser.VectorSelector{LabelMatchers: []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, PartLabel, strconv.Itoa(len(s.plan.Parts)-1)),
	}}
}

// summable reports whether an aggregation over all gateways is one over what it is on the shards.
func (s *splitter) summable(e *parser.AggregateExpr) bool {
	switch e.Op {
	case parser.SUM, parser.MIN, parser.MAX, parser.COUNT, parser.GROUP, parser.AVG, parser.TOPK, parser.BOTTOMK:
	default:
		return false
	}
	ok, _ := s.apart(e.Expr)
	return ok && (e.Param == nil || anywhere(e.Param))
}

// shares takes an aggregation apart into one in each shard and one over their answers.
func (s *splitter) shares(e *parser.AggregateExpr, times Times) parser.Expr {
	_, blank := s.apart(e.Expr)
	switch e.Op {
	case parser.TOPK, parser.BOTTOMK: // they keep their series' labels, which are on one shard only
		return s.over(e, e.Op, s.part(e, times, false, blank))
	case parser.AVG:
		sum, count := *e, *e
		sum.Op, count.Op = parser.SUM, parser.COUNT
		return &parser.ParenExpr{Expr: &parser.BinaryExpr{
			Op: parser.DIV, LHS: s.shares(&sum, times), RHS: s.shares(&count, times),
			VectorMatching: &parser.VectorMatching{Card: parser.CardOneToOne},
		}}
	case parser.COUNT:
		return s.over(e, parser.SUM, s.part(e, times, true, blank))
	default:
		return s.over(e, e.Op, s.part(e, times, true, blank))
	}
}

// over is the aggregation op, grouped as e is, over the shards' answers.
func (*splitter) over(e *parser.AggregateExpr, op parser.ItemType, answers parser.Expr) parser.Expr {
	merged := &parser.AggregateExpr{Op: op, Expr: answers, Param: e.Param, Grouping: slices.Clone(e.Grouping), Without: e.Without}
	if e.Without && e.Op != parser.TOPK && e.Op != parser.BOTTOMK {
		merged.Grouping = append(merged.Grouping, ShardLabel)
	}
	return merged
}

// everywhere is 1 where all shards answer e.
func (s *splitter) everywhere(e parser.Expr, times Times) parser.Expr {
	answers := s.part(e, times, true, false)
	all := &parser.AggregateExpr{Op: parser.COUNT, Expr: answers, Without: true, Grouping: []string{ShardLabel}}
	one := &parser.AggregateExpr{Op: parser.GROUP, Expr: answers, Without: true, Grouping: []string{ShardLabel}}
	return &parser.ParenExpr{Expr: &parser.BinaryExpr{
		Op: parser.LAND, LHS: one,
		RHS:            &parser.BinaryExpr{Op: parser.EQLC, LHS: all, RHS: &parser.NumberLiteral{Val: float64(s.shards)}},
		VectorMatching: &parser.VectorMatching{Card: parser.CardManyToMany},
	}}
}

// apart reports whether expr keeps gateways apart, so that the answers of the shards are
// together the answer, and whether series of no gateway make an exception.
func (s *splitter) apart(expr parser.Expr) (ok, blank bool) {
	switch e := expr.(type) {
	case *parser.VectorSelector, *parser.MatrixSelector:
		return true, false
	case *parser.ParenExpr:
		return s.apart(e.Expr)
	case *parser.UnaryExpr:
		return s.apart(e.Expr)
	case *parser.StepInvariantExpr:
		return s.apart(e.Expr)
	case *parser.SubqueryExpr:
		return s.apart(e.Expr)
	case *parser.AggregateExpr:
		if e.Op == parser.LIMITK || e.Without == slices.Contains(e.Grouping, s.label) || (e.Param != nil && !anywhere(e.Param)) {
			return false, false
		}
		if label, is := unwrapOrNil(e.Param).(*parser.StringLiteral); is && label.Val == s.label {
			return false, false
		}
		ok, _ = s.apart(e.Expr)
		return ok && AtHome(e.Expr), s.nameless(e.Expr)
	case *parser.BinaryExpr:
		return s.binary(e)
	case *parser.Call:
		return s.function(e)
	default:
		return false, false
	}
}

func (s *splitter) binary(e *parser.BinaryExpr) (ok, blank bool) {
	if !isVector(e.LHS) || !isVector(e.RHS) {
		vector, scalar := e.LHS, e.RHS
		if !isVector(vector) {
			vector, scalar = scalar, vector
		}
		if !isVector(vector) || !anywhere(scalar) {
			return false, false
		}
		return s.apart(vector)
	}
	lhs, lblank := s.apart(e.LHS)
	rhs, rblank := s.apart(e.RHS)
	m := e.VectorMatching
	if !lhs || !rhs || !AtHome(e) || slices.Contains(m.MatchingLabels, s.label) != m.On || slices.Contains(m.Include, s.label) {
		return false, false
	}
	// Series of no gateway are matched on one shard only if all their labels count.
	blank = lblank || rblank || ((m.On || len(m.MatchingLabels) > 0) && s.nameless(e))
	return true, blank
}

func (s *splitter) function(e *parser.Call) (ok, blank bool) {
	switch e.Func.Name {
	case "absent", "absent_over_time", "scalar", "vector", "info", "sort", "sort_desc", "sort_by_label", "sort_by_label_desc":
		return false, false
	}
	series := -1
	for i, arg := range e.Args {
		switch arg.Type() {
		case parser.ValueTypeVector, parser.ValueTypeMatrix:
			if series >= 0 {
				return false, false
			}
			series = i
		default:
			if !anywhere(arg) {
				return false, false
			}
		}
	}
	if series < 0 {
		return false, false
	}
	ok, blank = s.apart(e.Args[series])
	if ok && (e.Func.Name == "label_replace" || e.Func.Name == "label_join") {
		target, literal := unwrapOrNil(e.Args[1]).(*parser.StringLiteral)
		ok = literal && target.Val != s.label
		blank = blank || s.nameless(e.Args[series]) // with another label two may become alike
	}
	return ok, blank
}

// AtHome reports whether the series of expr are where their gateways are. Those that rules make need not be: a
// ruler writes them where it is told to, whatever gateway they name.
func AtHome(expr parser.Expr) bool {
	home := true
	eachSelector(expr, func(v *parser.VectorSelector) {
		known := false
		for _, m := range v.LabelMatchers {
			if m.Name != model.MetricNameLabel {
				continue
			}
			var names []string
			switch m.Type {
			case labels.MatchEqual:
				names = []string{m.Value}
			case labels.MatchRegexp:
				names = m.SetMatches()
			default:
			}
			if len(names) > 0 && !slices.ContainsFunc(names, ofRule) {
				known = true
			}
		}
		home = home && known
	})
	return home
}

func ofRule(name string) bool {
	return name == "" || name == "ALERTS" || name == "ALERTS_FOR_STATE" || strings.Contains(name, ":")
}

// nameless reports whether a selector in expr may select series of no gateway.
func (s *splitter) nameless(expr parser.Expr) bool {
	found := false
	eachSelector(expr, func(v *parser.VectorSelector) {
		for _, m := range v.LabelMatchers {
			if m.Name == s.label && !m.Matches("") {
				return
			}
		}
		found = true
	})
	return found
}

// anywhere reports whether expr is the same wherever it is worked out: it has no series in it.
func anywhere(expr parser.Expr) bool {
	return Constant(expr) && expr.Type() != parser.ValueTypeVector
}

// nested is when the expression of a subquery is evaluated: at multiples of its step.
func nested(e *parser.SubqueryExpr, times Times) Times {
	start, end := times.Start, times.End
	if e.Timestamp != nil {
		start, end = *e.Timestamp, *e.Timestamp
	}
	offset, step := e.OriginalOffset.Milliseconds(), e.Step.Milliseconds()
	start -= offset + e.Range.Milliseconds()
	first := start - start%step
	if first <= start {
		first += step
	}
	return Times{Start: first, End: max(end-offset, first), Step: step}
}

// Reach is what a query looks at: from Back before each step, to Ahead after it. A query with
// an @ looks at what lies between From and To, whatever the step.
type Reach struct {
	Back, Ahead time.Duration
	Fixed       bool
	From, To    int64 // ms, for Fixed
}

// ReachOf returns what expr looks at; lookback is how far a selector without a range does.
func ReachOf(expr parser.Expr, times Times, lookback time.Duration) Reach {
	r := Reach{From: math.MaxInt64, To: math.MinInt64}
	r.add(expr, 0, 0, nil, times, lookback)
	if r.From == math.MaxInt64 {
		r.From, r.To = times.Start, times.End
	}
	return r
}

// add goes down with what the subqueries above look at: back and ahead of the step, or of at.
func (r *Reach) add(node parser.Node, back, ahead time.Duration, at *int64, times Times, lookback time.Duration) {
	switch e := node.(type) {
	case *parser.SubqueryExpr:
		if e.Timestamp != nil {
			at, back, ahead = e.Timestamp, 0, 0
		}
		back += e.OriginalOffset + e.Range
		ahead -= e.OriginalOffset
	case *parser.MatrixSelector:
		r.leaf(e.VectorSelector.(*parser.VectorSelector), back+e.Range, ahead, at, times, lookback)
		return
	case *parser.VectorSelector:
		r.leaf(e, back+lookback, ahead, at, times, lookback)
		return
	}
	for child := range parser.ChildrenIter(node) {
		r.add(child, back, ahead, at, times, lookback)
	}
}

func (r *Reach) leaf(v *parser.VectorSelector, back, ahead time.Duration, at *int64, times Times, lookback time.Duration) {
	if v.Timestamp != nil {
		at = v.Timestamp
	}
	back += v.OriginalOffset
	ahead -= v.OriginalOffset
	if v.Smoothed || v.Anchored { // they look beyond their range
		back += lookback
		ahead += lookback
	}
	from, to := times.Start, times.End
	if at != nil {
		r.Fixed = true
		from, to = *at, *at
	}
	r.Back, r.Ahead = max(r.Back, back), max(r.Ahead, ahead)
	r.From = min(r.From, from-back.Milliseconds())
	r.To = max(r.To, to+ahead.Milliseconds())
}

func isVector(e parser.Expr) bool { return e.Type() == parser.ValueTypeVector }

func unwrap(e parser.Expr) parser.Expr {
	for {
		switch p := e.(type) {
		case *parser.ParenExpr:
			e = p.Expr
		case *parser.StepInvariantExpr:
			e = p.Expr
		default:
			return e
		}
	}
}

func unwrapOrNil(e parser.Expr) parser.Expr {
	if e == nil {
		return nil
	}
	return unwrap(e)
}
