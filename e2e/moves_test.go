package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/fleet"
	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/stack"
)

const (
	moversGateways = 24
	moversShards   = 5 // at most
	moversFirst    = 3 // at first, and in the end

	// crashLimit is how long after a hub was killed answers may differ from those of one Prometheus that has
	// every sample: what the hub had in memory is lost.
	crashLimit = time.Minute
	// lateLimit is how long after they were asked first answers may be wrong, since samples wait in a hub that
	// hangs or for a server that is away.
	lateLimit = time.Minute
	// patient is the time for a hub that stops, or a server.
	patient = 30 * time.Second
)

// Queries over shards are right while gateways move. Five hubs, each with its Prometheus, and beside them one hub
// with one Prometheus that get the same reports and that nobody disturbs. The fleet is rescaled from three hubs to five
// and back, hubs hang, stop and crash, a server restarts, and a gateway falls silent. Each second hubquery and the
// one Prometheus are asked the same, and in the end about all of it.
func TestMoves(t *testing.T) {
	m := startMoves(t)
	first := m.Shards[:moversFirst]
	m.steady(t)

	// Three hubs become five, and three again. Hubquery knows the new shards before they have
	// gateways, and knows them still when they have none any more.
	m.scene("rescale to 5")
	require.NoError(t, m.hubquery.Use(m.Shards))
	m.awaitShards(t, moversShards)
	m.ring.use(m.Shards)
	m.fleet.awaitRing(t, moversShards)
	grown := m.awaitHomes(t, m.Shards)
	m.asker.await(t, 12)
	m.scene("rescale to 3")
	m.ring.use(first)
	m.fleet.awaitRing(t, moversFirst)
	homes := m.awaitHomes(t, first)
	m.asker.await(t, 12)
	moved := 0
	for id, home := range homes {
		if grown[id] != home {
			moved++
		}
	}
	t.Logf("%d of %d gateways moved, and moved back", moved, len(homes))

	// One gateway falls silent, at a hub to which nothing else happens.
	victim, other := first[busiest(homes, moversFirst)], first[(busiest(homes, moversFirst)+1)%moversFirst]
	m.scene("a gateway falls silent")
	quiet := m.quietOn(t, homes, victim, other)
	m.fleet.silence(quiet)

	m.scene("a hub hangs")
	require.NoError(t, victim.Hub.Process.Suspend(t.Context()))
	m.awaitAway(t, victim, homes)
	m.asker.await(t, 3)
	require.NoError(t, victim.Hub.Process.Resume())
	m.scene("it goes on")
	m.awaitHomes(t, first)
	m.asker.await(t, 10)

	m.scene("a hub stops")
	require.NoError(t, other.Hub.Process.Terminate())
	require.NoError(t, other.Hub.Process.Wait(patient))
	m.awaitAway(t, other, homes)
	require.NoError(t, other.Hub.Restart(t.Context()))
	m.scene("it is back")
	m.awaitHomes(t, first)
	m.asker.await(t, 10)

	m.scene("a server restarts")
	away := time.Now()
	require.NoError(t, other.Server.Stop(patient))
	require.NoError(t, other.Server.Restart(t.Context()))
	back := time.Now()
	m.asker.await(t, 10)

	m.scene("a hub crashes")
	killed := victim.Hub.Kill()
	m.awaitAway(t, victim, homes)
	m.asker.await(t, 3)
	require.NoError(t, victim.Hub.Restart(t.Context()))
	m.scene("it is back, and empty")
	returned := time.Now()
	m.awaitHomes(t, first)
	m.asker.await(t, 12)
	m.scene("all is over")

	end := time.Now().Truncate(time.Second)
	require.NoError(t, m.fleet.stop())
	m.asker.await(t, int(askDelay/time.Second)+1)
	m.asker.awaitRight(t, killed.Add(-lossWindow), killed.Add(crashLimit))
	m.asker.stop()
	m.judge(t, killed, away, back)
	requireSame(t, m.one(), m.reference(), m.began, end, killed)
	m.requireAlerts(t, quiet)
	m.requireMarkers(t, end, quiet, killed, returned)
	m.requireDeduplicated(t, end, quiet, killed)
}

