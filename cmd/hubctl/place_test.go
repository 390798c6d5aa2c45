package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub"
	"github.com/hubring/hubring/exporter/members"
	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/method"
	"github.com/hubring/hubring/hashring/placement"
)

// ground is hubs with a fleet that pushes to them, and the files of its exporters.
type ground struct {
	t         *testing.T
	hubs      []*httptest.Server
	members   []members.Hub
	fleet     map[string]int
	hubsFile  string
	placement placement.File
}

func newGround(t *testing.T, hubs, gateways int) *ground {
	t.Helper()
	dir := t.TempDir()
	g := &ground{
		t: t, fleet: map[string]int{"": 150},
		hubsFile: filepath.Join(dir, "hubs.yml"), placement: placement.File(filepath.Join(dir, "placement.json")),
	}
	random := rand.New(rand.NewPCG(3, uint64(gateways)))
	for i := range gateways {
		g.fleet[fmt.Sprintf("gw-%03d", i)] = 25 + random.IntN(11)
	}
	for range hubs {
		g.hubs = append(g.hubs, nil)
		g.members = append(g.members, members.Hub{})
		g.begin(len(g.hubs) - 1)
	}
	g.name(hubs)
	return g
}

// begin starts a hub that knows nothing.
func (g *ground) begin(i int) {
	g.t.Helper()
	hub, err := edgehub.New(edgehub.Config{})
	require.NoError(g.t, err)
	g.hubs[i] = httptest.NewServer(hub.HTTPServer().Handler)
	g.t.Cleanup(g.hubs[i].Close)
	g.members[i] = members.Hub{Name: fmt.Sprintf("edgehub-%d", i), URL: g.hubs[i].URL}
}

// name has the exporters' file name the first n hubs.
func (g *ground) name(n int) {
	g.t.Helper()
	var file strings.Builder
	for _, h := range g.members[:n] {
		fmt.Fprintf(&file, "- targets: [%q]\n  labels: {name: %q}\n", h.URL, h.Name)
	}
	require.NoError(g.t, os.WriteFile(g.hubsFile, []byte(file.String()), 0o600))
}

// ring is what exporters make of the first n hubs and of the placement, if there is one.
func (g *ground) ring(n int) *hashring.Ring {
	g.t.Helper()
	hubs, err := members.Check(g.members[:n])
	require.NoError(g.t, err)
	ring, err := hashring.New(nodesOf(hubs))
	require.NoError(g.t, err)
	if p, err := g.placement.Read(g.t.Context()); err == nil {
		ring, err = p.Ring(ring)
		require.NoError(g.t, err)
	}
	return ring
}

// push has the whole fleet push to its homes, and returns the series of each hub.
func (g *ground) push(ring *hashring.Ring) map[string]int {
	g.t.Helper()
	bodies, series := map[string]*bytes.Buffer{}, map[string]int{}
	for gateway, n := range g.fleet {
		home := ring.Owner(gateway).Name
		if bodies[home] == nil {
			bodies[home] = &bytes.Buffer{}
		}
		series[home] += n
		for i := range n {
			fmt.Fprintf(bodies[home], "m%d{gatewayID=%q} 1\n", i, gateway)
		}
	}
	for i, h := range g.members {
		if bodies[h.Name] == nil {
			continue
		}
		resp, err := http.Post(g.hubs[i].URL+"/metrics", "text/plain", bodies[h.Name])
		require.NoError(g.t, err)
		said, err := io.ReadAll(resp.Body)
		require.NoError(g.t, err)
		require.NoError(g.t, resp.Body.Close())
		require.Equal(g.t, http.StatusOK, resp.StatusCode, string(said))
	}
	return series
}

func (g *ground) place(args ...string) (code int, out, errOut string) {
	g.t.Helper()
	return hubctl(g.t, "", append([]string{"place", "--hubs.file=" + g.hubsFile, string(g.placement)}, args...)...)
}

func most(series map[string]int) (above float64) {
	total, highest := 0, 0
	for _, n := range series {
		total, highest = total+n, max(highest, n)
	}
	return float64(highest) - float64(total)/float64(len(series))
}

