package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// watch asks the querier again and again whether each series counts once.
type watch struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	asked  int
	faults []string
}

// startWatch starts asking about the series of a fleet that the querier sees
// already. The caller must stop it; the test's end does, too.
func startWatch(t *testing.T, s *stack.Stack, f *testFleet) *watch {
	ctx, cancel := context.WithCancel(t.Context())
	w := &watch{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.run(ctx, promapi.NewThanos(s.Querier, true), f)
	}()
	t.Cleanup(func() {
		cancel()
		<-w.done
	})
	return w
}

func (w *watch) run(ctx context.Context, querier *promapi.Client, f *testFleet) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	last := map[string]float64{}
	for {
		fault := w.ask(ctx, querier, f, last)
		if ctx.Err() != nil {
			return
		}
		w.mu.Lock()
		w.asked++
		if fault != nil {
			w.faults = append(w.faults, time.Now().Format("15:04:05.000 ")+fault.Error())
		}
		w.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ask asks once. last has the counts of the last time: within the lookback no
// series goes away, and never are there more than were reported.
func (w *watch) ask(ctx context.Context, querier *promapi.Client, f *testFleet, last map[string]float64) error {
	counts, err := querier.By(ctx, "gatewayID", `count by (gatewayID) (`+f.selector("")+`)`)
	if err != nil {
		return err
	}
	for _, id := range f.gateways {
		if most := float64(f.Ledger.Series(id)); counts[id] > most {
			return fmt.Errorf("%s has %v series, but only %v were reported", id, counts[id], most)
		}
		if counts[id] < last[id] {
			return fmt.Errorf("%s has %v series, after it had %v", id, counts[id], last[id])
		}
		last[id] = counts[id]
	}
	// Each gateway has one of these, and its value is 1.
	info := `sum(` + f.selector(`__name__=~"node_uname_info|prometheus_build_info"`) + `)`
	sum, err := querier.Vector(ctx, info)
	if err != nil {
		return err
	}
	if len(sum) != 1 || int(sum[0].Value) != len(f.gateways) {
		return fmt.Errorf("a sum over %d gateways is %v", len(f.gateways), sum)
	}
	return nil
}

// await waits for n more answers.
func (w *watch) await(t *testing.T, n int) {
	t.Helper()
	w.mu.Lock()
	want := w.asked + n
	w.mu.Unlock()
	eventually(t, patience, func(context.Context) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.asked < want {
			return fmt.Errorf("the querier answered %d times, not yet %d", w.asked, want)
		}
		return nil
	})
}

// stop ends the watch; every answer must have been right.
func (w *watch) stop(t *testing.T) {
	t.Helper()
	w.cancel()
	<-w.done
	require.Empty(t, w.faults[:min(3, len(w.faults))], "of %d answers of the querier, %d were wrong", w.asked, len(w.faults))
	t.Logf("the querier was asked %d times and counted every series once", w.asked)
}
