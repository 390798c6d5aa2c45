package hashring

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
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
	faults(hubs(MaxNodes+1), "at most 1000 nodes")
	faults([]Node{{"a"}, {""}, {"a"}}, "empty name", `"a" is listed twice`)
	faults([]Node{{strings.Repeat("x", 254)}}, "254 bytes")
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
	nodes := []Node{{"b"}, {"a"}}
	mustNew(t, nodes)
	assert.Equal(t, []Node{{"b"}, {"a"}}, nodes)
}

func TestOneNodeOwnsEverything(t *testing.T) {
	r := mustNew(t, hubs(1))
	for _, key := range append(gateways(100), "") {
		assert.Equal(t, []Node{{"edgehub-0"}}, slices.Collect(r.Walk(key)))
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

// Growing moves keys to the new node only, and about its share of them.
func TestGrowingMovesToTheNewNodeOnly(t *testing.T) {
	keys := gateways(34_700)
	for _, n := range []int{1, 3, 5, 10} {
		before, after := mustNew(t, hubs(n)), mustNew(t, hubs(n+1))
		moved, stray := 0, 0
		for _, key := range keys {
			from, to := before.Owner(key), after.Owner(key)
			if from != to {
				moved++
				if to.Name != fmt.Sprintf("edgehub-%d", n) {
					stray++
				}
			}
		}
		ideal := float64(len(keys)) / float64(n+1)
		assert.LessOrEqual(t, stray, len(keys)/200, "%d to %d: moved between old nodes", n, n+1)
		assert.InEpsilon(t, ideal, float64(moved), 0.20, "%d to %d", n, n+1)
	}
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

func TestWalkVisitsEveryNodeOnceOwnerFirst(t *testing.T) {
	r := mustNew(t, hubs(9))
	for _, key := range gateways(500) {
		walk := slices.Collect(r.Walk(key))
		require.Equal(t, r.Owner(key), walk[0])
		slices.SortFunc(walk, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
		require.Equal(t, r.Nodes(), walk, "key %s", key)
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

// The keys of one dead hub go to all the others, evenly.
func TestFailoverSpreads(t *testing.T) {
	r := mustNew(t, hubs(10))
	for _, dead := range r.Nodes() {
		took, total := map[Node]int{}, 0
		for _, key := range gateways(34_700) {
			if r.Owner(key) != dead {
				continue
			}
			next := slices.Collect(r.Walk(key))[1]
			took[next]++
			total++
		}
		require.Len(t, took, 9)
		for node, n := range took {
			assert.LessOrEqual(t, float64(n), 1.25*float64(total)/9, "%s takes over from %s", node, dead)
		}
	}
}

var update = flag.Bool("update", false, "rewrite testdata/walks.json; this moves every fleet")

// The pinned walks keep an upgrade of a library from moving a fleet unnoticed.
func TestPinnedWalks(t *testing.T) {
	got := map[string]map[string][]string{}
	for _, n := range []int{1, 3, 5, 10} {
		r := mustNew(t, hubs(n))
		walks := map[string][]string{}
		for _, key := range append(gateways(40), "", "µ-gateway", strings.Repeat("k", 300)) {
			for node := range r.Walk(key) {
				walks[key] = append(walks[key], node.Name)
			}
		}
		got[fmt.Sprintf("%d hubs", n)] = walks
	}
	path := filepath.Join("testdata", "walks.json")
	if *update {
		b, err := json.MarshalIndent(got, "", " ")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, append(b, '\n'), 0o644))
	}
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	var want map[string]map[string][]string
	require.NoError(t, json.Unmarshal(b, &want))
	assert.Equal(t, want, got)
}

func TestOwnerDoesNotAllocate(t *testing.T) {
	r := mustNew(t, hubs(10))
	assert.Zero(t, testing.AllocsPerRun(100, func() { r.Owner("gateway-00042") }))
}

// go test ./hashring -run '^$' -bench .
func BenchmarkOwner(b *testing.B) {
	for _, n := range []int{10, 200} {
		b.Run(fmt.Sprintf("hubs=%d", n), func(b *testing.B) {
			r, keys := mustNew(b, hubs(n)), gateways(1024)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				r.Owner(keys[i&1023])
				i++
			}
		})
	}
}

func BenchmarkWalk(b *testing.B) {
	r, keys := mustNew(b, hubs(10)), gateways(1024)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		for range r.Walk(keys[i&1023]) {
		}
		i++
	}
}

func BenchmarkNew(b *testing.B) {
	for _, n := range []int{3, 10, 100} {
		b.Run(fmt.Sprintf("hubs=%d", n), func(b *testing.B) {
			nodes := hubs(n)
			for b.Loop() {
				mustNew(b, nodes)
			}
		})
	}
}
