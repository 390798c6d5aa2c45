package receipt

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// server answers as a Prometheus does, and asker asks it.
func server(t *testing.T, answer http.HandlerFunc) (s *httptest.Server, a *Asker) {
	t.Helper()
	s = httptest.NewServer(answer)
	t.Cleanup(s.Close)
	a, err := NewAsker(s.URL, s.Client(), 0)
	require.NoError(t, err)
	return s, a
}

// says answers with a status and a body.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// stored is what Prometheus 3.15 answered for receipts of two targets, one of which failed in between.
const stored = `{"status":"success","data":{"resultType":"matrix","result":[` +
	`{"metric":{"__name__":"edgehub_receipt","cursor":"a","instance":"127.0.0.1:19991","job":"ok","part":"2/10"},` +
	`"values":[[1796021832.852,"1796021832885036"],[1796021833.852,"1796021833855156"],[1796021836.852,"1796021836854670"]]},` +
	`{"metric":{"__name__":"edgehub_receipt","cursor":"a","job":"other","part":"2/10"},` +
	`"values":[[1796021834.852,"1796021834857315"],[1796021836.852,"1796021836854670"],[1796021837,"NaN"]]}]}}`

const nothing = `{"status":"success","data":{"resultType":"matrix","result":[]}}`

func TestSeen(t *testing.T) {
	var asked *http.Request
	answer := stored
	_, a := server(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r
		says(http.StatusOK, answer)(w, r)
	})
	l := Labels{"a", "2/10"}
	seen, err := a.Seen(t.Context(), l, time.Now().Add(-30*time.Second))
	require.NoError(t, err)
	assert.Equal(t, []Number{1796021832885036, 1796021833855156, 1796021834857315, 1796021836854670}, seen)
	assert.Equal(t, "/api/v1/query", asked.URL.Path)
	assert.Regexp(t, `^edgehub_receipt\{cursor="a",part="2/10"\}\[4[0-9]s\]$`, asked.FormValue("query"), "it asks for a little more")
	assert.Empty(t, asked.FormValue("time"), "the server's clock counts")

	answer = nothing
	seen, err = a.Seen(t.Context(), l, time.Now().Add(time.Hour))
	require.NoError(t, err)
	assert.Empty(t, seen)
	assert.Equal(t, `edgehub_receipt{cursor="a",part="2/10"}[10s]`, asked.FormValue("query"))
}

func TestPathPrefix(t *testing.T) {
	for _, prefix := range []string{"", "/", "/prometheus", "/prometheus/"} {
		path := ""
		s, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
			path = r.URL.Path
			says(http.StatusOK, nothing)(w, r)
		})
		a, err := NewAsker(s.URL+prefix, s.Client(), 0)
		require.NoError(t, err)
		_, err = a.Seen(t.Context(), Labels{}, time.Now())
		require.NoError(t, err)
		assert.Equal(t, strings.TrimSuffix(prefix, "/")+"/api/v1/query", path)
	}
}

func TestURLsThatAreNone(t *testing.T) {
	for _, bad := range []string{"", "localhost:9090", "ftp://x", "http://", "http://x?y=z", "http://x#y", "http://[", "http://user:secret@x?y"} {
		_, err := NewAsker(bad, nil, 0)
		require.Error(t, err, bad)
		assert.NotContains(t, err.Error(), "secret")
	}
}

func TestHas(t *testing.T) {
	var asked *http.Request
	_, a := server(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r
		says(http.StatusOK, `{"status":"success","data":{"resultType":"matrix","result":[`+
			`{"metric":{"__name__":"x"},"values":[[1796021832.851,"4"],[1796021832.852,"0.1"]]},`+
			`{"metric":{"__name__":"x","a":"b"},"values":[[1796021832.001,"NaN"]]}]}}`)(w, r)
	})
	check := func(ms int64, value float64, want bool) {
		t.Helper()
		has, err := a.Has(t.Context(), `x{a="b"}`, ms, value)
		require.NoError(t, err)
		assert.Equal(t, want, has)
	}
	check(1796021832852, 0.1, true)
	assert.Equal(t, `x{a="b"}[1s]`, asked.FormValue("query"))
	assert.Equal(t, "1796021832.852", asked.FormValue("time"))
	check(1796021832852, 4, false)
	check(1796021832853, 0.1, false)
	check(1796021832001, math.NaN(), true)
	assert.Equal(t, "1796021832.001", asked.FormValue("time"))
}

