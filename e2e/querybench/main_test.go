package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/querybench/internal/ask"
	"github.com/hubring/hubring/e2e/querybench/internal/dataset"
)

// A fleet that is small enough for a test, of which some move, asked everything: the
// answers over shards are those of one server.
func TestAnswersAreThoseOfOneServer(t *testing.T) {
	if testing.Short() {
		t.Skip("needs real programs")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "querybench")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	drawn := filepath.Join(dir, "queries.svg")
	cmd := exec.CommandContext(ctx, path, "--gateways=24", "--series-scale=0.03", "--moves=8", "--n=2", "--modes=S,W,B,F", "--warm=0", "--svg="+drawn)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var table, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &table, &said
	require.NoError(t, cmd.Run(), "%s\n%s", &said, &table)
	for _, row := range []string{"| count 1d ", "| count 1d, step 5m45.6s ", "| series 1h ", "| move 3 ", "- B2: "} {
		require.Contains(t, table.String(), row)
	}
	if _, err := os.Stat("../../cmd/hubquery"); err == nil {
		equal := regexp.MustCompile(`(?m)^- S2: ([0-9]+) of ([0-9]+)$`).FindStringSubmatch(table.String())
		require.Len(t, equal, 3, "%s", &table)
		require.Equal(t, equal[2], equal[1])
	}
	wellFormed(t, drawn)
	left, err := filepath.Glob(filepath.Join(dir, "hubring-querybench-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func wellFormed(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	d := xml.NewDecoder(bytes.NewReader(content))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
	}
}

func TestWrongFlagsAreNamed(t *testing.T) {
	for arg, want := range map[string]string{
		"--n=1":              "parts from 2 to 16",
		"--n=2,x":            `"x"`,
		"--modes=A,Q":        `"Q"`,
		"--gateways=0":       "--gateways=0",
		"--series-scale=0":   "--series-scale=0",
		"--series-scale=NaN": "--series-scale=NaN",
		"--moves=400":        "347 gateways",
		"--warm=-1":          "--warm=-1",
	} {
		_, err := parse([]string{arg})
		require.ErrorContains(t, err, want, arg)
	}
	o, err := parse([]string{"--n=2,4", "--modes=F"})
	require.NoError(t, err)
	require.Equal(t, []int{2, 4}, o.shape.Parts)
}

func TestTheMiddleIsThatOfEachFigure(t *testing.T) {
	got := middle([]cost{{Path: 3, All: 1, MergeRSS: 5}, {Path: 1, All: 2, MergeRSS: 9}, {Path: 2, All: 9, MergeRSS: 7}})
	require.Equal(t, cost{Path: 2, All: 2, MergeRSS: 9}, got)
}

// A system that may answer otherwise is told about, one that may not fails the run.
func TestOnlyWhoMustBeEqualIsWrong(t *testing.T) {
	q := ask.Query{Name: "count"}
	b := &bench{queries: []ask.Query{q}, hall: &hall{set: &dataset.Set{}}, columns: []*column{
		{mode: modeOne, name: modeOne, cells: map[string]*cell{q.Name: {cost: cost{Path: 2, MergeRSS: 1 << 20}, beside: cost{Path: 2, MergeRSS: 1 << 20}}}},
		{mode: modeDistributed, name: "D2", cells: map[string]*cell{q.Name: {cost: cost{Path: 1, All: 4}, beside: cost{Path: 2}, differs: "a bit"}}},
	}}
	require.False(t, b.wrong())
	var out bytes.Buffer
	b.equality(&out)
	require.Contains(t, out.String(), "- D2: 0 of 1\n  - count: a bit\n")
	out.Reset()
	b.table(&out, b.queries, b.columns[1:], (*cell).costs)
	require.Contains(t, out.String(), "1,000 (4,000) 2.00x")

	b.columns[1].mode = modeShards
	require.True(t, b.wrong())
}
