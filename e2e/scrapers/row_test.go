package scrapers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	// So that go test's cache notices when the hub has changed.
	_ "github.com/hubring/hubring/edgehub"

	"github.com/hubring/hubring/e2e/internal/fleet"
	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/stack"
)

const (
	// interval is how often a scraper of these tests comes, and how long it waits.
	interval = 500 * time.Millisecond
	// reportEvery is how often samples are pushed.
	reportEvery = 100 * time.Millisecond
	// patience bounds what takes a moment and is not itself promised: a busy machine
	// may be slow.
	patience = time.Minute
	// loggedBytes is how much of each program's log a failed row prints.
	loggedBytes = 3000
)

// programs are those under test and around it, built once.
var programs struct {
	once    sync.Once
	dir     string // removed at the end
	real    string // folder, see package realbin
	edgehub string
	err     error
}

// real is the path of a real program of the end-to-end suite.
func real(program string) string { return filepath.Join(programs.real, program) }

// results are the lines that a verbose run prints at its end.
var results struct {
	sync.Mutex
	lines []string
}

func build(ctx context.Context) error {
	p := &programs
	checkout, err := realbin.Checkout(".")
	if err != nil {
		return err
	}
	if p.real, err = realbin.Dir(ctx, checkout, os.Stderr); err != nil {
		return fmt.Errorf("build the real programs, which \"go run ./e2e/cmd/realbin\" does beforehand: %w", err)
	}
	p.edgehub, err = stack.BuildHub(ctx, checkout, p.dir, raceEnabled)
	return err
}

// both tries a row with a hub that asks the scraper's server and with one that does not,
// side by side.
func both(t *testing.T, try func(t *testing.T, asked bool)) {
	t.Parallel()
	t.Run("asked", func(t *testing.T) {
		t.Parallel()
		try(t, true)
	})
	t.Run("unasked", func(t *testing.T) {
		t.Parallel()
		try(t, false)
	})
}

// row is one try of a row: a hub, what is pushed to it, and who scrapes it.
type row struct {
	*testing.T
	asked  bool
	stack  *stack.Stack
	hub    *stack.Hub
	sender *sender // what is pushed
}

// startRow starts a row's hub, which asks the servers, CURSOR=URL or a URL, where the row
// is tried asked.
func startRow(t *testing.T, asked bool, servers []string, flags ...string) *row {
	t.Helper()
	if testing.Short() {
		t.Skip("needs real programs")
	}
	programs.once.Do(func() { programs.err = build(t.Context()) })
	require.NoError(t, programs.err)
	if asked {
		for _, server := range servers {
			flags = append(flags, "--scrape.server="+server)
		}
	}
	flags = append(flags, "--no-gateway.first-samples", "--gateway.ends-after=0") // what comes out is what was pushed
	s, err := stack.Start(t.Context(), stack.Config{
		Programs: programs.real, EdgeHub: programs.edgehub, Dir: t.TempDir(),
		Shards: 1, HubsOnly: true, HubArgs: flags,
	})
	require.NoError(t, err)
	r := &row{T: t, asked: asked, stack: s, hub: s.Shards[0].Hub}
	t.Cleanup(func() {
		if t.Failed() {
			s.DumpLogs(t.Output(), loggedBytes)
		}
		require.NoError(t, s.Close())
	})
	r.sender = newSender(r.hub.URL(), 4, 10)
	return r
}

// endsFirst registers what is to be done when the row's programs have ended.
func (r *row) endsFirst(cleanup func()) {
	r.Cleanup(cleanup)
	r.Cleanup(func() { require.NoError(r, r.stack.Close()) })
}

// pushFor pushes for so long, whatever the hub says to it.
func (r *row) pushFor(long time.Duration) {
	r.Helper()
	end := time.NewTimer(long)
	defer end.Stop()
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		r.push(1)
		select {
		case <-tick.C:
		case <-end.C:
			return
		}
	}
}

// push pushes once, so many samples of each series.
func (r *row) push(times int) {
	r.Helper()
	require.NoError(r, r.sender.report(r.Context(), times))
}

// while pushes until the work is done.
func (r *row) while(work func() error) {
	r.Helper()
	done := make(chan error, 1)
	go func() { done <- work() }()
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		r.push(1)
		select {
		case err := <-done:
			require.NoError(r, err)
			return
		case <-tick.C:
		}
	}
}

