package dashboard

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// eachQuery calls check with every query of every panel.
func eachQuery(t *testing.T, check func(*testing.T, Dashboard, Panel, Target)) {
	for _, d := range All() {
		for _, p := range d.EveryPanel() {
			for _, target := range p.Targets {
				t.Run(d.UID+"/"+p.Title+"/"+target.RefID, func(t *testing.T) { check(t, d, p, target) })
			}
		}
	}
}

// placeholders returns a value for each variable of a dashboard.
func placeholders(d Dashboard) map[string]string {
	values := map[string]string{"__rate_interval": "1m"}
	for _, v := range d.Templating.List {
		values[v.Name] = "1"
	}
	return values
}

func TestQueriesHaveNoFaults(t *testing.T) {
	eachQuery(t, func(t *testing.T, d Dashboard, _ Panel, target Target) {
		if d.UID == "hubring-gateway" {
			assert.Empty(t, faultsOfGateway(target.Expr, placeholders(d)), "%s", target.Expr)
			return
		}
		assert.Empty(t, faults(target.Expr, placeholders(d)), "%s", target.Expr)
	})
}

// The faults are found, or the test above shows nothing.
func TestFaultsAreFound(t *testing.T) {
	for expr, fault := range map[string]string{
		`rate(a_total[$__rate_interval]`:                                            "parse",
		`rate(a_total[$interval])`:                                                  "no variable",
		`up{job="prometheus"}`:                                                      "a gateway may send it",
		`up{job="prometheus",gatewayID="gw"}`:                                       "not one of the two",
		`irate(a_total[$__rate_interval])`:                                          "irate",
		`sum(a_total)`:                                                              "bare",
		`a_seconds_bucket`:                                                          "bare",
		`rate(pending[$__rate_interval])`:                                           "is no counter",
		`rate(a_total[5m])`:                                                         "$__rate_interval",
		`{__name__=~"edgehub_.+"}`:                                                  "all series",
		`{gatewayID=~"$gateway"}`:                                                   "all series",
		`count by (__name__) ({job="edgehub"})`:                                     "all series",
		`temperature{gatewayID="gw"}`:                                               "not one of the two",
		`sum by (gatewayID) (temperature)`:                                          "not one of the two",
		`up * on (gatewayID) group_left () edgehub_gateway_series`:                  "not one of the two",
		`max_over_time(edgehub_gateway_series[1h])`:                                 "window",
		`edgehub_series{instance=~"$gateway",instance!~".*",job=""}`:                "",
		`sum by (gatewayID) (edgehub_gateway_series)`:                               "",
		`increase(a_total[1h]) or rate(a_total[$__rate_interval])`:                  "",
		`topk(5, changes(process_start_time_seconds{job="edge",gatewayID=""}[1h]))`: "",
	} {
		found := faults(expr, map[string]string{"__rate_interval": "1m", "gateway": "1"})
		if fault == "" {
			assert.Empty(t, found, "%s", expr)
		} else {
			assert.Contains(t, strings.Join(found, "; "), fault, "%s", expr)
		}
	}
}

// faults returns what is wrong with a query.
func faults(expr string, values map[string]string) (found []string) {
	text, err := Expand(expr, values)
	if err != nil {
		return []string{err.Error()}
	}
	uses, err := Uses(text)
	if err != nil {
		return []string{err.Error()}
	}
	fault := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if strings.Contains(text, "rate(") && strings.Count(expr, "rate(") != strings.Count(expr, "["+rateInterval+"]") {
		fault("a rate is over %s and nothing else", rateInterval)
	}
	for _, u := range uses {
		counts := slices.Contains(u.Calls, "rate") || slices.Contains(u.Calls, "increase")
		switch {
		case slices.Contains(u.Calls, "irate"):
			fault("%s: irate shows two samples of many", u)
		case u.Name == "" || named(u.LabelMatchers):
			fault("%s reads all series", u)
		case isCounter.MatchString(u.Name) && !counts:
			fault("%s: a counter is bare", u)
		case !isCounter.MatchString(u.Name) && counts:
			fault("%s is no counter", u)
		case !gatewaysOwn(u.Name) && (selects(u.LabelMatchers, GatewayLabel) || byGateway(text)):
			fault("%s is asked for by gateway and not one of the two small metrics", u)
		case anybodys.MatchString(u.Name) && !matches(u.LabelMatchers, GatewayLabel):
			fault("%s: a gateway may send it, too", u)
		case gatewaysOwn(u.Name) && slices.Contains(u.Calls, "max_over_time"):
			fault("%s: a window of all gateways; last_over_time will do", u)
		}
	}
	return found
}

// faultsOfGateway returns what is wrong with a query about one gateway: a part of it that does not name the gateway is
// every shard's work.
func faultsOfGateway(expr string, values map[string]string) []string {
	text, err := Expand(expr, values)
	if err != nil {
		return []string{err.Error()}
	}
	uses, err := Uses(text)
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for _, u := range uses {
		if !namesGateway(u, values) {
			found = append(found, fmt.Sprintf("%s does not name the gateway", u))
		}
	}
	return found
}

