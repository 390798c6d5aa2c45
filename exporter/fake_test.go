package exporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/internal/exposition"
)

// fleet is an http.RoundTripper with hubs behind it that do as the test says.
type fleet map[string]*fakeHub

// fakeHub answers pushes with the replies of its script, one each, and with 200
// when there are none left. As prometheus-edge-hub does, it refuses what expfmt
// cannot parse.
type fakeHub struct {
	mu       sync.Mutex
	script   []reply
	always   *reply            // if not nil: in place of 200, when the script is at its end
	poison   string            // a push that contains it is answered with 400
	crowd    string            // a push that contains it is answered with 429, for this gateway's sake
	probe    reply             // to /-/ready
	header   http.Header       // of every answer
	bodies   []string          // of the pushes taken in, uncompressed
	coded    []string          // their Content-Encoding
	ended    reply             // to /gateways/ended
	ends     []string          // lines of those taken in
	requests []string          // every request but /gateways/ended: its time since the start and what it was
	tells    int               // requests of /gateways/ended
	start    time.Time         // of the test
	onPush   func(body string) // called for each push taken in
}

// hooks lets one onPush run at a time: those of several hubs share what they count.
var hooks sync.Mutex

// reply is one answer.
type reply struct {
	status int           // 200 if 0
	alien  bool          // it is not a hub that answers
	err    error         // in place of an answer
	lost   bool          // the push is taken in, its answer is lost
	after  time.Duration // how long the hub thinks
	body   string
	header http.Header
}

var (
	errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	dead       = reply{err: errRefused}
)

func newFleet(n int) fleet {
	f := fleet{}
	for i := range n {
		f[fmt.Sprintf("hub-%d", i)] = &fakeHub{start: time.Now()}
	}
	return f
}

func (f fleet) hubs() []Hub {
	var hubs []Hub
	for name := range f {
		hubs = append(hubs, Hub{URL: "http://" + name})
	}
	return hubs
}

// kill makes a hub refuse every connection until it is revived, which also ends
// its script.
func (h *fakeHub) kill() { h.answer(dead, dead) }

func (h *fakeHub) revive() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.script, h.always, h.probe, h.ended = nil, nil, reply{}, reply{}
}

// answer makes a hub give the same answer to every push and every probe.
func (h *fakeHub) answer(push, probe reply) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.always, h.probe = &push, probe
}

// say makes a hub answer the next pushes so.
func (h *fakeHub) say(script ...reply) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.script = append(h.script, script...)
}

func (h *fakeHub) next(isPush, isTrial bool) reply {
	switch {
	case isTrial && h.always != nil:
		return *h.always
	case isTrial:
		return reply{}
	case !isPush:
		return h.probe
	case len(h.script) > 0:
		r := h.script[0]
		h.script = h.script[1:]
		return r
	case h.always != nil:
		return *h.always
	}
	return reply{}
}