// settle waits until the hub has taken every sample and believes that its scrapers have
// them.
func (r *row) settle() {
	r.Helper()
	r.eventually(func(ctx context.Context) error {
		if err := r.sender.flush(ctx); err != nil {
			return err
		}
		if waits := len(r.sender.waiting); waits > 0 {
			return fmt.Errorf("%d pushes are still refused, of %v", waits, r.sender.answers)
		}
		lag, err := r.own(ctx, "edgehub_cursor_lag_samples", nil)
		if err == nil && lag > 0 {
			err = fmt.Errorf("%d samples still wait for a scraper", lag)
		}
		return err
	})
}

// require asks a far end what it has, and requires that no more is lost or twice than
// the table says.
func (r *row) require(far func(context.Context) (arrivals, error)) {
	r.Helper()
	want := expectedOf(r.T, r.asked)
	var got account
	// What the hub handed over may be on its way still.
	r.eventuallyOr(10*time.Second, func(ctx context.Context) error {
		have, err := far(ctx)
		if err != nil {
			return err
		}
		if got, err = settled(r.sender.pushed, have); err != nil {
			return err
		}
		if got.lost > 0 {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	r.report(got)
	require.NotZero(r, got.pushed)
	require.True(r, want.lost.allows(got.lost, got.pushed) && want.twice.allows(got.twice, got.pushed),
		"%v, such as %s; the table says lost: %s, twice: %s", got, got.first, want.lost, want.twice)
}

// report notes the account for the end of the run.
func (r *row) report(got account) {
	r.Logf("%v", got)
	results.Lock()
	defer results.Unlock()
	results.lines = append(results.lines, fmt.Sprintf("%-45s %6d %6d %6d", r.Name(), got.pushed, got.lost, got.twice))
}

// own is one of the hub's own metrics, added up over those that have the labels. One
// that is not there is 0.
func (r *row) own(ctx context.Context, name string, labels map[string]string) (int, error) {
	families, err := fleet.Collect(ctx, r.hub.URL()+"/internal")
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.Metric {
			if has(m, labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return int(sum), nil
}

func has(m *dto.Metric, labels map[string]string) bool {
	for name, value := range labels {
		if !slices.ContainsFunc(m.Label, func(l *dto.LabelPair) bool { return l.GetName() == name && l.GetValue() == value }) {
			return false
		}
	}
	return true
}

// ownNow is own for a hub that answers.
func (r *row) ownNow(name string, labels map[string]string) int {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	value, err := r.own(ctx, name, labels)
	require.NoError(r, err)
	return value
}

// eventually polls until try succeeds, and fails the row with its last error when that
// takes too long.
func (r *row) eventually(try func(context.Context) error) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	require.NoError(r, process.Until(ctx, func() error { return try(ctx) }))
}

// eventuallyOr polls until try succeeds, or for so long.
func (r *row) eventuallyOr(long time.Duration, try func(context.Context) error) {
	ctx, cancel := context.WithTimeout(r.Context(), long)
	defer cancel()
	if err := process.Until(ctx, func() error { return try(r.Context()) }); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		require.NoError(r, err)
	}
}

// freeAddress is a loopback address for a program that is named before it is started.
func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := process.FreeAddress()
	require.NoError(t, err)
	return address
}

// run runs a program that ends with the row and waits until a URL of it answers.
func (r *row) run(name, path, ready string, args ...string) *process.Process {
	r.Helper()
	p, err := r.stack.Run(name, path, args...)
	require.NoError(r, err)
	if ready != "" {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		require.NoError(r, p.WaitHTTP(ctx, ready))
	}
	return p
}

// file writes a file of the row and returns its path.
func (r *row) file(name, content string) string {
	r.Helper()
	path := filepath.Join(r.TempDir(), name)
	require.NoError(r, os.WriteFile(path, []byte(content), 0o644))
	return path
}

// probe asks a URL again and again, as a load balancer or a kubelet would, on
// connections that others may get as well, until the row ends.
func (r *row) probe(url string) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	r.Cleanup(func() {
		cancel()
		done.Wait()
	})
	done.Go(func() {
		tick := time.NewTicker(reportEvery)
		defer tick.Stop()
		for {
			if req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil); err == nil {
				if resp, err := http.DefaultClient.Do(req); err == nil {
					resp.Body.Close()
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
}

// printResults prints what became of each row.
func printResults() {
	results.Lock()
	defer results.Unlock()
	if len(results.lines) == 0 {
		return
	}
	slices.Sort(results.lines)
	fmt.Printf("%-45s %6s %6s %6s\n%s\n", "row", "pushed", "lost", "twice", strings.Join(results.lines, "\n"))
}
