package exporter

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/bubble"
	"github.com/hubring/hubring/internal/exposition"
	"github.com/hubring/hubring/internal/logtest"
)

// strangers are answers of those who are at a hub's address and are none.
var strangers = map[string]reply{
	"a page":                {body: "<!DOCTYPE html>\n<title>Log in</title>", header: http.Header{"Content-Type": {"text/html"}, "Server": {"nginx"}}},
	"metrics":               {body: "# TYPE go_goroutines gauge\ngo_goroutines 7\n", header: http.Header{"Content-Type": {"text/plain; version=0.0.4"}}},
	"nothing":               {},
	"no content":            {status: 204},
	"accepted":              {status: 202},
	"a redirect":            {status: 302, header: http.Header{"Location": {"https://login.example.com/"}}},
	"a server that has TLS": {status: 400, body: "Client sent an HTTP request to an HTTPS server.\n"},
	"a proxy's bound":       {status: 413, body: "<h1>413 Request Entity Too Large</h1>"},
	"unprocessable":         {status: 422},
	"a proxy's pace":        {status: 429, header: http.Header{exposition.ReasonHeader: {"gateway_series"}}},
	"unauthorized":          {status: 401},
	"another header":        {header: http.Header{exposition.HubHeader: {"nginx/1.27"}}},
}

// What is no hub gets no gateway's samples for good, and drops none.
func TestStrangerInAHubsPlace(t *testing.T) {
	for name, answer := range strangers {
		t.Run(name, func(t *testing.T) {
			answer.alien = true
			virtual(t, func(t *testing.T) {
				f := newFleet(2)
				f["hub-1"].answer(answer, answer)
				f["hub-1"].ended = answer
				h := start(t, f)
				h.submit(1, gateways(20)...)
				bubble.Pass(time.Second)
				assert.Equal(t, 20, h.count("samples_delivered_total", "hub-0"))
				assert.Len(t, f["hub-0"].lines(), 20)
				assert.Equal(t, 0, h.count("hub_up", "hub-1"))
				assert.Contains(t, h.log.String(), "Hub is down, its samples move on")
				assert.Contains(t, h.log.String(), "not a hub's answer: status")
				hub := asJSON(t, h.e, "").Hubs[1]
				assert.Contains(t, hub.LastError, "not a hub's answer: status ")
				assert.Contains(t, hub.LastError, strings.TrimSpace(answer.body))
				assert.Contains(t, hub.LastError, answer.header.Get("Server"))
				bubble.Pass(time.Minute)
				assert.Equal(t, 0, h.count("hub_up", "hub-1"), "steadily")
				h.submit(2, gateways(20)...)
				bubble.Pass(time.Second)
				assert.Equal(t, 40, h.count("samples_delivered_total", "hub-0"))
				f["hub-1"].revive()
				bubble.Pass(10 * time.Second)
				assert.Equal(t, 1, h.count("hub_up", "hub-1"))
				h.submit(3, gateways(20)...)
				require.NoError(t, h.stop())
				assert.NotEmpty(t, f["hub-1"].lines())
				assert.Equal(t, 60, h.count("samples_delivered_total"))
				assert.Zero(t, h.count("samples_dropped_total"))
				h.balanced()
			})
		})
	}
}

// A hub that got TLS, while this exporter says http:// still, loses no sample.
func TestHubWithTLS(t *testing.T) {
	secured := httptest.NewUnstartedServer(&recorder{})
	secured.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	secured.StartTLS()
	defer secured.Close()
	hub := &recorder{}
	plain := httptest.NewServer(hub)
	defer plain.Close()
	log := &logtest.Buffer{}
	e, err := New(Config{
		Hubs:       []Hub{{URL: "http://" + secured.Listener.Addr().String()}, {URL: plain.URL}},
		MinBackoff: 1, MaxBackoff: 1e6, Logger: log.Logger(),
	})
	require.NoError(t, err)
	require.NoError(t, e.Submit(context.Background(), reports(1, gateways(50)...)))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, e.Run(ctx))
	hub.mu.Lock()
	defer hub.mu.Unlock()
	assert.Len(t, hub.lines, 50)
	assert.Contains(t, log.String(), "not a hub's answer: status 400: Client sent an HTTP request to an HTTPS server.")
}

