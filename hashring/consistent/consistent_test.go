package consistent

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	library "github.com/buraksezer/consistent"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/hubring/hubring/hashring"
)

var update = flag.Bool("update", false, "rewrite testdata; a change in there moves every fleet that is placed by the circle")

func hubs(n int) []hashring.Node {
	nodes := make([]hashring.Node, n)
	for i := range nodes {
		nodes[i].Name = fmt.Sprintf("edgehub-%d", i)
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

func mustNew(t testing.TB, nodes []hashring.Node, cfg Config) *hashring.Ring {
	t.Helper()
	r, err := New(nodes, cfg)
	require.NoError(t, err)
	return r
}

// byHand is the library as whoever has it calls it, with the nodes as they come.
func byHand(nodes []hashring.Node, cfg Config) *library.Consistent {
	members := make([]library.Member, len(nodes))
	for i, n := range nodes {
		members[i] = member(n.Name)
	}
	return library.New(members, library.Config{
		Hasher: hasher{}, PartitionCount: cfg.PartitionCount, ReplicationFactor: cfg.ReplicationFactor, Load: cfg.Load,
	})
}

func locate(c *library.Consistent, key string) string { return c.LocateKey([]byte(key)).String() }

// pinned is the testdata: where the circle of some hubs has keys, as indices in Nodes.
type pinned struct {
	Nodes             []string       `json:"nodes"`
	PartitionCount    int            `json:"partition_count"`
	ReplicationFactor int            `json:"replication_factor"`
	Load              float64        `json:"load"`
	Fingerprint       string         `json:"fingerprint"`
	Owners            map[string]int `json:"owners"`
}

// The pinned owners keep an upgrade of the library from moving a fleet unnoticed, and
// are what a circle in another program is checked against.
//
// go test ./hashring/consistent -run Pinned -update
func TestPinnedOwners(t *testing.T) {
	keys := append(gateways(60), "", "0", "µ-gateway", "ゲートウェイ", "\x00", strings.Repeat("k", 300))
	var got []pinned
	for _, c := range []struct {
		hubs int
		cfg  Config
	}{
		{1, Config{}},
		{3, Config{}},
		{5, Config{PartitionCount: 20_011, ReplicationFactor: 200}},
		{10, Config{}},
		{10, Config{PartitionCount: 20_011, ReplicationFactor: 200}},
		{10, Config{PartitionCount: 71, ReplicationFactor: 7, Load: 1}},
		{40, Config{PartitionCount: 1021, ReplicationFactor: 20, Load: 1.1}},
	} {
		ring, circle := mustNew(t, hubs(c.hubs), c.cfg), byHand(hubs(c.hubs), c.cfg)
		full := c.cfg.withDefaults()
		p := pinned{
			PartitionCount: full.PartitionCount, ReplicationFactor: full.ReplicationFactor, Load: full.Load,
			Fingerprint: fmt.Sprintf("%016x", ring.Fingerprint()), Owners: map[string]int{},
		}
		for _, n := range ring.Nodes() {
			p.Nodes = append(p.Nodes, n.Name)
		}
		for _, key := range keys {
			require.Equal(t, locate(circle, key), ring.Owner(key).Name, "%q on %d hubs", key, c.hubs)
			p.Owners[key] = slices.Index(p.Nodes, locate(circle, key))
		}
		got = append(got, p)
	}
	path := filepath.Join("testdata", "owners.json")
	if *update {
		b, err := json.MarshalIndent(got, "", " ")
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, append(b, '\n'), 0o644))
	}
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	var want []pinned
	require.NoError(t, json.Unmarshal(b, &want))
	assert.Equal(t, want, got)
}

