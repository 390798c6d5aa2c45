package exporter

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/exposition"
)

// recorder is a hub behind a real connection.
type recorder struct {
	mu      sync.Mutex
	lines   []string
	types   []string
	answers int // of which every third is an error
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set(exposition.HubHeader, "edgehub/recorder")
	if req.Method == http.MethodGet {
		return // a probe
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	text := string(body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		text = gunzip(body)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	w.Header().Set("Accept-Encoding", "gzip")
	if r.answers++; r.answers%3 == 2 {
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	}
	r.types = append(r.types, req.Method+" "+req.URL.Path+" "+req.Header.Get("Content-Type")+" "+req.UserAgent())
	r.lines = append(r.lines, sampleLines(text)...)
}

// The default transport against real servers, one of which is not there.
func TestOverHTTP(t *testing.T) {
	hub := &recorder{}
	server := httptest.NewServer(http.StripPrefix("/base", hub))
	defer server.Close()
	gone := httptest.NewServer(nil)
	gone.Close()

	e, err := New(Config{
		Hubs:       []Hub{{URL: server.URL + "/base/"}, {URL: gone.URL}},
		BatchBytes: 5_000, BatchWait: 1, MinBackoff: 1, MaxBackoff: 1e6,
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	for value := range 20 {
		require.NoError(t, e.Submit(ctx, reports(value, gateways(50)...)))
	}
	cancel()
	require.NoError(t, <-ended)
	hub.mu.Lock()
	defer hub.mu.Unlock()
	assert.Len(t, hub.lines, 1000)
	inOrder(t, "the hub", hub.lines)
	for _, got := range hub.types {
		assert.Equal(t, "POST /metrics text/plain; version=0.0.4; charset=utf-8 hubring-exporter", got)
	}
}

// roundTripper is a function as an http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// Who has replaced net/http's default transport by something of his own, for traces or
// credentials, has it used for pushes, too.
func TestDefaultTransportOfAnotherType(t *testing.T) {
	hub := &recorder{}
	server := httptest.NewServer(hub)
	defer server.Close()
	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	var asked atomic.Int64
	http.DefaultTransport = roundTripper(func(req *http.Request) (*http.Response, error) {
		asked.Add(1)
		return before.RoundTrip(req)
	})
	e, err := Start(Config{Hubs: []Hub{{URL: server.URL}}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.NoError(t, e.Submit(context.Background(), reports(1, "a")))
	require.NoError(t, e.Close(context.Background()))
	assert.Len(t, hub.lines, 1)
	assert.Positive(t, asked.Load())
	before.(*http.Transport).CloseIdleConnections()
}
