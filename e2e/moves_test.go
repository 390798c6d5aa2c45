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

	rescaled, rescaledBack = "rescale to 5", "rescale to 3"
)

// Queries over shards are right while gateways move. Five hubs, each with its Prometheus, and beside them one hub
// with one Prometheus that get the same reports and that nobody disturbs. The fleet is rescaled from three hubs to five
// and back, hubs hang, stop and crash, a server restarts, and a gateway falls silent. Each second hubquery and the
// one Prometheus are asked the same, and in the end about all of it.
func TestMoves(t *testing.T) {
	t.Parallel()
	m := startMoves(t)
	first := m.Shards[:moversFirst]
	m.steady(t)

	// Three hubs become five, and three again. Hubquery knows the new shards before they have
	// gateways, and knows them still when they have none any more.
	m.scene(rescaled)
	require.NoError(t, m.hubquery.Use(m.Shards))
	m.awaitShards(t, moversShards)
	m.ring.use(m.Shards)
	m.fleet.awaitRing(t, moversShards)
	grown := m.awaitHomes(t, m.Shards)
	m.asker.await(t, 12)
	m.scene(rescaledBack)
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
	m.scene("it goes on after a hang")
	m.awaitHomes(t, first)
	m.asker.await(t, 10)

	m.scene("a hub stops")
	require.NoError(t, other.Hub.Process.Terminate())
	require.NoError(t, other.Hub.Process.Wait(patient))
	m.awaitAway(t, other, homes)
	require.NoError(t, other.Hub.Restart(t.Context()))
	m.scene("it is back after a stop")
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
	m.scene("it is back after a crash")
	m.awaitHomes(t, first)
	m.asker.await(t, 12)
	m.scene("all is over")

	// Before the reports end, or all gateways are missing.
	end := time.Now().Truncate(time.Second)
	m.asker.await(t, int(askDelay/time.Second)+2)
	m.asker.awaitRight(t, killed.Add(-lossWindow), killed.Add(crashLimit))
	m.asker.stop()
	m.requireAlerts(t, quiet)
	require.NoError(t, m.fleet.stop())
	m.judge(t, killed, away, back)
	requireSame(t, m.one(), m.reference(), m.began, end, killed)
	m.requireMarkers(t, end, quiet)
	m.requireDeduplicated(t, end, quiet)
}

