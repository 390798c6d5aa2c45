package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/stack"
	"github.com/hubring/hubring/e2e/internal/tap"
	"github.com/hubring/hubring/exporter"
)

const (
	// The load of these tests, some 15,000 samples a second.
	fleetSize    = 300
	fleetReports = time.Second

	submitLimit    = time.Millisecond // p99 of Submit, whatever the hubs do
	takeoverLimit  = time.Second      // from a kill to a sample on another hub
	comebackLimit  = 10 * time.Second // from a hub's return to its share
	comebackShare  = 0.9
	raceCost       = 10 // how much slower the race detector makes Submit
	overloadFactor = 2  // of the usual samples in a second, for a hub that returns
)

// outage is what happened to a hub under load.
type outage struct {
	*controller
	load    *load
	pulse   *pulse
	hub     *stack.Hub
	began   time.Time // the load
	struck  time.Time // the hub
	back    time.Time // it answers again
	ended   time.Time // the load
	traffic traffic
}

// startOutage starts an exporter and the load on it, and lets it run in.
func startOutage(t *testing.T, s *stack.Stack, name string, cfg exporter.Config, steady time.Duration) *outage {
	t.Helper()
	cfg.Hubs = hubs(s)
	o := &outage{controller: startController(t, cfg), load: newLoad(name, fleetSize, loadFamilies, fleetReports), pulse: startPulse(t), hub: s.Shards[1].Hub}
	o.began = time.Now()
	o.load.start(t, o.Exporter)
	sleepUntil(t, o.began.Add(steady))
	return o
}

// finish ends the load, waits until all of it is delivered, and looks at what was
// sent.
func (o *outage) finish(t *testing.T) {
	t.Helper()
	o.load.stop(t)
	o.ended = time.Now()
	o.awaitEmpty(t)
	require.NoError(t, o.stop())
	o.traffic = o.tap.Pushes()
	o.traffic.requireOnce(t, o.load)
	submitted := o.load.samples()
	require.Equal(t, submitted, o.metric(t, "samples_submitted_total", nil))
	require.Equal(t, submitted, o.metric(t, "samples_delivered_total", nil))
	require.Zero(t, o.metric(t, "samples_dropped_total", nil))
	t.Logf("%d samples were submitted in %s, %d a second, and acknowledged once, in order", submitted,
		o.ended.Sub(o.began).Round(time.Millisecond), int(float64(submitted)/o.ended.Sub(o.began).Seconds()))
}

// homes are those of the time before the hub was struck.
func (o *outage) homes(t *testing.T) map[string]string {
	t.Helper()
	return o.traffic.where(func(p *tap.Push) bool { return p.Ended.Before(o.struck) }).homes(t)
}

// steady is how many samples of a second are a hub's own.
func (o *outage) steady(t *testing.T, hub *stack.Hub) int {
	t.Helper()
	n := 0
	for _, home := range o.homes(t) {
		if home == hub.Address {
			n += loadSamples
		}
	}
	return n * int(time.Second/fleetReports)
}

// requireQuickSubmit holds Submit to its limit, over all and around the strike.
func (o *outage) requireQuickSubmit(t *testing.T) {
	t.Helper()
	all, calls := o.load.took(0.99, o.began, o.ended)
	struck, callsThen := o.load.took(0.99, o.struck, o.struck.Add(time.Second))
	most, _ := o.load.took(1, o.began, o.ended)
	t.Logf("Submit of %d samples: p99 %s of %d calls, %s of %d in the second after the strike, at most %s",
		loadSamples, all, calls, struck, callsThen, most)
	limit := submitLimit
	if raceEnabled {
		limit *= raceCost
	}
	require.Less(t, all, limit)
	require.Less(t, struck, limit)
}

// takeover returns how long after the strike another hub had acknowledged a
// sample of one of the hub's gateways.
func (o *outage) takeover(t *testing.T) time.Duration {
	t.Helper()
	homes := o.homes(t)
	for _, p := range o.traffic.acknowledged() {
		if p.Hub != o.hub.Address && p.Ended.After(o.struck) &&
			has(t, p, func(l tap.Line) bool { return homes[l.Gateway] == o.hub.Address }) {
			return p.Ended.Sub(o.struck)
		}
	}
	require.Fail(t, "no other hub took over")
	return 0
}

// requireSmoothReturn holds the return of the hub to its limits: its share comes
// back, and never too much at once.
func (o *outage) requireSmoothReturn(t *testing.T) {
	t.Helper()
	steady := o.steady(t, o.hub)
	share := float64(steady) / float64(fleetSize*loadSamples)
	comeback := time.Duration(-1)
	const window, step = time.Second, 50 * time.Millisecond
	for at := o.back; comeback < 0 && at.Before(o.ended.Add(-window)); at = at.Add(step) {
		if o.shareOf(t, at, at.Add(window)) >= comebackShare*share {
			comeback = at.Add(window).Sub(o.back)
		}
	}
	since := o.traffic.to(o.hub).where(func(p *tap.Push) bool { return p.Began.After(o.back.Add(-readyDelay)) })
	most, at := since.busiest(t, o.pulse)
	last := o.shareOf(t, o.ended.Add(-3*time.Second), o.ended)
	t.Logf("%s, of which %d samples a second are: %.0f %% of its share after %s, %.0f %% in the last 3 s; at most %d in a second (%.2f times), %s after it was back",
		o.hub.Name, steady, comebackShare*100, comeback.Round(time.Millisecond), 100*last/share, most, float64(most)/float64(steady), at.Sub(o.back).Round(time.Millisecond))
	require.GreaterOrEqual(t, comeback, time.Duration(0), "its share never came back")
	require.Less(t, comeback, comebackLimit)
	require.GreaterOrEqual(t, last, comebackShare*share)
	require.LessOrEqual(t, most, overloadFactor*steady)
}

