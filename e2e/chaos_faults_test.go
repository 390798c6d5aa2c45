package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hubring/hubring/e2e/internal/link"
	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/internal/wallclock"
)

// fault is something that fails for a while.
type fault struct {
	at, lasts time.Duration // from the beginning
	kind      int           // of chaosKinds
	number    int           // of what fails
}

func (f fault) how() *chaosKind { return &chaosKinds[f.kind] }

// target is what fails. It fails in one way at a time.
func (f fault) target() string {
	if f.how().target == hubList {
		return hubList
	}
	return fmt.Sprint(f.how().target, " ", f.number)
}

func (f fault) String() string {
	return fmt.Sprintf("%s %d %s", f.how().target, f.number, f.how().name)
}

// What fails.
const (
	aHub        = "hub"
	aServer     = "server"
	aController = "controller"
	aPush       = "the way to hub"    // of controllers
	aScrape     = "the scrape of hub" // on its way to the server
	hubList     = "the list of hubs: hub"
)

// chaosKind is a way to fail.
type chaosKind struct {
	target, name string
	weight       int
	// do lets it fail, waits, and returns when it works again.
	do func(ctx context.Context, c *chaos, number int, wait func()) error
}

var chaosKinds = []chaosKind{
	{aHub, "is killed", 3, func(ctx context.Context, c *chaos, n int, wait func()) error {
		hub := c.Shards[n].Hub
		hub.Kill()
		wait()
		return hub.Restart(ctx)
	}},
	{aHub, "is stopped and started", 2, func(ctx context.Context, c *chaos, n int, wait func()) error {
		hub := c.Shards[n].Hub
		if err := hub.Process.Terminate(); err != nil {
			return err
		}
		if err := hub.Process.Wait(2 * patience); err != nil { // it loses nothing
			return err
		}
		wait()
		return hub.Restart(ctx)
	}},
	{aHub, "is halted", 2, func(ctx context.Context, c *chaos, n int, wait func()) error {
		return halt(ctx, c.Shards[n].Hub.Process, wait)
	}},
	{aHub, "has a clock that is an hour ahead", 1, func(_ context.Context, c *chaos, n int, wait func()) error {
		return setWrong(c.Shards[n].Hub.Clock, time.Hour, wait)
	}},
	{aHub, "has a clock that is an hour behind", 1, func(_ context.Context, c *chaos, n int, wait func()) error {
		return setWrong(c.Shards[n].Hub.Clock, -time.Hour, wait)
	}},
	{aServer, "is stopped and started", 1, func(ctx context.Context, c *chaos, n int, wait func()) error {
		if err := c.Shards[n].Server.Stop(patience); err != nil {
			return err
		}
		wait()
		return c.Shards[n].Server.Restart(ctx)
	}},
	{aServer, "is killed", 3, func(ctx context.Context, c *chaos, n int, wait func()) error {
		c.Shards[n].Server.Kill()
		wait()
		return c.Shards[n].Server.Restart(ctx)
	}},
	{aServer, "is halted", 2, func(ctx context.Context, c *chaos, n int, wait func()) error {
		return halt(ctx, c.Shards[n].Server.Process, wait)
	}},
	{aController, "is killed", 4, func(ctx context.Context, c *chaos, n int, wait func()) error {
		c.controllers[n].process.Kill()
		wait()
		return c.startController(ctx, n)
	}},
	{aController, "is stopped and started", 1, func(ctx context.Context, c *chaos, n int, wait func()) error {
		if err := c.endController(n); err != nil {
			return err
		}
		wait()
		return c.startController(ctx, n)
	}},
	{aController, "has a clock that is an hour ahead", 1, func(_ context.Context, c *chaos, n int, wait func()) error {
		return setWrong(c.controllers[n].clock, time.Hour, wait)
	}},
	{aController, "has a clock that is an hour behind", 1, func(_ context.Context, c *chaos, n int, wait func()) error {
		return setWrong(c.controllers[n].clock, -time.Hour, wait)
	}},
	{aPush, link.LosesAnswers.String(), 2, onTheWay(func(c *chaos, n int) *link.Link { return c.pushes[n] }, link.LosesAnswers)},
	{aPush, link.HoldsAnswers.String(), 2, onTheWay(func(c *chaos, n int) *link.Link { return c.pushes[n] }, link.HoldsAnswers)},
	{aPush, link.Refuses.String(), 2, onTheWay(func(c *chaos, n int) *link.Link { return c.pushes[n] }, link.Refuses)},
	{aScrape, link.CutsAnswers.String(), 3, onTheWay(func(c *chaos, n int) *link.Link { return c.scrapes[n] }, link.CutsAnswers)},
	{aScrape, link.LosesAnswers.String(), 2, onTheWay(func(c *chaos, n int) *link.Link { return c.scrapes[n] }, link.LosesAnswers)},
	{aScrape, link.HoldsAnswers.String(), 1, onTheWay(func(c *chaos, n int) *link.Link { return c.scrapes[n] }, link.HoldsAnswers)},
	{hubList, "is not named", 2, func(_ context.Context, c *chaos, n int, wait func()) error {
		if err := c.nameHubs(func(shard int) bool { return shard != n }); err != nil {
			return err
		}
		wait()
		return c.nameHubs(func(int) bool { return true })
	}},
}

func halt(ctx context.Context, p *process.Process, wait func()) error {
	if err := p.Suspend(ctx); err != nil {
		return err
	}
	wait()
	return p.Resume()
}

// setWrong sets a clock, and sets it right again.
func setWrong(clock *wallclock.Clock, ahead time.Duration, wait func()) error {
	if err := clock.Set(ahead); err != nil {
		return err
	}
	wait()
	return clock.Set(0)
}

func onTheWay(which func(c *chaos, n int) *link.Link, m link.Mode) func(context.Context, *chaos, int, func()) error {
	return func(_ context.Context, c *chaos, n int, wait func()) error {
		l := which(c, n)
		l.Set(m)
		wait()
		l.Set(link.Well)
		return nil
	}
}

const (
	calm          = 3 * time.Second // before the first fault
	betweenFaults = 2 * time.Second // at most, from the beginning of one to that of the next
	longestFault  = 5 * time.Second
	shortestFault = 200 * time.Millisecond
)

// drawFaults returns what fails within a time, in the order in which it does.
func drawFaults(seed uint64, within time.Duration) (faults []fault) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	var lots []int
	for i, k := range chaosKinds {
		lots = append(lots, slices.Repeat([]int{i}, k.weight)...)
	}
	busy := map[string]time.Duration{}
	for at := calm; ; at += time.Duration(rnd.Int64N(int64(betweenFaults))) {
		f := fault{at: at, kind: lots[rnd.IntN(len(lots))], lasts: shortestFault + time.Duration(rnd.Int64N(int64(longestFault-shortestFault)))}
		f.number = rnd.IntN(chaosShards)
		if f.how().target == aController {
			f.number %= chaosControllers
		}
		if at+longestFault >= within {
			return faults
		}
		if busy[f.target()] <= at {
			busy[f.target()] = at + f.lasts
			faults = append(faults, f)
		}
	}
}
