package exporter

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/exporter/status"
	"github.com/hubring/hubring/hashring"
)

// report is the exporter as it is now. A gateway is looked up if there is one.
func (e *Exporter) report(now time.Time, gateway *string) status.Report {
	at, g := e.queue.Look(now, gateway)
	s := status.Report{
		Time:    now,
		State:   e.stateName(at.Closed),
		Ring:    status.Ring{Hubs: len(at.Hubs), Placement: e.placementStatus()},
		Members: e.members(),
		Hubs:    make([]status.Hub, 0, len(at.Hubs)),
		Queue: status.Queue{
			Samples: at.Samples, Bytes: at.MemoryBytes, MaxBytes: e.cfg.MaxQueueBytes,
			OldestSeconds: at.Age.Seconds(), SpoolSamples: at.SpoolSamples, Gateways: at.Gateways,
		},
		Totals:  totalsOf(&at.Account),
		Ends:    endsStatusOf(&at.Ends),
		Config:  configStatusOf(&e.cfg),
		Gateway: gatewayStatusOf(g),
	}
	if at.SpoolError != nil {
		s.Queue.SpoolError = at.SpoolError.Error()
	}
	if at.Ring == nil {
		return s
	}
	s.Ring.Fingerprint = fingerprintText(at.Ring)
	if how := e.method.Load(); how != nil {
		s.Ring.Method = *how
	}
	weights := map[string]float64{}
	for _, node := range at.Ring.Nodes() {
		weights[node.Name] = cmp.Or(node.Weight, 1)
	}
	for i := range at.Hubs {
		h := &at.Hubs[i]
		s.Hubs = append(s.Hubs, hubStatusOf(h, weights[h.Name], at.Account.Hubs[h.Name]))
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
func gatewayStatusOf(g *queue.GatewaySnapshot) *status.Gateway {
	if g == nil {
		return nil
	}
	s := &status.Gateway{
		ID: g.ID, InUse: g.InUse, Owner: g.Owner, Walk: []status.Step{}, At: g.At, Untold: []status.Untold{},
		QueuedSamples: g.Samples, UnderWay: g.Busy, HeldUntil: g.HeldUntil,
	}
	for _, step := range g.Walk {
		s.Walk = append(s.Walk, status.Step{Hub: step.Hub, State: stateWord(step.State)})
	}
	for _, e := range g.Untold {
		s.Untold = append(s.Untold, status.Untold{Hub: e.Hub, EndedAt: time.UnixMilli(e.At)})
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

func hubStatusOf(h *queue.HubSnapshot, weight float64, account *queue.HubAccount) status.Hub {
	return status.Hub{
		Name:             h.Name,
		CallsItself:      h.Calls,
		URL:              h.URL,
		Weight:           weight,
		State:            stateWord(h.State),
		DownSince:        h.Since,
		NextProbe:        h.RetryAt,
		Failures:         h.Failures,
		QueuedSamples:    h.Samples,
		QueuedBytes:      h.Bytes,
		Requests:         h.Requests,
		HeldGateways:     h.Held,
		SentSamples:      account.Sent,
		DeliveredSamples: account.Delivered,
		ReroutedSamples:  account.Rerouted,
		LastError:        h.LastError,
		LastErrorAt:      h.LastErrorAt,
	}
}

func totalsOf(a *queue.Account) status.Totals {
	t := status.Totals{Submitted: a.Submitted, Restored: a.Restored, Spilled: a.Spilled, Dropped: map[string]uint64{}}
	for _, h := range a.Hubs {
		t.Delivered += h.Delivered
	}
	for why, n := range a.Dropped {
		if n > 0 && reason.Reason(why) != reason.Taken {
			t.Dropped[reason.Reason(why).String()] = n
		}
	}
	return t
}

func endsStatusOf(s *queue.EndsSnapshot) status.Ends {
	return status.Ends{
		Told: s.Fates[queue.EndTold], Dropped: s.Fates[queue.EndDropped], Unsupported: s.Fates[queue.EndUnsupported], Overtaken: s.Fates[queue.EndOvertaken],
		Waiting: s.ByHub, Deaf: s.Deaf,
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
		SpoolPolicy:         c.SpoolPolicy.String(),
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
func stateWord(s queue.HubState) string { return strings.ReplaceAll(s.String(), " ", "_") }
