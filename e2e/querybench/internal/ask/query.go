// Package ask has the queries that are measured, asks them, and compares answers.
package ask

import (
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/hubring/hubring/e2e/querybench/internal/dataset"
)

// Rule says when two answers are the same.
type Rule int

// Rules of comparison. Values are the same within one part in 1e9.
const (
	Values Rule = iota // series, times and values
	Ties               // times and values: which of several equal series is among the first is nobody's business
	Names              // the entries of a list, in any order
)

// Query is one row of the table: a request, or several that follow one another.
type Query struct {
	Name     string
	Requests []Request
	Rule     Rule
	// Fraction marks one whose step and times are parts of seconds.
	Fraction bool
}

// Request is a GET.
type Request struct {
	Path   string
	Params url.Values
}

// fraction is how far ahead of a full second queries end whose times are parts of seconds.
const fraction = 377 * time.Millisecond

// points is how many steps there are in a range where nobody says how long they are.
const points = 250

// catalogue makes requests for a data set.
type catalogue struct {
	end int64
	out []Query
}

// All are the queries of a data set: instants and ranges at whole steps, and each
// range again at steps of parts of a second; around the moves, if there are any.
func All(set *dataset.Set) []Query {
	c := &catalogue{end: set.End()}
	const (
		count = `count({__name__=~".+"})`
		short = 15 * time.Second
		hour  = time.Hour
		day   = 24 * time.Hour
	)
	rate := fmt.Sprintf("rate(%s[5m])", dataset.CounterName(0))
	second := fmt.Sprintf("rate(%s[5m])", dataset.CounterName(1%set.Shape.Counters()))
	level := dataset.GaugeName(0)
	byNetwork := "sum by (networkID) (" + rate + ")"
	quantile := fmt.Sprintf("histogram_quantile(0.99, sum by (le) (rate(%s_bucket[5m])))", dataset.Histogram)

	c.instant("count instant", Values, count)
	c.ranges("count 1m", Values, time.Minute, short, count)
	c.ranges("count 5m", Values, 5*time.Minute, short, count)
	c.ranges("count 15m", Values, 15*time.Minute, short, count)
	c.ranges("count 30m", Values, 30*time.Minute, short, count)
	c.ranges("count 1h", Values, hour, short, count)
	c.ranges("count 2h", Values, 2*hour, 30*time.Second, count)
	c.ranges("count 6h", Values, 6*hour, 90*time.Second, count)
	c.ranges("count 12h", Values, 12*hour, 3*time.Minute, count)
	c.ranges("count 1d", Values, day, 5*time.Minute, count)
	c.instant("rate by network instant", Values, byNetwork)
	c.ranges("rate by network 5m", Values, 5*time.Minute, short, byNetwork)
	c.ranges("rate by network 1d", Values, day, 5*time.Minute, byNetwork)
	c.instant("sum of rates instant", Values, "sum("+rate+")")
	c.instant("topk instant", Ties, "topk(10, "+rate+")")
	c.ranges("topk 6h", Ties, 6*hour, 90*time.Second, "topk(10, "+rate+")")
	c.instant("quantile instant", Values, quantile)
	c.ranges("quantile 1d", Values, day, 5*time.Minute, quantile)
	c.ranges("max by network 1d", Values, day, 5*time.Minute, "max by (networkID) ("+level+")")
	c.ranges("avg by network 1d", Values, day, 5*time.Minute, "avg by (networkID) ("+level+")")
	c.ranges("ratio 1d", Values, day, 5*time.Minute, "sum("+second+") / sum("+rate+")")
	c.instant("join instant", Values, fmt.Sprintf("sum by (networkID) (%s * on (gatewayID) group_left %s)", rate, level))

	gateway := dataset.GatewayID(17 % set.Shape.Gateways)
	c.instant("gateway instant", Values, fmt.Sprintf("{gatewayID=%q}", gateway))
	c.ranges("gateway 10 panels 6h", Values, 6*hour, 90*time.Second, panels(set.Shape, gateway)...)

	c.values("gatewayID values", "gatewayID", 0)
	c.values("gatewayID values 1h", "gatewayID", hour)
	c.values("gatewayID values 1d", "gatewayID", day)
	c.values("gatewayID values 1h of one metric", "gatewayID", hour, level)
	c.values("networkID values", "networkID", 0)
	c.values("networkID values 1h", "networkID", hour)
	c.add("series 1h", Names, Request{"/api/v1/series", c.times(url.Values{"match[]": {`{gatewayID=~".+"}`}}, hour)})
	c.moves(set)
	return c.out
}

