package dataset

import (
	"fmt"

	"github.com/hubring/hubring/hashring"
)

// stay is the time, in minutes from and up to, that a source spends at one home.
type stay struct {
	part     int
	from, to int
	marked   bool // its series end there with a stale marker
	overlap  int  // samples of the next stay that are here as well
}

// division is where each source is when there are so many parts.
type division struct {
	parts int
	stays [][]stay // by source, in the order of time
}

// A gateway that moves does it in one of these ways.
const (
	moveMarked = iota // its old home ends its series a millisecond before
	moveSilent        // its old home is dead and writes nothing
	moveTwice         // two samples are at both, since an acknowledgement was lost
	moveBack          // it comes back after two hours, ended both times
	moveWays
)

// divide gives every source a home as controllers do: by the ring, and bounded.
func (f *fleet) divide(parts int) (division, error) {
	nodes := make([]hashring.Node, parts)
	index := map[string]int{}
	for i := range nodes {
		nodes[i].Name = fmt.Sprintf("edgehub-%d", i)
		index[nodes[i].Name] = i
	}
	ring, err := hashring.New(nodes)
	if err != nil {
		return division{}, err
	}
	loads := make([]hashring.Load, len(f.sources))
	for i, src := range f.sources {
		loads[i] = hashring.Load{Key: src.key, Series: len(src.series)}
	}
	if ring, err = ring.Assign(loads, 0); err != nil {
		return division{}, err
	}
	d := division{parts: parts}
	for i, src := range f.sources {
		var walk []int
		for node := range ring.Walk(src.key) {
			walk = append(walk, index[node.Name])
		}
		d.stays = append(d.stays, f.staysOf(i, walk))
	}
	return d, nil
}

// staysOf is the whole time at home, but for the gateways that move. Those do it in
// different minutes, some of them in the last hour of a block and one between two.
func (f *fleet) staysOf(source int, walk []int) []stay {
	if source >= f.shape.Moves || len(walk) < 2 {
		return []stay{{part: walk[0], to: Minutes}}
	}
	at := dayMinutes/2 + source*7%240
	before, after := stay{part: walk[0], to: at}, stay{part: walk[1], from: at, to: Minutes}
	switch source % moveWays {
	case moveMarked:
		before.marked = true
	case moveTwice:
		before.overlap = 2
	case moveBack:
		before.marked = true
		after.marked, after.to = true, at+2*60
		return []stay{before, after, {part: walk[0], from: at + 2*60, to: Minutes}}
	}
	return []stay{before, after}
}

// comings are the minutes in which the hub of a stay writes FirstSample.
func (s stay) comings() []int {
	var out []int
	for minute := s.from; minute < s.to; minute += reportsEach {
		out = append(out, minute)
	}
	return out
}