// Whatever the nodes, the parameters and the order in which the nodes are listed: every
// key is where LocateKey puts it.
func TestPropertyOwnerIsLocateKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringN(1, 20, hashring.MaxNameBytes), 1, 12, rapid.ID[string]).Draw(t, "names")
		nodes := make([]hashring.Node, len(names))
		for i, name := range names {
			nodes[i].Name = name
		}
		cfg := Config{
			PartitionCount:    rapid.OneOf(rapid.IntRange(0, 30), rapid.IntRange(31, 3000)).Draw(t, "partitions"),
			ReplicationFactor: rapid.IntRange(0, 40).Draw(t, "replicas"),
			Load:              rapid.SampledFrom([]float64{0, 1, 1.05, 1.25, 2, 50}).Draw(t, "load"),
		}
		ring, err := New(nodes, cfg)
		require.NoError(t, err)
		again, err := cfg.Ring(rapid.Permutation(nodes).Draw(t, "order"))
		require.NoError(t, err)
		require.Equal(t, ring, again)
		circle := byHand(nodes, cfg)
		for _, key := range rapid.SliceOfN(rapid.String(), 50, 50).Draw(t, "keys") {
			require.Equal(t, locate(circle, key), ring.Owner(key).Name, "%q", key)
		}
	})
}

func TestOwnerIsLocateKeysOnManyFleets(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 40} {
		for _, partitions := range []int{7, 271, 20_011} {
			for _, replicas := range []int{1, 20, 80} {
				for _, load := range []float64{1, 1.25, 3} {
					cfg := Config{PartitionCount: partitions, ReplicationFactor: replicas, Load: load}
					ring, circle := mustNew(t, hubs(n), cfg), byHand(hubs(n), cfg)
					random := rand.New(rand.NewPCG(uint64(n), uint64(partitions)))
					for range 300 {
						key := strconv.FormatUint(random.Uint64(), 36)
						require.Equal(t, locate(circle, key), ring.Owner(key).Name, "%q on %d hubs, %+v", key, n, cfg)
					}
				}
			}
		}
	}
}

// A hub that comes or goes moves what the library's Add and Remove move, and that is what
// Compare foretells.
func TestAHubMoreOrLessMovesWhatTheLibraryMoves(t *testing.T) {
	keys := gateways(5000)
	var loads []hashring.Load
	for _, key := range keys {
		loads = append(loads, hashring.Load{Key: key, Series: 1})
	}
	for _, cfg := range []Config{{}, {PartitionCount: 20_011, ReplicationFactor: 50}, {PartitionCount: 997, Load: 1.02}} {
		ten := mustNew(t, hubs(10), cfg)
		circle := byHand(hubs(10), cfg)
		moves := func(name string, before, after *hashring.Ring, change func()) {
			t.Helper()
			var was, is []string
			for _, key := range keys {
				was = append(was, locate(circle, key))
			}
			change()
			moved := 0
			for i, key := range keys {
				is = append(is, locate(circle, key))
				require.Equal(t, [2]string{was[i], is[i]}, [2]string{before.Owner(key).Name, after.Owner(key).Name}, "%s: %s", name, key)
				if was[i] != is[i] {
					moved++
				}
			}
			plan, err := hashring.Compare(before, after, loads, time.Minute, time.Hour)
			require.NoError(t, err)
			assert.Equal(t, moved, plan.MovedKeys, name)
			assert.Positive(t, moved, name)
		}
		eleven := mustNew(t, hubs(11), cfg)
		without4 := mustNew(t, slices.Delete(hubs(11), 4, 5), cfg)
		moves("one more", ten, eleven, func() { circle.Add(member("edgehub-10")) })
		moves("one less", eleven, without4, func() { circle.Remove("edgehub-4") })
	}
}

// The library sends the keys of a dead node to one neighbour. Here they spread as on any
// ring.
func TestFailoverSpreads(t *testing.T) {
	for _, cfg := range []Config{{}, {PartitionCount: 20_011, ReplicationFactor: 200}} {
		r := mustNew(t, hubs(10), cfg)
		for dead := range r.Nodes() {
			took, total := map[int]int{}, 0
			for _, key := range gateways(34_700) {
				if r.First(key, func(int) bool { return true }) == dead {
					took[r.First(key, func(node int) bool { return node != dead })]++
					total++
				}
			}
			assert.Len(t, took, 9)
			for node, n := range took {
				assert.LessOrEqual(t, float64(n), 1.3*float64(total)/9, "%d takes over from %d, %+v", node, dead, cfg)
			}
		}
	}
}

