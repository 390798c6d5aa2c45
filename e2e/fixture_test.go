package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	// So that go test's cache notices when the hub has changed.
	_ "github.com/hubring/hubring/edgehub"

	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/stack"
	"github.com/hubring/hubring/e2e/internal/wallclock"
)

// loggedBytes is how much of each program's log a failed test prints.
const loggedBytes = 3000

// patience bounds what takes a moment and is not itself promised: a busy machine
// may be slow.
const patience = time.Minute

// fixture is what the tests share. Each part is made when a test first asks
// for it; TestMain ends it.
var fixture struct {
	binaries struct {
		once sync.Once
		binaries
		err error
	}
	clocked struct {
		once                sync.Once
		edgehub, controller string
		err                 error
	}
	global struct {
		once  sync.Once
		stack *stack.Stack
		err   error
	}
	dir string // removed at the end
}

// binaries are the programs under test and around it.
type binaries struct {
	programs string // folder, see package realbin
	edgehub  string
}

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "hubring-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	fixture.dir = dir
	defer os.RemoveAll(dir)
	status := m.Run()
	if s := fixture.global.stack; s != nil {
		if err := s.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			return 1
		}
	}
	return status
}

// built returns the programs, after building what is missing.
func built(t *testing.T) binaries {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real programs")
	}
	f := &fixture.binaries
	f.once.Do(func() { f.binaries, f.err = build(t) })
	require.NoError(t, f.err)
	return f.binaries
}

func build(t *testing.T) (binaries, error) {
	ctx := t.Context()
	if end, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-20*time.Second))
		defer cancel()
	}
	checkout, err := realbin.Checkout(".")
	if err != nil {
		return binaries{}, err
	}
	programs, err := realbin.Dir(ctx, checkout, os.Stderr)
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("the real programs were not built in time: run \"go run ./e2e/cmd/realbin\" first, or test with -timeout 30m: %w", err)
		}
		return binaries{}, err
	}
	edgehub, err := stack.BuildHub(ctx, checkout, fixture.dir, raceEnabled)
	return binaries{programs: programs, edgehub: edgehub}, err
}

// clocked returns a hub and a controller that can be killed, each built for a clock of its own.
func clocked(t *testing.T) (edgehub, controller string) {
	t.Helper()
	f := &fixture.clocked
	f.once.Do(func() {
		flag, err := wallclock.Overlay(t.Context(), fixture.dir)
		if err != nil {
			f.err = err
			return
		}
		flags := []string{flag}
		if raceEnabled {
			flags = append(flags, "-race")
		}
		checkout, err := realbin.Checkout(".")
		if err != nil {
			f.err = err
			return
		}
		if f.edgehub, f.err = stack.Build(t.Context(), checkout, filepath.Join(fixture.dir, "clocked-edgehub"), "./cmd/edgehub", flags...); f.err != nil {
			return
		}
		f.controller, f.err = stack.Build(t.Context(), filepath.Join(checkout, "e2e"), filepath.Join(fixture.dir, "controller"), "./internal/mortal/controller", flags...)
	})
	require.NoError(t, f.err)
	return f.edgehub, f.controller
}

// globalStack returns the stack of three shards below one querier, which all
// tests share. Each must use gateways of its own, and leave every hub running.
func globalStack(t *testing.T) *stack.Stack {
	t.Helper()
	b := built(t)
	f := &fixture.global
	f.once.Do(func() {
		begin := time.Now()
		f.stack, f.err = stack.Start(t.Context(), stack.Config{
			Programs: b.programs, EdgeHub: b.edgehub,
			Dir:    filepath.Join(fixture.dir, "global"),
			Shards: 3, Global: true, NodeExporters: 2,
		})
		t.Logf("the stack was ready after %s", time.Since(begin).Round(time.Millisecond))
	})
	require.NoError(t, f.err)
	dumpOnFailure(t, f.stack)
	return f.stack
}

// ownStack starts a stack for this test alone.
func ownStack(t *testing.T, cfg stack.Config) *stack.Stack {
	t.Helper()
	b := built(t)
	cfg.Programs, cfg.EdgeHub, cfg.Dir = b.programs, b.edgehub, t.TempDir()
	s, err := stack.Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	dumpOnFailure(t, s)
	return s
}

func dumpOnFailure(t *testing.T, s *stack.Stack) {
	t.Cleanup(func() {
		if t.Failed() {
			s.DumpLogs(t.Output(), loggedBytes)
		}
	})
}

// eventually polls until try succeeds, and fails the test with its last error
// when that takes longer than the timeout.
func eventually(t *testing.T, timeout time.Duration, try func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	require.NoError(t, process.Until(ctx, func() error { return try(ctx) }))
}
