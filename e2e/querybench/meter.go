package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hubring/hubring/e2e/internal/procstat"
	"github.com/hubring/hubring/e2e/querybench/internal/ask"
	"github.com/hubring/hubring/e2e/querybench/internal/servers"
)

// cost is what one ask of a query took, in the middle of several.
type cost struct {
	Path  float64 // CPU seconds of the slowest shard and of what merges
	Shard float64 // CPU seconds of the slowest shard
	Merge float64
	All   float64 // of all processes
	Wall  float64 // seconds

	ShardRSS, MergeRSS int64 // the highest, in bytes
}

const (
	// A measurement of something quick is of several asks, so that the clock can see them.
	atLeastWall = 300 * time.Millisecond
	mostAsks    = 20
	// Of what is slow there are fewer measurements.
	slow, verySlow = 8 * time.Second, 30 * time.Second
)

// meter asks systems and watches what their processes do.
type meter struct {
	warm int // measurements of a query after the first ask; 0 is for those who only compare
}

// once asks a query a single time, which counts.
func (m meter) once(ctx context.Context, s *system, q ask.Query) (cost, *ask.Answer, error) {
	c, bodies, err := m.measure(ctx, s, q, 1)
	if err != nil {
		return c, nil, err
	}
	if s.mode == modeBound {
		return c, nil, nil
	}
	a, err := ask.Read(q, bodies)
	return c, a, err
}

// several asks a query once to warm it up, and then until there is a middle.
func (m meter) several(ctx context.Context, s *system, q ask.Query) (cost, *ask.Answer, error) {
	first, a, err := m.once(ctx, s, q)
	if err != nil || m.warm == 0 {
		return first, a, err
	}
	took := time.Duration(first.Wall * float64(time.Second))
	asks := max(1, min(mostAsks, int(atLeastWall/max(took, time.Millisecond))))
	n := m.warm
	switch {
	case took > verySlow:
		n = min(n, 1)
	case took > slow:
		n = min(n, 2)
	}
	var all []cost
	for range n {
		c, _, err := m.measure(ctx, s, q, asks)
		if err != nil {
			return c, nil, err
		}
		all = append(all, c)
	}
	return middle(all), a, nil
}

// middle is the median of each figure but memory, of which it is the most.
func middle(all []cost) cost {
	median := func(of func(cost) float64) float64 {
		var v []float64
		for _, c := range all {
			v = append(v, of(c))
		}
		slices.Sort(v)
		return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
	}
	out := cost{
		Path: median(func(c cost) float64 { return c.Path }), Shard: median(func(c cost) float64 { return c.Shard }),
		Merge: median(func(c cost) float64 { return c.Merge }), All: median(func(c cost) float64 { return c.All }),
		Wall: median(func(c cost) float64 { return c.Wall }),
	}
	for _, c := range all {
		out.ShardRSS, out.MergeRSS = max(out.ShardRSS, c.ShardRSS), max(out.MergeRSS, c.MergeRSS)
	}
	return out
}

// measure asks so many times and returns what one of them took.
func (m meter) measure(ctx context.Context, s *system, q ask.Query, asks int) (cost, [][]byte, error) {
	before, err := m.settled(ctx, s.servers)
	if err != nil {
		return cost{}, nil, err
	}
	for _, v := range s.servers {
		if err := procstat.ResetPeak(v.PID()); err != nil {
			return cost{}, nil, err
		}
	}
	began := time.Now()
	var bodies [][]byte
	for range asks {
		if bodies, err = s.ask(ctx, q); err != nil {
			return cost{}, nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	c := cost{Wall: time.Since(began).Seconds() / float64(asks)}
	after, err := m.settled(ctx, s.servers)
	if err != nil {
		return cost{}, nil, err
	}
	shards := map[int]float64{}
	memory := map[int]int64{}
	for i, v := range s.servers {
		used := (after[i] - before[i]).Seconds() / float64(asks)
		rss, err := procstat.Peak(v.PID())
		if err != nil {
			return cost{}, nil, err
		}
		c.All += used
		if v.Shard == servers.Merging {
			c.Merge += used
			c.MergeRSS = max(c.MergeRSS, rss)
		} else {
			shards[v.Shard] += used
			memory[v.Shard] += rss
		}
	}
	for shard, used := range shards {
		c.Shard, c.ShardRSS = max(c.Shard, used), max(c.ShardRSS, memory[shard])
	}
	c.Path = c.Shard + c.Merge
	return c, bodies, nil
}

// settled waits until the programs have no more work, such as clearing up behind an
// answer, and returns what CPU time each has used.
func (m meter) settled(ctx context.Context, all []*servers.Server) ([]time.Duration, error) {
	const (
		poll   = 25 * time.Millisecond
		idle   = poll / 20 // of processor time of each, in one poll
		calm   = 4         // polls
		atMost = 3 * time.Second
	)
	tick := time.NewTicker(poll)
	defer tick.Stop()
	last := make([]time.Duration, len(all))
	began := time.Now()
	for quiet := 0; ; quiet++ {
		for i, v := range all {
			now, err := procstat.CPU(v.PID())
			if err != nil {
				return nil, fmt.Errorf("%s: %w", v.Name, err)
			}
			if now-last[i] > idle {
				quiet = 0
			}
			last[i] = now
		}
		if quiet >= calm || m.warm == 0 || time.Since(began) > atMost {
			return last, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}
