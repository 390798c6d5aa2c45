package hashring

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
)

const (
	// partitions is a prime, and large enough that the spread of keys over
	// the nodes is as even as chance allows.
	partitions = 20_011
	// virtualNodes is how often each node stands on the circle. With 200 the
	// load bound below hardly ever acts, so it moves no partition between
	// nodes that stay.
	virtualNodes = 200
	// loadBound is the largest share of a node, relative to the average.
	loadBound = 1.25

	// MaxNodes is the largest ring that New builds. With more nodes a
	// partition would be too coarse a share of a node, and the library sorts
	// the circle anew for every node it adds: 1,000 of them take seconds.
	MaxNodes = 1_000
	// MaxNameBytes is the longest name of a node.
	MaxNameBytes = 253 // a DNS name
)

// Node is a member of the ring. Its name is its identity: it must be the same
// from every process that builds the ring and must outlive restarts, so it is a
// stable DNS name rather than an address or a position in a list.
type Node struct {
	Name string
}

// String returns the node's name.
func (n Node) String() string { return n.Name }

// Ring maps keys to nodes. It is immutable: all methods may be called from any
// number of goroutines, and none takes a lock. To change the membership, build
// another Ring.
type Ring struct {
	nodes  []Node   // sorted by name
	hashes []uint64 // of the nodes' names, in the order of nodes
	owners []uint16 // partition to index in nodes
}

// New builds the ring of a set of nodes. The order of nodes does not matter.
// Every fault of the set is reported: no nodes, more than MaxNodes, a name that
// is empty, longer than MaxNameBytes or there twice.
func New(nodes []Node) (*Ring, error) {
	sorted := slices.Clone(nodes)
	slices.SortFunc(sorted, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	if err := validate(sorted); err != nil {
		return nil, fmt.Errorf("build ring of %d nodes: %w", len(nodes), err)
	}

	r := &Ring{
		nodes:  sorted,
		hashes: make([]uint64, len(sorted)),
		owners: make([]uint16, partitions),
	}
	members := make([]consistent.Member, len(sorted))
	index := make(map[string]uint16, len(sorted))
	for i, n := range sorted {
		r.hashes[i] = xxhash.Sum64String(n.Name)
		members[i] = n
		index[n.Name] = uint16(i)
	}
	circle := consistent.New(members, consistent.Config{
		Hasher:            hasher{},
		PartitionCount:    partitions,
		ReplicationFactor: virtualNodes,
		Load:              loadBound,
	})
	// Only the table is kept: looking it up needs neither the library's lock
	// nor its maps.
	for p := range r.owners {
		r.owners[p] = index[circle.GetPartitionOwner(p).String()]
	}
	return r, nil
}

// validate reports every fault of nodes, which are sorted by name.
func validate(nodes []Node) error {
	var errs []error
	if len(nodes) == 0 {
		errs = append(errs, errors.New("at least one node is needed"))
	}
	if len(nodes) > MaxNodes {
		errs = append(errs, fmt.Errorf("at most %d nodes are supported", MaxNodes))
	}
	for i, n := range nodes {
		switch {
		case n.Name == "":
			errs = append(errs, errors.New("a node has an empty name"))
		case len(n.Name) > MaxNameBytes:
			errs = append(errs, fmt.Errorf("name %.20q… has %d bytes, at most %d are allowed", n.Name, len(n.Name), MaxNameBytes))
		case i > 0 && nodes[i-1].Name == n.Name:
			errs = append(errs, fmt.Errorf("node %q is listed twice", n.Name))
		}
	}
	return errors.Join(errs...)
}

// Owner returns the home of key. Every string is a key, the empty one too. It
// does not allocate.
func (r *Ring) Owner(key string) Node {
	return r.nodes[r.owners[partition(key)]]
}

// Nodes returns the members in the order of their names.
func (r *Ring) Nodes() []Node { return slices.Clone(r.nodes) }

func partition(key string) uint64 { return xxhash.Sum64String(key) % partitions }
