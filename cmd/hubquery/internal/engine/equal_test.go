package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/cmd/hubquery/internal/bounded"
	"github.com/hubring/hubring/cmd/hubquery/internal/engine"
	"github.com/hubring/hubring/cmd/hubquery/internal/moves"
	"github.com/hubring/hubring/cmd/hubquery/internal/servertest"
	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

// fleet is some shards, and one server that has the samples of all of them.
type fleet struct {
	one    *servertest.Server
	shards []*servertest.Server
	engine *engine.Engine
}

const (
	begin    = int64(1_795_996_800_000)
	interval = 15_000
)

func newFleet(t *testing.T, n int) *fleet {
	t.Helper()
	f := &fleet{one: servertest.New(t, nil)}
	for i := range n {
		s := servertest.New(t, map[string]string{"shard": strconv.Itoa(i), "prometheus_replica": "0"})
		f.shards = append(f.shards, s)
	}
	f.engine = newEngine(t, f.configs(), nil)
	return f
}

func (f *fleet) configs() (all []shard.Config) {
	for i, s := range f.shards {
		all = append(all, shard.Config{Name: strconv.Itoa(i), Servers: []string{s.URL}, Kind: shard.Prometheus})
	}
	return all
}

func newEngine(t *testing.T, configs []shard.Config, change func(*engine.Config)) *engine.Engine {
	t.Helper()
	registry := prometheus.NewRegistry()
	set, err := shard.New(config.DefaultHTTPClientConfig, registry, promslog.NewNopLogger())
	require.NoError(t, err)
	require.NoError(t, set.Use(configs))
	cfg := engine.Config{
		Shards: set, GatewayLabel: "gatewayID", Timeout: time.Minute, Lookback: 5 * time.Minute, DefaultStep: time.Minute,
		MaxSamples: 10_000_000, MaxSeries: 100_000, MaxMoved: 1000,
		Parser:     bounded.Parser{Parser: parser.NewParser(parser.Options{EnableExperimentalFunctions: true})},
		Registerer: registry, Logger: promslog.NewNopLogger(), Now: time.Now,
	}
	if change != nil {
		change(&cfg)
	}
	return engine.New(cfg)
}

// stay is that a gateway has samples on a shard from a time on, and until, in intervals.
type stay struct{ shard, from, until int }

// report stores what a gateway reports while it stays where it stays, with a marker where it is ended
// and what hubs write of its coming.
func (f *fleet) report(gateway string, ended bool, seed uint64, stays ...stay) {
	r := rand.New(rand.NewPCG(seed, 7))
	network := "net" + strconv.Itoa(int(seed)%3)
	for _, s := range stays {
		came := begin + int64(s.from)*interval
		var times []servertest.Sample
		for at := s.from; at <= s.until; at += 3600_000 / interval {
			times = append(times, servertest.Sample{T: begin + int64(at)*interval, V: float64(came) / 1000})
		}
		f.plain(s.shard, times, "__name__", moves.Series, "gatewayID", gateway)
	}
	counter := 0.0
	names := []string{"load", "requests_total", "level"}
	les := []string{"0.5", "1", "+Inf"}
	for i, s := range stays {
		data := map[string][]servertest.Sample{}
		for at := s.from; at <= s.until; at++ {
			t := begin + int64(at)*interval + int64(seed%7)
			counter += float64(r.IntN(50))
			data["load"] = append(data["load"], servertest.Sample{T: t, V: math.Round(r.NormFloat64()*1000) / 8})
			data["requests_total"] = append(data["requests_total"], servertest.Sample{T: t, V: counter})
			data["level"] = append(data["level"], servertest.Sample{T: t, V: float64(r.IntN(4))})
			for k, le := range les {
				data[le] = append(data[le], servertest.Sample{T: t, V: counter * float64(k+1)})
			}
		}
		end := begin + int64(s.until+1)*interval + int64(seed%7) - 1 // one millisecond before the first sample elsewhere
		for name, samples := range data {
			series := []string{"__name__", name, "gatewayID", gateway, "networkID", network}
			if slices.Contains(les, name) {
				series = []string{"__name__", "duration_bucket", "gatewayID", gateway, "networkID", network, "le", name}
			} else if !slices.Contains(names, name) {
				panic(name)
			}
			f.one.Add(samples, series...)
			if ended && i+1 < len(stays) {
				samples = append(samples, servertest.Sample{T: end, V: servertest.Stale})
			}
			f.shards[s.shard].Add(samples, series...)
		}
	}
}

