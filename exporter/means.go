package exporter

import (
	"time"

	"github.com/hubring/hubring/exporter/internal/push"
)

// means are what senders and tellers work with.
type means struct {
	router     *router
	push       push.Settings // but for what is of a hub
	spool      *spooler      // nil if there is no disk
	metrics    *sendMetrics
	limits     *logLimits
	minBackoff time.Duration // a gateway waits at least so long that a hub takes no more of
}

// senders returns those of an outbox, which share what they know of its hub.
func (m means) senders(o *outbox, n int) []*sender {
	hub := &hubKnown{}
	settings := m.push
	settings.URL, settings.Coding = o.hub.url, &hub.coding
	all := make([]*sender, n)
	for i := range all {
		all[i] = &sender{means: m, outbox: o, hub: hub, pusher: push.New(settings)}
	}
	return all
}

// teller returns the one of a hub.
func (m means) teller(n *notices) *teller { return &teller{m, n} }
