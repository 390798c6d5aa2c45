// Package gate bounds how many queries are answered at a time, and shares the room among those who ask.
//
// A query runs, waits, or is refused. Anybody may use most of the room while nobody else wants it; its
// last quarter is for those who have less than an even share. So one who floods waits behind his
// own queries and not before others'.
package gate

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ErrFull says that too many queries wait already.
var ErrFull = errors.New("too many queries are waiting; ask again in a moment")

// Gate lets queries through. Its methods may be called from any goroutine.
type Gate struct {
	room, queue int

	mu      sync.Mutex
	running int
	waiting int
	askers  map[string]*asker
	order   *list.List // of askers who wait, whose turn is next first

	waited prometheus.Histogram
}

type asker struct {
	name    string
	running int
	waiting []chan struct{} // closed when it is its turn
	turn    *list.Element
}

// New makes a gate for so many queries at a time, behind which so many wait, of one asker half of
// them at most.
func New(room, queue int, reg prometheus.Registerer) *Gate {
	g := &Gate{
		room: room, queue: queue, askers: map[string]*asker{}, order: list.New(),
		waited: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "hubquery_query_wait_seconds", Help: "How long queries waited for others to end, those that gave up too.",
			Buckets: []float64{.001, .01, .1, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}),
	}
	reg.MustRegister(g.waited,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "hubquery_running_queries", Help: "Queries that are being answered."}, g.count(&g.running)),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "hubquery_waiting_queries", Help: "Queries that wait for others to end."}, g.count(&g.waiting)),
	)
	return g
}

func (g *Gate) count(n *int) func() float64 {
	return func() float64 {
		g.mu.Lock()
		defer g.mu.Unlock()
		return float64(*n)
	}
}

// Enter waits until a query of an asker may run, and returns what is to be called when it has. It fails
// with ErrFull, or with why ctx ended.
func (g *Gate) Enter(ctx context.Context, name string) (leave func(), err error) {
	g.mu.Lock()
	a := g.askers[name]
	if a == nil {
		a = &asker{name: name}
		g.askers[name] = a
	}
	if len(a.waiting) == 0 && g.may(a) {
		g.admit(a)
		g.mu.Unlock()
		return g.leaver(a), nil
	}
	if g.waiting >= g.queue || len(a.waiting) >= max(g.queue/2, 1) {
		g.forget(a)
		g.mu.Unlock()
		return nil, ErrFull
	}
	began := time.Now()
	defer func() { g.waited.Observe(time.Since(began).Seconds()) }()
	turn := make(chan struct{})
	a.waiting = append(a.waiting, turn)
	g.waiting++
	if a.turn == nil {
		a.turn = g.order.PushBack(a)
	}
	g.mu.Unlock()
	select {
	case <-turn:
		return g.leaver(a), nil
	case <-ctx.Done():
		g.giveUp(a, turn)
		return nil, context.Cause(ctx)
	}
}

// may reports whether one more query of an asker may run now.
func (g *Gate) may(a *asker) bool {
	if g.running >= g.room {
		return false
	}
	if g.running < g.room-g.room/4 {
		return true
	}
	return a.running < max(g.room/max(len(g.askers), 2), 1)
}

func (g *Gate) admit(a *asker) {
	a.running++
	g.running++
}

func (g *Gate) leaver(a *asker) func() {
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.left(a)
	})
}

// left takes one query out of those that run, and lets others run.
func (g *Gate) left(a *asker) {
	a.running--
	g.running--
	g.forget(a) // first: with fewer who ask, the shares of the others are larger
	g.next()
}

// next lets those run who wait, one query of each in turns, as long as any may.
func (g *Gate) next() {
	for e := g.order.Front(); e != nil; {
		a := e.Value.(*asker)
		if !g.may(a) {
			e = e.Next()
			continue
		}
		close(a.waiting[0])
		a.waiting = a.waiting[1:]
		g.waiting--
		g.admit(a)
		g.order.MoveToBack(e)
		if len(a.waiting) == 0 {
			g.order.Remove(e)
			a.turn = nil
		}
		e = g.order.Front()
	}
}

func (g *Gate) giveUp(a *asker, turn chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(a.waiting, turn)
	if i < 0 { // it was let through at the same moment
		g.left(a)
		return
	}
	a.waiting = slices.Delete(a.waiting, i, i+1)
	g.waiting--
	if len(a.waiting) == 0 {
		g.order.Remove(a.turn)
		a.turn = nil
	}
	g.forget(a)
	g.next() // those with less than a share may have got a larger one
}

// forget drops askers of whom nothing is left.
func (g *Gate) forget(a *asker) {
	if a.running == 0 && len(a.waiting) == 0 {
		delete(g.askers, a.name)
	}
}
