package shard

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// pairTime bounds the question which of a pair has more; a server that needs longer is taken for the lesser one.
	pairTime = 2 * time.Second
	// slack is by how much the samples of two servers that both have all may differ: they scrape at different times.
	slack = 0.01
	// What was found out of a pair holds for so long, for so many spans of time.
	heldFor  = 10 * time.Second
	heldMost = 64
)

// choice remembers which server of a pair has more of some spans of time: a query asks for many parts.
type choice struct {
	mu    sync.Mutex
	until time.Time
	held  map[span]bool // whether it is the second
}

// span is in minutes.
type span struct{ from, to int64 }

func (c *choice) find(s span) (second, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().After(c.until) || len(c.held) >= heldMost {
		c.held, c.until = map[span]bool{}, time.Now().Add(heldFor)
	}
	second, known = c.held[s]
	return second, known
}

func (c *choice) keep(s span, second bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held[s] = second
}

// best returns the servers in the order in which they should be asked. Of a pair the one comes first that has
// scraped more samples in the time, and the first one where neither has.
func (sh *Shard) best(ctx context.Context, from, to int64) []*Server {
	if len(sh.Servers) < 2 {
		return sh.Servers
	}
	first, second := sh.Servers[0], sh.Servers[1]
	switch { // a question would wait for the one that is down
	case first.down.Load() && !second.down.Load():
		return []*Server{second, first}
	case second.down.Load():
		return sh.Servers
	}
	minutes := span{from / time.Minute.Milliseconds(), to / time.Minute.Milliseconds()}
	swap, known := sh.choice.find(minutes)
	if !known {
		swap = sh.secondHasMore(ctx, from, to)
		if ctx.Err() == nil {
			sh.choice.keep(minutes, swap)
		}
	}
	if swap {
		return []*Server{second, first}
	}
	return sh.Servers
}

// secondHasMore asks both servers of a pair how much they have scraped.
func (sh *Shard) secondHasMore(ctx context.Context, from, to int64) bool {
	ctx, cancel := context.WithTimeout(ctx, pairTime)
	defer cancel()
	q := Query{Expr: fmt.Sprintf("sum(sum_over_time(scrape_samples_scraped[%dms]))", max(to-from, time.Minute.Milliseconds())), Start: to}
	var has [2]float64
	var wg sync.WaitGroup
	for i, server := range sh.Servers {
		wg.Go(func() {
			series, _, err := server.Query(ctx, q, NewBudget(1000))
			if err == nil && len(series) == 1 && len(series[0].Floats) == 1 {
				has[i] = series[0].Floats[0].F
			}
		})
	}
	wg.Wait()
	return has[1] > has[0]*(1+slack)
}
