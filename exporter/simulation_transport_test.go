package exporter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/internal/exposition"
	"github.com/hubring/hubring/internal/verdict"
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
	killed  bool                // the exporter was
}

// hubView is what an exporter must think of a hub, by the answers that it got.
type hubView struct {
	down, trial bool
	ready       bool      // it said so, and is to take a push of nothing
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
		var hubs []Hub
		for _, h := range cfg.Hubs {
			hubs = append(hubs, Hub{Name: hostOf(h.URL), Placement: h.Placement})
		}
		ring, err := cfg.baseRing(hubs)
		if err != nil {
			panic(err)
		}
		w.ring = ring
	}
	return w
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
	if w.isKilled() {
		return nil, errKilled
	}
	if req.URL.Path == "/gateways/ended" {
		return w.tellEnds(req)
	}
	if req.Method != http.MethodPost {
		w.probeDeparts(host)
		resp, err := w.inner.RoundTrip(req)
		w.probeLands(host, resp, err)
		return resp, err
	}
	if req.ContentLength == 0 {
		resp, err := w.inner.RoundTrip(req)
		w.trialLands(host, resp, err)
		return resp, err
	}
	zipped := req.Header.Get("Content-Encoding") == "gzip"
	text := textOf(req, zipped)
	reports := w.ledger.depart(host, text, w.cfg.BatchBytes)
	life := w.departs(host, reports)
	var resp *http.Response
	var err error
	if w.isCrowded(host, text) {
		resp, err = crowdedAnswer(req), req.Body.Close()
	} else {
		resp, err = w.inner.RoundTrip(req)
	}
	if w.isKilled() { // nobody hears the answer
		return nil, errors.Join(errKilled, err)
	}
	w.lands(host, life, reports, resp, err, zipped)
	return resp, err
}

var errKilled = errors.New("the exporter was killed")

// kill lets nothing of the exporter through any more.
func (w *watchedTransport) kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.killed = true
}

func (w *watchedTransport) isKilled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.killed
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
		Header: http.Header{
			exposition.HubHeader: {"edgehub/crowded"}, exposition.ReasonHeader: {"gateway_share"},
			"Retry-After": {"2"}, "Accept-Encoding": {"gzip"},
		},
		Body: io.NopCloser(strings.NewReader("too much of it\n")),
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
	outcome := verdict.Cut
	if err == nil {
		outcome = mustBecome(resp, zipped)
	}
	w.ledger.land(host, reports, outcome)
	w.mu.Lock()
	defer w.mu.Unlock()
	v, now := w.viewLocked(host), time.Now()
	v.flying--
	if life == v.life {
		v.young--
	}
	switch outcome {
	case verdict.Delivered:
		v.chained = now
		if !v.down {
			v.failures, v.trial = 0, false
		}
	case verdict.Refused, verdict.Crowded, verdict.ResendPlain:
		v.chained = now
	default:
		if life == v.life { // or it says nothing of the hub that returned
			w.failedLocked(v, resp, now)
		}
	}
	w.tell(host, resp, err, outcome, zipped, len(reports))
}

// mustBecome is what an answer has to mean to the exporter.
func mustBecome(resp *http.Response, zipped bool) verdict.Outcome {
	if resp.Header.Get(exposition.HubHeader) == "" {
		return verdict.TryNext
	}
	readsGzip := resp.Header.Get("Accept-Encoding") == "gzip"
	switch resp.StatusCode {
	case http.StatusOK:
		return verdict.Delivered
	case http.StatusBadRequest:
		if zipped && !readsGzip {
			return verdict.ResendPlain
		}
		return verdict.Refused
	case http.StatusUnsupportedMediaType:
		if zipped {
			return verdict.ResendPlain
		}
	case http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return verdict.Refused
	case http.StatusTooManyRequests:
		if resp.Header.Get(exposition.ReasonHeader) != "" {
			return verdict.Crowded
		}
	}
	return verdict.TryNext
}

// failedLocked notes that a hub is down now, if it was not before.
func (w *watchedTransport) failedLocked(v *hubView, resp *http.Response, now time.Time) {
	wait := time.Duration(0)
	if resp != nil {
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // hubs of the simulation say no dates
		wait = min(time.Duration(seconds)*time.Second, time.Minute)
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

// probeLands notes what a hub says when it is asked whether it is ready. One that is has to
// take a push of nothing as well.
func (w *watchedTransport) probeLands(host string, resp *http.Response, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.viewLocked(host)
	if v.ready = isWell(resp, err); !v.ready {
		w.stillDownLocked(v)
	}
}

// trialLands notes what became of a push of nothing.
func (w *watchedTransport) trialLands(host string, resp *http.Response, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, now := w.viewLocked(host), time.Now()
	if !v.ready && w.ring != nil { // a hub that left and is back may be asked for both
		w.ledger.breaks("%s is sent a push of nothing, and has not said that it is ready", host)
	}
	v.ready = false
	if !isWell(resp, err) {
		w.ledger.reached("trial failed")
		w.stillDownLocked(v)
		return
	}
	v.down, v.trial, v.changed = false, true, now
	v.life, v.young = v.life+1, 0
	w.ledger.note("%s is alive", host)
	w.ledger.reached("hub alive again")
}

func isWell(resp *http.Response, err error) bool {
	return err == nil && resp.StatusCode == http.StatusOK && resp.Header.Get(exposition.HubHeader) != ""
}

func (w *watchedTransport) stillDownLocked(v *hubView) {
	v.failures++
	v.notBefore = time.Now().Add(w.leastBackoff(v.failures))
	w.ledger.reached("probe failed")
}

// tell logs and counts an outcome.
func (w *watchedTransport) tell(host string, resp *http.Response, err error, outcome verdict.Outcome, zipped bool, reports int) {
	l := w.ledger
	answer := fmt.Sprint(err)
	if err == nil {
		answer = strconv.Itoa(resp.StatusCode)
		l.reached("answer " + answer)
	} else {
		l.reached("no answer")
	}
	l.reachedIf(zipped, "gzip")
	l.reachedIf(outcome == verdict.Crowded, "gateway refused by its hub")
	l.reachedIf(outcome == verdict.ResendPlain, "gzip taken back")
	l.note("push to %s: %d reports, %s", host, reports, answer)
}
