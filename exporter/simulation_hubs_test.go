package exporter

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hubring/hubring/exporter/exportertest"
	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/internal/exposition"
)

// mischief changes what one hub does, or who the hubs are.
func (s *schedule) mischief() {
	rnd := s.rnd
	names := s.net.names()
	name := names[rnd.IntN(len(names))]
	hub := s.net.hubs[name]
	seen := func(what string) {
		s.ledger.note("%s: %s", name, what)
		s.ledger.reached(what)
	}
	replies := func(what string, r exportertest.Reply) {
		seen(what)
		r.Delay = max(r.Delay, time.Duration(rnd.IntN(100)-50)*time.Millisecond)
		hub.Reply(r)
		if rnd.IntN(3) == 0 {
			hub.Reply(r)
		}
		if rnd.IntN(6) == 0 {
			hub.Always(r)
		}
	}
	header := http.Header{}
	if rnd.IntN(2) == 0 {
		header.Set("Retry-After", strconv.Itoa(rnd.IntN(20)*rnd.IntN(4)))
	}
	gateway := s.names[rnd.IntN(len(s.names))]
	switch rnd.IntN(38) {
	case 0, 1:
		seen("kill")
		s.net.kill(name)
	case 2, 3, 4, 5:
		seen("start")
		s.net.Start(name)
		hub.Recover()
	case 6:
		seen("freeze")
		s.net.Freeze(name)
	case 7, 8:
		seen("thaw")
		s.net.Thaw(name)
	case 9:
		seen("name gone")
		s.net.Remove(name)
		s.ledger.lost(name)
		s.pass(time.Duration(rnd.IntN(3000)) * time.Millisecond)
		s.net.add(name)
	case 10:
		replies("slow", exportertest.Reply{Delay: time.Duration(rnd.IntN(6000)) * time.Millisecond})
	case 11:
		replies("hang", exportertest.Reply{Hang: true})
	case 12:
		replies("lost acknowledgement", exportertest.Reply{Lost: true})
	case 13:
		replies("cut body", exportertest.Reply{CutAfter: rnd.IntN(3000) - 1})
	case 14:
		replies("kept and failed", exportertest.Reply{Kept: true, Status: 500 + rnd.IntN(5), Delay: time.Duration(rnd.IntN(6000)) * time.Millisecond})
	case 15:
		seen("poison")
		hub.Refuse(`gatewayID="` + gateway + `"`)
	case 16:
		seen("no poison")
		hub.Refuse("")
	case 17, 18:
		seen("gateway crowds")
		s.ledger.note("it is %q", gateway)
		s.watched.crowd(name, gateway)
	case 19:
		seen("not crowded")
		s.watched.crowd(name, "")
	case 20:
		seen("gzip advertised")
		hub.Advertise(rnd.IntN(2) == 0)
	case 21:
		seen("not ready")
		hub.Ready(exportertest.Reply{Status: 503, Header: header, Hang: rnd.IntN(3) == 0})
	case 22, 23:
		s.changeMembers()
	case 25, 26:
		s.deafen(name)
	case 27:
		s.replace(name)
	case 32, 33: // it answers late, for long, and does not fail
		seen("slow for long")
		hub.Always(exportertest.Reply{Delay: time.Duration(rnd.Int64N(int64(s.cfg.PushTimeout)))})
	case 28, 29:
		s.breakDisk("disk full", false, true, false)
	case 30:
		s.breakDisk("disk fails", false, false, true)
	case 31:
		s.breakDisk("disk well", false, false, false)
	case 24:
		seen("stop")
		s.stop(name)
	default:
		status := []int{302, 400, 413, 415, 422, 429, 429, 500, 503}[rnd.IntN(9)]
		header.Set("Location", "http://elsewhere/metrics")
		replies("answers "+strconv.Itoa(status), exportertest.Reply{Status: status, Header: header, Body: "no\n"})
	}
}

// breakDisk changes what SpoolDir does.
func (s *schedule) breakDisk(what string, locked, full, noSync bool) {
	if s.cfg.SpoolDir == "" {
		return
	}
	s.ledger.note("%s", what)
	s.ledger.reached(what)
	s.disk.set(locked, full, noSync)
}

// replace puts somebody else at a hub's address for a while, to whom whatever is asked gets the
// same answer.
func (s *schedule) replace(name string) {
	answer := strangersReplies[s.rnd.IntN(len(strangersReplies))]
	what := "answer of a stranger " + strconv.Itoa(answer.Status)
	s.ledger.note("%s: %s", name, what)
	s.ledger.reached(what)
	answer.Stranger = true
	hub := s.net.hubs[name]
	hub.Always(answer)
	hub.Ended(answer)
	if s.rnd.IntN(3) > 0 { // or the question whether it is ready goes to the hub
		hub.Ready(answer)
	}
	for range s.rnd.IntN(4) {
		s.activity()
		s.pass(time.Duration(s.rnd.IntN(3000)) * time.Millisecond)
		s.check()
	}
	if s.rnd.IntN(4) > 0 { // or it stays until the hub starts again
		hub.Recover()
	}
}

// strangersReplies are what is at a hub's address when it is not the hub.
var strangersReplies = []exportertest.Reply{
	{Status: http.StatusOK, Body: "<!DOCTYPE html>\n<title>Log in</title>\n", Header: http.Header{"Content-Type": {"text/html"}}},
	{Status: http.StatusOK},
	{Status: http.StatusNoContent},
	{Status: http.StatusBadRequest, Body: "Client sent an HTTP request to an HTTPS server.\n"},
	{Status: http.StatusFound, Header: http.Header{"Location": {"http://elsewhere/metrics"}}},
	{Status: http.StatusNotFound, Body: "404 page not found\n"},
}