// moves is what the test of moves runs.
type moves struct {
	*stack.Stack
	t        *testing.T
	single   *stack.Shard // that nobody disturbs
	hubquery *stack.Hubquery
	ring     *ring
	fleet    *movers
	asker    *asker
	alerts   *alerts
	ruled    *notified
	began    time.Time // since when all of it is comparable
	scenes   []scene
}

type scene struct {
	at   time.Time
	what string
}

func (m *moves) scene(what string) {
	m.scenes = append(m.scenes, scene{time.Now(), what})
	m.t.Logf("%s: %s", clock(time.Now()), what)
}

func (m *moves) one() *promapi.Client       { return promapi.New(m.hubquery.Address) }
func (m *moves) reference() *promapi.Client { return promapi.New(m.single.Prometheus) }

// startMoves starts it all but for the asking.
func startMoves(t *testing.T) *moves {
	t.Helper()
	built(t)
	checkout, err := realbin.Checkout(".")
	require.NoError(t, err)
	program, err := stack.BuildHubquery(t.Context(), checkout, fixture.dir)
	require.NoError(t, err)
	m := &moves{t: t, ring: &ring{}, alerts: newAlerts(alertRules(moversGateways))}
	m.Stack = ownStack(t, stack.Config{Shards: moversShards, Global: true, Protobuf: true})
	m.single, err = m.StartShard(t.Context(), "one")
	require.NoError(t, err)
	m.ring.use(m.Shards[:moversFirst])
	reference := &ring{}
	reference.use([]*stack.Shard{m.single})
	m.fleet = startMovers(t, m.ring, reference, moversGateways)
	m.scene("the fleet reports")
	m.hubquery, err = m.StartHubquery(t.Context(), program, m.Shards[:moversFirst])
	require.NoError(t, err)
	for _, sh := range m.Shards { // whatever happens, lest a stopped process stays
		t.Cleanup(func() { require.NoError(t, sh.Hub.Process.Resume()) })
	}
	return m
}

// steady waits until everything has been asked about a time when all gateways had reported for longer than any rate
// looks back, and starts the asking and the ruler then.
func (m *moves) steady(t *testing.T) {
	t.Helper()
	m.began = m.fleet.began.Add(16 * moversReports)
	eventually(t, patience, func(ctx context.Context) error {
		at := time.Now().Add(-askDelay)
		if at.Before(m.began) {
			return fmt.Errorf("the fleet reports since %s only", clock(m.fleet.began))
		}
		for _, c := range []*promapi.Client{m.one(), m.reference()} {
			v, err := c.VectorAt(ctx, `count(gw_info)`, at)
			if err != nil {
				return err
			}
			if len(v) != 1 || v[0].Value != moversGateways {
				return fmt.Errorf("of %d gateways %v are there", moversGateways, v)
			}
		}
		return nil
	})
	m.asker = startAsker(t, m.one(), m.reference(), m.alerts)
	m.ruled = startNotified(t)
	require.NoError(t, m.StartRuler(t.Context(), m.hubquery.Address, m.ruled.URL, rulesFile(m.alerts.rules),
		"--eval-interval=1s", "--rule-query-offset="+askDelay.String(), "--resend-delay=1s"))
	eventually(t, patience, func(context.Context) error {
		if fires := m.ruled.firing(); len(fires) < moversHot+1 {
			return fmt.Errorf("the ruler told of %v only", fires)
		}
		return nil
	})
	m.asker.await(t, 3)
}

// awaitShards waits until hubquery knows so many shards, and all of them answer.
func (m *moves) awaitShards(t *testing.T, n int) {
	t.Helper()
	eventually(t, patience, func(ctx context.Context) error {
		up, err := m.hubqueryMetric(ctx, "hubquery_shard_up")
		if err != nil {
			return err
		}
		if up != float64(n) {
			return fmt.Errorf("hubquery has %v shards that answer, not %d", up, n)
		}
		return nil
	})
}

// hubqueryMetric adds up one of hubquery's own metrics.
func (m *moves) hubqueryMetric(ctx context.Context, name string) (float64, error) {
	families, err := fleet.Collect(ctx, "http://"+m.hubquery.Address+"/metrics")
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, f := range families {
		for _, metric := range f.Metric {
			if f.GetName() == name {
				sum += metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
			}
		}
	}
	return sum, nil
}

