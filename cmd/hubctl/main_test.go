package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/members"
	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/consistent"
)

var update = flag.Bool("update", false, "rewrite testdata")

// hubctl runs the command with some standard input.
func hubctl(t *testing.T, in string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, terminal{in: strings.NewReader(in), out: &o, err: &e})
	return code, o.String(), e.String()
}

func TestPlanPrintsATable(t *testing.T) {
	for name, args := range map[string][]string{
		"plan-3-to-5":          {"--from=3", "--to=5"},
		"plan-10-to-9-assign":  {"--from=10", "--to=9", "--assign"},
		"plan-weights":         {"--from=a,b,c", "--to=a,b=2,c", "--count=1000", "--no-gateway-series=0"},
		"plan-nothing-changes": {"--from=4", "--to=4"},
		"plan-consistent":      {"--from=5", "--to=6", "--placement=consistent/partitions=20011/replicas=200"},
		"plan-from-consistent": {"--from=4", "--to=4", "--placement-before=consistent"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := hubctl(t, "", append([]string{"plan"}, args...)...)
			require.Zero(t, code, errOut)
			path := filepath.Join("testdata", name+".txt")
			if *update {
				require.NoError(t, os.MkdirAll("testdata", 0o755))
				require.NoError(t, os.WriteFile(path, []byte(out), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, string(want), out)
		})
	}
}

func TestPlanReadsAFleet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fleet.txt")
	const fleet = "# the north\ngw-1 300\ngw-2\n\ngw-3\t250\n"
	require.NoError(t, os.WriteFile(path, []byte(fleet), 0o644))
	_, fromFile, _ := hubctl(t, "", "plan", "--from=1", "--to=2", "--gateways="+path, "--series=100", "--output=json")
	code, fromStdin, errOut := hubctl(t, fleet, "plan", "--from=1", "--to=2", "--gateways=-", "--series=100", "--output=json")
	require.Zero(t, code, errOut)
	assert.Equal(t, fromFile, fromStdin)
	var p hashring.Plan
	require.NoError(t, json.Unmarshal([]byte(fromFile), &p))
	assert.Equal(t, 4, p.Keys)
	assert.Equal(t, 300+100+250+1500, p.Series)
}

// The exporters' own file of hubs gives the ring that they have, with their names for the hubs.
func TestPlanReadsTheExportersFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hubs.yml")
	require.NoError(t, os.WriteFile(path, []byte(`
- targets: ["Edgehub-0:9091", "edgehub-1:9091"]
- targets: ["https://edgehub-2.example.com/hub"]
  labels: {__weight__: "2"}
`), 0o600))
	hubs, err := members.File{Path: path}.Hubs(t.Context())
	require.NoError(t, err)
	ring, err := hashring.New(nodesOf(hubs))
	require.NoError(t, err)
	code, out, errOut := hubctl(t, "", "plan", "--from=@"+path, "--to=@"+path)
	require.Zero(t, code, errOut)
	assert.Contains(t, out, fmt.Sprintf("Ring fingerprints: %016[1]x before, %016[1]x after.", ring.Fingerprint()))
	code, _, errOut = hubctl(t, "", "plan", "--from=3", "--to=@"+path+".json")
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, errOut, "read --to: ")
}