// stop stops a hub as a rolling upgrade does: it refuses pushes and is not ready until
// its scraper has everything, ends, and comes back under the same name.
func (s *schedule) stop(name string) {
	hub := s.net.hubs[name]
	hub.Always(exportertest.Reply{
		Status: http.StatusServiceUnavailable, Body: "the hub is stopping\n",
		Header: http.Header{exposition.ReasonHeader: {"stopping"}, "Retry-After": {"5"}, "Connection": {"close"}},
	})
	hub.Ready(exportertest.Reply{Status: http.StatusServiceUnavailable, Body: "edgehub is stopping.\n"})
	s.pass(time.Duration(s.rnd.IntN(20_000)) * time.Millisecond)
	s.net.kill(name)
	s.pass(time.Duration(s.rnd.IntN(5_000)) * time.Millisecond)
	s.net.Start(name)
	hub.Recover()
}

// changeMembers changes the truth.
func (s *schedule) changeMembers() {
	if s.liar == nil {
		return
	}
	s.ledger.reached("members changed")
	names := s.net.names()
	if len(names) < maxHubs && s.rnd.IntN(2) == 0 {
		s.net.add(fmt.Sprintf("hub-%d", len(names)))
		names = s.net.names()
	}
	var hubs []Hub
	uneven := s.rnd.IntN(2)
	placement := ""
	if s.placing && s.rnd.IntN(2) == 0 {
		s.ledger.reached("placed otherwise")
		placement, uneven = smallCircle, 0
	}
	for i, name := range names {
		if s.rnd.IntN(4) > 0 {
			hubs = append(hubs, Hub{URL: "http://" + name, Weight: float64(1 + i%2*uneven), Placement: placement})
		}
	}
	if len(hubs) == 0 {
		hubs = []Hub{{URL: "http://" + names[0], Placement: placement}}
	}
	s.ledger.note("members are %v", hubs)
	s.liar.set(hubs, false)
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		panic(err)
	}
	return u.Hostname()
}

// rings are those that schedules have had. They need few, and to build one takes
// longer than all else.
var rings sync.Map

// smallCircle is a placement that takes little time to build.
const smallCircle = "consistent/partitions=71"

// knownRing is hashring.New.
func knownRing(nodes []hashring.Node) (*hashring.Ring, error) {
	key := fmt.Sprint(nodes)
	if ring, ok := rings.Load(key); ok {
		return ring.(*hashring.Ring), nil
	}
	ring, err := hashring.New(nodes)
	if err == nil {
		rings.Store(key, ring)
	}
	return ring, err
}

// liar is a Membership that says the truth now and then.
type liar struct {
	ledger *ledger
	random *lockedRand
	mu     sync.Mutex
	truth  []Hub
	honest bool
}

func (m *liar) set(truth []Hub, honest bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.truth, m.honest = truth, honest
}

// Hubs implements Membership.
func (m *liar) Hubs(ctx context.Context) ([]Hub, error) {
	m.mu.Lock()
	hubs, honest := slices.Clone(m.truth), m.honest
	m.mu.Unlock()
	one := int(m.random.int64N(int64(len(hubs))))
	lie := int(m.random.int64N(18))
	if honest || lie < 8 {
		return hubs, nil
	}
	switch lie {
	case 8:
		m.ledger.reached("lie: an error")
		return nil, fmt.Errorf("lookup on 127.0.0.1:%d: server misbehaving", m.random.int64N(50_000))
	case 9:
		m.ledger.reached("lie: nobody")
		return nil, nil
	case 10, 11:
		m.ledger.reached("lie: one is missing")
		return slices.Delete(hubs, one, one+1), nil
	case 12:
		m.ledger.reached("lie: a stray one")
		return append(hubs, Hub{URL: "http://stray", Placement: hubs[one].Placement}), nil
	case 13:
		m.ledger.reached("lie: another address")
		hubs[one].Name = hostOf(hubs[one].URL)
		hubs[one].URL += ":81"
		return hubs, nil
	case 14:
		m.ledger.reached("lie: one twice")
		return append(hubs, hubs[one]), nil
	case 15:
		m.ledger.reached("lie: another placement")
		for i := range hubs {
			hubs[i].Placement = smallCircle
		}
		return hubs, nil
	case 16:
		m.ledger.reached("lie: two placements")
		return append(hubs, Hub{URL: "http://stray", Placement: smallCircle + "/replicas=3"}), nil
	}
	m.ledger.reached("lie: no answer")
	<-ctx.Done()
	return nil, ctx.Err()
}

// network is the hubs of a schedule.
type network struct {
	*exportertest.Network
	ledger *ledger
	hubs   map[string]*exportertest.Hub
}

func (n *network) add(name string) {
	hub := n.Add(name, exportertest.KeepSamples(0), exportertest.KeepPushes(0))
	hub.OnPush(func(_ exportertest.Push, text []byte) { n.ledger.arrive(name, text) })
	hub.OnEnded(func(ends []exportertest.End) { n.ledger.end(name, ends) })
	n.hubs[name] = hub
}

// kill ends a hub, which has forgotten all when it starts again.
func (n *network) kill(name string) {
	n.Kill(name)
	n.ledger.lost(name)
}

func (n *network) names() []string { return slices.Sorted(maps.Keys(n.hubs)) }

// recover makes all hubs well.
func (n *network) recover() {
	for name, hub := range n.hubs {
		n.Thaw(name)
		n.Start(name)
		hub.Recover()
		hub.Refuse("")
		hub.Advertise(true)
	}
}
