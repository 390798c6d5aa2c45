package send

import (
	"time"

	"github.com/hubring/hubring/exporter/internal/loglimit"
	"github.com/hubring/hubring/exporter/internal/push"
	"github.com/hubring/hubring/exporter/internal/queue"
)

// Means are what senders and tellers work with.
type Means struct {
	Queue      *queue.Queue
	Push       push.Settings // but for what is of a hub
	Spool      *Spooler      // nil if there is no disk
	Metrics    *Metrics
	Limits     *loglimit.Limits
	MinBackoff time.Duration // a gateway waits at least so long that a hub takes no more of
}

// Senders returns those of an outbox, which share what they know of its hub.
func (m Means) Senders(o *queue.Outbox, n int) []*Sender {
	hub := &hubKnown{}
	settings := m.Push
	settings.URL, settings.Coding = o.Hub.URL, &hub.coding
	all := make([]*Sender, n)
	for i := range all {
		all[i] = &Sender{Means: m, outbox: o, hub: hub, pusher: push.New(settings)}
	}
	return all
}

// Teller returns the one of a hub.
func (m Means) Teller(n *queue.Notices) *Teller { return &Teller{m, n} }
