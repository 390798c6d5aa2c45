package split

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func prepared(t *testing.T, text string, times Times) parser.Expr {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	require.NoError(t, err)
	expr, err = Prepare(expr, times, time.Minute)
	require.NoError(t, err)
	return expr
}

// TestSplit shows what is asked of shards and what is left to merge.
func TestSplit(t *testing.T) {
	const part0, part1 = `{__hubquery_part__="0"}`, `{__hubquery_part__="1"}`
	for _, c := range []struct {
		expr, merge string
		parts       []string
		raw         bool
	}{
		{`x`, part0, []string{`x`}, false},
		{`sum(rate(x[5m]))`, `sum(` + part0 + `)`, []string{`sum(rate(x[5m]))`}, false},
		{`count by (n) (x)`, `sum by (n) (` + part0 + `)`, []string{`count by (n) (x)`}, false},
		{`sum without (a) (x)`, `sum without (a, __hubquery_shard__) (` + part0 + `)`, []string{`sum without (a) (x)`}, false},
		{`avg by (n) (x)`, `(sum by (n) (` + part0 + `) / sum by (n) (` + part1 + `))`, []string{`sum by (n) (x)`, `count by (n) (x)`}, false},
		{`topk(3, sum by (gatewayID) (x))`, `topk(3, ` + part0 + `)`, []string{`topk(3, sum by (gatewayID) (x))`}, false},
		{`quantile(0.9, sum by (gatewayID) (x))`, `quantile(0.9, sum by (gatewayID) (` + part0 + `))`, []string{`sum by (gatewayID) (x)`}, false},
		{`histogram_quantile(0.9, sum by (le) (rate(b[5m])))`, `histogram_quantile(0.9, sum by (le) (` + part0 + `))`, []string{`sum by (le) (rate(b[5m]))`}, false},
		{`x / y`, part0, []string{`x / y`}, false},
		{`x / on (gatewayID) y`, part0, []string{`x / on (gatewayID) y`}, false},
		{`x / on (n) y`, part0 + ` / on (n) ` + part1, []string{`x`, `y`}, false},
		{`x / ignoring (gatewayID) group_left () y`, part0 + ` / ignoring (gatewayID) group_left () ` + part1, []string{`x`, `y`}, false},
		{`x / on (gatewayID) a:b`, part0 + ` / on (gatewayID) ` + part1, []string{`x`, `a:b`}, false},
		{`sum(x) / count(x)`, `sum(` + part0 + `) / sum(` + part1 + `)`, []string{`sum(x)`, `count(x)`}, false},
		{`x * scalar(y)`, part0 + ` * scalar(` + part1 + `)`, []string{`x`, `y`}, false},
		{`max_over_time(sum(x)[5m:])`, `max_over_time(sum(` + part0 + `)[5m:1m])`, []string{`sum(x)`}, false},
		{`max_over_time(x[5m:])`, part0, []string{`max_over_time(x[5m:1m])`}, false},
		{`label_replace(x, "gatewayID", "", "", "")`, `label_replace(` + part0 + `, "gatewayID", "", "", "")`, []string{`x`}, false},
		{`absent(x)`, `(group without (__hubquery_shard__) (` + part0 + `) and count without (__hubquery_shard__) (` + part0 + `) == 4)`, []string{`absent(x)`}, false},
		{`x[5m]`, `x[5m]`, nil, true},
		{`info(x)`, `info(x)`, nil, true},
	} {
		p := parser.NewParser(parser.Options{EnableExperimentalFunctions: true})
		expr, err := p.ParseExpr(c.expr)
		require.NoError(t, err)
		times := Times{Start: 600_000, End: 600_000}
		expr, err = Prepare(expr, times, time.Minute)
		require.NoError(t, err)
		plan := Split(expr, times, "gatewayID", 4, false)
		assert.Equal(t, c.merge, plan.Merge.String(), c.expr)
		var parts []string
		for _, part := range plan.Parts {
			parts = append(parts, part.Expr.String())
		}
		assert.Equal(t, c.parts, parts, c.expr)
		assert.Equal(t, c.raw, plan.Raw, c.expr)
	}
}

