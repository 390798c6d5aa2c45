package hashring

import (
	"errors"
	"fmt"
)

// FromTable builds a ring whose owners another method has worked out, such as the
// circle of another library. A key's partition is xxhash64(key) % len(owners), with
// seed 0, and owners[partition] is the index of its home in Nodes. Everything else is
// the ring's own: a dead node's keys go on in the weighted rendezvous order of New, each
// key in its own, and so spread over all the others, however few the partitions are.
//
// Fill is called once. It is given the nodes as Nodes returns them, sorted by name
// and with their weights, so that what it makes of them does not depend on the order
// in which they were listed. Weights order the walks; the owners are what fill says.
//
// What New reports of the nodes is reported, fill's error, and owners that are no
// nodes. The ring takes two bytes for each partition.
func FromTable(nodes []Node, fill func(nodes []Node) (owners []int, err error)) (*Ring, error) {
	r, err := ordered(nodes)
	if err == nil {
		r.placed = &placed{}
		r.placed.table, err = tableOf(r.Nodes(), fill)
	}
	if err != nil {
		return nil, fmt.Errorf("build ring of %d nodes: %w", len(nodes), err)
	}
	return r, nil
}

// tableOf asks for the owners and checks them.
func tableOf(nodes []Node, fill func([]Node) ([]int, error)) ([]uint16, error) {
	owners, err := fill(nodes)
	if err != nil {
		return nil, err
	}
	if len(owners) == 0 {
		return nil, errors.New("the table has no partitions, it must have at least one")
	}
	table := make([]uint16, len(owners))
	var errs []error
	faults := 0
	for p, owner := range owners {
		if owner < 0 || owner >= len(nodes) {
			if faults++; faults <= maxFaults {
				errs = append(errs, fmt.Errorf("partition %d belongs to node %d, the nodes are 0 to %d", p, owner, len(nodes)-1))
			}
			continue
		}
		table[p] = uint16(owner)
	}
	if faults > maxFaults {
		errs = append(errs, fmt.Errorf("and %d faults more", faults-maxFaults))
	}
	return table, errors.Join(errs...)
}
