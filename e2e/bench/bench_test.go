package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
	t.Run("hub", func(t *testing.T) {
		t.Parallel()
		out, status := run("hub", "--few=2000", "--pending=40000", "--many=80000", "--for=1ms", "--scrapes=3", "--overload=3",
			"--check", "--tolerance=1e-9") // so that all goals are missed
		require.Equal(t, 1, status, out)
		require.Contains(t, out, "RSS a sample")
		require.Contains(t, out, errMissed.Error())
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
