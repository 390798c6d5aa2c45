package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/cmd/hubquery/internal/engine"
	"github.com/hubring/hubring/cmd/hubquery/internal/servertest"
	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

const patience = time.Minute

// The query API does not tell native histograms as they are, so they are worked out from raw series.
func TestNativeHistograms(t *testing.T) {
	f := newFleet(t, 2)
	for i := range int64(40) {
		for g := range int64(4) {
			n := float64((i + 1) * (g + 2))
			h := &histogram.FloatHistogram{
				Schema: 1, ZeroThreshold: 0.001, ZeroCount: n, Count: n * 7, Sum: n * 30,
				PositiveSpans: []histogram.Span{{Offset: int32(g), Length: 3}}, PositiveBuckets: []float64{n, n * 2, n * 3},
			}
			series := []string{"__name__", "duration", "gatewayID", fmt.Sprint("gw-", g)}
			f.one.AddHistogram(begin+i*interval, h, series...)
			f.shards[g%2].AddHistogram(begin+i*interval, h, series...)
		}
		f.plain(0, []servertest.Sample{{T: begin + i*interval, V: 1}}, "__name__", "up", "gatewayID", "gw-0")
	}
	for _, expr := range []string{
		`histogram_quantile(0.9, sum(rate(duration[2m])))`, `histogram_quantile(0.9, rate(duration[2m]))`, `histogram_count(sum(duration))`, `sum(histogram_sum(duration))`,
		`histogram_fraction(0, 4, sum by (gatewayID) (duration))`, `avg(histogram_avg(duration))`, `count(duration)`, `count({__name__=~".+"})`, `topk(2, histogram_count(duration))`,
	} {
		f.compare(t, expr, begin+300_000, begin+300_000, 0)
		f.compare(t, expr, begin+7, begin+40*interval, 13_337)
	}
	q, err := f.engine.NewInstantQuery(t.Context(), nil, nil, `sum(duration)`, time.UnixMilli(begin+300_000))
	require.NoError(t, err)
	defer q.Close()
	r := q.Exec(t.Context())
	require.NoError(t, r.Err)
	vector, err := r.Vector()
	require.NoError(t, err)
	require.Len(t, vector, 1)
	assert.InDelta(t, 21*7*(2+3+4+5), vector[0].H.Count, 0)
}

// More steps than a Prometheus answers at a time come in portions, and are all there.
func TestMoreStepsThanAServerTakes(t *testing.T) {
	f := newFleet(t, 2)
	f.plain(0, ramp(100, 1), "__name__", "load", "gatewayID", "gw-0")
	f.plain(1, ramp(100, 2), "__name__", "load", "gatewayID", "gw-1")
	const steps = 25_001
	for expr, series := range map[string]int{"load": 2, "sum(load)": 1, "quantile(0.5, load)": 1, "load or vector(1)": 3} {
		got, err := f.ask(expr, begin, begin+(steps-1)*20, 20)
		require.NoError(t, err)
		require.Len(t, got, series)
		for key, points := range got {
			assert.Len(t, points, steps, "%s %s", expr, key)
		}
	}
	f.compare(t, `max_over_time(sum(load)[20m:50ms])`, begin+1200_000, begin+1200_000, 0)
	f.compare(t, `max_over_time(quantile(0.5, load)[15m:50ms])`, begin+900_000, begin+960_000, 30_000)
}

// What the shards' engines say of an expression is said once, and as what it is.
func TestWarningsAndInfos(t *testing.T) {
	f := newFleet(t, 3)
	for i := range 3 {
		f.plain(i, ramp(40, 1), "__name__", "load", "gatewayID", fmt.Sprint("gw-", i))
	}
	for expr, c := range map[string]struct {
		kind error
		says string
	}{
		`rate(load[2m])`:                           {annotations.PromQLInfo, `PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "load"`},
		`sum(rate(load[2m]))`:                      {annotations.PromQLInfo, `PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "load"`},
		`quantile_over_time(2, load[2m])`:          {annotations.PromQLWarning, `PromQL warning: quantile value should be between 0 and 1, got 2`},
		`quantile(2, load)`:                        {annotations.PromQLWarning, `PromQL warning: quantile value should be between 0 and 1, got 2`},
		`stddev(quantile_over_time(-1, load[2m]))`: {annotations.PromQLWarning, `PromQL warning: quantile value should be between 0 and 1, got -1`},
	} {
		q, err := f.engine.NewRangeQuery(t.Context(), nil, nil, expr, time.UnixMilli(begin+300_000), time.UnixMilli(begin+400_000), 20*time.Second)
		require.NoError(t, err)
		r := q.Exec(t.Context())
		require.NoError(t, r.Err)
		var said []string
		for _, w := range r.Warnings.AsErrors() {
			said = append(said, w.Error())
			assert.ErrorIs(t, w, c.kind)
		}
		assert.Equal(t, []string{c.says}, said, expr)
		q.Close()
	}
}