// The hubs are asked who they have, the exporters read what belongs elsewhere, and the load is even: after a
// rescale, too. Nothing is changed without need.
func TestPlace(t *testing.T) {
	g := newGround(t, 5, 347)
	g.name(3)
	before := g.push(g.ring(3))
	code, out, errOut := g.place("--threshold=100")
	require.Zero(t, code, errOut)
	assert.Contains(t, out, "From 3 to 3 hubs, 348 keys with")
	assert.Regexp(t, `\nPlacement 1 is written: \d+ keys are not with their owners.\n$`, out)
	after := g.push(g.ring(3))
	assert.Greater(t, most(before), 100.0, "without a placement")
	assert.LessOrEqual(t, most(after), 100.0)

	// A gateway that moved is on two lists, and counts where it pushed last.
	first, err := g.placement.Read(t.Context())
	require.NoError(t, err)
	code, out, errOut = g.place("--threshold=100")
	require.Zero(t, code, errOut)
	assert.Regexp(t, `^Placement 1 stays: no hub has more than \d+ series above its share, and up to 100 are let be`, out)
	same, err := g.placement.Read(t.Context())
	require.NoError(t, err)
	assert.Equal(t, first, same)

	// Other hubs: what the plan says moves is what moves.
	g.name(5)
	old := g.ring(3)
	code, dry, errOut := g.place("--dry-run")
	require.Zero(t, code, errOut)
	assert.Regexp(t, `\nPlacement 2 would have \d+ keys that are not with their owners; nothing is written \(--dry-run\).\n$`, dry)
	code, out, errOut = g.place()
	require.Zero(t, code, errOut)
	assert.Equal(t, strings.Split(dry, "\nPlacement 2")[0], strings.Split(out, "\nPlacement 2")[0])
	moved := 0
	for gateway := range g.fleet {
		if old.Owner(gateway) != g.ring(5).Owner(gateway) {
			moved++
		}
	}
	assert.Contains(t, out, fmt.Sprintf("\n%d keys move, with ", moved))
	assert.LessOrEqual(t, most(g.push(g.ring(5))), 100.0)
}

// A load that cannot be more even, as of one gateway that has most of it, is no reason to write the same again each time.
func TestPlaceWritesNothingTwice(t *testing.T) {
	g := newGround(t, 3, 10)
	g.fleet["large"] = 5000
	g.push(g.ring(3))
	code, out, errOut := g.place("--threshold=100")
	require.Zero(t, code, errOut)
	assert.Contains(t, out, "Placement 1 is written")
	series := g.push(g.ring(3))
	require.Greater(t, most(series), 100.0)
	code, out, errOut = g.place("--threshold=100")
	require.Zero(t, code, errOut)
	assert.Equal(t, "Placement 1 stays: none is more even.\n", out)
	p, err := g.placement.Read(t.Context())
	require.NoError(t, err)
	assert.Equal(t, uint64(1), p.Serial)
}

// Of hubs that nobody has pushed to yet there is nothing to be made.
func TestPlaceWaitsForTheFirstPush(t *testing.T) {
	g := newGround(t, 2, 10)
	code, _, errOut := g.place()
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, errOut, "hubctl place: the hubs know no gateway yet: nothing is placed until they have pushed")
	assert.NoFileExists(t, string(g.placement))
	code, out, errOut := g.place("--force")
	require.Zero(t, code, errOut)
	assert.Contains(t, out, "Placement 1 is written")
}

// Hubs that have just started know nobody: by what they say everybody else would move.
func TestPlaceWaitsForTheWholeFleet(t *testing.T) {
	g := newGround(t, 3, 100)
	g.push(g.ring(3))
	code, _, errOut := g.place()
	require.Zero(t, code, errOut)
	text, err := os.ReadFile(string(g.placement))
	require.NoError(t, err)

	g.begin(1)
	g.name(3)
	code, _, errOut = g.place("--threshold=0")
	assert.Equal(t, exitFailed, code)
	assert.Regexp(t, `^hubctl place: the hubs know \d+ keys with [\d,]+ series, and placement 1 was made of 101 with [\d,]+: nothing is placed until all gateways have pushed again`, errOut)
	now, err := os.ReadFile(string(g.placement))
	require.NoError(t, err)
	assert.Equal(t, string(text), string(now))

	// A fleet that is smaller for good is told of once.
	code, out, errOut := g.place("--force")
	require.Zero(t, code, errOut)
	assert.Contains(t, errOut, "and placement 1 was made of 101 with")
	assert.Contains(t, out, "Placement 2 is written")
	code, out, errOut = g.place()
	require.Zero(t, code, errOut)
	assert.Contains(t, out, "Placement 2 stays")
}

func TestPlaceNeedsAllHubs(t *testing.T) {
	g := newGround(t, 3, 50)
	g.push(g.ring(3))
	g.hubs[2].Close()
	code, _, errOut := g.place()
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, errOut, "hubctl place: 1 of 3 hubs do not say which gateways they have, so nothing is placed (--partial goes on without them): hub edgehub-2: ")
	assert.NoFileExists(t, string(g.placement))
	code, out, errOut := g.place("--partial")
	require.Zero(t, code, errOut)
	assert.Contains(t, errOut, "without 1 of 3 hubs: hub edgehub-2: ")
	assert.Contains(t, out, "Placement 1 is written")

	for _, h := range g.hubs {
		h.Close()
	}
	code, _, errOut = g.place("--partial")
	assert.Equal(t, exitFailed, code, errOut)
	assert.Contains(t, errOut, "3 of 3 hubs do not say")
}