// TestBlank finds expressions in which series of no gateway, of several shards, could meet.
func TestBlank(t *testing.T) {
	for expr, blank := range map[string]bool{
		`x`: false, `sum(x)`: false, `x / y`: false,
		`quantile by (gatewayID) (0.5, x)`:                        true,
		`quantile by (gatewayID) (0.5, x{gatewayID=~"gw-.+"})`:    false,
		`x / on (gatewayID) y`:                                    true,
		`x{gatewayID!=""} / on (gatewayID) y{gatewayID!=""}`:      false,
		`topk(1, sum by (gatewayID) (x))`:                         true,
		`label_replace(x, "instance", "", "", "")`:                true,
		`label_replace(x{gatewayID="a"}, "instance", "", "", "")`: false,
	} {
		times := Times{Start: 600_000, End: 600_000}
		plan := Split(prepared(t, expr, times), times, "gatewayID", 4, false)
		require.Len(t, plan.Parts, 1, expr)
		assert.Equal(t, blank, plan.Parts[0].Blank, expr)
	}
}

func TestSubqueriesAreAskedForAtTheirOwnSteps(t *testing.T) {
	times := Times{Start: 600_500, End: 720_500, Step: 30_000}
	plan := Split(prepared(t, `max_over_time(sum(x)[2m:25s] offset 10s)`, times), times, "gatewayID", 4, false)
	require.Len(t, plan.Parts, 1)
	assert.Equal(t, Times{Start: 475_000, End: 710_500, Step: 25_000}, plan.Parts[0].Times)
}

func TestReach(t *testing.T) {
	times := Times{Start: 1_000_000, End: 2_000_000, Step: 1000}
	for expr, want := range map[string]Reach{
		`x`:                                  {Back: 5 * time.Minute, From: 700_000, To: 2_000_000},
		`rate(x[10m])`:                       {Back: 10 * time.Minute, From: 400_000, To: 2_000_000},
		`x offset 1m`:                        {Back: 6 * time.Minute, Ahead: -time.Minute, From: 640_000, To: 1_940_000},
		`x offset -1m`:                       {Back: 4 * time.Minute, Ahead: time.Minute, From: 760_000, To: 2_060_000},
		`max_over_time(rate(x[1m])[2m:10s])`: {Back: 3 * time.Minute, From: 820_000, To: 2_000_000},
		`x @ 500`:                            {Back: 5 * time.Minute, Fixed: true, From: 200_000, To: 500_000},
		`x + y @ end()`:                      {Back: 5 * time.Minute, Fixed: true, From: 700_000, To: 2_000_000},
	} {
		got := ReachOf(prepared(t, expr, times), times, 5*time.Minute)
		got.Ahead = min(got.Ahead, want.Ahead) // never less than what is looked at
		assert.Equal(t, want, got, expr)
	}
}

// TestRestrictedExpressionIsTheSame writes a matcher into each selector, and leaves the expression as it was.
func TestRestrictedExpressionIsTheSame(t *testing.T) {
	times := Times{Start: 600_000, End: 600_000}
	expr := prepared(t, `sum(rate(x{a="b"}[5m])) + y`, times)
	before := expr.String()
	g := Gateways{Label: "gatewayID", Names: []string{"gw.1", "gw|2", ""}}
	assert.Equal(t, `sum(rate(x{a="b",gatewayID!~"gw\\.1|gw\\|2|"}[5m])) + y{gatewayID!~"gw\\.1|gw\\|2|"}`, Restrict(expr, g.Without()))
	assert.Equal(t, before, expr.String())
	for _, name := range []string{"gw.1", "gw|2", ""} {
		assert.True(t, g.Only().Matches(name))
		assert.False(t, g.Without().Matches(name))
	}
	assert.False(t, g.Only().Matches("gwx1"))
}

func TestNamed(t *testing.T) {
	times := Times{Start: 600_000, End: 600_000}
	for expr, want := range map[string][]string{
		`x{gatewayID="a"}`: {"a"}, `x{gatewayID=~"a|b"}`: {"a", "b"}, `x{gatewayID="a"} / y{gatewayID="a"}`: {"a"},
		`x{gatewayID="a"} / y`: nil, `x`: nil, `x{gatewayID=~"a.*"}`: nil, `x{gatewayID=""}`: nil, `x{gatewayID=~"a|"}`: nil,
	} {
		assert.ElementsMatch(t, want, Named(prepared(t, expr, times), "gatewayID", 10), expr)
	}
	assert.Nil(t, Named(prepared(t, `x{gatewayID=~"a|b|c"}`, times), "gatewayID", 2))
}
