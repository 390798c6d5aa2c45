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

	"github.com/hubring/hubring/internal/bubble"
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

// pushgateway answers as Pushgateway 1.11.3 does, without its consistency check: it takes samples with
// timestamps, and throws them away.
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
	for url, delivered := range map[string]bool{edgeHub.URL: true, gateway.URL + "/metrics/job": false, gateway.URL: false} {
		err := deliver(t, url, HubsAndOthers, submit)
		assert.Equal(t, delivered, err == nil, "%s: %v", url, err)
		assert.Error(t, deliver(t, url, HubsOnly, submit), "no hub")
	}
}

// A receiver that does not know of gateways that left is asked again much later; it is not
// at fault.
func TestOtherReceiversAreNotTold(t *testing.T) {
	missing := reply{status: 404, alien: true, body: `{"message":"Not Found"}`, header: http.Header{"Content-Type": {"application/json; charset=UTF-8"}}}
	virtual(t, func(t *testing.T) { isNotTold(t, missing) })
}

func isNotTold(t *testing.T, missing reply) {
	t.Helper()
	f := newFleet(2)
	h := start(t, f, func(c *Config) { c.Receivers = HubsAndOthers })
	gateway := homeOf(t, h.e, "hub-0")
	h.submit(1, gateway)
	bubble.Pass(time.Second)
	f["hub-0"].kill()
	h.submit(2, gateway)
	bubble.Pass(time.Second)
	f["hub-0"].answer(reply{}, missing)
	f["hub-0"].mu.Lock()
	f["hub-0"].ended = missing
	f["hub-0"].mu.Unlock()
	bubble.Pass(2 * time.Minute)
	assert.Equal(t, 1, h.count("ends_total", "unsupported"))
	assert.Equal(t, 2, h.count("hub_up"))
	assert.Equal(t, "hubs_and_others", asJSON(t, h.e, "").Config.Receivers)
	require.NoError(t, h.stop())
}