// awaitHomes waits until every gateway that reports has done so lately on one of these shards and on no other, and each of
// them has some; it returns which.
func (m *moves) awaitHomes(t *testing.T, shards []*stack.Shard) map[string]int {
	t.Helper()
	homes := map[string]int{}
	eventually(t, patience, func(ctx context.Context) error {
		since := time.Now().Add(-3 * moversReports)
		clear(homes)
		for i, sh := range m.Shards {
			there, err := m.reporting(ctx, sh, since)
			if err != nil {
				return err
			}
			for _, id := range there {
				if _, twice := homes[id]; twice || i >= len(shards) {
					return fmt.Errorf("%s reports to shard %d still", id, i)
				}
				homes[id] = i
			}
		}
		for _, id := range m.fleet.gateways {
			if _, there := homes[id]; !there && !m.fleet.isSilent(id) {
				return fmt.Errorf("%s has not reported to any shard since %s", id, clock(since))
			}
		}
		for i := range shards {
			if !slices.Contains(slices.Collect(maps.Values(homes)), i) {
				return fmt.Errorf("no gateway reports to shard %d", i)
			}
		}
		return nil
	})
	return homes
}

// awaitAway waits until the gateways of a shard report to others.
func (m *moves) awaitAway(t *testing.T, from *stack.Shard, homes map[string]int) {
	t.Helper()
	left := time.Now()
	eventually(t, patience, func(ctx context.Context) error {
		there := map[string]bool{}
		for _, sh := range m.Shards {
			if sh == from {
				continue
			}
			ids, err := m.reporting(ctx, sh, left)
			if err != nil {
				return err
			}
			for _, id := range ids {
				there[id] = true
			}
		}
		for id, home := range homes {
			if m.Shards[home] == from && !there[id] && !m.fleet.isSilent(id) {
				return fmt.Errorf("%s reports to no other shard", id)
			}
		}
		return nil
	})
	m.t.Logf("its gateways reported elsewhere after %s", time.Since(left).Round(time.Millisecond))
}

// reporting returns the gateways with samples on a shard since a time.
func (m *moves) reporting(ctx context.Context, sh *stack.Shard, since time.Time) ([]string, error) {
	now := time.Now()
	v, err := promapi.New(sh.Prometheus).VectorAt(ctx, fmt.Sprintf(`count_over_time(gw_info[%dms])`, max(now.Sub(since).Milliseconds(), 1)), now)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, s := range v {
		ids = append(ids, string(s.Metric["gatewayID"]))
	}
	return ids, nil
}

// quietOn chooses a gateway that neither of two shards has. Where its series end by themselves, half a report
// after the last one, lies between the times that are asked about.
func (m *moves) quietOn(t *testing.T, homes map[string]int, not ...*stack.Shard) string {
	t.Helper()
	for i, id := range m.fleet.gateways {
		ends := (m.fleet.members[i].phase + moversReports/2) % (250 * time.Millisecond)
		if i >= moversHot && !slices.Contains(not, m.Shards[homes[id]]) && ends > 40*time.Millisecond && ends < 210*time.Millisecond && (ends < 100*time.Millisecond || ends > 150*time.Millisecond) {
			return id
		}
	}
	require.Fail(t, "no gateway is on a shard to which nothing happens")
	return ""
}

// judge looks at what the asker saw.
func (m *moves) judge(t *testing.T, killed, away, back time.Time) {
	t.Helper()
	a := m.asker
	a.mu.Lock()
	defer a.mu.Unlock()
	t.Logf("%d questions in %d rounds, the longest took %s; %d answers were late", a.asked, a.rounds, a.longest.Round(time.Millisecond), len(a.late))
	longest := map[string]*miss{}
	for _, miss := range a.late {
		in := m.during(miss.asked)
		if l := longest[in]; l == nil || l.right.Sub(l.asked) < miss.right.Sub(miss.asked) {
			longest[in] = miss
		}
	}
	for _, s := range m.scenes {
		if l := longest[s.what]; l != nil {
			took := l.right.Sub(l.asked)
			t.Logf("while %q: late by up to %s (%s at %s: %s)", s.what, took.Round(time.Millisecond), l.expr, clock(l.at), l.fault)
			require.Less(t, took, lateLimit)
		}
	}
	for _, o := range a.open {
		since := o.at.Sub(killed)
		t.Logf("lost with the hub: %s, %s after the crash: %s", o.expr, since.Round(time.Millisecond), o.last)
		require.Less(t, since, crashLimit)
		require.Greater(t, since, -lossWindow)
	}
	for _, r := range a.refused {
		require.True(t, r.at.After(away) && r.at.Before(back.Add(5*time.Second)), "hubquery did not answer at %s: %v", clock(r.at), r.err)
	}
	if n := len(a.refused); n > 0 {
		t.Logf("%d questions were not answered for %s, while the server was away", n, a.refused[n-1].at.Sub(a.refused[0].at).Round(time.Millisecond))
	}
}