// Gateways that have not pushed for long do not count, nor does what is no hub's list.
func TestPlaceLooksAtWhatItIsTold(t *testing.T) {
	list := ""
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, list) }))
	defer stranger.Close()
	dir := t.TempDir()
	hubs, out := filepath.Join(dir, "hubs.yml"), filepath.Join(dir, "placement.json")
	require.NoError(t, os.WriteFile(hubs, fmt.Appendf(nil, `[{"targets": [%q]}]`, stranger.URL), 0o600))
	place := func(args ...string) (int, string) {
		code, said, errOut := hubctl(t, "", append([]string{"place", "--hubs.file=" + hubs, out}, args...)...)
		return code, said + errOut
	}
	const types = "# TYPE edgehub_gateway_last_push_timestamp_seconds gauge\n# TYPE edgehub_gateway_series gauge\n"
	line := func(gateway string, ago time.Duration, series string) string {
		return types + fmt.Sprintf("edgehub_gateway_last_push_timestamp_seconds{gatewayID=%q} %d\nedgehub_gateway_series{gatewayID=%q} %s\n",
			gateway, time.Now().Add(-ago).Unix(), gateway, series)
	}
	for says, text := range map[string]string{
		"the list of gateways is empty: it is no edge hub's":                  "",
		"read the list of gateways: ":                                         "<html>",
		`edgehub_gateway_series has a line for gatewayID="" with the value 3`: types + `edgehub_gateway_series{gateway="a"} 3` + "\n",
		"with the value 0; is --gateway.label the hubs'?":                     `edgehub_gateway_series{gatewayID="a"} 3` + "\n",
		`has a line for gatewayID="a" with the value -1`:                      line("a", 0, "-1"),
	} {
		list = text
		code, said := place()
		assert.Equal(t, exitFailed, code)
		assert.Contains(t, said, says)
	}
	list = line("fresh", time.Hour, "20") + strings.ReplaceAll(line("gone", 25*time.Hour, "30"), types, "")
	code, said := place("--dry-run")
	assert.Zero(t, code)
	assert.Contains(t, said, "1 keys with 20 series")
	_, said = place("--dry-run", "--max-age=2d")
	assert.Contains(t, said, "2 keys with 50 series")

	for says, args := range map[string][]string{
		"name the hubs, with either --hubs.file or --hubs.dns": {"place", out},
		"required argument 'placement' not provided":           {"place", "--hubs.file=" + hubs},
		"Load is -2": {"place", "--hubs.file=" + hubs, "--placement=consistent/load=-2", out},
	} {
		code, _, errOut := hubctl(t, "", args...)
		assert.Equal(t, exitUsage, code)
		assert.Contains(t, errOut, says)
	}
	require.NoError(t, os.WriteFile(out, []byte("{}"), 0o600))
	_, said = place()
	assert.Contains(t, said, "no placement: its format is 0, this reads 1 (take it away, and the next run begins anew)")
	require.NoError(t, os.Remove(out))
	code, _ = place()
	assert.Zero(t, code)
}

// The list of hubs says by which ring a placement is made, and another word makes another placement.
func TestPlaceTakesThePlacementOfTheList(t *testing.T) {
	g := newGround(t, 5, 347)
	by := func(placement string) {
		t.Helper()
		var file strings.Builder
		for _, h := range g.members {
			fmt.Fprintf(&file, "- targets: [%q]\n  labels: {name: %q, __placement__: %q}\n", h.URL, h.Name, placement)
		}
		require.NoError(t, os.WriteFile(g.hubsFile, []byte(file.String()), 0o600))
	}
	// fits has the placement be one of the exporters' ring.
	fits := func(serial uint64, placement string) {
		t.Helper()
		p, err := g.placement.Read(t.Context())
		require.NoError(t, err)
		assert.Equal(t, serial, p.Serial)
		assert.Equal(t, placement, p.Base)
		how, err := method.Parse(placement)
		require.NoError(t, err)
		ring, err := how.Ring(nodesOf(g.members))
		require.NoError(t, err)
		_, err = p.Ring(ring)
		assert.NoError(t, err)
	}
	const circle, small = "consistent/partitions=271/replicas=20/load=1.25", "consistent/partitions=71/replicas=20/load=1.25"
	g.push(g.ring(5))
	by("consistent")
	code, _, errOut := g.place("--threshold=0")
	require.Zero(t, code, errOut)
	fits(1, circle)
	code, out, errOut := g.place("--threshold=0", "--placement=consistent/replicas=20")
	require.Zero(t, code, errOut)
	assert.Contains(t, out, "Placement 1 stays: none is more even.")

	by("consistent/partitions=71")
	code, _, errOut = g.place("--threshold=1000000", "--placement=consistent")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, errOut, "--placement is "+circle+", and --hubs.file names "+small)
	code, out, errOut = g.place("--threshold=1000000")
	require.Zero(t, code, errOut)
	assert.Contains(t, out, "Placement 2 is written", "the one before is none of exporters that read this list")
	fits(2, small)

	by("")
	code, _, errOut = g.place()
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, errOut, "placement 2 was made of a ring by "+small+", and nothing says that exporters build theirs otherwise now: if they do, give --placement=rendezvous")
	code, _, errOut = g.place("--placement=rendezvous")
	require.Zero(t, code, errOut)
	fits(3, "rendezvous")
}
