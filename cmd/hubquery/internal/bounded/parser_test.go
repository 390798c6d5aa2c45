package bounded

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParser(t *testing.T) {
	p := Parser{parser.NewParser(parser.Options{})}
	names := strings.Repeat(`gw-1|a\"b|`, 50_000)
	for _, expr := range []string{
		`up`, `up{gatewayID=~"` + names + `"}`, `up{a='` + strings.ReplaceAll(names, `\"`, `"`) + `"'}`, "up{a=`" + strings.Repeat(`\`, 50_000) + "`}",
		strings.Repeat("(", MostBytes/2-1) + "1" + strings.Repeat(")", MostBytes/2-1),
	} {
		_, err := p.ParseExpr(expr)
		require.NoError(t, err, "%.100s", expr)
	}
	for _, expr := range []string{
		strings.Repeat("(", 1_000_000) + "1" + strings.Repeat(")", 1_000_000), strings.Repeat("-", 1_000_000) + "1", "1" + strings.Repeat("+1", 1_000_000),
		`up{a="x"` + strings.Repeat(`,a="x"`, 10_000) + "}", strings.Repeat(" ", MostBytes+1), strings.Repeat(`""`, MostBytes+1),
	} {
		_, err := p.ParseExpr(expr)
		require.ErrorContains(t, err, "bytes outside of quotes, more than 16384")
		_, err = p.ParseMetricSelector(expr)
		require.ErrorContains(t, err, "bytes outside of quotes")
		_, err = p.ParseMetricSelectors([]string{"up", expr})
		require.ErrorContains(t, err, "bytes outside of quotes")
	}
	for _, expr := range []string{`up{__hubquery_part__="0"}`, `count by (__hubquery_about__) (up)`, `label_replace(up, "__hubquery_about__", "came", "", "")`} {
		_, err := p.ParseExpr(expr)
		require.EqualError(t, err, "labels that begin with __hubquery_ are hubquery's own")
	}
	_, err := p.ParseExpr("sum(")
	require.ErrorContains(t, err, "parse error")
	sets, err := p.ParseMetricSelectors([]string{"up", "down"})
	require.NoError(t, err)
	assert.Len(t, sets, 2)
	_, err = p.ParseMetricSelector("up")
	require.NoError(t, err)
}