// Assign bounds the load on a circle, too.
func TestAssignOnACircle(t *testing.T) {
	loads := []hashring.Load{{Series: 1500}}
	for _, key := range gateways(347) {
		loads = append(loads, hashring.Load{Key: key, Series: 303})
	}
	r, err := mustNew(t, hubs(10), Config{}).Assign(loads, 0)
	require.NoError(t, err)
	by := map[string]int{}
	for _, l := range loads {
		by[r.Owner(l.Key).Name] += l.Series
	}
	for node, series := range by {
		assert.LessOrEqual(t, series, 10_664+1000, node)
	}
}

func TestRingsDifferByEveryParameter(t *testing.T) {
	seen := map[uint64]bool{}
	for _, cfg := range []Config{{}, {PartitionCount: 272}, {ReplicationFactor: 21}, {Load: 1.1}} {
		seen[mustNew(t, hubs(10), cfg).Fingerprint()] = true
	}
	assert.Len(t, seen, 4)
	assert.Equal(t, mustNew(t, hubs(10), Config{}).Fingerprint(),
		mustNew(t, hubs(10), Config{PartitionCount: 271, ReplicationFactor: 20, Load: 1.25}).Fingerprint(), "the defaults are the library's")
}

func TestNewSaysWhatToChange(t *testing.T) {
	faults := func(nodes []hashring.Node, cfg Config, want ...string) {
		t.Helper()
		r, err := New(nodes, cfg)
		require.Error(t, err)
		assert.Nil(t, r)
		for _, w := range want {
			assert.ErrorContains(t, err, w)
		}
	}
	faults(nil, Config{}, "at least one node")
	faults([]hashring.Node{{Name: "a"}, {}, {Name: "a"}}, Config{}, "empty name", `"a" is listed twice`)
	faults([]hashring.Node{{Name: "a"}, {Name: "b", Weight: 2}}, Config{},
		`node "a" has weight 1 and node "b" has weight 2, and the circle knows no weights: give all nodes the same, or use hashring.New`)
	mustNew(t, []hashring.Node{{Name: "a", Weight: 2}, {Name: "b", Weight: 2}}, Config{})
	mustNew(t, []hashring.Node{{Name: "a", Weight: 1}, {Name: "b"}}, Config{})

	faults(hubs(10), Config{PartitionCount: -1, ReplicationFactor: -1, Load: -1}, "circle of 10 nodes",
		"PartitionCount is -1: it must be between 1 and 1048576, or 0 for 271", "ReplicationFactor is -1: it must be between 1 and 4096, or 0 for 20",
		"Load is -1: it must be a number above 0, or 0 for 1.25")
	faults(hubs(10), Config{PartitionCount: MaxPartitionCount + 1, ReplicationFactor: MaxReplicationFactor + 1, Load: math.NaN()},
		"PartitionCount is 1048577", "ReplicationFactor is 4097", "Load is NaN")
	faults(hubs(10), Config{Load: math.Inf(1)}, "Load is +Inf")

	// What the library panics with. It is no panic where rounding up makes room.
	faults(hubs(10), Config{Load: 0.9},
		"not enough room to distribute partitions: with Load 0.9 each of 10 nodes may have 25 of 271 partitions: raise Load to 1 or more")
	mustNew(t, hubs(100), Config{Load: 0.9})
	assert.Panics(t, func() { byHand(hubs(10), Config{Load: 0.9}) })
}

// A fault that is none of the config's stays a panic.
func TestBugsAreNotHidden(t *testing.T) {
	assert.Panics(t, func() { Config{}.withDefaults().circle([]library.Member{nil}) })
}

// go test ./hashring/consistent -run '^$' -bench New
func BenchmarkNew(b *testing.B) {
	for _, n := range []int{10, 100} {
		for _, cfg := range []Config{{}, {PartitionCount: 20_011, ReplicationFactor: 200}} {
			b.Run(fmt.Sprintf("hubs=%d/partitions=%d", n, cfg.withDefaults().PartitionCount), func(b *testing.B) {
				for b.Loop() {
					mustNew(b, hubs(n), cfg)
				}
			})
		}
	}
}
