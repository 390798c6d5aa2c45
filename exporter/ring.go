package exporter

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hubring/hubring/exporter/members"
	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/method"
	"github.com/hubring/hubring/hashring/placement"
)

// ringOf builds the ring of hubs, and has a placement move what it moves. A placement that
// does not fit is left out: hubs that change are more important.
func (e *Exporter) ringOf(hubs []Hub, placed *placement.Placement) (*hashring.Ring, error) {
	ring, err := e.cfg.baseRing(hubs)
	if err != nil {
		return nil, err
	}
	if placed == nil {
		return ring, nil
	}
	moved, err := placed.Ring(ring)
	e.unfit.Store(err != nil)
	if err != nil {
		e.misplaced(err)
		return ring, nil
	}
	return moved, nil
}

// baseRing is the ring of the hubs as long as nothing is said of single gateways.
func (c *Config) baseRing(hubs []Hub) (*hashring.Ring, error) {
	by, err := members.Method(hubs)
	if err != nil {
		return nil, err
	}
	nodes := make([]hashring.Node, len(hubs))
	for i, h := range hubs {
		nodes[i] = hashring.Node{Name: h.Name, Weight: h.Weight}
	}
	if c.Ring == nil {
		return by.Ring(nodes)
	}
	ring, err := c.Ring(nodes)
	if err != nil {
		return nil, err
	}
	if !isRingOf(ring, nodes) {
		return nil, errors.New("Config.Ring returned a ring that is not of the hubs that it was given")
	}
	if by == (method.Method{}) { // they say nothing
		return ring, nil
	}
	if named, err := by.Ring(nodes); err != nil {
		return nil, err
	} else if named.Fingerprint() != ring.Fingerprint() {
		return nil, fmt.Errorf("the hubs are to be placed by %s, and Config.Ring makes another ring of them: leave Config.Ring nil, "+
			"which is what they say, or have them name no placement", by)
	}
	return ring, nil
}

// isRingOf says whether a ring has these nodes and no others: what a ring of somebody
// else's making names must have an outbox.
func isRingOf(ring *hashring.Ring, nodes []hashring.Node) bool {
	if ring == nil {
		return false
	}
	byName := func(a, b hashring.Node) int { return strings.Compare(a.Name, b.Name) }
	return slices.EqualFunc(slices.SortedFunc(slices.Values(nodes), byName), ring.Nodes(),
		func(a, b hashring.Node) bool { return a.Name == b.Name })
}
