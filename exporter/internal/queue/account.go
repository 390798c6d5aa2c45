package queue

import (
	"github.com/hubring/hubring/exporter/internal/reason"
)

// Account is where every sample is. The queue's mutex guards it, and a scrape
// reads all of it in one go: what doc.go says about the sums holds in every
// scrape.
type Account struct {
	Submitted uint64
	Restored  uint64
	Spilled   uint64
	Dropped   [reason.Num]uint64
	Hubs      map[string]*HubAccount // also of hubs that left
}

// HubAccount is the part of one hub.
type HubAccount struct {
	Sent      uint64
	Delivered uint64
	Rerouted  uint64
	flights   int // requests under way
}

const (
	// maxFormerHubs bounds the hubs that left and have an account still.
	maxFormerHubs = 1000
	// formerHubs is the name under which the accounts beyond that are summed.
	formerHubs = "former"
)

// hub returns the account of a hub, which it has for life.
func (a *Account) hub(name string) *HubAccount {
	h, ok := a.Hubs[name]
	if !ok {
		h = &HubAccount{}
		a.Hubs[name] = h
	}
	return h
}

// sumUp adds the accounts of hubs that left to one, if they are too many: a hub
// whose name is an address may have many in its life.
func (a *Account) sumUp(inUse func(name string) bool) {
	if len(a.Hubs) <= maxFormerHubs {
		return
	}
	sum := a.hub(formerHubs)
	for name, h := range a.Hubs {
		if h == sum || h.flights > 0 || inUse(name) {
			continue
		}
		sum.Sent += h.Sent
		sum.Delivered += h.Delivered
		sum.Rerouted += h.Rerouted
		delete(a.Hubs, name)
	}
}
