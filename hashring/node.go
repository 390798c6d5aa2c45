package hashring

import (
	"errors"
	"fmt"
	"math"
)

const (
	// MaxNodes is the largest ring that New builds: with more a node would have
	// so few partitions that its share is a matter of luck.
	MaxNodes = 4096
	// MaxNameBytes is the longest name of a node, that of a DNS name.
	MaxNameBytes = 253

	minWeight, maxWeight = 0.001, 1000
)

// Node is a member of the ring. Its name is its identity: it must be the same
// from every process that builds the ring and must outlive restarts, so it is a
// stable DNS name rather than an address or a position in a list.
type Node struct {
	Name string
	// Weight is the node's share of the keys relative to the others': a node of
	// weight 2 gets twice as many as one of weight 1. It is between 0.001 and
	// 1000; 0 means 1. A node whose weight is raised only gains keys.
	Weight float64
}

// String returns the node's name.
func (n Node) String() string { return n.Name }

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
		if w := n.Weight; w != 0 && !(w >= minWeight && w <= maxWeight) || math.IsNaN(w) {
			errs = append(errs, fmt.Errorf("node %.20q has weight %g, it must be between %g and %d, or 0 for 1", n.Name, w, minWeight, maxWeight))
		}
	}
	return errors.Join(errs...)
}