// plain stores series of no gateway on a shard.
func (f *fleet) plain(shard int, samples []servertest.Sample, series ...string) {
	f.one.Add(samples, series...)
	f.shards[shard].Add(samples, series...)
}

func ramp(n int, slope float64) (all []servertest.Sample) {
	for i := range n {
		all = append(all, servertest.Sample{T: begin + int64(i)*interval, V: float64(i) * slope})
	}
	return all
}

var expressions = []string{
	`count({__name__=~".+"})`,
	`load`,
	`sum(load)`, `sum by (networkID) (load)`, `sum without (gatewayID) (load)`, `count without (networkID, le) ({__name__=~"load|level"})`,
	`avg(load)`, `avg by (networkID) (load)`, `avg by (gatewayID) ({__name__=~"load|level|up"})`, `min(load)`, `max by (networkID) (load)`, `group by (networkID) (load)`,
	`stddev(load)`, `stdvar by (networkID) (load)`, `quantile(0.9, load)`, `quantile by (gatewayID) (0.5, {__name__=~"load|level|up"})`,
	`count_values("v", level)`, `count_values by (gatewayID) ("v", level)`, `topk(3, load)`, `bottomk by (networkID) (1, load)`,
	`rate(requests_total[2m])`, `sum(rate(requests_total[2m]))`, `sum by (networkID) (rate(requests_total[5m]))`, `topk(2, sum by (gatewayID) (rate(requests_total[5m])))`,
	`increase(requests_total[3m30s])`, `irate(requests_total[1m])`, `deriv(load[5m])`, `changes(level[4m])`, `resets(level[4m])`,
	`avg_over_time(load[5m])`, `count_over_time(load[5m])`, `quantile_over_time(0.3, load[5m])`, `last_over_time(load[7m])`, `present_over_time(load[7m])`,
	`histogram_quantile(0.9, sum by (le) (rate(duration_bucket[5m])))`, `histogram_quantile(0.5, rate(duration_bucket[5m]))`,
	`load / level`, `load > 0`, `load > bool 0`, `load + on (gatewayID, networkID) level`, `sum by (gatewayID) (load) / sum by (gatewayID) (level)`,
	`sum(load) / count(load)`, `load * on (networkID) group_left count by (networkID) (level)`, `load / ignoring (gatewayID) group_left sum without (gatewayID) (load)`,
	`load and level > 1`, `load unless level > 1`, `load or level`, `(load > 0) or on () vector(0)`, `sum(load > 1e9) or vector(0)`,
	`load and on (gatewayID) (level > 2)`, `load unless on (networkID) (limit > 1)`, `load > on (networkID) group_left limit`, `load > ignoring (gatewayID) group_left limit`,
	`absent(load)`, `absent(nothing)`, `absent(nothing{a="b"})`, `absent_over_time(load{gatewayID="gw-0"}[1m])`, `absent(sum(nothing))`,
	`scalar(sum(load))`, `load * scalar(sum(level))`, `vector(1)`, `time()`, `1 + 2`, `"text"`, `vector(time())`, `-load`, `-sum(load)`, `(((sum(load))))`,
	`max_over_time(sum(load)[10m:1m])`, `max_over_time(load[10m:30s])`, `avg_over_time(sum by (networkID) (rate(requests_total[2m]))[6m:])`,
	`sum(max_over_time(rate(requests_total[1m])[5m:20s]))`, `max_over_time(avg(max_over_time(load[2m:15s]))[5m:30s] offset 1m)`,
	`load offset 3m`, `sum(load offset 3m)`, `sum(load offset -2m)`, `sum(rate(requests_total[2m] offset 5m))`, `sum(load @ 1795998000)`, `sum(rate(requests_total[5m] @ 1795998300))`,
	`load @ end()`, `sum(load @ start())`, `quantile(0.5, load @ 1795998000)`, `max_over_time(sum(load)[5m:1m] @ 1795998600)`,
	`label_replace(load, "x", "$1", "gatewayID", "gw-(.*)")`, `sum by (x) (label_replace(load, "x", "$1", "gatewayID", "gw-(.).*"))`, `label_replace(load, "gatewayID", "all", "gatewayID", ".*")`,
	`label_join(load, "y", "-", "gatewayID", "networkID")`, `count by (instance) (label_replace(up, "instance", "x", "", ""))`,
	`timestamp(load)`, `timestamp(sum(load))`, `max(timestamp(load))`, `hour(load)`, `clamp(load, 0, 10)`, `round(load, 5)`, `clamp_max(load, scalar(max(level)))`, `sgn(load)`,
	`sort(load)`, `sort_desc(sum by (gatewayID) (load))`, `count(up)`, `sum(up) by (gatewayID)`, `sum without (instance) (up)`, `avg without (instance) (up)`, `up / on (gatewayID) group_left count by (gatewayID) (limit)`,
	`load{gatewayID="gw-1"}`, `sum(rate(requests_total{gatewayID="gw-0"}[5m]))`, `load{gatewayID=~"gw-1|gw-2"}`, `load{gatewayID="gw-nothing"}`, `load{gatewayID!="gw-1"}`, `sum(load{gatewayID=""})`,
	`load{gatewayID="gw-1"} / on () level{gatewayID="gw-5"}`, `scalar(load{gatewayID="gw-0"})`, `absent(load{gatewayID="gw-0"})`, `limitk(2, load)`, `limit_ratio(0.5, load)`,
	`sum(load) by (networkID) > bool avg(level) by (networkID)`, `count(count by (gatewayID) (load))`, `sum(count by (gatewayID) (load) == 1)`, `quantile_over_time(scalar(max(level)) / 4, load[3m])`,
	`predict_linear(load[5m], 60)`, `double_exponential_smoothing(load[5m], 0.5, 0.5)`, `mad_over_time(load[5m])`, `sort_by_label(load, "gatewayID")`,
	`ALERTS`, `load / on (gatewayID) gateway:load:sum`, `load and on (gatewayID) ALERTS`, `avg by (gatewayID) ({__name__=~"load|gateway:load:sum"})`,
	`quantile by (gatewayID) (0.3, {gatewayID="gw-4"})`, `gateway:load:sum{gatewayID="gw-4"}`, `count by (gatewayID) ({gatewayID=~"gw-.",__name__!~"edgehub.*"})`, `topk(2, gateway:load:sum)`,
	`sum(load)^2 % 7`, `load == load`, `load != bool level`, `sum(load) < bool 10`, `sum(load) atan2 sum(level)`,
}