func namesGateway(u Use, values map[string]string) bool {
	return slices.ContainsFunc(u.LabelMatchers, func(m *labels.Matcher) bool {
		return m.Name == GatewayLabel && m.Type == labels.MatchEqual && m.Value == values["gateway"]
	})
}

func TestFaultsOfGatewayAreFound(t *testing.T) {
	values := map[string]string{"gateway": "gw-1", "metric": "temperature"}
	for expr, fault := range map[string]bool{
		`{"$metric",gatewayID="$gateway"}`:                      false,
		`rate(x_total{gatewayID="$gateway"}[5m]) / on () other`: true,
		`x{gatewayID=~"$gateway"}`:                              true,
		`x{gatewayID!="$gateway"}`:                              true,
		`up`:                                                    true,
	} {
		assert.Equal(t, fault, len(faultsOfGateway(expr, values)) > 0, expr)
	}
}

var isCounter = regexp.MustCompile(`_(total|bucket|count|sum)$`)

func gatewaysOwn(metric string) bool { return strings.HasPrefix(metric, "edgehub_gateway_") }

// named tells whether a metric's name is matched rather than given.
func named(matchers []*labels.Matcher) bool {
	return slices.ContainsFunc(matchers, func(m *labels.Matcher) bool {
		return m.Name == model.MetricNameLabel && m.Type != labels.MatchEqual
	})
}

func matches(matchers []*labels.Matcher, label string) bool {
	return slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return m.Name == label })
}

// selects tells whether a label must have a value.
func selects(matchers []*labels.Matcher, label string) bool {
	return slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return m.Name == label && !m.Matches("") })
}

// anybodys are metrics that every program has, so that gateways may send theirs.
var anybodys = regexp.MustCompile(`^(up|scrape_.*|process_.*|go_.*|http_.*|prometheus_.*|thanos_.*)$`)

// byGateway tells whether a query groups or joins by gateway.
func byGateway(expr string) bool {
	tree, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return false
	}
	var does bool
	parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.AggregateExpr:
			does = does || slices.Contains(n.Grouping, GatewayLabel)
		case *parser.BinaryExpr:
			does = does || n.VectorMatching != nil && slices.Contains(n.VectorMatching.MatchingLabels, GatewayLabel)
		}
		return nil
	})
	return does
}

// The list of gateways, and every other choice, is read from one small metric each.
func TestVariablesReadSmallMetrics(t *testing.T) {
	small := map[string]string{ // a metric of which there is one for each of these
		"edgehub_gateway_last_push_timestamp_seconds": "gateway and hub",
		"edgehub_limit_samples":                       "hub",
		"prometheus_build_info":                       "server",
		"hubring_exporter_ring_hubs":                  "controller",
	}
	choices := regexp.MustCompile(`(?s)^label_values\((.+), (\w+)\)$`)
	var checked int
	for _, d := range All() {
		for _, v := range d.Templating.List {
			if v.Type != "query" {
				continue
			}
			checked++
			parts := choices.FindStringSubmatch(v.Definition)
			require.NotNil(t, parts, "%s, %s: %s", d.UID, v.Name, v.Definition)
			assert.Equal(t, v.Definition, v.Query.(VariableQuery).Query, "%s, %s", d.UID, v.Name)
			selector, err := Expand(parts[1], placeholders(d))
			require.NoError(t, err)
			uses, err := Uses(selector)
			require.NoError(t, err)
			require.Len(t, uses, 1)
			if namesGateway(uses[0], placeholders(d)) {
				continue // as small as one of them
			}
			assert.Contains(t, small, uses[0].Name, "%s, %s", d.UID, v.Name)
			assert.True(t, v.AllValue == ".*" || !v.IncludeAll, "%s, %s: all is one expression and no list", d.UID, v.Name)
		}
	}
	assert.Positive(t, checked)
}

// A variable that no query has is a choice without an effect.
func TestVariablesAreUsed(t *testing.T) {
	for _, d := range All() {
		text, err := d.JSON()
		require.NoError(t, err)
		for _, v := range d.Templating.List {
			assert.Regexp(t, `\$\{?`+v.Name+`\b`, string(text), "%s: %s", d.UID, v.Name)
		}
	}
}

// A legend's labels are ones that the query leaves; that they are there at all needs data to say.
func TestLegendsTellSeriesApart(t *testing.T) {
	label := regexp.MustCompile(`\{\{(\w+)\}\}`)
	eachQuery(t, func(t *testing.T, d Dashboard, p Panel, target Target) {
		if target.Format == "table" {
			return
		}
		assert.NotEmpty(t, target.LegendFormat, "without one Grafana shows the query")
		text, err := Expand(target.Expr, placeholders(d))
		require.NoError(t, err)
		tree, err := parser.NewParser(parser.Options{}).ParseExpr(text)
		require.NoError(t, err)
		for _, found := range label.FindAllStringSubmatch(target.LegendFormat, -1) {
			kept := false
			parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
				if a, ok := node.(*parser.AggregateExpr); ok {
					kept = kept || !a.Without && slices.Contains(a.Grouping, found[1])
				}
				return nil
			})
			aggregated := strings.Contains(text, " by (") || strings.Contains(text, "sum(")
			assert.True(t, kept || !aggregated, "%s: %s in the legend of %s", p.Title, found[0], target.Expr)
		}
	})
}