// Answers that will stay as they are, and such as may pass.
func TestAnswersThatAreNone(t *testing.T) {
	cases := []struct {
		name   string
		answer http.HandlerFunc
		never  bool
		says   string
	}{
		{"an agent", says(http.StatusUnprocessableEntity, `{"status":"error","errorType":"execution","error":"unavailable with Prometheus Agent"}`), true, "unavailable with Prometheus Agent"},
		{"credentials", says(http.StatusUnauthorized, "Unauthorized\n"), true, "401 Unauthorized: Unauthorized"},
		{"forbidden", says(http.StatusForbidden, ""), true, "403 Forbidden"},
		{"not a server", says(http.StatusNotFound, "404 page not found\n"), true, "404 page not found"},
		{"method", says(http.StatusMethodNotAllowed, ""), true, "405"},
		{"a server that starts", says(http.StatusServiceUnavailable, "Service Unavailable"), false, "503"},
		{"too many", says(http.StatusTooManyRequests, ""), false, "429"},
		{"slow", says(http.StatusRequestTimeout, ""), false, "408"},
		{"a broken proxy", says(http.StatusBadGateway, "<html>"), false, "502 Bad Gateway: <html>"},
		{"not JSON", says(http.StatusOK, "<html>\n<body>"), false, "<html> <body>"},
		{"another answer", says(http.StatusOK, `{"status":"success","data":{"resultType":"vector","result":[]}}`), false, `"vector"`},
		{"an error with 200", says(http.StatusOK, `{"status":"error","error":"x"}`), false, `"error"`},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, nothing)
		}, false, "unexpected EOF"},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			for w.(http.Flusher) != nil {
				if _, err := fmt.Fprint(w, strings.Repeat(" ", 1<<16)); err != nil {
					return
				}
			}
		}, false, "more than 1048576 bytes"},
		{"long words", says(http.StatusBadGateway, strings.Repeat("ä", 5000)), false, "…"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, a := server(t, c.answer)
			_, err := a.Seen(t.Context(), Labels{}, time.Now())
			require.Error(t, err)
			assert.Equal(t, c.never, errors.Is(err, ErrNoQueries), err)
			assert.Contains(t, err.Error(), c.says)
			assert.Less(t, len(err.Error()), 500)
		})
	}
}

// gone is how a client reaches a server that is not there.
type gone struct{}

func (gone) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("connection refused")
}

// A server that is gone may come back, and what is said of it holds no password.
func TestNoServer(t *testing.T) {
	a, err := NewAsker("http://user:secret@server:9090/path", &http.Client{Transport: gone{}}, 0)
	require.NoError(t, err)
	for _, ask := range []func() error{
		func() error { _, err := a.Seen(t.Context(), Labels{}, time.Now()); return err },
		func() error { _, err := a.Why(t.Context(), "hub:9091", "/metrics"); return err },
	} {
		err := ask()
		require.ErrorContains(t, err, "connection refused")
		assert.NotErrorIs(t, err, ErrNoQueries)
		assert.NotContains(t, err.Error(), "secret")
	}
}

func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	defer close(release)
	a, err := NewAsker(s.URL, nil, 20*time.Millisecond)
	require.NoError(t, err)
	_, err = a.Seen(t.Context(), Labels{}, time.Now())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.NotErrorIs(t, err, ErrNoQueries)
}

// credentials puts a password on every request, as a client for a server with one does.
type credentials struct{ http.RoundTripper }

func (c credentials) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.SetBasicAuth("hub", "secret")
	return c.RoundTripper.RoundTrip(r)
}

// Whoever redirects does not learn the password of whom else the hub asks.
func TestRedirects(t *testing.T) {
	asked := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer elsewhere.Close()
	to := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/here" {
			says(http.StatusOK, nothing)(w, r)
			return
		}
		http.Redirect(w, r, to, http.StatusFound)
	}))
	defer s.Close()
	a, err := NewAsker(s.URL, &http.Client{Transport: credentials{http.DefaultTransport}}, 0)
	require.NoError(t, err)

	to = "/here"
	_, err = a.Seen(t.Context(), Labels{}, time.Now())
	require.NoError(t, err)
	to = elsewhere.URL
	_, err = a.Seen(t.Context(), Labels{}, time.Now())
	require.ErrorIs(t, err, ErrNoQueries)
	assert.Contains(t, err.Error(), elsewhere.URL)
	assert.Zero(t, asked)
	to = "/api/v1/query"
	_, err = a.Seen(t.Context(), Labels{}, time.Now())
	require.ErrorIs(t, err, ErrNoQueries, "round and round")
}

// The connection is kept from question to question.
func TestConnectionIsKept(t *testing.T) {
	clients := make(map[string]bool)
	_, a := server(t, func(w http.ResponseWriter, r *http.Request) {
		clients[r.RemoteAddr] = true
		says(http.StatusOK, stored+"\n")(w, r)
	})
	for range 5 {
		_, err := a.Seen(t.Context(), Labels{}, time.Now())
		require.NoError(t, err)
	}
	assert.Len(t, clients, 1)
}
