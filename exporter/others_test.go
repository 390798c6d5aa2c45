package exporter

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/exposition"
)

// oldHub answers as prometheus-edge-hub 1.1.0 does.
type oldHub struct {
	mu    sync.Mutex
	lines []string
	fail  int // so many pushes are answered 406, as by a full one
}

func (o *oldHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	text := string(body)
	w.Header()["Date"] = nil
	switch err := parse(text); {
	case r.Method != http.MethodPost || r.URL.Path != "/metrics":
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "{\"message\":\"Not Found\"}\n")
	case err != nil:
		w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, "error parsing metrics: "+err.Error())
	case o.fail > 0:
		o.fail--
		w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
		w.WriteHeader(http.StatusNotAcceptable)
	default:
		o.lines = append(o.lines, sampleLines(text)...)
		w.WriteHeader(http.StatusOK)
	}
}

// pushgateway answers as Pushgateway 1.11.3 does, without its consistency check.
func pushgateway(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch err := parse(string(body)); {
	case !strings.HasPrefix(r.URL.Path, "/metrics/job/"):
		http.NotFound(w, r)
	case r.Method == http.MethodGet:
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

// deliver runs an exporter until what was submitted is sent, or 300 ms are over.
func deliver(t *testing.T, url string, from Receivers, submit func(e *Exporter)) error {
	t.Helper()
	e, err := New(Config{
		Hubs: []Hub{{URL: url}}, Receivers: from, MinBackoff: 1, MaxBackoff: 1e6, FlushTimeout: 300 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	submit(e)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return e.Run(ctx)
}

// Receivers that are no hubs are believed if the config says so. A full one gets its
// samples later.
func TestOtherReceivers(t *testing.T) {
	submit := func(e *Exporter) {
		require.NoError(t, e.Submit(context.Background(), reports(1, gateways(20)...)))
	}
	old := &oldHub{fail: 2}
	edgeHub := httptest.NewServer(old)
	defer edgeHub.Close()
	gateway := httptest.NewServer(http.HandlerFunc(pushgateway))
	defer gateway.Close()
	for url, delivered := range map[string]bool{edgeHub.URL: true, gateway.URL + "/metrics/job": true, gateway.URL: false} {
		err := deliver(t, url, HubsAndOthers, submit)
		assert.Equal(t, delivered, err == nil, "%s: %v", url, err)
		assert.Error(t, deliver(t, url, HubsOnly, submit), "no hub")
	}
}

func TestJudgeOthers(t *testing.T) {
	const plain, upper = "text/plain; charset=utf-8", "text/plain; charset=UTF-8"
	is := func(want outcome, probe, compressed bool, status int, contentType, text string, length int64) {
		t.Helper()
		h := http.Header{}
		if contentType != "" {
			h.Set("Content-Type", contentType)
		}
		res, ok := judgeOther(&answer{status: status, header: h, text: text, length: length}, probe, compressed)
		if want == tryNext && !ok {
			return
		}
		assert.Equal(t, want, res.outcome, "%d %s %s", status, contentType, text)
		assert.True(t, res.known)
	}
	is(delivered, false, false, 200, "", "", 0)
	is(delivered, false, true, 200, "", "", 0)
	is(delivered, false, false, 202, "", "", 0)
	is(tryNext, false, false, 204, "", "", 0)
	is(tryNext, false, false, 201, "", "", 0)
	is(tryNext, false, false, 200, "text/html", "", 0)
	is(tryNext, false, false, 200, "", "", -1)
	is(tryNext, false, false, 200, "", "hello", 5)

	is(refused, false, false, 400, upper, "error parsing metrics: text format parsing error in line 1: no", 60)
	is(refused, false, false, 400, plain, "text format parsing error in line 1: no", 40)
	is(refused, false, false, 400, plain, "pushed metrics are invalid or inconsistent with existing metrics: pushed metrics must not have timestamps", 106)
	is(resendPlain, false, true, 400, upper, "error parsing metrics: text format parsing error in line 1: invalid metric name", 79)
	is(tryNext, false, false, 400, "", "Client sent an HTTP request to an HTTPS server.", 48)
	is(tryNext, false, false, 400, plain, "400 Bad Request", 15)
	is(tryNext, false, false, 400, "text/html", "error parsing metrics: x", 24)
	is(tryNext, false, false, 413, plain, "error parsing metrics: x", 24)
	is(tryNext, false, false, 404, "application/json; charset=UTF-8", `{"message":"Not Found"}`, 24)

	is(delivered, true, false, 404, "application/json; charset=UTF-8", `{"message":"Not Found"}`, 24)
	is(delivered, true, false, 405, plain, "Method Not Allowed", 19)
	is(tryNext, false, false, 405, plain, "Method Not Allowed", 19)
	is(tryNext, false, false, 400, plain, `odd number of components in label string "/ended"`, 50)
	is(delivered, true, false, 200, plain, "OK", 2)
	is(tryNext, true, false, 200, "", "", 0)
	is(tryNext, true, false, 404, plain, "404 page not found", 19)
	is(tryNext, true, false, 401, plain, "Unauthorized", 12)
}

// A receiver that does not know of gateways that left is asked again much later; it is not
// at fault.
func TestOtherReceiversAreNotTold(t *testing.T) {
	missing := reply{status: 404, alien: true, body: `{"message":"Not Found"}`, header: http.Header{"Content-Type": {"application/json; charset=UTF-8"}}}
	odd := reply{status: 400, alien: true, body: `odd number of components in label string "/ended"`, header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}}
	for _, ended := range []reply{missing, odd} {
		virtual(t, func(t *testing.T) { isNotTold(t, missing, ended) })
	}
}

func isNotTold(t *testing.T, missing, ended reply) {
	t.Helper()
	f := newFleet(2)
	h := start(t, f, func(c *Config) { c.Receivers = HubsAndOthers })
	gateway := homeOf(t, h.e, "hub-0")
	h.submit(1, gateway)
	pass(time.Second)
	f["hub-0"].kill()
	h.submit(2, gateway)
	pass(time.Second)
	f["hub-0"].answer(reply{}, missing)
	f["hub-0"].mu.Lock()
	f["hub-0"].ended = ended
	f["hub-0"].mu.Unlock()
	pass(2 * time.Minute)
	assert.Equal(t, 1, h.count("ends_total", "unsupported"))
	assert.Equal(t, 2, h.count("hub_up"))
	assert.Equal(t, "hubs_and_others", asJSON(t, h.e, "").Config.Receivers)
	require.NoError(t, h.stop())
}

// With others let in, hubs are hubs, and strangers are none of either.
func TestStrangersAreNoOtherReceivers(t *testing.T) {
	for name, a := range strangers {
		if a.status == http.StatusAccepted || name == "nothing" || a.header.Get(exposition.HubHeader) != "" {
			continue // to the letter what those say
		}
		a.alien = true
		req := httptest.NewRequest(http.MethodPost, "/metrics", strings.NewReader(""))
		if a.status == 0 {
			a.status = http.StatusOK
		}
		for _, probe := range []bool{false, true} {
			_, ok := judgeOther(answerOf(a.response(req, nil)), probe, false)
			assert.False(t, ok, name)
		}
	}
}
