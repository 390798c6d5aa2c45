package hashring

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func hubs(n int) []Node {
	nodes := make([]Node, n)
	for i := range nodes {
		nodes[i] = Node{Name: fmt.Sprintf("edgehub-%d", i)}
	}
	return nodes
}

// weighted gives nodes the weights 1, 2, 3, 1/2 in turn.
func weighted(nodes []Node) []Node {
	for i := range nodes {
		nodes[i].Weight = []float64{1, 2, 3, 0.5}[i%4]
	}
	return nodes
}

func gateways(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("gateway-%05d", i)
	}
	return keys
}

func mustNew(t testing.TB, nodes []Node) *Ring {
	t.Helper()
	r, err := New(nodes)
	require.NoError(t, err)
	return r
}

func TestNewReportsEveryFault(t *testing.T) {
	faults := func(nodes []Node, want ...string) {
		t.Helper()
		_, err := New(nodes)
		require.Error(t, err)
		for _, w := range want {
			assert.ErrorContains(t, err, w)
		}
	}
	faults(nil, "at least one node")
	faults(hubs(MaxNodes+1), "at most 4096 nodes")
	faults([]Node{{Name: "a"}, {}, {Name: "a"}}, "empty name", `"a" is listed twice`)
	faults([]Node{{Name: strings.Repeat("x", 254)}}, "254 bytes")
}

func TestOrderOfNodesDoesNotMatter(t *testing.T) {
	want := mustNew(t, hubs(7))
	for seed := range uint64(20) {
		nodes := hubs(7)
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		require.Equal(t, want, mustNew(t, nodes), "seed %d", seed)
	}
}

func TestNewKeepsTheCallersSlice(t *testing.T) {
	nodes := []Node{{Name: "b"}, {Name: "a"}}
	mustNew(t, nodes)
	assert.Equal(t, []Node{{Name: "b"}, {Name: "a"}}, nodes)
}

func TestOneNodeOwnsEverything(t *testing.T) {
	r := mustNew(t, hubs(1))
	for _, key := range append(gateways(100), "") {
		assert.Equal(t, []Node{{Name: "edgehub-0", Weight: 1}}, slices.Collect(r.Walk(key)))
	}
}

func TestManyNodesShareTheKeys(t *testing.T) {
	r := mustNew(t, hubs(200))
	count := map[Node]int{}
	for _, key := range gateways(10_000) {
		count[r.Owner(key)]++
	}
	assert.Len(t, count, 200)
}

func TestBalance(t *testing.T) {
	keys := gateways(34_700)
	for _, n := range []int{3, 10} {
		r := mustNew(t, hubs(n))
		count := map[Node]int{}
		for _, key := range keys {
			count[r.Owner(key)]++
		}
		for node, c := range count {
			assert.InEpsilon(t, float64(len(keys))/float64(n), float64(c), 0.25, "%s of %d", node, n)
		}
	}
}

func TestWalkStopsWhenAsked(t *testing.T) {
	r := mustNew(t, hubs(5))
	seen := 0
	for range r.Walk("gateway-1") {
		if seen++; seen == 2 {
			break
		}
	}
	assert.Equal(t, 2, seen)
}

// First finds what a walk past the others comes to.
func TestFirst(t *testing.T) {
	plain := mustNew(t, hubs(20))
	loads := fleet(1, 300)
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, ring := range []*Ring{plain, mustNew(t, weighted(hubs(20))), mustAssign(t, plain, loads), mustNew(t, hubs(1))} {
		index := map[string]int{}
		for i, n := range ring.Nodes() {
			index[n.Name] = i
		}
		for _, l := range loads {
			living := make([]bool, len(ring.nodes))
			for range rnd.IntN(len(living) + 1) {
				living[rnd.IntN(len(living))] = true
			}
			want := -1
			for n := range ring.Walk(l.Key) {
				if living[index[n.Name]] {
					want = index[n.Name]
					break
				}
			}
			require.Equal(t, want, ring.First(l.Key, func(node int) bool { return living[node] }), l.Key)
		}
	}
}
