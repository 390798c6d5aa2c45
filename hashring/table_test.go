package hashring

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// inTurn fills a table that deals its partitions out in turn.
func inTurn(count int) func(nodes []Node) ([]int, error) {
	return func(nodes []Node) ([]int, error) {
		owners := make([]int, count)
		for p := range owners {
			owners[p] = p % len(nodes)
		}
		return owners, nil
	}
}

func mustFromTable(t testing.TB, nodes []Node, fill func([]Node) ([]int, error)) *Ring {
	t.Helper()
	r, err := FromTable(nodes, fill)
	require.NoError(t, err)
	return r
}

func TestFromTableAsksTheTable(t *testing.T) {
	for _, count := range []int{1, 7, 271, 20_011} {
		r := mustFromTable(t, hubs(10), inTurn(count))
		for _, key := range pinnedKeys() {
			want := r.Nodes()[xxhash.Sum64String(key)%uint64(count)%10]
			require.Equal(t, want, r.Owner(key), "%q of %d partitions", key, count)
			require.Equal(t, want, r.Nodes()[r.First(key, func(int) bool { return true })])
		}
	}
}

func TestFromTableGivesFillTheNodesInOrder(t *testing.T) {
	given := []Node{{Name: "c"}, {Name: "a", Weight: 2}, {Name: "b"}}
	var got []Node
	r := mustFromTable(t, given, func(nodes []Node) ([]int, error) {
		got = slices.Clone(nodes)
		nodes[0].Name = "fill may do what it likes with them"
		return []int{2}, nil
	})
	assert.Equal(t, []Node{{Name: "a", Weight: 2}, {Name: "b", Weight: 1}, {Name: "c", Weight: 1}}, got)
	assert.Equal(t, got, r.Nodes())
	assert.Equal(t, []Node{{Name: "c"}, {Name: "a", Weight: 2}, {Name: "b"}}, given)
	assert.Equal(t, "c", r.Owner("any").Name)
}

// Home first; behind it the others stand as in New's ring of the same nodes.
func TestPropertyWalkOfATable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := nodeSets(t, 1, 30)
		ring, err := FromTable(nodes, inTurn(rapid.IntRange(1, 300).Draw(t, "partitions")))
		require.NoError(t, err)
		plain, err := New(nodes)
		require.NoError(t, err)
		loads := fleet(rapid.Uint64().Draw(t, "fleet"), 20)
		assigned, err := ring.Assign(loads, 1)
		require.NoError(t, err)
		for _, l := range loads {
			owner := ring.Owner(l.Key).Name
			rest := slices.DeleteFunc(names(plain, l.Key), func(n string) bool { return n == owner })
			walk := append([]string{owner}, rest...)
			require.Equal(t, walk, names(ring, l.Key))

			home := assigned.Owner(l.Key).Name
			rest = slices.DeleteFunc(slices.Clone(walk), func(n string) bool { return n == home })
			require.Equal(t, append([]string{home}, rest...), names(assigned, l.Key))

			for _, r := range []*Ring{ring, assigned} {
				living := rapid.SliceOfN(rapid.Bool(), len(nodes), len(nodes)).Draw(t, "living")
				want := -1
				for n := range r.Walk(l.Key) {
					if i := slices.Index(r.nodes, n); living[i] {
						want = i
						break
					}
				}
				require.Equal(t, want, r.First(l.Key, func(node int) bool { return living[node] }))
			}
		}
	})
}

// A partition's keys stay together while its owner lives, and part when it dies.
func TestFailoverOfATableSpreads(t *testing.T) {
	r := mustFromTable(t, hubs(10), inTurn(271))
	for dead := range r.nodes {
		took, total := map[int]int{}, 0
		for _, key := range gateways(34_700) {
			if r.First(key, func(int) bool { return true }) == dead {
				took[r.First(key, func(node int) bool { return node != dead })]++
				total++
			}
		}
		assert.Len(t, took, 9)
		for node, n := range took {
			assert.LessOrEqual(t, float64(n), 1.25*float64(total)/9, "%d takes over from %d", node, dead)
		}
	}
}

