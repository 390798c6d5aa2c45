package exporter

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/hubring/hubring/exporter/exportertest"
	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/internal/exposition"
)

// watchedTransport carries the requests of a simulated exporter to the hubs of a
// network. It tells the ledger what is sent and how that ends, and sees to it that
// a hub that is down is left alone.
type watchedTransport struct {
	inner  http.RoundTripper
	ledger *ledger
	cfg    *Config
	ring   *hashring.Ring // nil if the members change

	mu      sync.Mutex
	hubs    map[string]*hubView // by host
	crowded map[string]string   // host to the gateway that the hub takes no more of
	ending  bool                // Run's context has ended
}

// hubView is what an exporter must think of a hub, by the answers that it got.
type hubView struct {
	down, trial bool
	failures    int       // in a row
	changed     time.Time // when it went down or up
	chained     time.Time // when a request last ended that the hub is not to blame for
	notBefore   time.Time // of the next probe
	flying      int       // pushes
	life        int       // how often it was found alive
	young       int       // of the pushes, begun since then
}

func newWatchedTransport(inner http.RoundTripper, l *ledger, cfg *Config) *watchedTransport {
	w := &watchedTransport{inner: inner, ledger: l, cfg: cfg, hubs: map[string]*hubView{}, crowded: map[string]string{}}
	if cfg.Members == nil {
		var nodes []hashring.Node
		for _, h := range cfg.Hubs {
			nodes = append(nodes, hashring.Node{Name: hostOf(h.URL)})
		}
		ring, err := cfg.newRing(nodes)
		if err != nil {
			panic(err)
		}
		w.ring = ring
	}
	return w
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		panic(err)
	}
	return u.Hostname()
}

func (w *watchedTransport) viewLocked(host string) *hubView {
	v := w.hubs[host]
	if v == nil {
		v = &hubView{}
		w.hubs[host] = v
	}
	return v
}

// RoundTrip implements http.RoundTripper.
func (w *watchedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	host := req.URL.Hostname()
	if req.Method != http.MethodPost {
		w.probeDeparts(host)
		resp, err := w.inner.RoundTrip(req)
		w.probeLands(host, resp, err)
		return resp, err
	}
	zipped := req.Header.Get("Content-Encoding") == "gzip"
	text := textOf(req, zipped)
	reports := w.ledger.depart(text, w.cfg.BatchBytes)
	life := w.departs(host, reports)
	var resp *http.Response
	var err error
	if w.isCrowded(host, text) {
		resp, err = crowdedAnswer(req), req.Body.Close()
	} else {
		resp, err = w.inner.RoundTrip(req)
	}
	w.lands(host, life, reports, resp, err, zipped)
	return resp, err
}

// textOf returns the body of a push.
func textOf(req *http.Request, zipped bool) []byte {
	body, err := req.GetBody()
	if err != nil {
		panic(err)
	}
	defer body.Close()
	var from io.Reader = body
	if zipped {
		if from, err = gzip.NewReader(body); err != nil {
			panic(err)
		}
	}
	text, err := io.ReadAll(from)
	if err != nil {
		panic(err)
	}
	return text
}

// crowd makes the hub take no more of the gateway; "" ends it.
func (w *watchedTransport) crowd(host, gateway string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.crowded[host] = gateway
}

func (w *watchedTransport) isCrowded(host string, text []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	gateway := w.crowded[host]
	return gateway != "" && bytes.Contains(text, []byte(`gatewayID="`+gateway+`"`))
}

func crowdedAnswer(req *http.Request) *http.Response {
	return &http.Response{
		StatusCode: http.StatusTooManyRequests, Request: req, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{exposition.ReasonHeader: {"gateway_share"}, "Retry-After": {"2"}, "Accept-Encoding": {"gzip"}},
		Body:   io.NopCloser(strings.NewReader("too much of it\n")),
	}
}

// end notes that Run's context has ended: from now on there is less patience.
func (w *watchedTransport) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ending = true
}

// departs checks that the hub may be sent something now. It returns which of the
// hub's lives this is.
func (w *watchedTransport) departs(host string, reports []*report) (life int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, now := w.viewLocked(host), time.Now()
	v.flying++
	v.young++
	if w.ring == nil || w.ending {
		return v.life
	}
	// What follows of a batch may go on, whatever became of another request.
	follows := v.chained.Equal(now)
	switch {
	case v.flying > w.cfg.Senders:
		w.ledger.breaks("%d requests to %s are under way, and Senders is %d", v.flying, host, w.cfg.Senders)
	case v.down && v.changed.Before(now) && !follows:
		w.ledger.breaks("a push to %s, which is down since %s", host, now.Sub(v.changed))
	case v.trial && v.young > 1 && !v.changed.Equal(now) && !follows:
		w.ledger.breaks("%d requests to %s are under way, which is on trial", v.young, host)
	}
	if follows {
		return v.life
	}
	for _, r := range reports {
		w.homeLocked(host, r, now)
	}
	return v.life
}

