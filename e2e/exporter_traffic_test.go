package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/stack"
	"github.com/hubring/hubring/e2e/internal/tap"
)

// traffic is what an exporter sent, in the order in which it was sent.
type traffic []*tap.Push

// where returns the pushes of which a condition holds.
func (w traffic) where(holds func(*tap.Push) bool) traffic {
	var out traffic
	for _, p := range w {
		if holds(p) {
			out = append(out, p)
		}
	}
	return out
}

func (w traffic) acknowledged() traffic { return w.where((*tap.Push).Acknowledged) }

func (w traffic) to(hub *stack.Hub) traffic {
	return w.where(func(p *tap.Push) bool { return p.Hub == hub.Address })
}

// between returns the pushes that began at or after a moment and before another.
func (w traffic) between(from, to time.Time) traffic {
	return w.where(func(p *tap.Push) bool { return !p.Began.Before(from) && p.Began.Before(to) })
}

func (w traffic) samples(t *testing.T) int {
	t.Helper()
	n := 0
	for _, p := range w {
		n += len(lines(t, p))
	}
	return n
}

func lines(t *testing.T, p *tap.Push) []tap.Line {
	t.Helper()
	all, err := p.Lines()
	require.NoError(t, err)
	return all
}

// busiest returns the most samples that were sent within a second, wherever that
// begins, and when that was. What went out late because the process stood still
// belongs to the time before, so a second is longer by that.
func (w traffic) busiest(t *testing.T, stood *pulse) (samples int, ends time.Time) {
	t.Helper()
	within, first := 0, 0
	for _, p := range w {
		within += len(lines(t, p))
		for p.Began.Sub(w[first].Began) >= time.Second {
			within -= len(lines(t, w[first]))
			first++
		}
		second := time.Second + stood.still(p.Began.Add(-time.Second), p.Began)
		if n := int(float64(within) / second.Seconds()); n > samples {
			samples, ends = n, p.Began
		}
	}
	return samples, ends
}

// homes returns which hub took each gateway's samples. It must have been one.
func (w traffic) homes(t *testing.T) map[string]string {
	t.Helper()
	homes := map[string]string{}
	for _, p := range w.acknowledged() {
		for _, l := range lines(t, p) {
			home, ok := homes[l.Gateway]
			require.True(t, !ok || home == p.Hub, "%s is at home on %s and %s", l.Gateway, home, p.Hub)
			homes[l.Gateway] = p.Hub
		}
	}
	return homes
}

// has says whether a push has a sample of which a condition holds.
func has(t *testing.T, p *tap.Push, holds func(tap.Line) bool) bool {
	t.Helper()
	return slices.ContainsFunc(lines(t, p), holds)
}

// oldest returns the highest age that a sample of a load had when a hub
// acknowledged it.
func (w traffic) oldest(t *testing.T, of *load) time.Duration {
	t.Helper()
	var oldest time.Duration
	for _, p := range w.acknowledged() {
		for _, l := range lines(t, p) {
			if of.has(l.Gateway) {
				oldest = max(oldest, p.Ended.Sub(time.UnixMilli(l.At)))
			}
		}
	}
	return oldest
}

// requireOnce requires that hubs acknowledged every sample of a load once, those
// of each series in the order in which they were submitted, and nothing else.
func (w traffic) requireOnce(t *testing.T, loads ...*load) {
	t.Helper()
	type account struct {
		gateway string
		times   []int64
	}
	series := map[string]*account{}
	for _, p := range w.acknowledged() {
		for _, l := range lines(t, p) {
			a := series[l.Series]
			if a == nil {
				a = &account{gateway: l.Gateway}
				series[l.Series] = a
			}
			a.times = append(a.times, l.At)
		}
	}
	perGateway := map[string]int{}
	for name, a := range series {
		perGateway[a.gateway]++
		var submitted []int64
		for _, l := range loads {
			submitted = append(submitted, l.reports[a.gateway]...)
		}
		require.Equal(t, submitted, a.times, "what was submitted, and what was acknowledged, of %s", name)
	}
	for _, l := range loads {
		for _, id := range l.gateways {
			require.Equal(t, l.series, perGateway[id], "series of %s", id)
		}
	}
}

// requireReceived requires that a hub which nobody killed since a moment has what
// it acknowledged, and no more than that and what was in pushes that failed.
func (w traffic) requireReceived(t *testing.T, hub *stack.Hub, since time.Time) {
	t.Helper()
	all := w.to(hub).where(func(p *tap.Push) bool { return p.Ended.After(since) })
	acknowledged := all.acknowledged().samples(t)
	unknown := all.where(func(p *tap.Push) bool { return p.Status == 0 }).samples(t)
	received := ownMetricNow(t, hub, "edgehub_samples_received_total", nil)
	require.GreaterOrEqual(t, received, acknowledged, "%s lacks what it acknowledged", hub.Name)
	require.LessOrEqual(t, received, acknowledged+unknown, "%s has what was not sent to it", hub.Name)
}