func TestFingerprintOfATable(t *testing.T) {
	want := mustFromTable(t, hubs(3), inTurn(9))
	turned := hubs(3)
	slices.Reverse(turned)
	assert.Equal(t, want.Fingerprint(), mustFromTable(t, turned, inTurn(9)).Fingerprint())

	seen := map[uint64]string{want.Fingerprint(): "in turn"}
	differs := func(name string, r *Ring) {
		t.Helper()
		assert.NotContains(t, seen, r.Fingerprint(), name)
		seen[r.Fingerprint()] = name
	}
	differs("New", mustNew(t, hubs(3)))
	differs("more nodes", mustFromTable(t, hubs(4), inTurn(9)))
	differs("weights", mustFromTable(t, []Node{{Name: "edgehub-0", Weight: 2}, {Name: "edgehub-1"}, {Name: "edgehub-2"}}, inTurn(9)))
	for p := range 9 {
		differs(fmt.Sprintf("partition %d elsewhere", p), mustFromTable(t, hubs(3), func(nodes []Node) ([]int, error) {
			owners, err := inTurn(9)(nodes)
			owners[p] = (owners[p] + 1) % 3
			return owners, err
		}))
	}
	differs("more partitions", mustFromTable(t, hubs(3), inTurn(10)))

	loads := fleet(1, 347)
	crowded := mustFromTable(t, hubs(3), inTurn(1))
	differs("one partition", crowded)
	assigned, err := crowded.Assign(loads, 0)
	require.NoError(t, err)
	require.NotEmpty(t, assigned.moved())
	differs("assigned", assigned)
	again, err := assigned.Assign(loads, 0)
	require.NoError(t, err)
	assert.Equal(t, assigned, again)
}

// Assign bounds a table's load as it does that of a ring, from where the table has the keys.
func TestAssignOnATable(t *testing.T) {
	ring := mustFromTable(t, hubs(10), func([]Node) ([]int, error) {
		owners := make([]int, 271) // hub 0 has most
		for p := range owners {
			owners[p] = p % 20 % 10 * (p % 2)
		}
		return owners, nil
	})
	for seed := range uint64(20) {
		loads := fleet(seed, 347)
		total := 0
		for _, l := range loads {
			total += l.Series
		}
		assigned := mustAssign(t, ring, loads)
		for node, s := range seriesByNode(assigned, loads) {
			assert.LessOrEqual(t, float64(s), float64(total)/10+1000, node)
		}
		plan, err := Compare(ring, assigned, loads, time.Minute, time.Hour)
		require.NoError(t, err)
		assert.Equal(t, len(assigned.moved()), plan.MovedKeys)
		assert.Equal(t, "edgehub-0", plan.Before.Busiest)
		assert.Equal(t, 10, plan.After.Nodes)
	}
}

func TestFromTableReportsEveryFault(t *testing.T) {
	faults := func(nodes []Node, fill func([]Node) ([]int, error), want ...string) {
		t.Helper()
		r, err := FromTable(nodes, fill)
		require.Error(t, err)
		assert.Nil(t, r)
		for _, w := range want {
			assert.ErrorContains(t, err, w)
		}
	}
	table := func(owners ...int) func([]Node) ([]int, error) {
		return func([]Node) ([]int, error) { return owners, nil }
	}
	faults(nil, inTurn(3), "at least one node")
	faults([]Node{{Name: "a"}, {}, {Name: "a", Weight: -1}}, inTurn(3), "build ring of 3 nodes", "empty name", `"a" is listed twice`, "weight -1")
	faults(hubs(3), table(), "no partitions")
	faults(hubs(3), table(0, 3, 1, -1), "partition 1 belongs to node 3, the nodes are 0 to 2", "partition 3 belongs to node -1")
	faults(hubs(3), table(slices.Repeat([]int{9}, 30)...), "and 20 faults more")
	full := errors.New("no room")
	r, err := FromTable(hubs(3), func([]Node) ([]int, error) { return nil, full })
	assert.Nil(t, r)
	assert.ErrorIs(t, err, full)
	assert.True(t, strings.HasPrefix(err.Error(), "build ring of 3 nodes: "), err)
}

// go test ./hashring -run '^$' -bench Table
func BenchmarkTable(b *testing.B) {
	keys := gateways(1 << 16)
	r := mustFromTable(b, hubs(10), inTurn(20_011))
	b.Run("owner", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			r.Owner(keys[i&(len(keys)-1)])
			i++
		}
	})
	b.Run("failover", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			key := keys[i&(len(keys)-1)]
			home := r.First(key, func(int) bool { return true })
			r.First(key, func(node int) bool { return node != home })
			i++
		}
	})
}
