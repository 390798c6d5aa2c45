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
	"github.com/hubring/hubring/hashring"
)

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
		Gateway: gatewayStatusOf(g),
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

// gatewayStatusOf is nil if no gateway was asked for.
func gatewayStatusOf(g *gatewaySnapshot) *status.Gateway {
	if g == nil {
		return nil
	}
	s := &status.Gateway{
		ID: g.id, InUse: g.inUse, Owner: g.owner, Walk: []status.Step{}, At: g.at, Untold: []status.Untold{},
		QueuedSamples: g.samples, UnderWay: g.busy, HeldUntil: g.heldUntil,
	}
	for _, step := range g.walk {
		s.Walk = append(s.Walk, status.Step{Hub: step.hub, State: stateWord(step.state)})
	}
	for _, e := range g.untold {
		s.Untold = append(s.Untold, status.Untold{Hub: e.hub, EndedAt: time.UnixMilli(e.at)})
	}
	return s
}

func fingerprintText(ring *hashring.Ring) string {
	if ring == nil {
		return ""
	}
	return fmt.Sprintf("%016x", ring.Fingerprint())
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
