package edgehub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/internal/exposition"
)

// far is a network in memory with one server, or what a test says in its place. Time passes in it only where the test lets it.
type far struct {
	handler http.Handler
	before  func(path, body string) (status int, reason string) // answers for the server where the status is not 0; -1 cuts the connection, -2 when the server has answered

	mu    sync.Mutex
	posts int
	most  int // bytes of a body
}

func (f *far) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	text := unpacked(r)
	f.mu.Lock()
	if r.Method == http.MethodPost {
		f.posts++
	}
	f.most = max(f.most, len(text))
	f.mu.Unlock()
	status, reason := 0, ""
	if f.before != nil && r.Method == http.MethodPost {
		status, reason = f.before(r.URL.Path, text)
	}
	w := httptest.NewRecorder()
	switch {
	case status == -1:
		return nil, errors.New("connection refused")
	case status > 0:
		w.Header().Set(exposition.HubHeader, "edgehub/1 far")
		if reason != "" {
			w.Header().Set(exposition.ReasonHeader, reason)
		}
		if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "7")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "in the test's words")
	default:
		f.handler.ServeHTTP(w, r)
	}
	if status == -2 {
		return nil, errors.New("connection reset")
	}
	return w.Result(), nil
}

// unpacked is the body of a request, which can be read again.
func unpacked(r *http.Request) string {
	if r.Body == nil {
		return ""
	}
	packed, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(packed)))
	if r.Header.Get("Content-Encoding") != "gzip" {
		return string(packed)
	}
	zip, err := gzip.NewReader(strings.NewReader(string(packed)))
	if err != nil {
		return err.Error()
	}
	text, _ := io.ReadAll(zip)
	return string(text)
}

// pairOf is a hub that goes away, and another one.
func pairOf(t testing.TB, going, staying Config) (h, other *Hub, way *far) {
	t.Helper()
	other = newHub(t, named(staying, "far"))
	way = &far{handler: other.Handler()}
	going.HandoverClient = &http.Client{Transport: way}
	return newHub(t, named(going, "near")), other, way
}

func named(cfg Config, name string) Config { cfg.Name = name; return cfg }

// sample is one with its value to the bit, markers aside, as text has one NaN.
type sample struct {
	series string
	time   int64
	bits   uint64
}

// held is how often a hub holds samples that some scraper may not have got, but for its own.
func held(h *Hub) map[sample]int {
	all := map[sample]int{}
	for text, p := range h.Pending() {
		if !samples.IsMarker(p.Value) && !strings.HasPrefix(text, firstSample) {
			if p.Value != p.Value {
				p.Value = math.NaN()
			}
			all[sample{text, p.Time, math.Float64bits(p.Value)}]++
		}
	}
	return all
}

// reports are pushes of a fleet, one a gateway and time, with all kinds of values and names.
func reports(rnd *rand.Rand, gateways, times int, from int64) (all []string) {
	values := []float64{0, math.Copysign(0, -1), 1, -1.5, 0.1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, 5e-324, 1e22, 123456789.125}
	for i := range times {
		for g := range gateways {
			var b strings.Builder
			b.WriteString("# HELP h How \\\\ \\n long.\n# TYPE h histogram\n")
			label := fmt.Sprintf(`gatewayID="gw-%d"`, g)
			if g == 0 {
				label = `host="none"`
			}
			ms := from + int64(i)*1000 + int64(g)
			for j, le := range []string{"0.5", "+Inf"} {
				fmt.Fprintf(&b, "h_bucket{%s,le=%q} %d %d\n", label, le, i+j, ms)
			}
			fmt.Fprintf(&b, "h_sum{%s} %v %d\nh_count{%s} %d %d\n", label, rnd.Float64(), ms, label, i+1, ms)
			fmt.Fprintf(&b, "# TYPE t counter\nt{%s} %d %d\n", label, i, ms)
			fmt.Fprintf(&b, "u{%s,l=\"a\\\\b\\\"c\\n\"} %v %d\n{\"ü.x\",%s} %v %d\n", label, values[rnd.IntN(len(values))], ms, label, values[rnd.IntN(len(values))], ms)
			all = append(all, b.String())
		}
	}
	return all
}

func pushAll(t testing.TB, h *Hub, bodies []string) {
	t.Helper()
	for _, b := range bodies {
		_, err := h.Push(context.Background(), Text, []byte(b))
		require.NoError(t, err)
	}
}

// scrapeOf has a scraper take what there is, or just some of it.
func scrapeOf(t testing.TB, h *Hub, query string) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/metrics?"+query, nil)
	r.Header.Set(scrapeTimeout, "10")
	h.Handler().ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code)
}

// account checks that what a hub took in is passed by each cursor for a reason, or waits.
func account(t testing.TB, h *Hub) {
	t.Helper()
	s := h.Stats()
	waits := 0
	for _, l := range h.store.Log.Lags() {
		require.Equal(t, 1, l.Parts)
		waits += l.Samples
	}
	assert.Equal(t, len(h.cfg.Cursors)*int(s.Received+s.FirstSamples+s.Markers), int(s.Scraped+s.HandedOver+s.LeftBehind)+waits, "%+v", s)
}
