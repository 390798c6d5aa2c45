package engine_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/cmd/hubquery/internal/engine"
	"github.com/hubring/hubring/cmd/hubquery/internal/servertest"
)

// asked returns how many requests each shard has got since it was called last.
func (f *fleet) asked() (each []int) {
	for _, s := range f.shards {
		n := len(s.Asked)
		for range n {
			<-s.Asked
		}
		each = append(each, n)
	}
	return each
}

// Where nobody came, a query is one request to each shard for each of its parts.
func TestOneRequestAPart(t *testing.T) {
	f := newFleet(t, 2)
	for i := range 4 {
		f.report("gw-"+strconv.Itoa(i), false, uint64(i), stay{i % 2, 0, 240})
	}
	f.plain(1, ramp(240, 1), "__name__", "load", "host", "cloud-1")
	begin, end := begin+60*interval, begin+200*interval
	f.compare(t, `stddev by (gatewayID) (load)`, end, end, 0) // before the first raw series a server is asked for its external labels
	for expr, requests := range map[string]int{
		`sum(load)`:                      1,
		`load{gatewayID="gw-1"}`:         1,
		`sum(load) / sum(level)`:         2,
		`avg(load)`:                      2,
		`stddev by (gatewayID) (load)`:   2, // and the raw series of no gateway
		`stddev by (gatewayID) (level)`:  1, // there are none
		`quantile(0.5, load)`:            1,
		`max_over_time(sum(load)[5m:])`:  1,
		`sum(load @ ` + stamp(end) + `)`: 1,
	} {
		f.asked()
		f.compare(t, expr, end, end, 0)
		assert.Equal(t, []int{requests, requests}, f.asked(), expr)
		f.compare(t, expr, begin, end, 30_000)
		assert.Equal(t, []int{requests, requests}, f.asked(), expr)
	}
}

// Who moved in a time that is over is asked once in a while.
func TestPastMovesAreRemembered(t *testing.T) {
	f := newFleet(t, 2)
	now := time.UnixMilli(begin).Add(26 * time.Hour)
	f.engine = newEngine(t, f.configs(), func(c *engine.Config) { c.Now = func() time.Time { return now } })
	f.report("gw-0", true, 0, stay{0, 0, 100}, stay{1, 101, 240})
	f.report("gw-1", false, 1, stay{1, 0, 240})
	const expr = `sum(rate(requests_total[5m]))`
	ask := func() int {
		f.asked()
		f.compare(t, expr, begin, begin+240*interval, 15_000)
		return f.asked()[0]
	}
	first := ask()
	again := ask()
	assert.Less(t, again, first)
	assert.Equal(t, again, ask())
	now = now.Add(11 * time.Minute)
	assert.Greater(t, ask(), again)
	assert.Equal(t, again, ask())

	// Another set of shards has another past.
	third := servertest.New(t, nil)
	f.shards = append(f.shards, third)
	f.engine = newEngine(t, f.configs(), nil)
	f.compare(t, expr, begin, begin+240*interval, 15_000)
}

// Of a time that is not over nothing is remembered: a gateway may come that was late.
func TestLateComers(t *testing.T) {
	f := newFleet(t, 2)
	now := time.UnixMilli(begin).Add(90 * time.Minute)
	f.engine = newEngine(t, f.configs(), func(c *engine.Config) { c.Now = func() time.Time { return now } })
	f.report("gw-1", false, 1, stay{1, 0, 240})
	f.report("gw-0", false, 0, stay{0, 0, 100})
	compare := func() {
		f.compare(t, `count(load)`, begin, begin+240*interval, 15_000)
		f.compare(t, `sum(rate(requests_total[5m]))`, begin, begin+240*interval, 15_000)
		f.compare(t, `load{gatewayID="gw-0"}`, begin, begin+240*interval, 15_000)
	}
	compare()
	compare()
	f.report("gw-0", false, 5, stay{1, 101, 200})
	compare()
	require.NotEmpty(t, f.asked())
}