// panels are what one gateway's dashboard asks.
func panels(shape dataset.Shape, gateway string) []string {
	var out []string
	only := fmt.Sprintf("{gatewayID=%q}", gateway)
	for i := range 4 {
		out = append(out, "rate("+dataset.CounterName(i%shape.Counters())+only+"[5m])", dataset.GaugeName(i%shape.Gauges())+only)
	}
	return append(out,
		fmt.Sprintf("histogram_quantile(0.9, rate(%s_bucket%s[5m]))", dataset.Histogram, only),
		fmt.Sprintf("increase(%s_count%s[1h])", dataset.Histogram, only),
	)
}

// moves asks for the minutes around the moves.
func (c *catalogue) moves(set *dataset.Set) {
	at := set.MovesAt()
	if len(at) == 0 {
		return
	}
	end := c.end
	defer func() { c.end = end }()
	const around = 20 * time.Minute
	counter, level := dataset.CounterName(0), dataset.GaugeName(0)
	for g, minute := range at {
		c.end = set.Start + int64(minute)*dataset.Minute + (around / 2).Milliseconds()
		only := fmt.Sprintf("{gatewayID=%q}", dataset.GatewayID(g))
		c.ranges(fmt.Sprintf("move %d", g), Values, around, 15*time.Second,
			"count("+`{__name__!~"edgehub_.+",gatewayID="`+dataset.GatewayID(g)+`"})`,
			"rate("+counter+only+"[5m])", "sum(increase("+counter+"[5m]))", "sum by (networkID) (rate("+counter+"[5m]))",
			"sum("+level+")", "avg("+level+")", "max("+level+only+")", "avg_over_time("+level+only+"[5m])",
			"count("+level+")", "sum(count_over_time("+level+"[5m]))", "topk(3, "+level+")",
			fmt.Sprintf("histogram_quantile(0.5, sum by (le) (rate(%s_bucket[5m])))", dataset.Histogram),
		)
	}
	c.end = set.Start + int64(at[len(at)-1])*dataset.Minute + (2 * time.Hour).Milliseconds()
	c.ranges("count over moves", Values, 6*time.Hour, 90*time.Second, `count({__name__=~".+"})`)
	c.ranges("rate over moves", Values, 6*time.Hour, 90*time.Second, "sum by (networkID) (rate("+counter+"[15m]))")
}

func (c *catalogue) add(name string, rule Rule, requests ...Request) {
	c.out = append(c.out, Query{Name: name, Requests: requests, Rule: rule})
}

func (c *catalogue) instant(name string, rule Rule, query string) {
	c.add(name, rule, Request{"/api/v1/query", url.Values{"query": {query}, "time": {seconds(c.end)}}})
	c.add(name+", "+fraction.String()+" before", rule, Request{"/api/v1/query", url.Values{"query": {query}, "time": {seconds(c.end - fraction.Milliseconds())}}})
	c.out[len(c.out)-1].Fraction = true
}

// ranges adds a query of a range at a step, and one whose times and step are parts of seconds.
func (c *catalogue) ranges(name string, rule Rule, long, step time.Duration, queries ...string) {
	odd := long / points
	c.out = append(c.out,
		Query{Name: name, Requests: rangeRequests(c.end, long, step, queries), Rule: rule},
		Query{Name: name + ", step " + odd.String(), Requests: rangeRequests(c.end-fraction.Milliseconds(), long, odd, queries), Rule: rule, Fraction: true},
	)
}

func rangeRequests(end int64, long, step time.Duration, queries []string) []Request {
	var out []Request
	for _, q := range queries {
		out = append(out, Request{"/api/v1/query_range", url.Values{
			"query": {q}, "start": {seconds(end - long.Milliseconds())}, "end": {seconds(end)},
			"step": {strconv.FormatFloat(step.Seconds(), 'f', -1, 64)},
		}})
	}
	return out
}

// values adds a query for the values of a label, within a time unless that is 0.
func (c *catalogue) values(name, label string, within time.Duration, match ...string) {
	params := url.Values{}
	if within > 0 {
		params = c.times(params, within)
	}
	for _, m := range match {
		params.Add("match[]", m)
	}
	c.add(name, Names, Request{"/api/v1/label/" + label + "/values", params})
}

func (c *catalogue) times(params url.Values, within time.Duration) url.Values {
	params.Set("start", seconds(c.end-within.Milliseconds()))
	params.Set("end", seconds(c.end))
	return params
}

func seconds(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64) }
