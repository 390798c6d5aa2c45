package hashring

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Plan is what happens to a set of keys when one ring replaces another. Its
// fields are what was found; to print them is somebody else's work.
type Plan struct {
	Keys   int `json:"keys"`
	Series int `json:"series"`

	// Moves has an entry for every pair of nodes between which keys move, sorted by
	// name.
	Moves       []Move `json:"moves"`
	MovedKeys   int    `json:"moved_keys"`
	MovedSeries int    `json:"moved_series"`
	// MovedShare is the part of all series that moves, and LeastShare the part
	// that has to, going by the weights: nothing that gives each node of both
	// sets its share can move less. Both are between 0 and 1.
	MovedShare float64 `json:"moved_share"`
	LeastShare float64 `json:"least_share"`

	// Nodes are those of both rings, sorted by name.
	Nodes  []NodeChange `json:"nodes"`
	Before Balance      `json:"before"`
	After  Balance      `json:"after"`

	// DoubledFor is how long a query of one moment still sees moved series at the
	// old node, too; where shards are not deduplicated it counts them twice.
	DoubledFor time.Duration `json:"doubled_for_ns"`
	// SplitFor is how long the moved series' past is at the old node, which has
	// to be queried as long: a node that is taken away earlier takes it along.
	SplitFor time.Duration `json:"split_for_ns"`
}

// Move is what goes from one node to another.
type Move struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Keys   int    `json:"keys"`
	Series int    `json:"series"`
}

// NodeChange is what one node has before and after.
type NodeChange struct {
	Name   string `json:"name"`
	Before Share  `json:"before"`
	After  Share  `json:"after"`
}

// Share is what a ring gives to one node; all zero if the node is not in it.
type Share struct {
	Weight float64 `json:"weight"`
	Keys   int     `json:"keys"`
	Series int     `json:"series"`
}

// Balance sums up how even a ring is, in series per node.
type Balance struct {
	Nodes   int     `json:"nodes"`
	Least   int     `json:"least"`
	Average float64 `json:"average"`
	Most    int     `json:"most"`
	Busiest string  `json:"busiest"` // the node that is furthest above its weight's share
	Above   int     `json:"above"`   // by how much it is
}

// Compare plans the change from one ring to another for the keys of loads.
// Lookback is the time for which a query looks back for a series' newest
// sample, 5 minutes in a Prometheus that was not told otherwise; retention is how
// long the servers behind the nodes keep samples. Every fault is reported.
func Compare(before, after *Ring, loads []Load, lookback, retention time.Duration) (Plan, error) {
	errs := []error{checkLoads(loads)}
	for name, d := range map[string]time.Duration{"lookback": lookback, "retention": retention} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("%s is %s, it must not be negative", name, d))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Plan{}, fmt.Errorf("plan for %d keys: %w", len(loads), err)
	}

	nodes := map[string]*NodeChange{}
	at := func(name string) *NodeChange {
		if nodes[name] == nil {
			nodes[name] = &NodeChange{Name: name}
		}
		return nodes[name]
	}
	for _, n := range before.nodes {
		at(n.Name).Before.Weight = n.Weight
	}
	for _, n := range after.nodes {
		at(n.Name).After.Weight = n.Weight
	}

	p := Plan{Keys: len(loads), Moves: []Move{}, LeastShare: leastShare(before, after), DoubledFor: lookback, SplitFor: retention}
	moves := map[[2]string]*Move{}
	for _, l := range loads {
		from, to := before.Owner(l.Key).Name, after.Owner(l.Key).Name
		at(from).Before.add(l)
		at(to).After.add(l)
		p.Series += l.Series
		if from == to {
			continue
		}
		m := moves[[2]string{from, to}]
		if m == nil {
			m = &Move{From: from, To: to}
			moves[[2]string{from, to}] = m
		}
		m.Keys++
		m.Series += l.Series
		p.MovedKeys++
		p.MovedSeries += l.Series
	}
	if p.MovedSeries == 0 {
		p.DoubledFor, p.SplitFor = 0, 0
	} else {
		p.MovedShare = float64(p.MovedSeries) / float64(p.Series)
	}
	for _, m := range moves {
		p.Moves = append(p.Moves, *m)
	}
	slices.SortFunc(p.Moves, func(a, b Move) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	for _, n := range nodes {
		p.Nodes = append(p.Nodes, *n)
	}
	slices.SortFunc(p.Nodes, func(a, b NodeChange) int { return cmp.Compare(a.Name, b.Name) })
	p.Before = balance(p.Nodes, func(n NodeChange) Share { return n.Before })
	p.After = balance(p.Nodes, func(n NodeChange) Share { return n.After })
	return p, nil
}

func (s *Share) add(l Load) {
	s.Keys++
	s.Series += l.Series
}

// leastShare is how much the nodes that gain gain, if each has its weight's share.
func leastShare(before, after *Ring) float64 {
	shares := func(r *Ring) map[string]float64 {
		sum, by := 0.0, map[string]float64{}
		for _, n := range r.nodes {
			sum += n.Weight
		}
		for _, n := range r.nodes {
			by[n.Name] = n.Weight / sum
		}
		return by
	}
	had, least := shares(before), 0.0
	now := shares(after)
	for _, n := range after.nodes { // in order, so that the sum is always the same
		least += max(0, now[n.Name]-had[n.Name])
	}
	return least
}

func balance(nodes []NodeChange, side func(NodeChange) Share) Balance {
	var b Balance
	sum, weights := 0, 0.0
	for _, n := range nodes {
		if s := side(n); s.Weight > 0 {
			if b.Nodes == 0 || s.Series < b.Least {
				b.Least = s.Series
			}
			b.Most = max(b.Most, s.Series)
			b.Nodes++
			sum, weights = sum+s.Series, weights+s.Weight
		}
	}
	b.Average = float64(sum) / float64(b.Nodes)
	for _, n := range nodes {
		if s := side(n); s.Weight > 0 {
			above := s.Series - int(math.Round(float64(sum)*s.Weight/weights))
			if b.Busiest == "" || above > b.Above {
				b.Busiest, b.Above = n.Name, above
			}
		}
	}
	return b
}
