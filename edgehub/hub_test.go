package edgehub

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hubring/hubring/edgehub/internal/samples"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a hub that is served on loopback, and one client's connection to it.
type server struct {
	*Hub
	t      testing.TB
	http   *http.Server
	url    string
	client *http.Client
}

const scrapeTimeout = "X-Prometheus-Scrape-Timeout-Seconds"

// newHub makes a hub that writes nothing of its own but markers, so that what comes out is what a
// test pushed.
func newHub(t testing.TB, cfg Config) *Hub {
	t.Helper()
	cfg.NoFirstSamples = true
	return newWholeHub(t, cfg)
}

// newWholeHub makes a hub as it is by default.
func newWholeHub(t testing.TB, cfg Config) *Hub {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	h, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { h.Close(ended()) })
	return h
}

// ended is a context that has ended: nothing is waited for.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func serve(t testing.TB, cfg Config) *server {
	t.Helper()
	return serveHub(t, newHub(t, cfg))
}

func serveHub(t testing.TB, h *Hub) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &server{
		Hub: h, t: t, http: h.HTTPServer(), url: "http://" + listener.Addr().String(),
		// One connection: the hub has seen the end of a response before it
		// reads the next request. Compression is each test's own business.
		client: &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1, DisableCompression: true}},
	}
	done := make(chan error, 1)
	go func() { done <- s.http.Serve(h.Listener(listener)) }()
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		s.http.Close()
		assert.ErrorIs(t, <-done, http.ErrServerClosed)
	})
	return s
}

// do sends a request and returns the answer with its body read.
func (s *server) do(method, path, body string, headers ...string) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	answer, err := s.client.Do(r)
	require.NoError(s.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(s.t, err)
	return answer, string(text)
}

func (s *server) push(body string) {
	s.t.Helper()
	answer, text := s.do("POST", "/metrics", body)
	require.Equal(s.t, http.StatusOK, answer.StatusCode, text)
}

func (s *server) get(path string) string {
	s.t.Helper()
	answer, text := s.do("GET", path, "")
	require.Equal(s.t, http.StatusOK, answer.StatusCode, text)
	return text
}

// scrape does what a Prometheus does.
func (s *server) scrape() string {
	s.t.Helper()
	answer, text := s.do("GET", "/metrics", "", scrapeTimeout, "10")
	require.Equal(s.t, http.StatusOK, answer.StatusCode, text)
	return text
}

// confirm ends the client's connection in order, as who has read everything, and waits until the
// hub knows.
func (s *server) confirm() {
	s.t.Helper()
	s.client.CloseIdleConnections()
	require.Eventually(s.t, func() bool { return s.Stats().Unsure == 0 }, 10*time.Second, time.Millisecond)
}

// at is a sample line with a time near now, so many milliseconds after base.
func at(series string, value any, ms int64) string {
	return fmt.Sprintf("%s %v %d\n", series, value, base+ms)
}

var base = time.Now().UnixMilli() - 60_000

// fleet is the body of a push with the same series for each gateway.
func fleet(gateways, series int, ms int64) []byte {
	var b bytes.Buffer
	for f := range series {
		fmt.Fprintf(&b, "# HELP gateway_metric_%d_total What gateways count.\n# TYPE gateway_metric_%d_total counter\n", f, f)
		for g := range gateways {
			fmt.Fprintf(&b, "gateway_metric_%d_total{gatewayID=\"gw%04d\",networkID=\"net1\",service=\"mme\"} %d %d\n", f, g, f*g, ms)
		}
	}
	return b.Bytes()
}

func TestNewReportsEveryFault(t *testing.T) {
	_, err := New(Config{MaxSamples: -1, MaxAge: -1, Cursors: []string{"a", "a", ""}})
	for _, want := range []string{"MaxSamples is -1", "MaxAge is -1", `cursor "a" is named twice`, "each needs a name"} {
		assert.ErrorContains(t, err, want)
	}
}

func TestTwoHubsOnOneRegistryAreAnError(t *testing.T) {
	h := newHub(t, Config{})
	_, err := New(Config{Registerer: h.cfg.Registerer})
	assert.ErrorContains(t, err, "register the hub's metrics")
}

func TestPages(t *testing.T) {
	s := serve(t, Config{})
	s.push("x 1\n")
	assert.Contains(t, s.get("/"), "<title>edgehub</title>")
	assert.Equal(t, "edgehub is healthy.\n", s.get("/-/healthy"))
	assert.Equal(t, "edgehub is ready.\n", s.get("/-/ready"))
	assert.Contains(t, s.get("/debug"), "pending        1 samples of at most 4000000")
	assert.NotContains(t, s.get("/debug"), "\nx 1 ")
	assert.Contains(t, s.get("/debug?verbose"), "\nx 1 ")
	internal := s.get("/internal")
	assert.Contains(t, internal, "edgehub_samples_received_total 1\n")
	assert.Contains(t, internal, "edgehub_pending_samples 1\n")
	answer, text := s.do("GET", "/nowhere", "")
	assert.Equal(t, http.StatusNotFound, answer.StatusCode)
	assert.Equal(t, "Not Found\n", text)
	answer, _ = s.do("DELETE", "/metrics", "")
	assert.Equal(t, http.StatusMethodNotAllowed, answer.StatusCode)
	assert.Equal(t, 1, s.Stats().Pending, "looking took something")
}

func ingestAt(t testing.TB, h *Hub, body []byte) {
	t.Helper()
	_, err := h.Push(t.Context(), Text, body)
	require.NoError(t, err)
}

// passAll moves the cursors to the end of the log without a scrape.
func passAll(h *Hub) {
	for i := range h.cfg.Cursors {
		pass(h, i, 0, 1)
	}
}

// pass moves one.
func pass(h *Hub, scraper, part, parts int) {
	c, _ := h.store.Log.Cursor(scraper, part, parts)
	v, _ := h.store.Read(c, math.MaxUint64)
	h.store.Log.Take(h.store.Log.Offer(c, v.From, v.To, samples.Tally{Passed: int(v.To - v.From)}))
}

// seriesOf is the number of series of a gateway.
func seriesOf(h *Hub, gateway string) int {
	for _, g := range h.store.Gateways() {
		if g.Name == gateway {
			return g.Series
		}
	}
	return 0
}