// A hub that calls itself otherwise has the samples, and people are told.
func TestHubWithAnotherName(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		says := func(name string) {
			f["hub-0"].mu.Lock()
			defer f["hub-0"].mu.Unlock()
			f["hub-0"].header = http.Header{exposition.HubHeader: {"edgehub/1 " + name}}
		}
		h := start(t, f)
		home := homeOf(t, h.e, "hub-0")
		submit := func(n int, want string) {
			t.Helper()
			h.submit(n, home)
			bubble.Pass(time.Second)
			assert.Equal(t, n, h.count("samples_delivered_total", "hub-0"))
			assert.Equal(t, want, asJSON(t, h.e, "").Hubs[0].CallsItself)
			assert.Empty(t, asJSON(t, h.e, "").Hubs[1].CallsItself)
		}
		submit(1, "")
		says("hub-0")
		submit(2, "")
		says("hub-<1>")
		submit(3, "hub-<1>")
		assert.Contains(t, asPage(t, h.e, ""), "calls itself hub-<1>")
		says("hub-0")
		submit(4, "")
		says("hub-2")
		submit(5, "hub-2")
		require.NoError(t, h.stop())
		assert.Equal(t, 1, strings.Count(h.log.String(), "calls itself by another name"), "once")
		assert.Contains(t, h.log.String(), "hub=hub-0 calls_itself=hub-<1>")
	})
}

// Whoever is in a hub's place and does not know of gateways that left says nothing about the
// hub: it is told when it is back.
func TestStrangerIsNoHubThatCannotBeTold(t *testing.T) {
	for _, status := range []int{404, 405, 501, 400, 200} {
		virtual(t, func(t *testing.T) {
			f := newFleet(2)
			h := start(t, f)
			gateway := homeOf(t, h.e, "hub-0")
			h.submit(1, gateway)
			bubble.Pass(time.Second)
			f["hub-0"].answer(dead, reply{status: 404, alien: true})
			f["hub-0"].ended = reply{status: status, alien: true}
			h.submit(2, gateway)
			bubble.Pass(time.Minute)
			assert.Empty(t, f["hub-0"].heard())
			f["hub-0"].revive()
			bubble.Pass(2 * time.Minute)
			assert.Len(t, f["hub-0"].heard(), 1)
			assert.Zero(t, h.count("ends_total", "unsupported"))
			assert.Equal(t, 1, h.count("ends_total", "told"))
			require.NoError(t, h.stop())
		})
	}
}

// A redirect is not followed, by pushes nor by probes: it leads to somebody else.
func TestRedirectsAreNotFollowed(t *testing.T) {
	hub := &recorder{}
	other := httptest.NewServer(hub)
	defer other.Close()
	asked := make(chan string, 3)
	moved := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case asked <- r.Method + " " + r.URL.Path:
		default:
		}
		w.Header().Set(exposition.HubHeader, "edgehub/1")
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer moved.Close()
	e, err := New(Config{
		Hubs: []Hub{{URL: moved.URL}}, MinBackoff: 1, MaxBackoff: 1, FlushTimeout: 1, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	require.NoError(t, e.Submit(context.Background(), reports(1, "a")))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	assert.Equal(t, "POST /metrics", <-asked)
	assert.Equal(t, "GET /-/ready", <-asked)
	assert.Equal(t, "GET /-/ready", <-asked, "still down")
	hub.mu.Lock()
	assert.Empty(t, hub.types)
	hub.mu.Unlock()
	assert.Contains(t, e.Status().Hubs[0].LastError, "status 307")
	cancel()
	require.Error(t, <-ended)
}