// A query that brings too many samples here is refused in Prometheus' words, whichever way they come.
func TestTooManySamples(t *testing.T) {
	f := newFleet(t, 2)
	for i := range 2 {
		f.plain(i, ramp(100, 1), "__name__", "load", "gatewayID", fmt.Sprint("gw-", i))
		f.plain(i, ramp(100, 1), "__name__", "load", "n", strconv.Itoa(i)) // of no gateway: raw
	}
	e := f.limited(t, 500)
	for _, expr := range []string{`load`, `stddev by (gatewayID) (load{gatewayID=""})`, `quantile(0.5, load)`} {
		q, err := e.NewRangeQuery(t.Context(), nil, nil, expr, time.UnixMilli(begin), time.UnixMilli(begin+99*interval), time.Second)
		require.NoError(t, err)
		r := q.Exec(context.Background())
		var tooMany promql.ErrTooManySamples
		require.ErrorAs(t, r.Err, &tooMany, expr)
		assert.Equal(t, "query processing would load too many samples into memory in query execution", r.Err.Error())
		q.Close()
	}
}

// What is nested deeply is worked out as anything else.
func TestNesting(t *testing.T) {
	f := newFleet(t, 2)
	f.plain(0, ramp(40, 1), "__name__", "up", "gatewayID", "gw-0")
	const deep = 1500
	for _, expr := range []string{
		strings.Repeat("(", deep) + "up" + strings.Repeat(")", deep), strings.Repeat("-", 2*deep) + "up", "up" + strings.Repeat("+1", deep), strings.Repeat("sum(", deep/4) + "up" + strings.Repeat(")", deep/4),
	} {
		ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("it takes too long"))
		q, err := f.engine.NewInstantQuery(ctx, nil, nil, expr, time.UnixMilli(begin+300_000))
		require.NoError(t, err)
		r := q.Exec(ctx)
		require.NoError(t, r.Err, "%.20s", expr)
		vector, err := r.Vector()
		require.NoError(t, err)
		assert.Len(t, vector, 1)
		q.Close()
		cancel()
	}
}

// limited is an engine over the same shards that takes only so many samples.
func (f *fleet) limited(t *testing.T, samples int) *engine.Engine {
	t.Helper()
	var configs []shard.Config
	for i, s := range f.shards {
		configs = append(configs, shard.Config{Name: strconv.Itoa(i), Servers: []string{s.URL}, Kind: shard.Prometheus})
	}
	return newEngine(t, configs, func(c *engine.Config) { c.MaxSamples = samples })
}

// A shard that does not answer is waited for once in a query that is asked without it, whatever else is to be asked.
func TestAMissingShardIsAskedOnce(t *testing.T) {
	f := newFleet(t, 3)
	f.engine = newEngine(t, f.configs(), func(c *engine.Config) { c.Now = func() time.Time { return time.UnixMilli(begin + 240*interval) } })
	f.report("gw-0", true, 0, stay{0, 0, 100}, stay{1, 101, 240}) // so that it is asked who moved, and for raw series
	f.report("gw-1", false, 1, stay{1, 0, 240})
	f.shards[2].Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	f.asked()
	q, err := f.engine.NewRangeQuery(engine.WithPartial(t.Context(), true), nil, nil, `sum(load)`, time.UnixMilli(begin), time.UnixMilli(begin+240*interval), 15*time.Second)
	require.NoError(t, err)
	defer q.Close()
	ctx := engine.WithPartial(t.Context(), true)
	r := q.Exec(ctx)
	require.NoError(t, r.Err)
	warnings, _ := r.Warnings.AsStrings("", 0, 0)
	require.Len(t, warnings, 1)
	assert.Contains(t, warnings[0], "the answer is without shard 2")
	asked := f.asked()
	assert.Equal(t, 1, asked[2])
	assert.Greater(t, asked[0], 3)
}
