package hashring

import (
	"cmp"
	"iter"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// lazySteps is how many nodes Walk finds by looking through all of them, without
// memory. A key that has to step over more dead nodes than that sorts the rest.
const lazySteps = 12

// Walk yields the nodes in the order in which key tries them: its home first,
// then every other node once, in weighted rendezvous order for the key's
// partition. A key that Assign moved tries its owner in between. The home costs what
// Owner costs; each of the next few nodes one look at every node's score, and no
// memory; a walk to the end sorts the rest, in O(n log n).
func (r *Ring) Walk(key string) iter.Seq[Node] {
	return func(yield func(Node) bool) {
		hash := xxhash.Sum64String(key)
		home := r.home(key, hash)
		if !yield(r.nodes[home]) {
			return
		}
		mark, owner := partitionMark(partition(hash)), r.owner(hash)
		if owner != home && !yield(r.nodes[owner]) {
			return
		}
		last := r.begin(mark, owner)
		for range lazySteps {
			next, ok := r.after(mark, last)
			if !ok {
				return
			}
			last = next
			if last.node != home && last.node != owner && !yield(r.nodes[last.node]) {
				return
			}
		}
		for _, next := range r.allAfter(mark, last) {
			if next.node != home && next.node != owner && !yield(r.nodes[next.node]) {
				return
			}
		}
	}
}

// First returns the first node of the key's walk that ok accepts, in O(n) however
// many it has to step over, or -1 if it accepts none. Nodes are named by their
// indices in Nodes. ok is called in no particular order, for the home first. First
// does not allocate.
func (r *Ring) First(key string, ok func(node int) bool) int {
	hash := xxhash.Sum64String(key)
	if home := r.home(key, hash); ok(home) {
		return home
	}
	if r.owners == nil { // or the owner is the first of the order
		if owner := r.owner(hash); ok(owner) {
			return owner
		}
	}
	mark := partitionMark(partition(hash))
	best := rank{node: -1}
	for i := range r.marks {
		if !ok(i) {
			continue
		}
		if c := r.rank(mark, i); best.node < 0 || c.before(best) {
			best = c
		}
	}
	return best.node
}

// rank is a node's place in the order of one partition.
type rank struct {
	wait  float64 // -ln(u)/weight, or 0 if all weights are the same
	score uint64
	node  int
}

// before orders by the shorter wait, the higher score, the name.
func (a rank) before(b rank) bool {
	if a.wait != b.wait {
		return a.wait < b.wait
	}
	if a.score != b.score {
		return a.score > b.score
	}
	return a.node < b.node
}

func (r *Ring) rank(mark uint64, node int) rank {
	s := score(mark, r.marks[node])
	if r.perKey == nil {
		return rank{score: s, node: node}
	}
	return rank{wait: wait(s) * r.perKey[node], score: s, node: node}
}

// begin is after whom the walk of a key goes on behind its owner. The owner that a
// table names may be anywhere in the order, so the whole of it comes then.
func (r *Ring) begin(mark uint64, owner int) rank {
	if r.owners == nil {
		return rank{wait: -1, node: -1}
	}
	return r.rank(mark, owner)
}

// after returns the node that follows last in the order of a partition; false
// if last was the end.
func (r *Ring) after(mark uint64, last rank) (next rank, ok bool) {
	for i := range r.marks {
		if c := r.rank(mark, i); last.before(c) && (!ok || c.before(next)) {
			next, ok = c, true
		}
	}
	return next, ok
}

// allAfter returns the nodes that follow last, in order.
func (r *Ring) allAfter(mark uint64, last rank) []rank {
	var all []rank
	for i := range r.marks {
		if c := r.rank(mark, i); last.before(c) {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b rank) int {
		return cmp.Or(cmp.Compare(a.wait, b.wait), cmp.Compare(b.score, a.score), cmp.Compare(a.node, b.node))
	})
	return all
}
