package compare

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub"
)

// scraped returns what a hub that was pushed a body gives a Prometheus. A server
// that asks for UTF-8 names gets them.
func scraped(t require.TestingT, utf8 bool, bodies ...[]byte) []byte {
	// Samples of any time are to be seen, so no age is too high.
	hub, err := edgehub.New(edgehub.Config{Logger: slog.New(slog.DiscardHandler), NoFirstSamples: true, MaxAge: time.Since(time.Unix(0, 0))})
	require.NoError(t, err)
	handler := hub.Handler()
	for _, body := range bodies {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/metrics", bytes.NewReader(body)))
	}
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "10")
	if utf8 {
		r.Header.Set("Accept", "text/plain;version=0.0.4;escaping=allow-utf-8")
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, r)
	require.Equal(t, http.StatusOK, answer.Code)
	require.Zero(t, hub.Stats().Pending)
	return answer.Body.Bytes()
}

// Whatever two senders push, the next scrape parses in Prometheus, each series is
// together, its times ascend, and a server that knows only classic names sees no others.
func FuzzScrape(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed), []byte("x 1\n"))
	}
	f.Add([]byte("x 1 5\nx 2 3\nx 3 5\n"), []byte("# TYPE x gauge\n{\"x\"} 4\n{\"a.b\",\"c.d\"=\"e\"} 1\n"))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		for _, utf8 := range []bool{false, true} {
			text := scraped(t, utf8, one, two)
			if !utf8 {
				requireClassicNames(t, text)
			}
			samples, err := theirs(text)
			require.NoError(t, err, "%q", text)
			requireOrder(t, samples)
		}
	})
}

// requireOrder checks that the samples of a series follow each other and ascend.
func requireOrder(t require.TestingT, samples []sample) {
	seen := map[string]bool{}
	var last sample
	for _, s := range samples {
		if s.metadata != "" {
			continue
		}
		require.True(t, s.timed, "%s has no time", s.labels)
		if s.labels == last.labels {
			require.Greater(t, s.ms, last.ms, s.labels)
		} else {
			require.NotContains(t, seen, s.labels)
		}
		seen[s.labels] = true
		last = s
	}
}