// moves is what the test of moves runs.
type moves struct {
	*stack.Stack
	t        *testing.T
	single   *stack.Shard // that nobody disturbs
	hubquery *stack.Hubquery
	chained  string // address of a querier that deduplicates sample by sample
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
func startMoves(t *testing.T, hubArgs ...string) *moves {
	t.Helper()
	built(t)
	checkout, err := realbin.Checkout(".")
	require.NoError(t, err)
	program, err := stack.BuildHubquery(t.Context(), checkout, fixture.dir)
	require.NoError(t, err)
	m := &moves{t: t, ring: &ring{}, alerts: newAlerts(alertRules(moversGateways))}
	m.Stack = ownStack(t, stack.Config{Shards: moversShards, Global: true, Protobuf: true, HubArgs: hubArgs})
	m.single, err = m.StartShard(t.Context(), "one")
	require.NoError(t, err)
	m.chained, err = m.StartQuerier(t.Context(), "querier-chain", "--deduplication.func=chain")
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

// complete waits until everything can be asked about a time when all gateways had reported for longer than any rate
// looks back.
func (m *moves) complete(t *testing.T) {
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
}

// steady waits for that, and starts the asking and the ruler then.
func (m *moves) steady(t *testing.T) {
	t.Helper()
	m.complete(t)
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
	for o := range a.open {
		since := o.at.Sub(killed)
		require.Less(t, since, crashLimit, "%s at %s: %s", o.expr, clock(o.at), o.last)
		require.Greater(t, since, -lossWindow, "%s at %s: %s", o.expr, clock(o.at), o.last)
	}
	t.Logf("%d answers lack what died with the hub", len(a.open))
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

// seen is how many series each gateway has at each step. The steps lie between the times of reports and of markers, and
// those a millisecond before them.
type seen struct {
	from, to time.Time
	counts   map[int64]map[string]float64
}

const seenStep = 250 * time.Millisecond

func (m *moves) newSeen(end time.Time) *seen {
	return &seen{from: m.began.Add(125 * time.Millisecond), to: end, counts: map[int64]map[string]float64{}}
}

// add adds what a server sees.
func (s *seen) add(t *testing.T, server *promapi.Client) {
	t.Helper()
	matrix, err := server.Range(t.Context(), `count by (gatewayID) (gw_load)`, s.from, s.to, seenStep)
	require.NoError(t, err)
	for at, values := range bySteps(matrix) {
		if s.counts[at] == nil {
			s.counts[at] = map[string]float64{}
		}
		for name, n := range values {
			s.counts[at][name] += n
		}
	}
}

// longest returns for how long at most a condition held of a gateway's count, by the scene in which it began to, and for how many
// gateways.
func (m *moves) longest(s *seen, holds func(id string, n float64) bool) map[string]string {
	took, times := map[string]time.Duration{}, map[string]int{}
	for _, id := range m.fleet.gateways {
		name, since := fmt.Sprintf(`{gatewayID=%q}`, id), time.Time{}
		for at := s.from; !at.After(s.to); at = at.Add(seenStep) {
			switch did := holds(id, s.counts[at.UnixMilli()][name]); {
			case did && since.IsZero():
				since = at
			case !did && !since.IsZero():
				in := m.during(since)
				took[in] = max(took[in], at.Sub(since))
				times[in]++
				since = time.Time{}
			}
		}
	}
	out := map[string]string{}
	for in, n := range times {
		out[in] = fmt.Sprintf("%d times, up to %s", n, took[in])
	}
	return out
}

// requireMarkers asks the shards themselves, without anybody who knows of moves: hubs end what left them where it
// begins elsewhere, so at no instant is a gateway on no shard. On two it is while a hub is away, which cannot end anything then.
func (m *moves) requireMarkers(t *testing.T, end time.Time, quiet string) {
	t.Helper()
	s := m.newSeen(end)
	for _, sh := range m.Shards {
		s.add(t, promapi.New(sh.Prometheus))
	}
	require.Empty(t, m.longest(s, func(id string, n float64) bool { return n == 0 && id != quiet }), "gateways that are on no shard")
	t.Logf("in the shards themselves no gateway is ever on none, and on two: %v", m.longest(s, func(_ string, n float64) bool { return n > 1 }))
}

// requireDeduplicated asks Thanos queriers to which the shards are replicas. Both count every gateway once. The one that
// takes samples one by one sees all of them all the time; the one that by default prefers a replica, and passes over the first samples of
// another one, has a hole of two reports behind each marker.
func (m *moves) requireDeduplicated(t *testing.T, end time.Time, quiet string) {
	t.Helper()
	for how, address := range map[string]string{"penalty": m.Querier, "chain": m.chained} {
		querier := promapi.NewThanos(address, true)
		s := m.newSeen(end)
		s.add(t, querier)
		require.Empty(t, m.longest(s, func(_ string, n float64) bool { return n > 1 }), "Thanos (%s) counts gateways twice", how)
		holes := m.longest(s, func(id string, n float64) bool { return n == 0 && id != quiet })
		t.Logf("Thanos (%s) counts no gateway twice; holes: %v", how, holes)
		if how == "chain" {
			// But for one report: where a sample is on both shards, since its request was sent again, the marker comes behind
			// it and not before, and is taken for the end of all until the next one.
			for _, scene := range []string{rescaled, rescaledBack} {
				if hole, is := holes[scene]; is {
					require.Regexp(t, `up to 1s$`, hole, scene)
				}
			}
		}
	}
}
