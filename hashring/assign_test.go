package hashring

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const noGatewaySeries = 1500

// fleet is the production shape: n gateways of 250 to 350 series with random
// names, and 1,500 series of no gateway.
func fleet(seed uint64, n int) []Load {
	random := rand.New(rand.NewPCG(seed, 7))
	loads := []Load{{Key: "", Series: noGatewaySeries}}
	for range n {
		loads = append(loads, Load{Key: fmt.Sprintf("gw-%016x", random.Uint64()), Series: 250 + random.IntN(101)})
	}
	return loads
}

func mustAssign(t testing.TB, r *Ring, loads []Load) *Ring {
	t.Helper()
	assigned, err := r.Assign(loads, 0)
	require.NoError(t, err)
	return assigned
}

func seriesByNode(r *Ring, loads []Load) map[string]int {
	got := map[string]int{}
	for _, n := range r.Nodes() {
		got[n.Name] = 0
	}
	for _, l := range loads {
		got[r.Owner(l.Key).Name] += l.Series
	}
	return got
}

// No hub gets more than 1,000 series above the average, which hashing alone does
// not give.
func TestAssignBoundsTheBusiestHub(t *testing.T) {
	for _, n := range []int{3, 5, 10} {
		ring := mustNew(t, hubs(n))
		worst, worstOfRing, moved := 0.0, 0.0, 0
		const fleets = 500
		for seed := range uint64(fleets) {
			loads := fleet(seed, 347)
			assigned := mustAssign(t, ring, loads)
			total := 0
			for _, l := range loads {
				total += l.Series
			}
			for _, s := range seriesByNode(assigned, loads) {
				worst = max(worst, float64(s)-float64(total)/float64(n))
			}
			for _, s := range seriesByNode(ring, loads) {
				worstOfRing = max(worstOfRing, float64(s)-float64(total)/float64(n))
			}
			moved += len(assigned.moved())
		}
		t.Logf("%2d hubs, %d fleets: at most %.0f series above the average (%.0f without Assign); %.1f of 348 keys are not at their owner",
			n, fleets, worst, worstOfRing, float64(moved)/fleets)
		assert.LessOrEqual(t, worst, 1000.0, "%d hubs", n)
	}
}

// A hub more or fewer moves at most twice what must move.
func TestAssignMovesLittleWhenHubsChange(t *testing.T) {
	const fleets = 200
	for _, sizes := range [][2]int{{3, 4}, {4, 3}, {5, 6}, {6, 5}, {10, 11}, {11, 10}} {
		from, to := mustNew(t, hubs(sizes[0])), mustNew(t, hubs(sizes[1]))
		var ratios []float64
		mean := 0.0
		for seed := range uint64(fleets) {
			loads := fleet(seed, 347)
			before, after := mustAssign(t, from, loads), mustAssign(t, to, loads)
			moved, total := 0, 0
			for _, l := range loads {
				total += l.Series
				if before.Owner(l.Key) != after.Owner(l.Key) {
					moved += l.Series
				}
			}
			ratio := float64(moved) / float64(total) * float64(max(sizes[0], sizes[1]))
			ratios = append(ratios, ratio)
			mean += ratio / fleets
		}
		slices.Sort(ratios)
		t.Logf("%2d to %2d hubs, %d fleets: %.2f times the unavoidable share on average, p50 %.2f, p99 %.2f",
			sizes[0], sizes[1], fleets, mean, ratios[fleets/2], ratios[fleets*99/100])
		assert.LessOrEqual(t, mean, 1.5) // twice is what is promised
	}
}

