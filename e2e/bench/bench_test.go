package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/bench/internal/load"
	"github.com/hubring/hubring/e2e/internal/report"
)

// bench builds the program once for a test and returns how to run it, for a
// fleet that is small enough for a test.
func bench(t *testing.T) func(args ...string) (output string, status int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bench")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return func(args ...string) (string, int) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, path, append(args, "--gateways=40", "--series=53")...)
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			require.NoError(t, err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
}

// The benchmark works, whatever it measures in so short a time.
func TestBenchSmoke(t *testing.T) {
	run := bench(t)
	t.Run("peers", func(t *testing.T) {
		t.Parallel()
		out, status := run("peers", "--only=ours", "--only=ceiling", "--rounds=1", "--for=50ms", "--pending=20000")
		require.Zero(t, status, out)
		require.Contains(t, out, nameOurs)
		require.Contains(t, out, nameCeiling)
	})
	t.Run("doors", func(t *testing.T) {
		t.Parallel()
		out, status := run("doors", "--only=text", "--only=grpc", "--rounds=1", "--for=50ms")
		require.Zero(t, status, out)
		require.Contains(t, out, nameVMAgent)
		require.Contains(t, out, nameEdgeHub+" by grpc")
	})
	t.Run("hub", func(t *testing.T) {
		t.Parallel()
		out, status := run("hub", "--few=2000", "--pending=40000", "--many=80000", "--for=1ms", "--scrapes=10", "--overload=3",
			"--check", "--tolerance=1e-9") // so that all goals are missed
		require.Equal(t, 1, status, out)
		require.Contains(t, out, "RSS a sample")
		require.Contains(t, out, errMissed.Error())
	})
	t.Run("outage", func(t *testing.T) {
		t.Parallel()
		out, status := run("outage", "--only=ours", "--only=ours-on-disk", "--servers=2", "--reports=2", "--wait=1ms")
		require.Zero(t, status, out)
		require.Contains(t, out, "6,360 samples that nobody fetched")
	})
	t.Run("before", func(t *testing.T) {
		t.Parallel()
		out, status := run("before", "--ref=HEAD", "--rounds=1", "--for=1ms", "--pending=20000", "--check", "--tolerance=1000")
		require.Zero(t, status, out)
		require.Contains(t, out, "RSS a sample, 19,610 pending, 10 a series, of before")
		out, status = run("before", "--ref=nowhere")
		require.Equal(t, 1, status, out)
		require.Contains(t, out, `"nowhere" is no revision of this clone`)
	})
	t.Run("sustained", func(t *testing.T) {
		t.Parallel()
		if testing.Short() {
			t.Skip("needs a real Prometheus")
		}
		out, status := run("sustained", "--rate=1.2e6", "--for=3s", "--parts=1", "--scrape-interval=1s", "--scrape-timeout=1s")
		require.Zero(t, status, out)
		require.Contains(t, out, "each of them stored by Prometheus, once")
	})
	t.Run("usage", func(t *testing.T) {
		t.Parallel()
		out, status := run("peers", "--connections=100")
		require.Equal(t, 2, status, out)
		require.Contains(t, out, "try --help")
	})
}

func TestCompareFindsEveryDifference(t *testing.T) {
	pushed := load.Track{Series: "a{}", Points: []load.Point{{Time: 1, Value: 10}, {Time: 2, Value: 20}}}
	same := []model.SamplePair{{Timestamp: 1, Value: 10}, {Timestamp: 2, Value: 20}}
	require.NoError(t, compare(pushed, same))
	require.ErrorContains(t, compare(pushed, same[:1]), "2 points, Prometheus has 1")
	require.ErrorContains(t, compare(pushed, []model.SamplePair{same[0], {Timestamp: 2, Value: 21}}), "has 21 at 2")
	require.ErrorContains(t, compare(pushed, []model.SamplePair{same[0], {Timestamp: 3, Value: 20}}), "has 20 at 3")
}

func TestQuantilesOfSpans(t *testing.T) {
	start := time.Now()
	var seen []load.Latency
	var even []span
	for i := range 100 {
		due := start.Add(time.Duration(i) * time.Second)
		took := time.Millisecond
		if i%2 == 1 {
			took = time.Hour
		} else {
			even = append(even, span{due, due.Add(time.Second)})
		}
		seen = append(seen, load.Latency{Due: due, Took: took})
	}
	q, err := quantilesOf(seen, even)
	require.NoError(t, err)
	require.Equal(t, quantiles{count: 50, p50: 1, p99: 1}, q)
	_, err = quantilesOf(seen, []span{{start.Add(-time.Hour), start}})
	require.ErrorContains(t, err, "--scrapes")
}

func TestPeerGoalsCompareWhatWasMeasured(t *testing.T) {
	// One million samples, so that seconds are CPU-s a M.
	measured := func(push, scrape float64) []cost {
		return []cost{{
			pushed: 1e6, scraped: 1e6,
			pushCPU: time.Duration(push * float64(time.Second)), scrapeCPU: time.Duration(scrape * float64(time.Second)),
		}}
	}
	missed := func(costs map[string][]cost) int {
		g := &report.Goals{}
		peerGoals(g, costs)
		return g.Missed()
	}
	require.Zero(t, missed(nil))
	require.Zero(t, missed(map[string][]cost{nameOurs: measured(0.2, 0.12)}))
	require.Equal(t, 2, missed(map[string][]cost{nameOurs: measured(0.21, 0.13)}))
	require.Zero(t, missed(map[string][]cost{nameOurs: measured(0.2, 0.1), nameEdgeHub: measured(5.7, 2.8), nameVMAgent: measured(0.7, 0)}))
	require.Equal(t, 3, missed(map[string][]cost{nameOurs: measured(0.2, 0.1), nameEdgeHub: measured(5.5, 2.6), nameVMAgent: measured(0.6, 0)}))
}
