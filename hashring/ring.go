package hashring

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Ring maps keys to nodes. It is immutable: all methods may be called from any
// number of goroutines, and none takes a lock. To change the membership, build
// another Ring.
type Ring struct {
	nodes  []Node              // sorted by name, weights filled in
	marks  []uint64            // nodeMark of each of nodes
	perKey []float64           // 1/weight of each of nodes; nil if all weigh the same
	owners *[partitions]uint16 // partition to index in nodes; nil if a table has them
	placed *placed             // nil if every key is at the first node of its order
}

// placed says where keys are that are not at the first node of their order. It is
// one field of Ring, so that rings of New have one question to ask.
type placed struct {
	table []uint16          // FromTable's owners: partition of the table to index in nodes
	moved map[string]uint16 // what Assign took from its owner: key to index in nodes
}

// New builds the ring of a set of nodes. The order of nodes does not matter.
// Every fault of the set is reported: no nodes, more than MaxNodes, a name that
// is empty, longer than MaxNameBytes or there twice, a weight out of bounds. It
// takes about 0.3 ms for each node on one core, twice that where weights differ,
// and 0.5 MB in all.
func New(nodes []Node) (*Ring, error) {
	r, err := ordered(nodes)
	if err != nil {
		return nil, fmt.Errorf("build ring of %d nodes: %w", len(nodes), err)
	}
	r.owners = new([partitions]uint16)
	if r.perKey == nil {
		r.fillAlike()
	} else {
		r.fillWeighted()
	}
	return r, nil
}

// ordered returns a ring that has the orders of its nodes, and no owners yet.
func ordered(nodes []Node) (*Ring, error) {
	sorted := slices.Clone(nodes)
	slices.SortFunc(sorted, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	if err := validate(sorted); err != nil {
		return nil, err
	}
	r := &Ring{nodes: sorted, marks: make([]uint64, len(sorted))}
	alike := true
	for i := range sorted {
		n := &sorted[i]
		if n.Weight == 0 {
			n.Weight = 1
		}
		r.marks[i] = nodeMark(n.Name)
		alike = alike && n.Weight == sorted[0].Weight
	}
	if !alike {
		r.perKey = make([]float64, len(sorted))
		for i, n := range sorted {
			r.perKey[i] = 1 / n.Weight
		}
	}
	return r, nil
}

// fillAlike gives each partition to its first node where all weights are the
// same: the order of the waits is the order of the scores, backwards.
func (r *Ring) fillAlike() {
	for p := range r.owners {
		mark := partitionMark(uint64(p))
		best, bestScore := 0, score(mark, r.marks[0])
		for i, m := range r.marks {
			if s := score(mark, m); s > bestScore {
				best, bestScore = i, s
			}
		}
		r.owners[p] = uint16(best)
	}
}

// fillWeighted gives each partition to its first node by weighted waits. A
// logarithm for every pair would take most of the time, and -ln(u) is never less
// than 1-u: most nodes are out of the race without one.
func (r *Ring) fillWeighted() {
	const margin = 1 - 1e-9 // a rounded logarithm must not lose to this bound
	for p := range r.owners {
		mark := partitionMark(uint64(p))
		best := r.rank(mark, 0)
		for i, m := range r.marks {
			s := score(mark, m)
			if shortfall(s)*r.perKey[i]*margin > best.wait {
				continue
			}
			if next := (rank{wait: wait(s) * r.perKey[i], score: s, node: i}); next.before(best) {
				best = next
			}
		}
		r.owners[p] = uint16(best.node)
	}
}

// Owner returns the home of key. Every string is a key, the empty one too. It
// does not allocate.
func (r *Ring) Owner(key string) Node { return r.nodes[r.home(key, xxhash.Sum64String(key))] }

// home is where a key of this hash goes: to the owner of its partition, unless
// Assign says otherwise.
func (r *Ring) home(key string, hash uint64) int {
	if r.placed != nil {
		if i, ok := r.placed.moved[key]; ok {
			return int(i)
		}
		return r.owner(hash)
	}
	return int(r.owners[hash&(partitions-1)])
}

// owner is where the keys of this hash go that Assign leaves alone.
func (r *Ring) owner(hash uint64) int {
	if r.owners == nil {
		return int(r.placed.table[hash%uint64(len(r.placed.table))])
	}
	return int(r.owners[hash&(partitions-1)])
}

// moved is what Assign took from its owner: key to index in nodes.
func (r *Ring) moved() map[string]uint16 {
	if r.placed == nil {
		return nil
	}
	return r.placed.moved
}

// Nodes returns the members in the order of their names, with their weights.
func (r *Ring) Nodes() []Node { return slices.Clone(r.nodes) }

// Fingerprint is a hash of all that decides where keys go: the format's
// version, the nodes with their weights, the table if there is one, and what Assign
// moved. Processes with the same fingerprint send every key to the same node.
func (r *Ring) Fingerprint() uint64 {
	b := binary.LittleEndian.AppendUint64(nil, formatVersion)
	for _, n := range r.nodes {
		b = append(append(b, n.Name...), 0)
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(n.Weight))
	}
	if r.owners == nil {
		b = append(b, 0) // where a node of New's would begin, and none has an empty name
		b = binary.LittleEndian.AppendUint64(b, uint64(len(r.placed.table)))
		for _, owner := range r.placed.table {
			b = binary.LittleEndian.AppendUint16(b, owner)
		}
	}
	h := xxhash.Sum64(b)
	for key, home := range r.moved() {
		h += mix(xxhash.Sum64String(key) ^ r.marks[home]) // a sum, since a map has no order
	}
	return h
}
