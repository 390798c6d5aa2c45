package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/link"
)

// Whatever fails alone, each in turn, or two at once: nothing is lost.
func TestFaultsLoseNothing(t *testing.T) {
	t.Parallel()
	var script script
	for kind := range chaosKinds {
		script.then(fault{kind: kind, number: kind})
	}
	for _, pair := range [][2]string{
		{"server 0 is killed", "controller 0 is killed"},
		{"server 1 is halted", "hub 1 is halted"},
		{"the scrape of hub 2 cuts answers", "the way to hub 2 loses answers"},
		{"the list of hubs: hub 0 is not named", "controller 1 is killed"},
		{"hub 1 is stopped and started", "controller 0 is killed"},
		{"hub 2 is stopped and started", "hub 0 is halted"},
		{"the scrape of hub 0 holds answers", "server 2 is killed"},
		{"controller 0 is killed", "controller 1 is killed"},
		{"hub 0 is killed", "server 0 is killed"},
		{"hub 1 is killed", "controller 1 is killed"},
		{"hub 0 is killed", "hub 2 is killed"},
	} {
		script.then(named(t, pair[0]), named(t, pair[1]))
	}
	c := startChaos(t, 1, chaosShards)
	script.play(c)
	for _, links := range [][]*link.Link{c.pushes, c.scrapes} {
		lost := 0
		for _, l := range links {
			lost += l.Lost()
		}
		require.Positive(t, lost, "all answers arrived")
	}
}

// A rolling restart of all: hubs, servers, controllers.
func TestRollingRestartOfAllLosesNothing(t *testing.T) {
	t.Parallel()
	var script script
	for _, name := range []string{
		"hub 0 is stopped and started", "hub 1 is stopped and started", "hub 2 is stopped and started",
		"server 0 is stopped and started", "server 1 is stopped and started", "server 2 is stopped and started",
		"controller 0 is stopped and started", "controller 1 is stopped and started",
	} {
		script.then(named(t, name))
	}
	script.play(startChaos(t, 1, chaosShards))
}

// From three hubs to five and to two under load: nothing is lost.
func TestRescaleUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	c := startChaos(t, 1, 5)
	for _, hubs := range []int{3, 5, 2} {
		require.NoError(t, c.nameFirst(hubs))
		sleepUntil(t, time.Now().Add(5*time.Second))
	}
	c.finish()
	c.account()
	for i, sh := range c.Shards {
		require.Positive(t, ownMetricNow(t, sh.Hub, "edgehub_samples_received_total", nil), "hub %d took no part", i)
	}
}

// Controllers are killed while no hub takes anything, and again while what they kept is being sent.
func TestControllersKilledInAnOutage(t *testing.T) {
	t.Parallel()
	c := startChaos(t, 1, chaosShards)
	var script script
	script.then(named(t, "the way to hub 0 refuses"), named(t, "the way to hub 1 refuses"), named(t, "the way to hub 2 refuses"),
		named(t, "controller 0 is killed"), named(t, "controller 1 is killed"))
	script.then(named(t, "controller 0 is killed"))
	script.then(named(t, "controller 1 is killed"))
	script.play(c)
}

// A hub that stood still hears its server's requests of before, which have been given up, and takes what it gave last for
// not stored. Then the network loses scrapes: that the connection tells nothing of.
func TestHaltedHubsGoOnByReceipts(t *testing.T) {
	t.Parallel()
	var script script
	for range 4 {
		script.then(named(t, "hub 0 is halted"), named(t, "hub 1 is halted"), named(t, "hub 2 is halted"))
		script.then(named(t, "the scrape of hub 0 loses answers"), named(t, "the scrape of hub 1 loses answers"), named(t, "the scrape of hub 2 loses answers"))
	}
	script.play(startChaos(t, 1, chaosShards))
}

// Clocks are set forward and back by an hour, alone and all at once; one hub is started with a wrong one that stays so.
func TestWrongClocksLoseNothing(t *testing.T) {
	t.Parallel()
	c := startChaos(t, 1, chaosShards)
	hub := c.Shards[2].Hub
	require.NoError(t, hub.Clock.Set(-time.Hour))
	hub.Kill()
	require.NoError(t, hub.Restart(t.Context()))
	var script script
	script.then(named(t, "hub 0 has a clock that is an hour ahead"))
	script.then(named(t, "hub 1 has a clock that is an hour behind"), named(t, "server 0 is killed"))
	script.then(named(t, "hub 0 has a clock that is an hour behind"), named(t, "hub 1 has a clock that is an hour ahead"),
		named(t, "controller 0 has a clock that is an hour ahead"), named(t, "controller 1 has a clock that is an hour behind"))
	script.play(c)
	for _, sh := range c.Shards {
		require.Contains(t, sh.Hub.Process.Log(), "the clocks of the hub and of a server differ", "%s", sh.Hub.Name)
	}
}

// script is what fails, and when.
type script struct {
	faults []fault
	ends   time.Duration
}

const (
	scriptedFault = 2 * time.Second
	recovery      = time.Second // between two faults of a script
)

// then lets these fail at the same time, when those before have recovered.
func (s *script) then(faults ...fault) {
	for _, f := range faults {
		f.number %= chaosShards
		if f.how().target == aController {
			f.number %= chaosControllers
		}
		f.at, f.lasts = s.ends+recovery, scriptedFault
		s.faults = append(s.faults, f)
	}
	s.ends += recovery + scriptedFault
}

// play lets it all happen, and holds what is stored against what was submitted.
func (s *script) play(c *chaos) {
	c.t.Helper()
	c.suffer(s.faults, s.ends+recovery)
	c.finish()
	c.account()
}

// named returns the fault of a name.
func named(t *testing.T, name string) fault {
	t.Helper()
	for kind := range chaosKinds {
		for n := range chaosShards {
			if f := (fault{kind: kind, number: n}); f.String() == name {
				return f
			}
		}
	}
	require.Fail(t, "no such fault", name)
	return fault{}
}
