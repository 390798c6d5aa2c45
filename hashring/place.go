package hashring

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Place returns a ring on which each of these keys has the home of that name, as if
// Assign had moved it there; all other keys are with the owners that r has for them. What
// Assign or Place did to r before is forgotten. A key whose home is its owner is as good
// as not named.
//
// Every home that is no node is reported, up to ten.
func (r *Ring) Place(homes map[string]string) (*Ring, error) {
	index := make(map[string]uint16, len(r.nodes))
	for i, n := range r.nodes {
		index[n.Name] = uint16(i)
	}
	moved := map[string]uint16{}
	var errs []error
	faults := 0
	for key, home := range homes {
		node, ok := index[home]
		if !ok {
			faults++
			continue
		}
		if int(node) != r.owner(xxhash.Sum64String(key)) {
			moved[key] = node
		}
	}
	if faults > 0 { // a map has no order, and an error should not change from run to run
		for _, key := range slices.Sorted(maps.Keys(homes)) {
			if _, ok := index[homes[key]]; !ok && len(errs) < maxFaults {
				errs = append(errs, fmt.Errorf("the home of key %q is %q, which is no node", key, homes[key]))
			}
		}
		if faults > maxFaults {
			errs = append(errs, fmt.Errorf("and %d faults more", faults-maxFaults))
		}
		return nil, fmt.Errorf("place %d keys: %w", len(homes), errors.Join(errs...))
	}
	return r.with(moved), nil
}

// Placed returns the keys that Assign or Place took from their owners, with the names of
// their homes. Place makes the same ring of it.
func (r *Ring) Placed() map[string]string {
	homes := make(map[string]string, len(r.moved()))
	for key, node := range r.moved() {
		homes[key] = r.nodes[node].Name
	}
	return homes
}

// with is r with other keys moved.
func (r *Ring) with(moved map[string]uint16) *Ring {
	other := *r
	other.placed = &placed{moved: moved}
	if r.placed != nil {
		other.placed.table = r.placed.table
	}
	return &other
}
