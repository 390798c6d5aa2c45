package exporter

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/exporter/status"
)

// maxWalk bounds how much of a walk is shown: hashring sorts for more, and
// nobody gets so far.
const maxWalk = 12

// report is the exporter as it is now. A gateway is looked up if there is one.
func (e *Exporter) report(now time.Time, gateway *string) status.Report {
	at, g := e.router.look(now, gateway)
	s := status.Report{
		Time:    now,
		State:   e.stateName(at.closed),
		Ring:    status.Ring{Hubs: len(at.hubs), Placement: e.placementStatus()},
		Members: e.members(),
		Hubs:    make([]status.Hub, 0, len(at.hubs)),
		Queue: status.Queue{
			Samples: at.samples, Bytes: at.memoryBytes, MaxBytes: e.cfg.MaxQueueBytes,
			OldestSeconds: at.age.Seconds(), SpoolSamples: at.spoolSamples, Gateways: at.gateways,
		},
		Totals:  totalsOf(&at.account),
		Ends:    endsStatusOf(&at.ends),
		Config:  configStatusOf(&e.cfg),
		Gateway: g,
	}
	if at.spoolError != nil {
		s.Queue.SpoolError = at.spoolError.Error()
	}
	if at.ring == nil {
		return s
	}
	s.Ring.Fingerprint = fingerprintText(at.ring)
	weights := map[string]float64{}
	for _, node := range at.ring.Nodes() {
		weights[node.Name] = cmp.Or(node.Weight, 1)
	}
	for i := range at.hubs {
		h := &at.hubs[i]
		s.Hubs = append(s.Hubs, hubStatusOf(h, weights[h.name], at.account.hubs[h.name]))
	}
	slices.SortFunc(s.Hubs, func(a, b status.Hub) int { return strings.Compare(a.Name, b.Name) })
	return s
}

func (e *Exporter) stateName(closed bool) string {
	switch {
	case closed:
		return "closed"
	case e.ran.Load():
		return "running"
	}
	return "new"
}

// look returns the router at one moment and, if one is asked for, a gateway at
// the same.
func (r *router) look(now time.Time, gateway *string) (snapshot, *status.Gateway) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if gateway == nil {
		return r.snapshotLocked(now), nil
	}
	return r.snapshotLocked(now), r.gatewayLocked(*gateway, now)
}

// gatewayLocked says where a gateway's samples go.
func (r *router) gatewayLocked(id string, now time.Time) *status.Gateway {
	g := &status.Gateway{ID: id, InUse: r.routeLocked(id).hub.Name, Walk: []status.Step{}, Untold: []status.Untold{}}
	if l := r.lanes[id]; l != nil {
		g.QueuedSamples, g.UnderWay, g.HeldUntil = l.samples, l.busy > 0, l.until
	}
	if s := r.ends.stays[id]; s != nil {
		if s.at != nil {
			g.At = s.at.hub.Name
		}
		for _, e := range s.left {
			if e.at != noTime {
				g.Untold = append(g.Untold, status.Untold{Hub: e.to.hub.Name, EndedAt: time.UnixMilli(e.at)})
			}
		}
	}
	if r.ring == nil {
		return g
	}
	g.Owner = r.ring.Owner(id).Name
	for node := range r.ring.Walk(id) {
		g.Walk = append(g.Walk, status.Step{Hub: node.Name, State: stateWord(r.stateLocked(r.byName[node.Name], now))})
		if len(g.Walk) == maxWalk {
			break
		}
	}
	return g
}

func (e *Exporter) members() status.Members {
	if e.watcher == nil {
		return status.Members{Source: "config"}
	}
	w := e.watcher.Status()
	source, detail := sourceName(e.cfg.Members)
	return status.Members{
		Source:          source,
		Detail:          detail,
		IntervalSeconds: e.cfg.MembersInterval.Seconds(),
		HoldSeconds:     e.cfg.MembersHold.Seconds(),
		Lookups:         w.Lookups,
		Failures:        w.Failures,
		Changes:         w.Changes,
		LastSuccess:     w.LastSuccess,
		LastChange:      w.LastChange,
		LastError:       w.LastError,
		Held:            w.Held,
		Fresh:           w.Fresh,
	}
}

// sourceName says what a Membership is.
func sourceName(m Membership) (source, detail string) {
	type described interface {
		Describe() (source, detail string)
	}
	if m, ok := m.(described); ok {
		return m.Describe()
	}
	return "other", fmt.Sprintf("%T", m)
}

func hubStatusOf(h *hubSnapshot, weight float64, account *hubAccount) status.Hub {
	return status.Hub{
		Name:             h.name,
		CallsItself:      h.calls,
		URL:              h.url,
		Weight:           weight,
		State:            stateWord(h.state),
		DownSince:        h.since,
		NextProbe:        h.retryAt,
		Failures:         h.failures,
		QueuedSamples:    h.samples,
		QueuedBytes:      h.bytes,
		Requests:         h.requests,
		HeldGateways:     h.held,
		SentSamples:      account.sent,
		DeliveredSamples: account.delivered,
		ReroutedSamples:  account.rerouted,
		LastError:        h.lastError,
		LastErrorAt:      h.lastErrorAt,
	}
}

func totalsOf(a *account) status.Totals {
	t := status.Totals{Submitted: a.submitted, Restored: a.restored, Spilled: a.spilled, Dropped: map[string]uint64{}}
	for _, h := range a.hubs {
		t.Delivered += h.delivered
	}
	for why, n := range a.dropped {
		if n > 0 && reason.Reason(why) != reason.Taken {
			t.Dropped[reason.Reason(why).String()] = n
		}
	}
	return t
}

func endsStatusOf(s *endsSnapshot) status.Ends {
	return status.Ends{
		Told: s.fates[endTold], Dropped: s.fates[endDropped], Unsupported: s.fates[endUnsupported], Overtaken: s.fates[endOvertaken],
		Waiting: s.byHub, Deaf: s.deaf,
	}
}

func configStatusOf(c *Config) status.Config {
	s := status.Config{
		Failover:            c.Failover.String(),
		Overflow:            c.Overflow.String(),
		Receivers:           c.Receivers.String(),
		TellsEnds:           !c.NoEnds,
		EndsDelaySeconds:    c.EndsDelay.Seconds(),
		AsGauges:            c.AsGauges,
		GatherSources:       len(c.Gather),
		SpoolDir:            c.SpoolDir,
		MaxSpoolBytes:       c.SpoolBytes,
		Senders:             c.Senders,
		BatchBytes:          c.BatchBytes,
		BatchWaitSeconds:    c.BatchWait.Seconds(),
		PushTimeoutSeconds:  c.PushTimeout.Seconds(),
		FlushTimeoutSeconds: c.FlushTimeout.Seconds(),
		MinBackoffSeconds:   c.MinBackoff.Seconds(),
		MaxBackoffSeconds:   c.MaxBackoff.Seconds(),
		CatchUp:             c.CatchUp,
	}
	if math.IsInf(c.CatchUp, 1) { // JSON has no word for it
		s.CatchUp = 0
	}
	return s
}

// stateWord is a state as JSON has it: up, catching_up or down.
func stateWord(s hubState) string { return strings.ReplaceAll(s.String(), " ", "_") }