// TestEqual holds the shards' answers to those of one server that has all samples, at every instant around
// moves of all kinds.
func TestEqual(t *testing.T) {
	f := newFleet(t, 3)
	for i := range 9 {
		switch name := fmt.Sprintf("gw-%d", i); i {
		case 0: // moves, and is ended
			f.report(name, true, 0, stay{0, 0, 100}, stay{1, 101, 240})
		case 1: // its hub dies, so nobody ends it
			f.report(name, false, 1, stay{2, 0, 120}, stay{0, 121, 240})
		case 2: // fails over and back
			f.report(name, true, 2, stay{1, 0, 90}, stay{2, 91, 104}, stay{1, 105, 240})
		case 3: // falls silent, and comes back elsewhere
			f.report(name, false, 3, stay{1, 0, 80}, stay{2, 95, 240})
		default:
			f.report(name, false, uint64(i), stay{i % 3, 0, 240})
		}
	}
	for i := range 3 {
		f.plain(i, ramp(240, 0), "__name__", "up", "instance", "hub-"+strconv.Itoa(i), "job", "edgehub")
	}
	f.plain(1, ramp(240, 0.01), "__name__", "limit", "networkID", "net0")
	f.plain(1, ramp(240, 0.02), "__name__", "limit", "networkID", "net1")
	f.plain(1, ramp(240, 1), "__name__", "load", "host", "cloud-1")
	f.plain(1, samplesOf(240, float64(begin)/1000), "__name__", moves.Series)
	for i := range 9 { // a rule's, which are on one shard whatever gateway they are of
		f.plain(0, ramp(240, float64(i)), "__name__", "gateway:load:sum", "gatewayID", fmt.Sprintf("gw-%d", i))
		f.plain(0, ramp(240, 0), "__name__", "ALERTS", "alertname", "Load", "gatewayID", fmt.Sprintf("gw-%d", i))
	}

	move := begin + 100*interval
	for _, expr := range expressions {
		t.Run(expr, func(t *testing.T) {
			for _, at := range []int64{move - 1, move, move + 1, move + 13_000, move + 330_007} {
				f.compare(t, expr, at, at, 0)
			}
			f.compare(t, expr, begin, begin+240*interval, 15_000)
			f.compare(t, expr, begin+17, begin+240*interval+11, 34_567)
			f.compare(t, expr, move-5_000, move+20_000, 250)
		})
	}
}