// A list of hubs says how they are placed, before and after, and a flag may not say otherwise.
func TestPlanTakesThePlacementOfTheLists(t *testing.T) {
	dir := t.TempDir()
	list := func(name string, hubs int, placement string) string {
		var text strings.Builder
		for i := range hubs {
			fmt.Fprintf(&text, "- targets: [edgehub-%d:9091]\n", i)
			if placement != "" {
				fmt.Fprintf(&text, "  labels: {__placement__: %s}\n", placement)
			}
		}
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text.String()), 0o600))
		return "@" + path
	}
	const circle, small = "consistent/partitions=271/replicas=20/load=1.25", "consistent/partitions=71/replicas=20/load=1.25"
	plain := list("plain.yml", 3, "rendezvous")
	silent, three, five := list("silent.yml", 3, ""), list("three.yml", 3, "consistent"), list("five.yaml", 5, small)
	for _, c := range []struct{ from, to, flags, before, after string }{
		{silent, silent, "", "rendezvous", "rendezvous"},
		{silent, five, "", "rendezvous", small},
		{three, five, "", circle, small},
		{three, silent, "", circle, "rendezvous"},
		{three, "5", "", circle, circle},
		{"5", three, "", circle, circle},
		{"5", three, "--placement-before=rendezvous", "rendezvous", circle},
		{three, "5", "--placement=rendezvous", circle, "rendezvous"},
		{silent, silent, "--placement=consistent", circle, circle}, // as exporters do whose Config.Ring it is
		{silent, five, "--placement=" + small, small, small},
		{silent, three, "--placement-before=consistent/partitions=71", small, circle},
		{three, five, "--placement=consistent/partitions=71 --placement-before=consistent", circle, small},
		{three, plain, "", circle, "rendezvous"},
		{plain, three, "--placement=consistent", "rendezvous", circle},
	} {
		args := append([]string{"plan", "--output=json", "--from=" + c.from, "--to=" + c.to}, strings.Fields(c.flags)...)
		code, out, errOut := hubctl(t, "", args...)
		require.Zero(t, code, errOut)
		var got planReport
		require.NoError(t, json.Unmarshal([]byte(out), &got))
		assert.Equal(t, []string{c.before, c.after}, []string{got.BeforePlacement, got.AfterPlacement}, args)
	}
	for _, c := range []struct{ from, to, flag, want string }{
		{silent, five, "--placement=rendezvous", "--placement is rendezvous, and --to=" + five + " names " + small},
		{silent, five, "--placement=consistent", "--placement is " + circle},
		{three, plain, "--placement=consistent", "--placement is " + circle + ", and --to=" + plain + " names rendezvous"},
		{plain, three, "--placement-before=consistent", "--placement-before is " + circle + ", and --from=" + plain + " names rendezvous"},
		{three, silent, "--placement-before=rendezvous", "--placement-before is rendezvous, and --from=" + three + " names " + circle},
		{"3", list("wrong.yml", 3, "jump"), "--assign", `line 1: __placement__: placement "jump"`},
	} {
		code, _, errOut := hubctl(t, "", "plan", "--from="+c.from, "--to="+c.to, c.flag)
		assert.Equal(t, exitUsage, code)
		assert.Contains(t, errOut, c.want)
	}
}

func TestPlanAsJSON(t *testing.T) {
	code, out, _ := hubctl(t, "", "plan", "--from=3", "--to=5", "--output=json", "--retention=30d")
	require.Zero(t, code)
	var p planReport
	require.NoError(t, json.Unmarshal([]byte(out), &p))
	assert.Equal(t, 348, p.Keys)
	assert.Len(t, p.Nodes, 5)
	assert.Len(t, p.BeforeFingerprint, 16)
	assert.NotEqual(t, p.BeforeFingerprint, p.AfterFingerprint)
	assert.Equal(t, []string{"5m", "30d"}, []string{p.DoubledFor, p.SplitFor})
}

// What is planned is what those rings do, whichever placements they have.
func TestPlanBetweenPlacements(t *testing.T) {
	small, large := consistent.Config{}, consistent.Config{PartitionCount: 1021, ReplicationFactor: 50, Load: 1.1}
	for _, c := range []struct {
		flags         string
		before, after func([]hashring.Node) (*hashring.Ring, error)
		names         string
	}{
		{"", hashring.New, hashring.New, "rendezvous, rendezvous"},
		{"--placement=consistent", small.Ring, small.Ring, ""},
		{"--placement=consistent --placement-before=rendezvous", hashring.New, small.Ring, "rendezvous, consistent/partitions=271/replicas=20/load=1.25"},
		{"--placement-before=consistent/partitions=1021/replicas=50/load=1.1", large.Ring, hashring.New, "consistent/partitions=1021/replicas=50/load=1.1, rendezvous"},
		{"--placement=consistent/load=1.1/partitions=1021/replicas=50 --placement-before=consistent", small.Ring, large.Ring, ""},
	} {
		code, out, errOut := hubctl(t, "", strings.Fields("plan --from=5 --to=6 --output=json "+c.flags)...)
		require.Zero(t, code, errOut)
		var got planReport
		require.NoError(t, json.Unmarshal([]byte(out), &got))
		five, err := (&hubSet{text: "5"}).nodes("edgehub-%d")
		require.NoError(t, err)
		six, err := (&hubSet{text: "6"}).nodes("edgehub-%d")
		require.NoError(t, err)
		before, err := c.before(five)
		require.NoError(t, err)
		after, err := c.after(six)
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprintf("%016x", before.Fingerprint()), got.BeforeFingerprint, c.flags)
		assert.Equal(t, fmt.Sprintf("%016x", after.Fingerprint()), got.AfterFingerprint, c.flags)
		loads := []hashring.Load{{Series: 1500}}
		for i := range 347 {
			loads = append(loads, hashring.Load{Key: fmt.Sprintf("gateway-%05d", i), Series: 303})
		}
		want, err := hashring.Compare(before, after, loads, 5*time.Minute, 15*24*time.Hour)
		require.NoError(t, err)
		assert.Equal(t, want, got.Plan, c.flags)
		if c.names != "" {
			assert.Equal(t, c.names, got.BeforePlacement+", "+got.AfterPlacement)
		}
	}
}

func TestHubsFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hubs.txt")
	require.NoError(t, os.WriteFile(path, []byte("# now\na\nb=2\n"), 0o644))
	_, want, _ := hubctl(t, "", "plan", "--from=a,b=2", "--to=3")
	code, got, errOut := hubctl(t, "", "plan", "--from=@"+path, "--to=3")
	require.Zero(t, code, errOut)
	assert.Equal(t, want, got)
}

// The README shows this one.
func TestSVGIsAsInTheREADME(t *testing.T) {
	drawn := filepath.Join(t.TempDir(), "plan.svg")
	code, _, errOut := hubctl(t, "", "plan", "--from=3", "--to=5", "--assign", "--svg="+drawn)
	require.Zero(t, code, errOut)
	got, err := os.ReadFile(drawn)
	require.NoError(t, err)
	path := filepath.Join("testdata", "plan-3-to-5.svg")
	if *update {
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got))
}

func TestSVGIsWellFormed(t *testing.T) {
	for _, sizes := range [][2]int{{1, 1}, {1, 2}, {3, 5}, {5, 3}, {20, 3}, {20, 20}, {3, 40}, {300, 301}} {
		path := filepath.Join(t.TempDir(), "plan.svg")
		code, _, errOut := hubctl(t, "", "plan", fmt.Sprintf("--from=%d", sizes[0]), fmt.Sprintf("--to=%d", sizes[1]),
			"--name-format=<hub & %d>", "--count=5000", "--svg="+path)
		require.Zero(t, code, errOut)
		file, err := os.Open(path)
		require.NoError(t, err)
		dec, elements := xml.NewDecoder(file), map[string]int{}
		for {
			token, err := dec.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, "%v", sizes)
			if start, ok := token.(xml.StartElement); ok {
				elements[start.Name.Local]++
				for _, a := range start.Attr {
					assert.NotContains(t, a.Value, "NaN")
				}
			}
		}
		file.Close()
		assert.Equal(t, 1, elements["svg"])
		assert.GreaterOrEqual(t, elements["path"], 2*sizes[0], "%v", sizes)
		if most := max(sizes[0], sizes[1]); most <= maxDrawnHubs {
			assert.Equal(t, 1+sizes[0]+sizes[1], elements["rect"], "%v", sizes)
		}
	}
}

func TestMistakesNameTheFlag(t *testing.T) {
	for _, c := range []struct {
		args, want string
	}{
		{"plan --from=3", "--to"},
		{"plan --from=0 --to=3", `--from is "0"`},
		{"plan --from=3 --to=a,,b", "empty name"},
		{"plan --from=3 --to=a,a", `"a" is listed twice`},
		{"plan --from=a=x --to=a=-1", `--from is "a=x"`},
		{"plan --from=a=x --to=a=-1", `--to is "a=-1"`},
		{"plan --from=3 --to=4 --count=-1", `--count is "-1"`},
		{"plan --from=3 --to=4 --series=many", `--series is "many"`},
		{"plan --from=3 --to=4 --retention=soon", `--retention is "soon"`},
		{"plan --from=3 --to=4 --output=xml", "table"},
		{"plan --from=3 --to=4 --slack=5", "--slack"},
		{"plan --from=3 --to=4 --name-format=hub", `--name-format is "hub"`},
		{"plan --from=3 --to=4 --placement=jump", `--placement: placement "jump": it must be rendezvous or consistent`},
		{"plan --from=3 --to=4 --placement-before=jump", `--placement-before: placement "jump": it must be rendezvous or consistent`},
		{"plan --from=3 --to=4 --placement=consistent/partitions=-1", "PartitionCount is -1: it must be between 1 and"},
		{"plan --from=3 --to=4 --placement=consistent/replicas=many", `replicas is "many"`},
		{"plan --from=3 --to=4 --placement-before=consistent/load=-1", "Load is -1: it must be a number above 0"},
		{"plan --from=3 --to=4 --placement=consistent/load=0.5", `--from is "3": circle: build ring of 3 nodes: not enough room`},
		{"plan --from=3 --to=4 --placement=consistent/load=0.5", `raise Load to 1 or more`},
		{"plan --from=3 --to=a,b=2 --placement=consistent", `--to is "a,b=2": circle: build ring of 2 nodes: node "a" has weight 1`},
		{"simulate --hubs=5000", `--hubs is "5000"`},
		{"simulate --hubs=3 --schedule=fail:3", `--schedule is "fail:3"`},
		{"simulate --schedule=explode,fail,heal:2", `"explode" is none of`},
		{"simulate --schedule=explode,fail,heal:2", `"fail" needs a number`},
		{"simulate --schedule=explode,fail,heal:2", `"heal:2" takes no number`},
		{"nothing", "nothing"},
	} {
		code, out, errOut := hubctl(t, "", strings.Fields(c.args)...)
		assert.Equal(t, exitUsage, code, c.args)
		assert.Contains(t, errOut, c.want, c.args)
		assert.Empty(t, out, c.args)
	}
}