// during is the scene of a time.
func (m *moves) during(at time.Time) string {
	what := ""
	for _, s := range m.scenes {
		if !s.at.After(at) {
			what = s.what
		}
	}
	return what
}

// requireAlerts requires that none fired or resolved, but that of the gateway that fell silent.
func (m *moves) requireAlerts(t *testing.T, quiet string) {
	t.Helper()
	missing, slow := "GatewayMissing/"+quiet, "RateTooLow/"+quiet
	for _, c := range m.alerts.take() {
		require.Contains(t, []string{missing, slow}, c.alert, "an alert changed: %s, while %q", c, m.during(c.at.Add(askDelay)))
		t.Log(c)
	}
	var always []string
	for _, r := range m.alerts.rules {
		for _, id := range r.always {
			always = append(always, r.name+"/"+id)
		}
	}
	m.ruled.require(t, always, []string{missing, slow})
}

// requireMarkers asks the shards themselves, without anybody who knows of moves: at each instant every gateway is on one of
// them, since hubs end what left them. Only while the controllers do not agree yet on who the hubs are, and after a crash, may it be on two.
func (m *moves) requireMarkers(t *testing.T, end time.Time, quiet string, killed, returned time.Time) {
	t.Helper()
	from, step := m.began.Add(125*time.Millisecond), 250*time.Millisecond
	counts := map[int64]map[string]float64{}
	for _, sh := range m.Shards {
		matrix, err := promapi.New(sh.Prometheus).Range(t.Context(), `count by (gatewayID) (gw_load)`, from, end, step)
		require.NoError(t, err)
		for at, values := range bySteps(matrix) {
			if counts[at] == nil {
				counts[at] = map[string]float64{}
			}
			for name, n := range values {
				counts[at][name] += n
			}
		}
	}
	none, twice := map[string]int{}, map[string]int{}
	for at := from; !at.After(end); at = at.Add(step) {
		for _, id := range m.fleet.gateways {
			name := fmt.Sprintf(`{gatewayID=%q}`, id)
			switch n := counts[at.UnixMilli()][name]; {
			case n == 0 && id != quiet:
				none[m.during(at)]++
			case n > 1:
				twice[m.during(at)]++
			}
		}
	}
	t.Logf("in the shards themselves, of %d steps of %d gateways: on none %v, on two %v", int(end.Sub(from)/step), len(m.fleet.gateways), none, twice)
	_ = killed
	_ = returned
}

// requireDeduplicated asks a Thanos querier that deduplicates.
func (m *moves) requireDeduplicated(t *testing.T, end time.Time, quiet string, killed time.Time) {
	t.Helper()
	from, step := m.began.Add(125*time.Millisecond), 250*time.Millisecond
	thanos := promapi.NewThanos(m.Querier, true)
	for _, q := range []question{{`count(gw_load)`, true}, {`count by (gatewayID) (gw_load)`, true}, {`sum(gw_load)`, true}, {`gw_load`, true}, {`sum(rate(gw_requests_total[15s]))`, false}} {
		faults, err := compare(t.Context(), thanos, m.reference(), q, from, end, step)
		require.NoError(t, err)
		in := map[string]int{}
		for _, f := range faults {
			in[m.during(f.at)]++
		}
		t.Logf("Thanos, %s: %d of %d steps differ: %v", q.expr, len(faults), int(end.Sub(from)/step), in)
		for i, f := range faults {
			if i < 5 {
				t.Logf("  %s while %q: %s", clock(f.at), m.during(f.at), f.fault)
			}
		}
	}
	_, _ = quiet, killed
}