func (f fleet) RoundTrip(req *http.Request) (*http.Response, error) {
	h := f[req.URL.Host]
	body := ""
	if req.Body != nil {
		raw, err := io.ReadAll(req.Body)
		if err = errors.Join(err, req.Body.Close()); err != nil {
			return nil, err
		}
		body = string(raw)
		if req.Header.Get("Content-Encoding") == "gzip" {
			body = gunzip(raw)
		}
	}
	if req.URL.Path == "/gateways/ended" {
		return h.hear(req, body)
	}
	isPush := req.Method == http.MethodPost && req.URL.Path == "/metrics"
	isTrial := isPush && req.ContentLength == 0
	isPush = isPush && !isTrial
	what := req.Method
	if isTrial {
		what = "TRIAL"
	}
	h.mu.Lock()
	r := h.next(isPush, isTrial)
	h.requests = append(h.requests, fmt.Sprintf("%s %s %s", time.Since(h.start), what, req.URL.Path))
	h.mu.Unlock()

	if r.after > 0 {
		select {
		case <-time.After(r.after):
		case <-req.Context().Done():
			return nil, context.Cause(req.Context())
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if isPush && r.status == http.StatusOK && !r.alien {
		switch err := parse(body); {
		case err != nil:
			r.status, r.body = http.StatusBadRequest, err.Error()
		case h.poison != "" && strings.Contains(body, h.poison):
			r.status, r.body = http.StatusBadRequest, "line 3: "+h.poison
		case h.crowd != "" && strings.Contains(body, h.crowd):
			r.status, r.body = http.StatusTooManyRequests, "too much of "+h.crowd
			r.header = http.Header{"Retry-After": {"5"}, exposition.ReasonHeader: {"gateway_share"}}
		default:
			h.bodies = append(h.bodies, body)
			h.coded = append(h.coded, req.Header.Get("Content-Encoding"))
			if h.onPush != nil {
				hooks.Lock()
				h.onPush(body)
				hooks.Unlock()
			}
		}
	}
	if r.lost {
		return nil, errors.New("connection reset")
	}
	return r.response(req, h.header), nil
}

// response is a hub's answer, unless it is an alien's.
func (r reply) response(req *http.Request, also http.Header) *http.Response {
	header := http.Header{}
	if !r.alien {
		header.Set(exposition.HubHeader, "edgehub/fake")
		switch r.status {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
			header.Set(exposition.ReasonHeader, "malformed")
		}
	}
	maps.Copy(header, also)
	maps.Copy(header, r.header)
	return &http.Response{
		StatusCode: r.status, Header: header, Request: req,
		Body: io.NopCloser(strings.NewReader(r.body)),
	}
}

// hear answers a request of /gateways/ended. A hub that is dead to pushes and probes is
// dead to these.
func (h *fakeHub) hear(req *http.Request, body string) (*http.Response, error) {
	h.mu.Lock()
	r := h.ended
	if h.probe.err != nil {
		r = h.probe
	}
	h.tells++
	h.mu.Unlock()
	if r.after > 0 {
		select {
		case <-time.After(r.after):
		case <-req.Context().Done():
			return nil, context.Cause(req.Context())
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case r.status != 0:
	case h.poison != "" && strings.Contains(body, h.poison):
		r.status, r.body = http.StatusBadRequest, "line 3: "+h.poison
	default:
		r.status = http.StatusOK
		h.ends = append(h.ends, strings.Split(strings.TrimSuffix(body, "\n"), "\n")...)
	}
	return r.response(req, nil), nil
}

// heard returns what the hub was told of gateways that left it, sorted.
func (h *fakeHub) heard() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(slices.Values(h.ends))
}

func gunzip(b []byte) string {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return err.Error()
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// parse reads a body as prometheus-edge-hub does.
func parse(body string) error {
	p := expfmt.NewTextParser(model.LegacyValidation)
	_, err := p.TextToMetricFamilies(strings.NewReader(body))
	return err
}

// lines returns the samples that the hub took in, in order, without HELP and
// TYPE.
func (h *fakeHub) lines() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return sampleLines(strings.Join(h.bodies, ""))
}

func sampleLines(body string) []string {
	var lines []string
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// pushes returns the bodies that the hub took in.
func (h *fakeHub) pushes() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.bodies)
}

// lastCoding returns the Content-Encoding of the latest push taken in.
func (h *fakeHub) lastCoding() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.coded[len(h.coded)-1]
}

// advertise makes every answer say what request encodings the hub reads.
func (h *fakeHub) advertise(codings ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.header = http.Header{"Accept-Encoding": codings}
}

// asked counts all requests.
func (h *fakeHub) asked() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.requests)
}

// said returns all requests as one text.
func (h *fakeHub) said() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.requests, "\n")
}

// gatewaysOf returns the gateways that samples are of, each once, sorted.
func gatewaysOf(lines []string) []string {
	var all []string
	for _, line := range lines {
		all = append(all, gatewayOf(line))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func gatewayOf(line string) string {
	_, rest, _ := strings.Cut(line, `gatewayID="`)
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

// valueOf returns the value of a sample, a whole number.
func valueOf(line string) int {
	fields := strings.Fields(line)
	value, err := strconv.Atoi(fields[1])
	if err != nil {
		return -1
	}
	return value
}

// pushed counts the requests of the hub that were pushes.
func (h *fakeHub) pushed() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, r := range h.requests {
		if strings.Contains(r, "POST") {
			n++
		}
	}
	return n
}

var (
	noContext = magma.MetricContext{}
	gw        = magma.MetricContext{AdditionalContext: &magma.GatewayMetricContext{NetworkID: "n", GatewayID: "g"}}
)
