package hashring

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// nodeSets draws sets of up to max nodes, named as a StatefulSet names its pods
// or at random, of equal or of different weights.
func nodeSets(t *rapid.T, minSize, maxSize int) []Node {
	var names []string
	if rapid.Bool().Draw(t, "numbered") {
		for i := range rapid.IntRange(minSize, maxSize).Draw(t, "size") {
			names = append(names, fmt.Sprintf("edgehub-%d.edgehub.metrics.svc", i))
		}
	} else {
		names = rapid.SliceOfNDistinct(rapid.StringN(1, 30, MaxNameBytes), minSize, maxSize, rapid.ID[string]).Draw(t, "names")
	}
	weighted := rapid.Bool().Draw(t, "weighted")
	nodes := make([]Node, len(names))
	for i, name := range names {
		nodes[i] = Node{Name: name}
		if weighted {
			nodes[i].Weight = rapid.Float64Range(0.25, 4).Draw(t, "weight")
		}
	}
	return nodes
}

// share is the part of the whole weight that node i has.
func share(nodes []Node, i int) float64 {
	sum := 0.0
	for _, n := range nodes {
		sum += cmp.Or(n.Weight, 1)
	}
	return cmp.Or(nodes[i].Weight, 1) / sum
}

func TestPropertyOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := nodeSets(t, 1, 30)
		want, err := New(nodes)
		require.NoError(t, err)
		got, err := New(rapid.Permutation(nodes).Draw(t, "order"))
		require.NoError(t, err)
		require.Equal(t, want.Fingerprint(), got.Fingerprint())
		if *want.owners != *got.owners { // not Equal, which would print a million numbers
			t.Fatal("the owners differ")
		}
	})
}

// Every partition is looked at, so this holds for all keys there are.
func TestPropertyOneNodeMoreTakesFromTheOthersAndNothingElseMoves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := nodeSets(t, 2, 60)
		extra := rapid.IntRange(0, len(nodes)-1).Draw(t, "extra")
		large, err := New(nodes)
		require.NoError(t, err)
		small, err := New(slices.Delete(slices.Clone(nodes), extra, extra+1))
		require.NoError(t, err)

		moved := 0
		for p := range uint64(partitions) {
			before, after := small.nodes[small.owners[p]].Name, large.nodes[large.owners[p]].Name
			if before == after {
				continue
			}
			moved++
			if after != nodes[extra].Name {
				t.Fatalf("partition %d moves from %q to %q, which both stay", p, before, after)
			}
			// Read backwards, this node is lost. The partition's next choice was
			// the node that has it now, so failover had sent it there already.
			next, ok := large.after(partitionMark(p), large.rank(partitionMark(p), int(large.owners[p])))
			if !ok || large.nodes[next.node].Name != before {
				t.Fatalf("partition %d fails over to %q and moves to %q", p, large.nodes[next.node].Name, before)
			}
		}
		ideal := share(nodes, extra) * partitions
		assert.LessOrEqual(t, float64(moved), 1.15*ideal)
		assert.GreaterOrEqual(t, float64(moved), ideal/1.15)
	})
}

func TestPropertyWalkVisitsEveryNodeOnceHomeFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, err := New(nodeSets(t, 1, 30))
		require.NoError(t, err)
		for _, key := range rapid.SliceOfN(rapid.String(), 1, 20).Draw(t, "keys") {
			walk := slices.Collect(r.Walk(key))
			require.Equal(t, r.Owner(key), walk[0])
			slices.SortFunc(walk, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
			require.Equal(t, r.Nodes(), walk)
		}
	})
}