// TestHandedOver has a hub hand over what waited there for a quarter of an hour, since its server was down, to one where these gateways
// were not, but for one that has come to that very hub meanwhile.
func TestHandedOver(t *testing.T) {
	f := newFleet(t, 3)
	f.report("gw-0", false, 0, stay{0, 0, 100}, stay{2, 101, 160}, stay{1, 161, 240})
	f.report("gw-1", true, 1, stay{0, 0, 100}, stay{2, 101, 160}, stay{1, 161, 240})
	f.report("gw-2", false, 2, stay{0, 0, 100}, stay{2, 101, 160}, stay{2, 161, 240})
	f.report("gw-3", false, 3, stay{2, 0, 240})
	for _, expr := range []string{
		`count(load)`, `sum(load)`, `load`, `sum(rate(requests_total[5m]))`, `rate(requests_total[20m])`, `count_over_time(load[10m])`, `sum(count_over_time(load[10m]))`,
		`histogram_quantile(0.9, sum by (le) (rate(duration_bucket[5m])))`, `quantile(0.5, load)`, `max_over_time(sum(load)[10m:1m])`,
	} {
		f.compare(t, expr, begin, begin+240*interval, 15_000)
		f.compare(t, expr, begin+17, begin+240*interval+11, 34_567)
	}
}

// TestComesInBetween has a gateway come to a shard after that was asked who came there, and before it works out its part.
func TestComesInBetween(t *testing.T) {
	f := newFleet(t, 2)
	move := begin + 100*interval
	f.engine = newEngine(t, f.configs(), func(c *engine.Config) { c.Now = func() time.Time { return time.UnixMilli(move) } })
	f.report("gw-0", false, 0, stay{0, 0, 99})
	var once sync.Once
	f.shards[1].Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.ParseForm() == nil && strings.Contains(r.Form.Get("query"), "load") {
			once.Do(func() { f.report("gw-0", false, 0, stay{1, 100, 100}) })
		}
		return false
	})
	got, err := f.ask(`count(load)`, move+1000, move+1000, 0)
	require.NoError(t, err)
	assert.Equal(t, result{"{}": {move + 1000: 1}}, got)
}

func samplesOf(n int, v float64) (all []servertest.Sample) {
	for i := 0; i < n; i += 200 {
		all = append(all, servertest.Sample{T: begin + int64(i)*interval, V: v})
	}
	return all
}

// compare asks both for the same, a range or, where step is 0, an instant.
func (f *fleet) compare(t *testing.T, expr string, start, end, step int64) {
	t.Helper()
	want, wantErr := f.askOne(t, expr, start, end, step)
	got, gotErr := f.ask(expr, start, end, step)
	if wantErr != "" {
		if !unmatched(wantErr) {
			require.Error(t, gotErr, "one server says %s", wantErr)
		}
		return
	}
	require.NoError(t, gotErr)
	if !assert.Equal(t, keys(want), keys(got), "%s at %d to %d, step %d", expr, start, end, step) {
		t.FailNow()
	}
	for key, points := range want {
		for at, v := range points {
			if d := math.Abs(v - got[key][at]); d > 1e-9*math.Max(1, math.Abs(v)) && !(math.IsNaN(v) && math.IsNaN(got[key][at])) && v != got[key][at] {
				t.Fatalf("%s at %d to %d, step %d: %s at %d: %v, one server has %v", expr, start, end, step, key, at, got[key][at], v)
			}
		}
	}
}

