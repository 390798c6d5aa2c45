package split

import (
	"slices"
	"strings"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// Prepare makes what depends on the query as a whole explicit, so that a part means the same
// alone and for other steps: @ start() and @ end(), durations that are worked out, and the steps of subqueries that name none,
// for which the shards may have other defaults. It changes expr.
func Prepare(expr parser.Expr, times Times, defaultStep time.Duration) (parser.Expr, error) {
	expr, err := promql.PreprocessExpr(expr, time.UnixMilli(times.Start), time.UnixMilli(times.End), time.Duration(times.Step)*time.Millisecond)
	if err != nil {
		return nil, err
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch e := node.(type) {
		case *parser.VectorSelector:
			e.StartOrEnd, e.OriginalOffsetExpr = 0, nil
		case *parser.MatrixSelector:
			e.RangeExpr = nil
		case *parser.SubqueryExpr:
			e.StartOrEnd, e.OriginalOffsetExpr, e.RangeExpr, e.StepExpr = 0, nil, nil, nil
			if e.Step == 0 {
				e.Step = defaultStep
			}
		}
		return nil
	})
	return expr, nil
}

// Gateways are some of those that label names; "" is for the series of none.
type Gateways struct {
	Label string
	Names []string
}

// Only returns the matcher of these gateways, Without that of all others.
func (g Gateways) Only() *labels.Matcher { return g.matcher(labels.MatchRegexp) }

// Without returns the matcher of all gateways but these.
func (g Gateways) Without() *labels.Matcher { return g.matcher(labels.MatchNotRegexp) }

func (g Gateways) matcher(kind labels.MatchType) *labels.Matcher {
	var b strings.Builder
	for i, name := range g.Names {
		if i > 0 {
			b.WriteByte('|')
		}
		b.WriteString(regexp.QuoteMeta(name))
	}
	return labels.MustNewMatcher(kind, g.Label, b.String())
}

// Restrict returns the text of expr with a matcher more in each of its selectors.
func Restrict(expr parser.Expr, m *labels.Matcher) string {
	var added []*parser.VectorSelector
	eachSelector(expr, func(v *parser.VectorSelector) {
		v.LabelMatchers = append(v.LabelMatchers, m)
		added = append(added, v)
	})
	text := expr.String()
	for _, v := range added {
		v.LabelMatchers = v.LabelMatchers[:len(v.LabelMatchers)-1]
	}
	return text
}

// Selectors returns the texts of expr's selectors with a matcher more, each of an instant and without an offset.
func Selectors(expr parser.Expr, m *labels.Matcher) (texts []string) {
	eachSelector(expr, func(v *parser.VectorSelector) {
		plain := parser.VectorSelector{LabelMatchers: append(slices.Clone(v.LabelMatchers), m)}
		if text := plain.String(); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	})
	return texts
}

// Named returns the gateways that expr names one by one in each of its selectors, or none.
func Named(expr parser.Expr, label string, most int) []string {
	names, all := map[string]bool{}, true
	eachSelector(expr, func(v *parser.VectorSelector) {
		set := namedBy(v, label)
		all = all && len(set) > 0
		for _, name := range set {
			all = all && name != ""
			names[name] = true
		}
	})
	if !all || len(names) == 0 || len(names) > most {
		return nil
	}
	list := make([]string, 0, len(names))
	for name := range names {
		list = append(list, name)
	}
	return list
}

func namedBy(v *parser.VectorSelector, label string) []string {
	for _, m := range v.LabelMatchers {
		switch {
		case m.Name != label:
		case m.Type == labels.MatchEqual:
			return []string{m.Value}
		case m.Type == labels.MatchRegexp:
			if set := m.SetMatches(); len(set) > 0 {
				return set
			}
		}
	}
	return nil
}

func eachSelector(expr parser.Node, do func(*parser.VectorSelector)) {
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if v, ok := node.(*parser.VectorSelector); ok {
			do(v)
		}
		return nil
	})
}
