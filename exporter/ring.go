package exporter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/exporter/members"
	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/placement"
)

// setHubs makes the ring be of these hubs. It returns the outboxes that are new. After
// an error all is as it was.
func (e *Exporter) setHubs(hubs []Hub) (joined []*queue.Outbox, m *queue.Moves, err error) {
	ring, err := e.ringOf(hubs, e.placed.Load())
	if err != nil {
		return nil, nil, err
	}
	e.hubs = hubs
	e.noteMethod()
	joined, m = e.follow(ring)
	return joined, m, nil
}

// follow makes the queue follow a ring of e.hubs.
func (e *Exporter) follow(ring *hashring.Ring) (joined []*queue.Outbox, m *queue.Moves) {
	hubs := make([]queue.Hub, len(e.hubs))
	for i, h := range e.hubs {
		hubs[i] = queue.Hub{Name: h.Name, URL: h.URL, Weight: h.Weight}
	}
	joined, left, m := e.queue.SetHubs(hubs, ring, time.Now())
	for _, o := range joined {
		e.metrics.Know(o.Hub.Name)
	}
	for _, name := range left {
		e.metrics.Forget(name)
	}
	return joined, m
}

// Home returns the hub that is the home of a gateway, or of a key of SubmitFamilies, whether it is up or not, and false while
// no hub is known: for whoever has something for it that is no sample, such as a push to a Pushgateway's group. Its URL may have a password.
func (e *Exporter) Home(key string) (Hub, bool) {
	h, ok := e.queue.Home(key)
	return Hub{Name: h.Name, URL: h.URL, Weight: h.Weight}, ok
}

// fingerprint is that of the ring, as text.
func (e *Exporter) fingerprint() string { return fingerprintText(e.queue.Snapshot(time.Now()).Ring) }

// changeHubs is setHubs for hubs that the watcher found. They are valid, but the
// embedder's Ring may have its own mind.
func (e *Exporter) changeHubs(hubs []Hub) (joined []*queue.Outbox, err error) {
	joined, moved, err := e.setHubs(hubs)
	if err != nil {
		return nil, err
	}
	e.cfg.Logger.Info("The ring has changed, queued samples go to their new homes", "hubs", len(hubs), "new", len(joined),
		"placed_by", *e.method.Load(), "fingerprint", e.fingerprint(), "samples_moved", moved, "gateways", moved.Who())
	return joined, nil
}

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
	if !by.Said() {
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

// noteMethod notes how the hubs became a ring, for people.
func (e *Exporter) noteMethod() {
	how := "config"
	if e.cfg.Ring == nil {
		by, _ := members.Method(e.hubs) // of which there is a ring
		how = by.String()
	}
	e.method.Store(&how)
}
