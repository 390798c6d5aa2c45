package gate

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// check looks at what must hold whenever nobody is inside the gate's methods.
func (g *Gate) check(t *testing.T) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	running, waiting := 0, 0
	for name, a := range g.askers {
		require.Equal(t, name, a.name)
		require.GreaterOrEqual(t, a.running, 0)
		require.Positive(t, a.running+len(a.waiting), "%s has nothing here", name)
		require.Equal(t, len(a.waiting) > 0, a.turn != nil)
		require.False(t, len(a.waiting) > 0 && g.may(a), "%s waits though it may run: %d of %d run", name, g.running, g.room)
		running += a.running
		waiting += len(a.waiting)
	}
	require.Equal(t, running, g.running)
	require.Equal(t, waiting, g.waiting)
	require.LessOrEqual(t, g.running, g.room)
	require.LessOrEqual(t, g.waiting, g.queue)
	require.False(t, g.waiting > 0 && g.running == 0)
}

// Many who ask, leave and give up at random: whatever they do, what the package says holds, and nobody is
// left behind.
func TestWhateverTheyDo(t *testing.T) {
	for seed := range uint64(15) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			room, queue, askers := 1+r.IntN(12), 1+r.IntN(30), 1+r.IntN(8)
			g := New(room, queue, prometheus.NewRegistry())
			var inside, entered, refused, gaveUp int
			var mu sync.Mutex
			count := func(n *int, by int) {
				mu.Lock()
				defer mu.Unlock()
				*n += by
				if inside > room {
					t.Errorf("%d run, of %d", inside, room)
				}
			}
			var wg sync.WaitGroup
			const each = 60
			for i := range askers {
				plan := rand.New(rand.NewPCG(seed, uint64(i)+10))
				for range each {
					start, hold, patience := plan.IntN(2000), 1+plan.IntN(100), plan.IntN(400)
					wg.Go(func() {
						time.Sleep(time.Duration(start) * time.Millisecond)
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(patience)*time.Millisecond)
						defer cancel()
						leave, err := g.Enter(ctx, strconv.Itoa(i))
						switch {
						case errors.Is(err, ErrFull):
							count(&refused, 1)
							return
						case err != nil:
							assert.ErrorIs(t, err, context.DeadlineExceeded)
							count(&gaveUp, 1)
							return
						}
						count(&inside, 1)
						count(&entered, 1)
						time.Sleep(time.Duration(hold) * time.Millisecond)
						count(&inside, -1)
						leave()
						leave() // a second time does nothing
					})
				}
			}
			for range 2600 {
				time.Sleep(time.Millisecond)
				synctest.Wait()
				g.check(t)
			}
			wg.Wait()
			assert.Equal(t, askers*each, entered+refused+gaveUp)
			assert.Empty(t, g.askers)
			assert.Zero(t, g.order.Len())
		})
	}
}

// A flood of one delays another not at all where the room has four quarters, and elsewhere by two queries at most.
func TestAFloodDelaysItself(t *testing.T) {
	for _, c := range []struct {
		name        string
		room, flood int
		bound       time.Duration // of how long the other one waits, as 99 of 100 times
	}{
		{"a room of 20: the last quarter is free for who has less than a share", 20, 400, 0},
		{"a room of 4", 4, 100, 0},
		{"a room of 1: what is left of one query of the flood, and one more", 1, 50, 2 * time.Second},
		{"a room of 3", 3, 50, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := New(c.room, 200, prometheus.NewRegistry())
				r := rand.New(rand.NewPCG(7, 7))
				ctx, stop := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				for i := range c.flood { // each of these asks again at once, whatever it is told
					wg.Go(func() {
						time.Sleep(time.Duration(i) * 7 * time.Millisecond)
						for ctx.Err() == nil {
							if leave, err := g.Enter(ctx, "flood"); err == nil {
								time.Sleep(time.Second)
								leave()
							} else {
								time.Sleep(200 * time.Millisecond)
							}
						}
					})
				}
				time.Sleep(10 * time.Second)
				var waits []time.Duration
				for range 300 { // a person who looks at a dashboard
					began := time.Now()
					leave, err := g.Enter(ctx, "other")
					require.NoError(t, err, "half of those who wait are of one asker at most")
					waits = append(waits, time.Since(began))
					time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
					leave()
					time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
				}
				slices.Sort(waits)
				assert.LessOrEqual(t, waits[len(waits)*99/100], c.bound)
				stop()
				wg.Wait()
			})
		})
	}
}

// Those who wait are let in by turns, one query each, however many one has waiting.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(1, 100, prometheus.NewRegistry())
		first, err := g.Enter(t.Context(), "a")
		require.NoError(t, err)
		var order []string
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, name := range strings.Fields("a a a a b b c") {
			wg.Go(func() {
				leave, err := g.Enter(t.Context(), name)
				assert.NoError(t, err)
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
				time.Sleep(time.Second)
				leave()
			})
			synctest.Wait()
		}
		first()
		wg.Wait()
		assert.Equal(t, "a b c a b a a", strings.Join(order, " "))
	})
}

// When one who had a share is gone, the shares of those who wait grow at once.
func TestSharesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(8, 100, prometheus.NewRegistry()) // the last 2 of 8 are for those with less than a share
		enter := func(name string) func() {
			leave, err := g.Enter(t.Context(), name)
			require.NoError(t, err)
			return leave
		}
		for range 3 {
			enter("a")
		}
		for range 2 {
			enter("b")
		}
		c := enter("c") // 6 run; a share is 2 now, of which a has more
		in := make(chan struct{})
		go func() { enter("a"); close(in) }()
		synctest.Wait()
		select {
		case <-in:
			t.Fatal("a has more than its share, and runs")
		default:
		}
		c()
		synctest.Wait()
		select {
		case <-in:
		default:
			t.Fatal("a waits though there is room")
		}
		g.check(t)
	})
}

func TestNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		g := New(1, 2, reg)
		leave, err := g.Enter(t.Context(), "a")
		require.NoError(t, err)
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("who asked is gone")
		failed := make(chan error)
		go func() { _, err := g.Enter(ctx, "a"); failed <- err }()
		synctest.Wait()
		_, err = g.Enter(t.Context(), "a")
		require.ErrorIs(t, err, ErrFull, "half of the queue is the most for one")
		assert.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP hubquery_running_queries Queries that are being answered.
# TYPE hubquery_running_queries gauge
hubquery_running_queries 1
# HELP hubquery_waiting_queries Queries that wait for others to end.
# TYPE hubquery_waiting_queries gauge
hubquery_waiting_queries 1
`), "hubquery_running_queries", "hubquery_waiting_queries"))
		time.Sleep(3 * time.Second)
		cancel(gone)
		require.ErrorIs(t, <-failed, gone)
		leave()
		_, err = g.Enter(ctx, "a")
		require.NoError(t, err, "there is room, so nobody has to wait")
		assert.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP hubquery_running_queries Queries that are being answered.
# TYPE hubquery_running_queries gauge
hubquery_running_queries 1
# HELP hubquery_waiting_queries Queries that wait for others to end.
# TYPE hubquery_waiting_queries gauge
hubquery_waiting_queries 0
`), "hubquery_running_queries", "hubquery_waiting_queries"))
		var sum float64
		families, err := reg.Gather()
		require.NoError(t, err)
		for _, f := range families {
			if f.GetName() == "hubquery_query_wait_seconds" {
				sum = f.GetMetric()[0].GetHistogram().GetSampleSum()
			}
		}
		assert.InDelta(t, 3, sum, 1e-9)
	})
}