// readyDelay is how long a hub may have been ready before the test knew.
const readyDelay = 500 * time.Millisecond

// shareOf is the part of all acknowledged samples of a time that went to the hub.
func (o *outage) shareOf(t *testing.T, from, to time.Time) float64 {
	t.Helper()
	w := o.traffic.acknowledged().between(from, to)
	return float64(w.to(o.hub).samples(t)) / float64(max(w.samples(t), 1))
}

// A hub is killed under load and comes back. Submit does not notice, its
// gateways go on elsewhere at once and come home smoothly, and every sample is
// acknowledged once.
func TestExporterKilledHub(t *testing.T) {
	s := onlyHubs(t, 3)
	o := startOutage(t, s, "killed", exporter.Config{}, 4*time.Second)
	o.struck = time.Now()
	o.hub.Kill()
	sleepUntil(t, o.struck.Add(8*time.Second))
	require.NoError(t, o.hub.Restart(t.Context()))
	o.back = time.Now()
	sleepUntil(t, o.back.Add(15*time.Second))
	o.finish(t)

	o.requireQuickSubmit(t)
	takeover := o.takeover(t)
	t.Logf("killed: another hub had the first sample of its gateways after %s", takeover)
	require.Less(t, takeover, takeoverLimit)
	o.requireSmoothReturn(t)
	for _, sh := range s.Shards {
		since := o.began
		if sh.Hub == o.hub {
			since = o.back.Add(-readyDelay)
		}
		o.traffic.requireReceived(t, sh.Hub, since)
	}
}

// A hub hangs under load and goes on later. It is left when its time is up.
func TestExporterHangingHub(t *testing.T) {
	const timeout = 2 * time.Second
	s := onlyHubs(t, 3)
	o := startOutage(t, s, "hanging", exporter.Config{PushTimeout: timeout}, 3*time.Second)
	t.Cleanup(func() { require.NoError(t, o.hub.Process.Resume()) })
	o.struck = time.Now()
	require.NoError(t, o.hub.Process.Suspend(t.Context()))
	sleepUntil(t, o.struck.Add(5*time.Second))
	require.NoError(t, o.hub.Process.Resume())
	o.back = time.Now()
	sleepUntil(t, o.back.Add(8*time.Second))
	o.finish(t)

	o.requireQuickSubmit(t)
	takeover, oldest := o.takeover(t), o.traffic.oldest(t, o.load)
	t.Logf("hung: another hub had the first sample of its gateways after %s, and none was older than %s", takeover, oldest)
	require.Less(t, takeover, timeout+time.Second)
	require.Less(t, oldest, timeout+time.Second)
	o.requireSmoothReturn(t)
	for _, sh := range s.Shards {
		o.traffic.requireReceived(t, sh.Hub, o.began)
	}
}

// All hubs are down under load, and come back. What was submitted meanwhile waits,
// and comes at a pace.
func TestExporterAllHubsDown(t *testing.T) {
	s := onlyHubs(t, 3)
	o := startOutage(t, s, "all-down", exporter.Config{}, 5*time.Second)
	o.struck = time.Now()
	for _, sh := range s.Shards {
		sh.Hub.Kill()
	}
	sleepUntil(t, o.struck.Add(10*time.Second))
	require.Greater(t, o.metric(t, "queue_samples", nil), 6*fleetSize*loadSamples, "they do not wait")
	for _, sh := range s.Shards {
		require.NoError(t, sh.Hub.Restart(t.Context()))
	}
	o.back = time.Now()
	sleepUntil(t, o.back.Add(5*time.Second))
	o.finish(t)
	empty := time.Now()

	o.requireQuickSubmit(t)
	t.Logf("all that had waited was delivered %s after the hubs were back", empty.Sub(o.back).Round(time.Millisecond))
	for _, sh := range s.Shards {
		steady := o.steady(t, sh.Hub)
		most, at := o.traffic.to(sh.Hub).between(o.struck, empty).acknowledged().busiest(t, o.pulse)
		t.Logf("%s, of which %d samples a second are: at most %d in a second (%.2f times), %s after it was back",
			sh.Hub.Name, steady, most, float64(most)/float64(steady), at.Sub(o.back).Round(time.Millisecond))
		require.LessOrEqual(t, most, overloadFactor*steady)
		o.traffic.requireReceived(t, sh.Hub, o.back.Add(-readyDelay))
	}
}