// homeLocked checks that a report goes to the first living hub of its walk.
func (w *watchedTransport) homeLocked(host string, r *report, now time.Time) {
	for node := range w.ring.Walk(r.gateway) {
		if node.Name == host {
			return
		}
		v := w.viewLocked(node.Name)
		if w.cfg.Failover == WaitForOwner || !v.down && v.changed.Before(now) {
			w.ledger.breaks("report %d of %q goes to %s, and %s is before it on its walk and up", r.id, r.gateway, host, node.Name)
			return
		}
	}
}

// lands tells the ledger of an outcome, and notes what it says of the hub.
func (w *watchedTransport) lands(host string, life int, reports []*report, resp *http.Response, err error, zipped bool) {
	outcome := cut
	if err == nil {
		outcome = mustBecome(resp, zipped)
	}
	w.ledger.land(reports, outcome)
	w.mu.Lock()
	defer w.mu.Unlock()
	v, now := w.viewLocked(host), time.Now()
	v.flying--
	if life == v.life {
		v.young--
	}
	switch outcome {
	case delivered:
		v.chained = now
		if !v.down {
			v.failures, v.trial = 0, false
		}
	case refused, crowded, resendPlain:
		v.chained = now
	default:
		if life == v.life { // or it says nothing of the hub that returned
			w.failedLocked(v, resp, now)
		}
	}
	w.tell(host, resp, err, outcome, zipped, len(reports))
}

// mustBecome is what an answer has to mean to the exporter.
func mustBecome(resp *http.Response, zipped bool) outcome {
	readsGzip := resp.Header.Get("Accept-Encoding") == "gzip"
	switch resp.StatusCode {
	case http.StatusOK:
		return delivered
	case http.StatusBadRequest:
		if zipped && !readsGzip {
			return resendPlain
		}
		return refused
	case http.StatusUnsupportedMediaType:
		if zipped {
			return resendPlain
		}
	case http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return refused
	case http.StatusTooManyRequests:
		if resp.Header.Get(exposition.ReasonHeader) != "" {
			return crowded
		}
	}
	return tryNext
}