// unmatched says whether one server refuses an expression only since one side of an operator has series twice. It does so
// as soon as there is anything on the other side, also where nothing matches these; a shard that has nothing
// of the other side does not look.
func unmatched(refusal string) bool {
	return strings.Contains(refusal, "found duplicate series for the match group")
}

// result has points by series and time.
type result map[string]map[int64]float64

func keys(r result) []string {
	var all []string
	for key, points := range r {
		for at := range points {
			all = append(all, fmt.Sprintf("%s %d", key, at))
		}
	}
	slices.Sort(all)
	return all
}

func (f *fleet) ask(expr string, start, end, step int64) (result, error) {
	var q promql.Query
	var err error
	if step > 0 {
		q, err = f.engine.NewRangeQuery(context.Background(), nil, nil, expr, time.UnixMilli(start), time.UnixMilli(end), time.Duration(step)*time.Millisecond)
	} else {
		q, err = f.engine.NewInstantQuery(context.Background(), nil, nil, expr, time.UnixMilli(start))
	}
	if err != nil {
		return nil, err
	}
	defer q.Close()
	r := q.Exec(context.Background())
	if r.Err != nil {
		return nil, r.Err
	}
	out := result{}
	add := func(key string, at int64, v float64) {
		if out[key] == nil {
			out[key] = map[int64]float64{}
		}
		if _, twice := out[key][at]; twice {
			panic("twice: " + key)
		}
		out[key][at] = v
	}
	switch v := r.Value.(type) {
	case promql.Matrix:
		for _, s := range v {
			for _, p := range s.Floats {
				add(s.Metric.String(), p.T, p.F)
			}
		}
	case promql.Vector:
		for _, s := range v {
			add(s.Metric.String(), s.T, s.F)
		}
	case promql.Scalar:
		add("scalar", v.T, v.V)
	case promql.String:
		add(v.V, v.T, 0)
	}
	return out, nil
}

func (f *fleet) askOne(t *testing.T, expr string, start, end, step int64) (result, string) {
	t.Helper()
	path, form := "/api/v1/query", url.Values{"query": {expr}, "time": {stamp(start)}}
	if step > 0 {
		path, form = "/api/v1/query_range", url.Values{"query": {expr}, "start": {stamp(start)}, "end": {stamp(end)}, "step": {strconv.FormatInt(step, 10) + "ms"}}
	}
	resp, err := http.PostForm(f.one.URL+path, form)
	require.NoError(t, err)
	defer resp.Body.Close()
	var a struct {
		Error string
		Data  struct {
			ResultType string
			Result     json.RawMessage
		}
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&a))
	if a.Error != "" {
		return nil, a.Error
	}
	out := result{}
	point := func(key string, p [2]any) {
		v, err := strconv.ParseFloat(p[1].(string), 64)
		if err != nil {
			key, v = p[1].(string), 0
		}
		if out[key] == nil {
			out[key] = map[int64]float64{}
		}
		out[key][int64(math.Round(p[0].(float64)*1000))] = v
	}
	if a.Data.ResultType == "scalar" || a.Data.ResultType == "string" {
		var p [2]any
		require.NoError(t, json.Unmarshal(a.Data.Result, &p))
		point("scalar", p)
		return out, ""
	}
	var list []struct {
		Metric map[string]string
		Value  *[2]any
		Values [][2]any
	}
	require.NoError(t, json.Unmarshal(a.Data.Result, &list))
	for _, s := range list {
		key := metric(s.Metric)
		if s.Value != nil {
			point(key, *s.Value)
		}
		for _, p := range s.Values {
			point(key, p)
		}
	}
	return out, ""
}

func stamp(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64) }

func metric(m map[string]string) string { return labels.FromMap(m).String() }
