package intake

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/store"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/exposition"
)

// filled is an intake and the store that it fills, with one scraper.
type filled struct {
	*Intake
	t     testing.TB
	began time.Time
}

func newFilled(t testing.TB, limits series.Limits) *filled {
	t.Helper()
	limits.Series, limits.TableBytes = 1<<20, 1<<30
	s := store.New(store.Config{Series: limits, Samples: 1 << 24, IdleSeries: time.Hour, Scrapers: []string{""}})
	in := New(Config{Limits: exposition.DefaultLimits, GatewayLabel: "gatewayID", MaxSamples: 1 << 20, Reserved: []string{"reserved"}},
		s, body.NewRoom(1<<30))
	return &filled{in, t, time.Now()}
}

func (f *filled) push(body string) {
	f.t.Helper()
	_, _, err := f.Text([]byte(body), f.began)
	require.NoError(f.t, err)
}

// drain has the scraper take everything.
func (f *filled) drain() {
	c, _ := f.store.Log.Cursor(0, 0, 1)
	v, _ := f.store.Read(c, math.MaxUint64)
	f.store.Log.Take(f.store.Log.Offer(c, v.From, v.To, samples.Tally{Passed: int(v.To - v.From)}))
}

func (f *filled) expire(before time.Time) int { return f.store.Expire(before, func([]bool) {}) }

// gateways are those of the store, by name.
func (f *filled) gateways() []store.Gateway {
	all := f.store.Gateways()
	slices.SortFunc(all, func(a, b store.Gateway) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// The time is that of the last push that was taken in, known series or not, not that
// of a refused one or of a scrape.
func TestLastPushOfAGateway(t *testing.T) {
	f := newFilled(t, series.Limits{GatewaySeries: 2})
	now := f.began
	push := func(body string) error {
		now = now.Add(time.Second)
		_, _, err := f.Text([]byte(body), now)
		return err
	}
	is := func(gateway string, want time.Time) {
		t.Helper()
		all := f.gateways()
		i := slices.IndexFunc(all, func(g store.Gateway) bool { return g.Name == gateway })
		require.GreaterOrEqual(t, i, 0)
		assert.Equal(t, want.UnixMilli(), all[i].Pushed)
	}
	require.NoError(t, push(`x{gatewayID="a"} 1`))
	is("a", now)
	require.NoError(t, push(`x{gatewayID="a"} 1 5`))
	is("a", now)
	require.NoError(t, push(`y{gatewayID="a"} 1`))
	is("a", now)
	last := now
	require.Error(t, push(`z{gatewayID="a"} 1`))
	require.NoError(t, push(`z{gatewayID="b"} 1`))
	f.drain()
	is("a", last)
	is("b", now)
}

// Between the table and the log a push has no time yet.
func TestGatewayWhoseFirstPushIsBeingTakenIn(t *testing.T) {
	f := newFilled(t, series.Limits{GatewaySeries: 10})
	in, table := f.texts.Get().(*text), f.store.Table()
	in.reset([]byte("x{gatewayID=\"a\"} 1\n"))
	require.NoError(t, in.read(table, 0))
	require.NoError(t, table.Learn(&in.batch.Names, f.began, func() error { return nil }, f.store.Log.Arrive))
	assert.Equal(t, 1, table.Size())
	assert.Empty(t, f.gateways())
}

// A gateway is there as long as one of its series is, over any number of tables.
func TestGatewaysExpire(t *testing.T) {
	f := newFilled(t, series.Limits{GatewaySeries: 10})
	names := func() (all []string) {
		for _, g := range f.gateways() {
			all = append(all, fmt.Sprint(g.Name, g.Series))
		}
		return all
	}
	assert.Empty(t, names())
	f.push("x{gatewayID=\"gone\"} 1\nx{gatewayID=\"stays\"} 1\ny{gatewayID=\"stays\"} 1\n")
	f.drain()
	assert.Equal(t, []string{"gone1", "stays2"}, names())
	f.push("x{gatewayID=\"stays\"} 2\n")
	before := f.gateways()[1].Pushed
	require.Equal(t, 2, f.expire(f.began.Add(time.Hour)))
	assert.Equal(t, []string{"stays1"}, names())
	assert.Equal(t, before, f.gateways()[0].Pushed)
	f.push("x{gatewayID=\"gone\"} 2\n")
	assert.Equal(t, []string{"gone1", "stays1"}, names())
}

// There are more gateways than are looked at under one lock; each is there once.
func TestManyGateways(t *testing.T) {
	const gateways = 2*512 + 3
	f := newFilled(t, series.Limits{GatewaySeries: 10})
	var body bytes.Buffer
	for i := range gateways {
		fmt.Fprintf(&body, "x{gatewayID=\"gw%06d\"} 1\n", i*7919%gateways)
	}
	f.push(body.String())
	all := f.gateways()
	require.Len(t, all, gateways)
	for i, g := range all {
		require.Equal(t, fmt.Sprintf("gw%06d", i), g.Name)
	}
}

// While many push, gateways that are new and others, and tables are replaced, each list
// has every gateway once that was there before it.
func TestGatewaysWhileManyPush(t *testing.T) {
	const pushers, batches, batch = 4, 30, 50
	f := newFilled(t, series.Limits{GatewaySeries: 10})
	later := f.began.Add(2 * time.Hour)
	name := func(pusher, i int) string { return fmt.Sprintf("%d-%06d", pusher, i) }
	var known [pushers]atomic.Int64
	// A push is read again where the table was replaced meanwhile. So a table is replaced
	// only when one has got through, or none might.
	taken := make(chan struct{}, 1)
	var pushing, others sync.WaitGroup
	for p := range pushers {
		pushing.Go(func() {
			for n := range batches {
				var body strings.Builder
				for i := range (n + 1) * batch { // the former ones, too
					fmt.Fprintf(&body, "x{gatewayID=%q} 1\n", name(p, i))
				}
				_, _, err := f.Text([]byte(body.String()), later)
				assert.NoError(t, err)
				known[p].Store(int64((n + 1) * batch))
				select {
				case taken <- struct{}{}:
				default:
				}
			}
		})
	}
	ended, expired := make(chan struct{}), 0
	until := func(do func()) {
		others.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
					do()
				}
			}
		})
	}
	until(func() {
		select {
		case <-taken:
		case <-ended:
			return
		}
		_, _, err := f.Text([]byte("x{gatewayID=\"gone\"} 1\n"), f.began)
		assert.NoError(t, err)
		f.drain()
		expired += f.expire(f.began.Add(time.Hour))
	})
	until(func() {
		var before [pushers]int
		for p := range before {
			before[p] = int(known[p].Load())
		}
		all := f.gateways()
		there := map[string]bool{}
		for i, g := range all {
			there[g.Name] = true
			assert.Equal(t, 1, g.Series, g.Name)
			assert.NotZero(t, g.Pushed, g.Name)
			assert.True(t, i == 0 || all[i-1].Name < g.Name, g.Name)
		}
		for p, n := range before {
			for i := range n {
				if !there[name(p, i)] {
					assert.Fail(t, "a gateway is not listed", name(p, i))
					return
				}
			}
		}
	})
	pushing.Wait()
	close(ended)
	others.Wait()
	assert.Positive(t, expired)
}
