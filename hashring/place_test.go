package hashring

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What Assign did is written down as the keys that left their owners, and anybody can do it again, whatever
// kind of ring it was done to.
func TestPlaceRepeatsAssign(t *testing.T) {
	table, err := FromTable(hubs(5), func([]Node) ([]int, error) { return []int{0, 1, 2, 3, 4, 0, 0}, nil })
	require.NoError(t, err)
	for name, ring := range map[string]*Ring{"rendezvous": mustNew(t, hubs(5)), "table": table} {
		loads := fleet(1, 347)
		assigned := mustAssign(t, ring, loads)
		homes := assigned.Placed()
		require.NotEmpty(t, homes, name)
		placed, err := ring.Place(homes)
		require.NoError(t, err)
		assert.Equal(t, assigned.Fingerprint(), placed.Fingerprint(), name)
		assert.Equal(t, homes, placed.Placed(), name)
		for _, l := range loads {
			require.Equal(t, slices.Collect(assigned.Walk(l.Key)), slices.Collect(placed.Walk(l.Key)), name)
		}
		again, err := assigned.Place(nil)
		require.NoError(t, err)
		assert.Equal(t, ring.Owner("a"), again.Owner("a"))
		assert.Empty(t, again.Placed(), "what was moved before is forgotten")

		// Everybody's home written down, also of those who are at their owners.
		all := map[string]string{}
		for _, l := range loads {
			all[l.Key] = assigned.Owner(l.Key).Name
		}
		placed, err = ring.Place(all)
		require.NoError(t, err)
		assert.Equal(t, assigned.Fingerprint(), placed.Fingerprint(), name)
	}
	assert.Empty(t, mustNew(t, hubs(3)).Placed())
}

func TestPlaceReportsHomesThatAreNoNodes(t *testing.T) {
	ring := mustNew(t, hubs(3))
	_, err := ring.Place(map[string]string{"gw-2": "nobody", "gw-1": "nobody either", "gw-3": ring.Nodes()[0].Name})
	require.EqualError(t, err, "place 3 keys: the home of key \"gw-1\" is \"nobody either\", which is no node\n"+
		"the home of key \"gw-2\" is \"nobody\", which is no node")
	homes := map[string]string{}
	for _, l := range fleet(2, 20) {
		homes[l.Key] = "x"
	}
	_, err = ring.Place(maps.Clone(homes))
	require.ErrorContains(t, err, "and 11 faults more")
}
