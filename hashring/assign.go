package hashring

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Assign returns a ring on which no node has more than its share of the series
// plus slack. Only keys that overflow leave their owner; keys that are not in
// loads, and all keys of nodes with room, stay where r has them. Owner and Walk
// of the result work as those of r; the walk of a moved key begins at its new home.
//
// The result depends on the set of nodes and the set of loads alone, not on
// their order nor on what was before, so processes that know the same gateways agree. It
// is the stable matching of deferred acceptance (Gale and Shapley, "College
// Admissions and the Stability of Marriage", 1962): each key asks the nodes in
// the order of its walk; a node that is full keeps what it prefers, its own keys
// before guests, then by a hash of key and node.
//
// Slack is in series; 0 means three keys of average size, or a fortieth of the
// average share where that is more. A smaller one evens out more and moves more
// when the fleet changes. A key of more than about three quarters of slack is
// placed before the others and may exceed it alone.
//
// Every fault is reported: a key there twice, series or slack out of bounds.
func (r *Ring) Assign(loads []Load, slack int) (*Ring, error) {
	err := checkLoads(loads)
	if slack < 0 || slack > maxSeries {
		err = errors.Join(err, fmt.Errorf("slack is %d series, it must be between 0 and %d", slack, maxSeries))
	}
	if err != nil {
		return nil, fmt.Errorf("assign %d keys: %w", len(loads), err)
	}
	if slack == 0 {
		slack = defaultSlack(loads, len(r.nodes))
	}
	// Capacities move in steps, so that one gateway more hardly ever changes
	// them: it would change all of them at once.
	step := 1
	if slack >= 8 {
		step = 1 << (bits.Len(uint(slack)) - 3) // at most a quarter of slack
	}

	a := &assignment{ring: r, desks: make([]desk, len(r.nodes)), moved: map[string]uint16{}}
	var large, small []applicant
	total, largest := 0, 0
	for _, l := range loads {
		hash := xxhash.Sum64String(l.Key)
		next := applicant{Load: l, hash: hash, mark: partitionMark(partition(hash)), owner: uint16(r.owner(hash))}
		if l.Series > slack-step {
			large = append(large, next)
		} else {
			small = append(small, next)
		}
		total, largest = total+l.Series, max(largest, l.Series)
	}
	weights := 0.0
	for _, n := range r.nodes {
		weights += n.Weight
	}
	share := func(node int) int { return int(float64(total) * r.nodes[node].Weight / weights) }

	// If all nodes refused a key, each would be above its share, since no key is
	// larger than what its round allows above it. So every key finds a place.
	a.settle(large, func(node int) int { return share(node) + largest })
	a.settle(small, func(node int) int { return (share(node) + slack) / step * step })
	return r.with(a.moved), nil
}

// defaultSlack has room for the chance that few keys bring, and grows with the
// share, so that a large fleet is not held to an evenness that keeps it moving.
func defaultSlack(loads []Load, nodes int) int {
	total := 0
	for _, l := range loads {
		total += l.Series
	}
	return max(3*total/max(len(loads), 1), total/(40*max(nodes, 1)), 1)
}

// assignment is a placement in the making.
type assignment struct {
	ring  *Ring
	desks []desk            // by node
	moved map[string]uint16 // keys of settled rounds that are not at their owner
}

// applicant is a key that looks for a home.
type applicant struct {
	Load
	hash, mark uint64
	owner      uint16
	asked      uint16 // the node that it asks, or asked last
	liking     uint64 // of that node for this key
}

// before says whether the node that both ask prefers a to b.
func (a *applicant) before(b *applicant) bool { return a.compare(b) < 0 }

func (a *applicant) compare(b *applicant) int {
	if aOwn, bOwn := a.asked == a.owner, b.asked == b.owner; aOwn != bOwn {
		if aOwn {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(b.liking, a.liking), cmp.Compare(a.Key, b.Key))
}

// desk is what one node has taken.
type desk struct {
	load    int         // series, those of earlier rounds too
	held    []applicant // of this round
	full    bool
	refused applicant // the best that was refused, if full: whoever comes after it is refused, too
}

// settle finds a place for each of a set of keys. That nobody is taken who comes
// after one who was refused makes the outcome independent of who asks when.
func (a *assignment) settle(waiting []applicant, capacity func(node int) int) {
	for i := range waiting {
		waiting[i].ask(a.ring, waiting[i].owner)
	}
	for len(waiting) > 0 {
		var refused []applicant
		for i := range waiting {
			w := &waiting[i]
			if d := &a.desks[w.asked]; d.full && !w.before(&d.refused) {
				refused = append(refused, *w)
			} else {
				d.held = append(d.held, *w)
				d.load += w.Series
			}
		}
		for node := range a.desks {
			refused = append(refused, a.desks[node].cut(capacity(node))...)
		}
		waiting = refused
		for i := range waiting {
			a.next(&waiting[i])
		}
	}
	for node := range a.desks {
		d := &a.desks[node]
		for _, h := range d.held {
			if h.owner != uint16(node) {
				a.moved[h.Key] = uint16(node)
			}
		}
		*d = desk{load: d.load}
	}
}

// cut keeps what the node prefers, until the first that does not fit, and
// returns the others.
func (d *desk) cut(capacity int) []applicant {
	if d.load <= capacity || len(d.held) == 0 {
		return nil
	}
	slices.SortFunc(d.held, func(a, b applicant) int { return a.compare(&b) })
	for _, h := range d.held {
		d.load -= h.Series
	}
	keep := 0
	for keep < len(d.held) && d.load+d.held[keep].Series <= capacity {
		d.load += d.held[keep].Series
		keep++
	}
	over := d.held[keep:]
	d.held, d.full, d.refused = d.held[:keep:keep], true, over[0]
	return over
}

// next has a key that was refused ask the node after that one in its walk.
func (a *assignment) next(w *applicant) {
	r := a.ring
	last := r.rank(w.mark, int(w.asked))
	if w.asked == w.owner {
		last = r.begin(w.mark, int(w.owner))
	}
	next, ok := r.after(w.mark, last)
	if ok && next.node == int(w.owner) { // it was asked first
		next, ok = r.after(w.mark, next)
	}
	if !ok {
		panic("BUG: every node refused key " + w.Key)
	}
	w.ask(r, uint16(next.node))
}

func (a *applicant) ask(r *Ring, node uint16) {
	a.asked, a.liking = node, mix(a.hash^r.marks[node])
}
