package hashring

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite testdata; a change in there moves every fleet")

// pinned is one file of testdata: a ring, and the walks of keys as indices in
// Nodes, the owner first, at most ten steps each.
type pinned struct {
	Nodes       []Node            `json:"nodes"`
	Fingerprint string            `json:"fingerprint"`
	Walks       map[string]string `json:"walks"`
}

// The pinned walks keep an upgrade of a library from moving a fleet unnoticed,
// and are what a ring in another language is checked against.
//
// go test ./hashring -run Pinned -update
func TestPinnedWalks(t *testing.T) {
	for name, nodes := range map[string][]Node{
		"1-hub":            hubs(1),
		"3-hubs":           hubs(3),
		"5-hubs":           hubs(5),
		"10-hubs":          hubs(10),
		"10-hubs-weighted": weighted(hubs(10)),
		"100-hubs":         hubs(100),
	} {
		t.Run(name, func(t *testing.T) {
			checkPinned(t, name, mustNew(t, nodes), pinnedKeys())
		})
	}
}

// An assignment is pinned like a ring: 347 gateways of 303 series and one key of 1,500.
func TestPinnedAssignment(t *testing.T) {
	loads := []Load{{Series: 1500}}
	for _, key := range gateways(347) {
		loads = append(loads, Load{Key: key, Series: 303})
	}
	r, err := mustNew(t, hubs(10)).Assign(loads, 0)
	require.NoError(t, err)
	require.NotEmpty(t, r.moved())
	checkPinned(t, "10-hubs-assigned", r, append(gateways(347), ""))
}

func pinnedKeys() []string {
	return append(gateways(347), "", "0", "µ-gateway", "ゲートウェイ", "\x00", strings.Repeat("k", 300))
}

func checkPinned(t *testing.T, name string, r *Ring, keys []string) {
	t.Helper()
	got := pinned{
		Nodes:       r.Nodes(),
		Fingerprint: fmt.Sprintf("%016x", r.Fingerprint()),
		Walks:       map[string]string{},
	}
	index := map[Node]int{}
	for i, n := range got.Nodes {
		index[n] = i
	}
	for _, key := range keys {
		var walk []string
		for n := range r.Walk(key) {
			if walk = append(walk, strconv.Itoa(index[n])); len(walk) == 10 {
				break
			}
		}
		got.Walks[key] = strings.Join(walk, " ")
	}
	path := filepath.Join("testdata", name+".json")
	if *update {
		b, err := json.MarshalIndent(got, "", " ")
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, append(b, '\n'), 0o644))
	}
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	var want pinned
	require.NoError(t, json.Unmarshal(b, &want))
	assert.Equal(t, want, got)
}

// The README works two owners out by hand, for those who write a ring in another
// language. Its figures are these.
func TestWorkedExample(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "README.md"))
	require.NoError(t, err)
	figure := func(want, format string, args ...any) {
		t.Helper()
		assert.Equal(t, want, fmt.Sprintf(format, args...))
		if !strings.Contains(string(readme), want) {
			t.Errorf("the README lacks %s", want)
		}
	}
	const key = "gateway-00042"
	p := partition(xxhash.Sum64String(key))
	figure("22532", "%d", p)
	figure("8b02f4a225e06d89", "%016x", partitionMark(p))
	for i, want := range [][3]string{
		{"8accaed9bfe97b88", "2bd2fe366a63e1fe", "1.764991"},
		{"b5bdd70a470ec531", "766704eacfcf582c", "0.771088"},
		{"2096162c1a825a66", "26eff25b970ef2c2", "1.883225"},
	} {
		mark := nodeMark(hubs(3)[i].Name)
		figure(want[0], "%016x", mark)
		figure(want[1], "%016x", score(partitionMark(p), mark))
		figure(want[2], "%.6f", wait(score(partitionMark(p), mark)))
	}
	assert.Equal(t, []string{"edgehub-1", "edgehub-0", "edgehub-2"}, names(mustNew(t, hubs(3)), key))

	nodes := hubs(3)
	nodes[2].Weight = 3
	figure("0.627742", "%.6f", wait(score(partitionMark(p), nodeMark("edgehub-2")))/3)
	assert.Equal(t, []string{"edgehub-2", "edgehub-1", "edgehub-0"}, names(mustNew(t, nodes), key))
}
