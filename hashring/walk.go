package hashring

import (
	"cmp"
	"iter"
	"slices"
)

// Walk yields the nodes in the order in which key tries them: its owner first,
// then every other node once, by descending rendezvous score for the key's
// partition. The owner costs nothing; the order of the others is worked out only
// when the caller asks for the second node, in O(n log n).
func (r *Ring) Walk(key string) iter.Seq[Node] {
	return func(yield func(Node) bool) {
		p := partition(key)
		owner := int(r.owners[p])
		if !yield(r.nodes[owner]) {
			return
		}
		for _, i := range r.successors(p, owner) {
			if !yield(r.nodes[i]) {
				return
			}
		}
	}
}

// successors returns the indices of all nodes but the owner, best score first.
// Nodes of equal score, which two names of equal hash have, keep their order.
func (r *Ring) successors(partition uint64, owner int) []int {
	scores := make([]uint64, len(r.nodes))
	order := make([]int, 0, len(r.nodes)-1)
	for i, h := range r.hashes {
		scores[i] = score(partition, h)
		if i != owner {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	return order
}
