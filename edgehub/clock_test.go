package edgehub

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Where a server is to be asked its clock tells what is too old and what too far ahead, whatever the hub's is set to: it is
// the server that takes a sample or not. A hub whose clock is wrong would drop all that it has.
func TestTheServersClockTellsWhatIsOfTheWrongTime(t *testing.T) {
	const hour = int64(time.Hour / time.Millisecond)
	for name, ahead := range map[string]time.Duration{"ahead": 3 * time.Hour, "behind": -3 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			store := &receiptStore{}
			prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
				store.ServeHTTP(w, r)
			}))
			t.Cleanup(prometheus.Close)
			s := serve(t, Config{MaxAge: time.Hour, MaxAhead: time.Hour, Servers: map[string]Server{"": {URL: prometheus.URL}}})
			there := ahead.Milliseconds()
			s.push(at("x", 1, 0) + at("x", 2, there-2*hour) + at("x", 3, there) + at("x", 4, there+2*hour))
			text := s.scrape()
			assert.Contains(t, text, at("x", 3, there))
			for _, wrong := range []string{at("x", 1, 0), at("x", 2, there-2*hour), at("x", 4, there+2*hour)} {
				assert.NotContains(t, text, wrong)
			}
			match := regexp.MustCompile(`edgehub_server_clock_ahead_seconds\{cursor=""\} (\S+)`).FindStringSubmatch(s.get("/internal"))
			require.NotNil(t, match)
			by, err := strconv.ParseFloat(match[1], 64)
			require.NoError(t, err)
			assert.InDelta(t, ahead.Seconds(), by, 5)
		})
	}
}

// A server that does not say what time it is leaves it to the hub's clock.
func TestServerWithoutAClock(t *testing.T) {
	prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Date"] = nil
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(prometheus.Close)
	s := serve(t, Config{MaxAge: time.Hour, Servers: map[string]Server{"": {URL: prometheus.URL}}})
	s.push(at("x", 1, -2*int64(time.Hour/time.Millisecond)) + at("x", 2, 0))
	text := s.scrape()
	assert.Contains(t, text, at("x", 2, 0))
	assert.NotContains(t, text, "x 1 ")
}
