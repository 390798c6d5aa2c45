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
	"sync"

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

	refused prometheus.Counter
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
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hubquery_refused_queries_total", Help: "Queries that were answered 429 because too many were waiting.",
		}),
	}
	reg.MustRegister(g.refused,
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
		g.refused.Inc()
		return nil, ErrFull
	}
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
		a.running--
		g.running--
		g.next()
		g.forget(a)
	})
}

// next lets those run who wait, in turns.
func (g *Gate) next() {
	for e := g.order.Front(); e != nil; {
		a, after := e.Value.(*asker), e.Next()
		if g.may(a) {
			close(a.waiting[0])
			a.waiting = a.waiting[1:]
			g.waiting--
			g.admit(a)
			g.order.Remove(e)
			a.turn = nil
			if len(a.waiting) > 0 {
				a.turn = g.order.PushBack(a)
				if after == nil {
					after = a.turn
				}
			}
		}
		e = after
	}
}

func (g *Gate) giveUp(a *asker, turn chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, t := range a.waiting {
		if t == turn {
			a.waiting = append(a.waiting[:i], a.waiting[i+1:]...)
			g.waiting--
			if len(a.waiting) == 0 {
				g.order.Remove(a.turn)
				a.turn = nil
			}
			g.forget(a)
			return
		}
	}
	a.running-- // it was let through at the same moment
	g.running--
	g.next()
	g.forget(a)
}

// forget drops askers of whom nothing is left.
func (g *Gate) forget(a *asker) {
	if a.running == 0 && len(a.waiting) == 0 {
		delete(g.askers, a.name)
	}
}