// failedLocked notes that a hub is down now, if it was not before.
func (w *watchedTransport) failedLocked(v *hubView, resp *http.Response, now time.Time) {
	wait := time.Duration(0)
	if resp != nil {
		wait = retryAfter(resp.Header, now)
	}
	if v.down {
		if v.changed.Equal(now) { // one of several that failed together
			v.notBefore = minTime(v.notBefore, now.Add(max(wait, w.leastBackoff(v.failures))))
		}
		return
	}
	v.down, v.trial, v.changed = true, false, now
	v.failures++
	v.notBefore = now.Add(max(wait, w.leastBackoff(v.failures)))
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// leastBackoff is what Config promises at least.
func (w *watchedTransport) leastBackoff(failures int) time.Duration {
	d := w.cfg.MinBackoff
	for range failures - 1 {
		d = min(2*d, w.cfg.MaxBackoff)
	}
	return d / 2
}

func (w *watchedTransport) probeDeparts(host string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, now := w.viewLocked(host), time.Now()
	if w.ring == nil || w.ending {
		return
	}
	switch {
	case !v.down:
		w.ledger.breaks("a probe of %s, which is up", host)
	case now.Before(v.notBefore):
		w.ledger.breaks("a probe of %s %s too early, after %d failures", host, v.notBefore.Sub(now), v.failures)
	}
}

func (w *watchedTransport) probeLands(host string, resp *http.Response, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, now := w.viewLocked(host), time.Now()
	if err == nil && resp.StatusCode < 500 {
		v.down, v.trial, v.changed = false, true, now
		v.life, v.young = v.life+1, 0
		w.ledger.note("%s is alive", host)
		w.ledger.reached("hub alive again")
		return
	}
	v.failures++
	v.notBefore = now.Add(w.leastBackoff(v.failures))
	w.ledger.reached("probe failed")
}

// tell logs and counts an outcome.
func (w *watchedTransport) tell(host string, resp *http.Response, err error, outcome outcome, zipped bool, reports int) {
	l := w.ledger
	answer := fmt.Sprint(err)
	if err == nil {
		answer = strconv.Itoa(resp.StatusCode)
		l.reached("answer " + answer)
	} else {
		l.reached("no answer")
	}
	l.reachedIf(zipped, "gzip")
	l.reachedIf(outcome == crowded, "gateway refused by its hub")
	l.reachedIf(outcome == resendPlain, "gzip taken back")
	l.note("push to %s: %d reports, %s", host, reports, answer)
}

// checkRouter checks what router.go says holds whenever its mutex is free.
func checkRouter(r *router) (faults []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	waiting := map[*lane]*outbox{}
	for _, o := range append(slices.Clone(r.outboxes), r.limbo) {
		bytes, samples := 0, 0
		for i, l := range append(slices.Clone(o.waiting), o.held...) {
			if waiting[l] != nil {
				fault("lane %q waits twice", l.key)
			}
			waiting[l] = o
			bytes, samples = bytes+l.bytes, samples+l.samples
			if i < len(o.waiting) && l.place != i || i >= len(o.waiting) && l.place != -1 {
				fault("lane %q has place %d", l.key, l.place)
			}
			if up := (i - 1) / 2; i > 0 && i < len(o.waiting) && l.first.seq < o.waiting[up].first.seq {
				fault("the heap of %s is no heap", o.hub.Name)
			}
		}
		if bytes != o.bytes || samples != o.samples {
			fault("%s has %d bytes and %d samples, and says %d and %d", o.hub.Name, bytes, samples, o.bytes, o.samples)
		}
		if o.flights < 0 || o.retired {
			fault("%s has %d flights, retired: %v", o.hub.Name, o.flights, o.retired)
		}
	}
	inLanes, busy := 0, 0
	for key, l := range r.lanes {
		o := waiting[l]
		bytes, samples, last := 0, 0, uint64(0)
		for p := l.first; p != nil; p = p.next {
			bytes, samples = bytes+p.bytes, samples+p.samples
			inLanes++
			if p.seq <= last || p.lane != l || p.list == nil || p.next == nil && l.last != p {
				fault("lane %q is out of order", key)
			}
			last = p.seq
		}
		busy += l.busy
		switch {
		case bytes != l.bytes || samples != l.samples:
			fault("lane %q has %d bytes and %d samples, and says %d and %d", key, bytes, samples, l.bytes, l.samples)
		case l.busy < 0 || l.key != key || l.at != o || l.first == nil && l.busy == 0:
			fault("lane %q: busy %d, waits in the wrong place", key, l.busy)
		case l.busy > 0 && o != nil:
			fault("lane %q is busy and waits", key)
		case l.busy == 0 && o != belongs(r, key):
			fault("lane %q does not wait where it belongs", key)
		}
	}
	queued := 0
	for _, b := range []*backlog{&r.inMemory, &r.onDisk} {
		parcels, samples, bytes, last := 0, 0, 0, uint64(0)
		for p := b.first; p != nil; p = p.newer {
			parcels, samples, bytes = parcels+1, samples+p.samples, bytes+p.memory
			if p.seq <= last || p.list != b || r.lanes[p.key] != p.lane || p.newer == nil && b.last != p {
				fault("a backlog is out of order at a parcel of %q", p.key)
			}
			if here := p.body != nil; here != (b == &r.inMemory) && !p.busy {
				fault("a parcel of %q has its body: %v, and is on disk: %v", p.key, here, p.spilled)
			}
			last = p.seq
		}
		if parcels != b.parcels || samples != b.samples || bytes != b.bytes {
			fault("a backlog says %d parcels, %d samples and %d bytes and has %d, %d and %d", b.parcels, b.samples, b.bytes, parcels, samples, bytes)
		}
		queued += parcels
	}
	if len(waiting) > len(r.lanes) {
		fault("%d lanes wait, of %d", len(waiting), len(r.lanes))
	}
	if inLanes > queued || queued > inLanes+busy {
		fault("%d parcels are queued, %d wait and %d are busy", queued, inLanes, busy)
	}
	return faults
}

// belongs returns where a gateway's lane has to wait.
func belongs(r *router, key string) *outbox {
	if r.ring == nil {
		return r.limbo
	}
	owner := r.byName[r.ring.Owner(key).Name]
	if r.cfg.Failover == NextHub {
		for node := range r.ring.Walk(key) {
			if o := r.byName[node.Name]; !o.down {
				return o
			}
		}
	}
	return owner
}

// rings are those that schedules have had. They need few, and to build one takes
// longer than all else.
var rings sync.Map

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
	lie := int(m.random.int64N(16))
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
		return append(hubs, Hub{URL: "http://stray"}), nil
	case 13:
		m.ledger.reached("lie: another address")
		hubs[one].Name = hostOf(hubs[one].URL)
		hubs[one].URL += ":81"
		return hubs, nil
	case 14:
		m.ledger.reached("lie: one twice")
		return append(hubs, hubs[one]), nil
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
	n.hubs[name] = hub
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
