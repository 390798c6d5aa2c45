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
)

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
	ctx, cancel := context.WithTimeout(ctx, pairTime)
	defer cancel()
	span := max(to-from, time.Minute.Milliseconds())
	q := Query{Expr: fmt.Sprintf("sum(sum_over_time(scrape_samples_scraped[%dms]))", span), Start: to}
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
	if has[1] > has[0]*(1+slack) {
		return []*Server{second, first}
	}
	return sh.Servers
}
