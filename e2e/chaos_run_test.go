package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/hubring/hubring/e2e/internal/link"
	"github.com/hubring/hubring/e2e/internal/mortal"
	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/internal/stack"
	"github.com/hubring/hubring/e2e/internal/wallclock"
)

// chaos is a stack of which everything may fail: between each hub and those who push to it, and between it and its
// server, is a link.
type chaos struct {
	*stack.Stack
	t           *testing.T
	dir         string
	pushes      []*link.Link // by the number of the hub
	scrapes     []*link.Link
	controllers []*mortalController
	controller  string // path of the program
	began       time.Time

	mu       sync.Mutex
	suffered []*suffered
}

// mortalController is a controller as a process.
type mortalController struct {
	process *process.Process
	clock   *wallclock.Clock
	config  string // path
	journal string // path
}

// suffered is a fault that was.
type suffered struct {
	fault
	from, to time.Time // to is zero while it lasts
}

// startChaos starts it all.
func startChaos(t *testing.T, seed uint64, shards int, hubArgs ...string) *chaos {
	t.Helper()
	c := &chaos{t: t, dir: t.TempDir()}
	var linking sync.Mutex
	scrapes := map[string]*link.Link{} // by the hub's address
	b := built(t)
	edgehub, controller := clocked(t)
	c.controller = controller
	var err error
	c.Stack, err = stack.Start(t.Context(), stack.Config{
		Programs: b.programs, EdgeHub: edgehub, Dir: t.TempDir(), Shards: shards, Protobuf: true, HubLogs: true, HubClock: true, HubArgs: hubArgs,
		ScrapeVia: func(hub string) (string, error) {
			linking.Lock()
			defer linking.Unlock()
			k, err := link.New(hub, seed+uint64(len(scrapes)))
			if err != nil {
				return "", err
			}
			t.Cleanup(k.Close)
			scrapes[hub] = k
			return k.Address, nil
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	dumpOnFailure(t, c.Stack)
	for i, sh := range c.Shards {
		k, err := link.New(sh.Hub.Address, seed+uint64(shards+i))
		require.NoError(t, err)
		t.Cleanup(k.Close)
		c.pushes, c.scrapes = append(c.pushes, k), append(c.scrapes, scrapes[sh.Hub.Address])
	}
	require.NoError(t, c.nameFirst(min(shards, chaosShards)))
	c.began = time.Now()
	for i := range chaosControllers {
		c.addController(i)
		require.NoError(t, c.startController(t.Context(), i))
	}
	return c
}

// nameHubs writes the list of hubs that controllers read.
func (c *chaos) nameHubs(named func(shard int) bool) error {
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	var groups []group
	for i, sh := range c.Shards {
		if named(i) {
			groups = append(groups, group{[]string{c.pushes[i].Address}, map[string]string{"name": sh.Hub.Name}})
		}
	}
	text, err := json.Marshal(groups)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.hubs()+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(c.hubs()+".new", c.hubs())
}

// nameFirst names the first n hubs.
func (c *chaos) nameFirst(n int) error { return c.nameHubs(func(shard int) bool { return shard < n }) }

func (c *chaos) hubs() string { return filepath.Join(c.dir, "hubs.json") }

// addController writes down what a controller is to do.
func (c *chaos) addController(n int) {
	c.t.Helper()
	at := func(what string) string { return filepath.Join(c.dir, fmt.Sprintf("controller-%d.%s", n, what)) }
	m := &mortalController{config: at("json"), journal: at("journal")}
	var err error
	m.clock, err = wallclock.New(at("clock"))
	require.NoError(c.t, err)
	cfg := mortal.Config{Hubs: c.hubs(), SpoolDir: c.spool(n), Journal: m.journal, Every: chaosEvery, Series: chaosSeries}
	for i := range chaosGateways {
		cfg.Gateways = append(cfg.Gateways, fmt.Sprintf("chaos-%d-%02d", n, i))
	}
	text, err := json.Marshal(cfg)
	require.NoError(c.t, err)
	require.NoError(c.t, os.WriteFile(m.config, text, 0o644))
	c.controllers = append(c.controllers, m)
}

// spool is where a controller keeps what it took.
func (c *chaos) spool(n int) string {
	return filepath.Join(c.dir, fmt.Sprintf("controller-%d.spool", n))
}

// startController starts a controller, anew after it was killed, and waits until it reports.
func (c *chaos) startController(ctx context.Context, n int) error {
	p, err := c.RunIn([]string{c.controllers[n].clock.Env()}, fmt.Sprintf("controller-%d", n), c.controller, c.controllers[n].config)
	if err != nil {
		return err
	}
	c.controllers[n].process = p
	_, err = p.WaitLog(ctx, regexp.MustCompile(regexp.QuoteMeta(mortal.Reports)))
	return err
}

// endController asks a controller to end, which delivers what it has.
func (c *chaos) endController(n int) error {
	p := c.controllers[n].process
	if err := p.Terminate(); err != nil {
		return err
	}
	return p.Wait(4 * patience)
}

// suffer lets everything fail that is to.
func (c *chaos) suffer(faults []fault, lasts time.Duration) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), lasts+5*patience)
	defer cancel()
	c.began = time.Now()
	telling, told := context.WithCancel(ctx)
	var progress sync.WaitGroup
	progress.Go(func() { c.tell(telling) })
	defer progress.Wait()
	defer told()
	busy := map[string]*sync.Mutex{}
	var failing errgroup.Group
	for _, f := range faults {
		sleepUntil(c.t, c.began.Add(f.at))
		if busy[f.target()] == nil {
			busy[f.target()] = &sync.Mutex{}
		}
		one := busy[f.target()]
		failing.Go(func() error {
			one.Lock() // what failed before may take its time to recover
			defer one.Unlock()
			return c.sufferOne(ctx, f)
		})
	}
	sleepUntil(c.t, c.began.Add(lasts))
	require.NoError(c.t, failing.Wait())
}

func (c *chaos) sufferOne(ctx context.Context, f fault) error {
	s := &suffered{fault: f, from: time.Now()}
	c.mu.Lock()
	c.suffered = append(c.suffered, s)
	c.mu.Unlock()
	err := f.how().do(ctx, c, f.number, func() {
		timer := time.NewTimer(f.lasts)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	s.to = time.Now()
	if err != nil {
		return fmt.Errorf("%s after %s, and does not recover: %w", f, f.at.Round(time.Millisecond), err)
	}
	return nil
}

// tell logs now and then how it goes.
func (c *chaos) tell(ctx context.Context) {
	tick := time.NewTicker(chaosProgress)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.mu.Lock()
		var now []string
		for _, s := range c.suffered {
			if s.to.IsZero() {
				now = append(now, s.String())
			}
		}
		all := len(c.suffered)
		c.mu.Unlock()
		taken := 0
		for _, m := range c.controllers {
			j, err := mortal.ReadJournal(m.journal)
			if err != nil {
				c.t.Logf("progress: %v", err)
			}
			taken += len(j.Taken)
		}
		slices.Sort(now)
		c.t.Logf("%4s  %d samples were taken, %d faults; now: %s", time.Since(c.began).Round(time.Second), taken*chaosSeries, all, strings.Join(now, ", "))
	}
}

// finish lets the controllers deliver what they have, and end.
func (c *chaos) finish() {
	c.t.Helper()
	for i := range c.controllers {
		require.NoError(c.t, c.endController(i))
	}
	c.t.Logf("%4s  all that was taken is delivered", time.Since(c.began).Round(time.Second))
}