// A gateway more or fewer moves a handful of others at most.
func TestAssignMovesAHandfulWhenAGatewayComesOrGoes(t *testing.T) {
	const fleets, perFleet = 200, 5
	for _, n := range []int{3, 5, 10} {
		ring := mustNew(t, hubs(n))
		var others []int
		mean := 0.0
		for seed := range uint64(fleets) {
			loads := fleet(seed, 347+perFleet)
			after := mustAssign(t, ring, loads[:348])
			for more := 349; more <= len(loads); more++ {
				before := after
				after = mustAssign(t, ring, loads[:more])
				moved := 0
				for _, l := range loads[:more-1] {
					if before.Owner(l.Key) != after.Owner(l.Key) {
						moved++
					}
				}
				others = append(others, moved)
				mean += float64(moved) / (fleets * perFleet)
			}
		}
		slices.Sort(others)
		at := func(q float64) int { return others[int(math.Ceil(q*float64(len(others))))-1] }
		t.Logf("%2d hubs, %d changes: others moved: mean %.2f, p50 %d, p90 %d, p99 %d, most %d", n, len(others), mean, at(.5), at(.9), at(.99), at(1))
		assert.LessOrEqual(t, at(.99), 6)
		assert.LessOrEqual(t, at(1), 10)
	}
}

func TestPropertyAssignIsAFunctionOfTheSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := nodeSets(t, 1, 20)
		loads := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Load {
			return Load{Key: rapid.String().Draw(t, "key"), Series: rapid.OneOf(rapid.IntRange(0, 400), rapid.IntRange(0, 9000)).Draw(t, "series")}
		}), 0, 200, func(l Load) string { return l.Key }).Draw(t, "loads")
		slack := rapid.SampledFrom([]int{0, 1, 10, 500}).Draw(t, "slack")
		ring, err := New(nodes)
		require.NoError(t, err)
		want, err := ring.Assign(loads, slack)
		require.NoError(t, err)
		again, err := New(rapid.Permutation(nodes).Draw(t, "other nodes"))
		require.NoError(t, err)
		got, err := again.Assign(rapid.Permutation(loads).Draw(t, "other loads"), slack)
		require.NoError(t, err)
		require.Equal(t, want.moved(), got.moved())
		require.Equal(t, want.Fingerprint(), got.Fingerprint())

		// No node is above its share by more than slack or the largest key.
		if slack == 0 {
			slack = defaultSlack(loads, len(nodes))
		}
		total, largest := 0, 0
		for _, l := range loads {
			total, largest = total+l.Series, max(largest, l.Series)
		}
		load := seriesByNode(want, loads)
		for i, n := range nodes {
			require.LessOrEqual(t, float64(load[n.Name]), float64(total)*share(nodes, i)+float64(max(slack, largest))+1e-6)
		}
		// Walks still visit every node once, the home first.
		for _, l := range loads {
			walk := names(want, l.Key)
			require.Equal(t, want.Owner(l.Key).Name, walk[0])
			rest := slices.DeleteFunc(names(ring, l.Key), func(n string) bool { return n == walk[0] })
			require.Equal(t, rest, walk[1:])
		}
	})
}

// Keys leave a node only because it would be too full with them.
func TestAssignMovesOnlyWhatOverflows(t *testing.T) {
	ring := mustNew(t, hubs(10))
	loads := fleet(1, 347)
	total := 0
	for _, l := range loads {
		total += l.Series
	}
	slack := defaultSlack(loads, 10)
	own := seriesByNode(ring, loads)
	left := map[string]int{}
	assigned := mustAssign(t, ring, loads)
	for key := range assigned.moved() {
		left[ring.Owner(key).Name]++
	}
	require.NotEmpty(t, left)
	for node := range left {
		assert.Greater(t, own[node], total/10+slack*3/4, "%s had room for its own", node)
	}
	assert.Empty(t, ring.moved(), "the ring itself stays as it was")
	assert.Equal(t, ring.Owner("unknown"), assigned.Owner("unknown"))
}