// Several nodes die, one after the other: what is left of each walk is the walk
// of the ring that was never built with them.
func TestPropertyDeadNodesAreAsIfTheyHadNeverBeenThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := nodeSets(t, 2, 20)
		living := nodes[:rapid.IntRange(1, len(nodes)-1).Draw(t, "living")]
		all, err := New(nodes)
		require.NoError(t, err)
		rest, err := New(living)
		require.NoError(t, err)
		for i := range 50 {
			key := fmt.Sprintf("gateway-%05d", i)
			var got []string
			for n := range all.Walk(key) {
				if slices.ContainsFunc(living, func(l Node) bool { return l.Name == n.Name }) {
					got = append(got, n.Name)
				}
			}
			require.Equal(t, names(rest, key), got)
		}
	})
}

func names(r *Ring, key string) (walk []string) {
	for n := range r.Walk(key) {
		walk = append(walk, n.Name)
	}
	return walk
}

// The keys of one dead hub go to all the others by their weights, none more than
// a quarter above its part.
func TestFailoverSpreads(t *testing.T) {
	for name, nodes := range map[string][]Node{"equal": hubs(10), "weighted": {
		{Name: "a"},
		{Name: "b"},
		{Name: "c"},
		{Name: "d"},
		{Name: "e"},
		{Name: "f"},
		{Name: "g"},
		{Name: "h", Weight: 2},
		{Name: "i", Weight: 2},
		{Name: "j", Weight: 1.5},
	}} {
		t.Run(name, func(t *testing.T) {
			r := mustNew(t, nodes)
			weights := 0.0
			for _, n := range r.Nodes() {
				weights += n.Weight
			}
			worst := 0.0
			for _, dead := range r.Nodes() {
				took, total := map[Node]int{}, 0
				for _, key := range gateways(34_700) {
					if r.Owner(key) != dead {
						continue
					}
					total++
					took[slices.Collect(r.Walk(key))[1]]++
				}
				require.Len(t, took, 9)
				for node, n := range took {
					even := float64(total) * node.Weight / (weights - dead.Weight)
					worst = max(worst, float64(n)/even)
					assert.LessOrEqual(t, float64(n), 1.25*even, "%s takes over from %s", node, dead)
				}
			}
			t.Logf("a survivor gets at most %.2f times its part", worst)
		})
	}
}

// Two nodes' orders have nothing to do with each other, nor have two
// partitions': every pair of an owner and its successor is as frequent as every other.
func TestOrdersAreIndependent(t *testing.T) {
	const n = 10
	for seed := range uint64(5) {
		random := rand.New(rand.NewPCG(seed, 1))
		nodes := make([]Node, n)
		for i := range nodes {
			nodes[i] = Node{Name: fmt.Sprintf("hub-%d-%d", random.Uint32(), i)}
		}
		r := mustNew(t, nodes)
		var pairs [n][n]float64
		var sameNext float64 // neighbouring partitions with the same owner
		for p := range uint64(partitions) {
			mark := partitionMark(p)
			owner := r.rank(mark, int(r.owners[p]))
			next, _ := r.after(mark, owner)
			pairs[owner.node][next.node]++
			if p > 0 && r.owners[p] == r.owners[p-1] {
				sameNext++
			}
		}
		expected, chi2 := float64(partitions)/(n*(n-1)), 0.0
		for i := range pairs {
			for j, got := range pairs[i] {
				if i != j {
					chi2 += (got - expected) * (got - expected) / expected
				}
			}
		}
		// 89 degrees of freedom: by chance above 150 once in 25,000 rings.
		assert.Less(t, chi2, 150.0, "seed %d", seed)
		assert.InEpsilon(t, partitions/float64(n), sameNext, 0.03, "seed %d", seed)
	}
}

// A node whose weight is raised takes from the others, and gets its share.
func TestRaisingAWeightOnlyMovesKeysToThatNode(t *testing.T) {
	before := mustNew(t, hubs(6))
	nodes := hubs(6)
	nodes[3].Weight = 2
	after := mustNew(t, nodes)
	got := 0
	for p := range before.owners {
		if after.owners[p] == 3 {
			got++
		} else {
			require.Equal(t, before.owners[p], after.owners[p])
		}
	}
	assert.InEpsilon(t, partitions*2.0/7, got, 0.02)
}
