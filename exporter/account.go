package exporter

import (
	"github.com/hubring/hubring/exporter/internal/reason"
)

// account is where every sample is. The router's mutex guards it, and a scrape
// reads all of it in one go: what doc.go says about the sums holds in every
// scrape.
type account struct {
	submitted uint64
	restored  uint64
	spilled   uint64
	dropped   [reason.Num]uint64
	hubs      map[string]*hubAccount // also of hubs that left
}

// hubAccount is the part of one hub.
type hubAccount struct {
	sent      uint64
	delivered uint64
	rerouted  uint64
	flights   int // requests under way
}

const (
	// maxFormerHubs bounds the hubs that left and have an account still.
	maxFormerHubs = 1000
	// formerHubs is the name under which the accounts beyond that are summed.
	formerHubs = "former"
)

// hub returns the account of a hub, which it has for life.
func (a *account) hub(name string) *hubAccount {
	h, ok := a.hubs[name]
	if !ok {
		h = &hubAccount{}
		a.hubs[name] = h
	}
	return h
}

// sumUp adds the accounts of hubs that left to one, if they are too many: a hub
// whose name is an address may have many in its life.
func (a *account) sumUp(inUse func(name string) bool) {
	if len(a.hubs) <= maxFormerHubs {
		return
	}
	sum := a.hub(formerHubs)
	for name, h := range a.hubs {
		if h == sum || h.flights > 0 || inUse(name) {
			continue
		}
		sum.sent += h.sent
		sum.delivered += h.delivered
		sum.rerouted += h.rerouted
		delete(a.hubs, name)
	}
}