// The matching is stable: wherever a key would rather be, every key of its round that is
// there is preferred to it.
func TestAssignLeavesNobodyWithAJustComplaint(t *testing.T) {
	for seed := range uint64(20) {
		ring := mustNew(t, hubs(10))
		loads := fleet(seed, 347)[1:]
		assigned := mustAssign(t, ring, loads)
		held := map[int][]applicant{}
		at := func(l Load, node int) applicant {
			hash := xxhash.Sum64String(l.Key)
			a := applicant{Load: l, hash: hash, mark: partitionMark(partition(hash)), owner: uint16(ring.owner(hash))}
			a.ask(ring, uint16(node))
			return a
		}
		for _, l := range loads {
			home := assigned.home(l.Key, xxhash.Sum64String(l.Key))
			held[home] = append(held[home], at(l, home))
		}
		for _, l := range loads {
			for name := range ring.Walk(l.Key) {
				node := slices.Index(ring.nodes, name)
				if node == assigned.home(l.Key, xxhash.Sum64String(l.Key)) {
					break
				}
				me := at(l, node)
				for _, other := range held[node] {
					require.True(t, other.before(&me), "seed %d: %s has %q and refused %q", seed, name, other.Key, l.Key)
				}
			}
		}
	}
}

// Wherever Assign puts a key, its walk begins there and goes on in the ring's order.
func TestWalkOfAMovedKey(t *testing.T) {
	ring := mustNew(t, hubs(30))
	const key = "gateway-00042"
	order := names(ring, key)
	for home := range ring.nodes {
		moved := *ring
		moved.placed = &placed{moved: map[string]uint16{key: uint16(home)}}
		name := ring.nodes[home].Name
		want := append([]string{name}, slices.DeleteFunc(slices.Clone(order), func(n string) bool { return n == name })...)
		require.Equal(t, want, names(&moved, key))
	}
}

func TestAssignWithWeights(t *testing.T) {
	nodes := hubs(5)
	nodes[2].Weight = 2
	ring := mustNew(t, nodes)
	loads := fleet(3, 347)
	total := 0
	for _, l := range loads {
		total += l.Series
	}
	for node, s := range seriesByNode(mustAssign(t, ring, loads), loads) {
		want := float64(total) / 6
		if node == "edgehub-2" {
			want *= 2
		}
		assert.LessOrEqual(t, float64(s), want+1000, node)
	}
}

func TestAssignReportsEveryFault(t *testing.T) {
	ring := mustNew(t, hubs(3))
	_, err := ring.Assign([]Load{{"a", 1}, {"a", 2}, {"b", -1}, {"c", maxSeries + 1}}, 0)
	for _, want := range []string{"assign 4 keys", `"a" is listed twice`, `"b" has -1 series`, `"c" has 4294967297 series`} {
		assert.ErrorContains(t, err, want)
	}
	_, err = ring.Assign([]Load{{"b", -1}}, -1)
	assert.ErrorContains(t, err, "slack is -1")
	assert.ErrorContains(t, err, `"b" has -1 series`)
	_, err = ring.Assign(nil, math.MaxInt)
	assert.ErrorContains(t, err, "between 0 and 4294967296")
	_, err = ring.Assign(slices.Repeat([]Load{{"a", 1}}, 20), 0)
	assert.ErrorContains(t, err, "and 9 faults more")
	assert.Equal(t, 11, strings.Count(err.Error(), "\n")+1)
}

func TestAssignNothing(t *testing.T) {
	ring := mustNew(t, hubs(3))
	assert.Equal(t, ring.Fingerprint(), mustAssign(t, ring, nil).Fingerprint())
	assert.Equal(t, ring.Fingerprint(), mustAssign(t, ring, []Load{{Key: "a"}, {Key: "b"}}).Fingerprint())
}

// go test ./hashring -run '^$' -bench Assign
func BenchmarkAssign(b *testing.B) {
	for _, size := range [][2]int{{10, 347}, {1000, 100_000}} {
		b.Run(fmt.Sprintf("hubs=%d/keys=%d", size[0], size[1]), func(b *testing.B) {
			ring, loads := mustNew(b, hubs(size[0])), fleet(1, size[1])
			for b.Loop() {
				mustAssign(b, ring, loads)
			}
		})
	}
}