func TestFailures(t *testing.T) {
	failure := func(in, args, want string) {
		t.Helper()
		code, _, errOut := hubctl(t, in, strings.Fields(args)...)
		assert.Equal(t, exitFailed, code, args)
		assert.Contains(t, errOut, want, args)
	}
	failure("", "plan --from=3 --to=4 --gateways=nowhere.txt", "nowhere.txt")
	failure("", "plan --from=3 --to=@nowhere", "read --to: open nowhere")
	failure("", "plan --from=3 --to=4 --gateways=-", "no gateway in it")
	failure("a 1\na 2\n", "plan --from=3 --to=4 --gateways=-", `line 2: gateway "a" was on line 1 already`)
	failure("a x\nb 1 2\n", "plan --from=3 --to=4 --gateways=-", `line 1: gateway "a" has "x" series`)
	failure("a x\nb 1 2\n", "plan --from=3 --to=4 --gateways=-", "line 2 has 3 fields")
	failure(strings.Repeat("a b c\n", 30), "plan --from=3 --to=4 --gateways=-", "and 20 faults more")
	failure("", "plan --from=3 --to=4 --svg=nowhere/plan.svg", "--svg")
}

func TestHelpAndVersion(t *testing.T) {
	code, out, _ := hubctl(t, "", "--help")
	assert.Zero(t, code)
	for _, want := range []string{"plan", "simulate", "ring-cost"} {
		assert.Contains(t, out, want)
	}
	code, out, _ = hubctl(t, "", "plan", "--help")
	assert.Zero(t, code)
	for _, want := range []string{"--no-gateway-series", "--placement=", "--placement-before=", "consistent/partitions=20011/replicas=200/load=1.25"} {
		assert.Contains(t, out, want)
	}
	code, out, _ = hubctl(t, "", "--version")
	assert.Zero(t, code)
	assert.Contains(t, out, "hubctl")
}

func TestCompareNumbered(t *testing.T) {
	for _, pair := range [][2]string{
		{"hub-2", "hub-10"}, {"hub-2.svc", "hub-10.svc"}, {"a", "b"}, {"hub", "hub-1"}, {"1", "a"}, {"hub-1", "hub-01"}, {"é1", "é2"},
	} {
		assert.Negative(t, compareNumbered(pair[0], pair[1]), "%v", pair)
		assert.Positive(t, compareNumbered(pair[1], pair[0]), "%v", pair)
		assert.Zero(t, compareNumbered(pair[0], pair[0]))
	}
}

func TestNamesInTheDrawingAreShort(t *testing.T) {
	short := func(names ...string) []string {
		var p hashring.Plan
		for _, n := range names {
			p.Nodes = append(p.Nodes, hashring.NodeChange{Name: n})
		}
		var got []string
		for _, n := range names {
			got = append(got, shortNames(&p)[n])
		}
		return got
	}
	assert.Equal(t, []string{"0", "10"}, short("hub-0.svc", "hub-10.svc"))
	assert.Equal(t, []string{"a", "b"}, short("a", "b"))
	assert.Equal(t, []string{"nor…", "sou…"}, short("north-hub", "south-hub"))
	assert.Equal(t, []string{"hub-", "hub…"}, short("hub-", "hub-1"), "a name is never empty")
	assert.Equal(t, []string{"edg…"}, short("edgehub-0"))
	assert.Equal(t, []string{"ärz…", "ämt…"}, short("ärzte", "ämter"))
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", -100: "-100", 1234567: "1,234,567"} {
		assert.Equal(t, want, grouped(n))
	}
}

func TestRingCostPrintsATable(t *testing.T) {
	code, out, errOut := hubctl(t, "", "ring-cost", "--hubs=3")
	require.Zero(t, code, errOut)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 4)
	for _, line := range lines {
		assert.Equal(t, 6, strings.Count(line, "|"), line)
	}
}

func TestStoppedBeforeItBegan(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errOut bytes.Buffer
	for _, name := range []string{"simulate", "ring-cost"} {
		assert.Equal(t, exitFailed, run(ctx, []string{name}, terminal{out: &out, err: &errOut}))
	}
	assert.Contains(t, errOut.String(), "stopped after 0 of 9 steps")
}
