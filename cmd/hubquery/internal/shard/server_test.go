package shard

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/cmd/hubquery/internal/servertest"
)

func newSet(t *testing.T, configs ...Config) (*Set, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	set, err := New(config.DefaultHTTPClientConfig, reg, promslog.NewNopLogger())
	require.NoError(t, err)
	require.NoError(t, set.Use(configs))
	return set, reg
}

// oneShard is a shard whose server is a function.
func oneShard(t *testing.T, serve http.HandlerFunc) (*Shard, *prometheus.Registry) {
	t.Helper()
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	set, reg := newSet(t, Config{Name: "0", Servers: []string{server.URL}, Kind: Prometheus})
	return set.All()[0], reg
}

var instant = Query{Expr: "up", Start: 1000}

// What a server may answer instead of an answer. Nothing of it is taken for one, and each says which server it was.
func TestAnswersThatAreNone(t *testing.T) {
	whole := `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"1"]}]}}`
	say := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	cutOff := func(w http.ResponseWriter, declared int, body string) {
		if declared > 0 {
			w.Header().Set("Content-Length", strconv.Itoa(declared))
		}
		_, _ = io.WriteString(w, body)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		says  string
	}{
		"a page":              {say(200, "<!DOCTYPE html><h1>Welcome</h1>"), "not an answer of the query API"},
		"nothing":             {say(200, ""), "not an answer of the query API"},
		"no content":          {say(204, ""), "204 No Content"},
		"half an object":      {say(200, whole[:60]), "ends early"},
		"an error with 200":   {say(200, `{"status":"error","errorType":"internal","error":"disk"}`), "disk"},
		"no status":           {say(200, `{"data":{"result":[]}}`), "status"},
		"500 with a page":     {say(500, "<h1>Oh no</h1>"), `500 Internal Server Error: "<h1>Oh no</h1>"`},
		"502 with a page":     {say(502, "<h1>Bad Gateway</h1>"), "502 Bad Gateway"},
		"503 of a Prometheus": {say(503, `{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}`), "503 Service Unavailable: query timed out"},
		"500 of a Prometheus": {say(500, `{"status":"error","errorType":"internal","error":"head is closed"}`), "head is closed"},
		"429":                 {say(429, `{"status":"error","error":"slow down"}`), "429 Too Many Requests: slow down"},
		"401":                 {say(401, "Unauthorized"), "401 Unauthorized"},
		"404":                 {say(404, "404 page not found"), "404 Not Found"},
		"moved": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://login.example/?x", http.StatusFound)
		}, `302 Found to "https://login.example/?x": give the address`},
		"a body shorter than declared": {func(w http.ResponseWriter, _ *http.Request) { cutOff(w, len(whole)+5, whole) }, "EOF"},
		"half a body of a length":      {func(w http.ResponseWriter, _ *http.Request) { cutOff(w, len(whole), whole[:50]) }, "EOF"},
		"half a body in chunks":        {func(w http.ResponseWriter, _ *http.Request) { cutOff(w, 0, whole[:50]) }, "EOF"},
		"a body without its end":       {func(w http.ResponseWriter, _ *http.Request) { cutOff(w, 0, whole) }, "EOF"},
		"no response": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.Close()
		}, "EOF"},
		"not HTTP": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.6\r\n")
			conn.Close()
		}, "malformed HTTP"},
		"gzip that nobody asked for": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, whole)
			_ = z.Close()
		}, "not an answer of the query API"},
		"an instant of no value":   {say(200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"}}]}}`), "0 values"},
		"an instant of two values": {say(200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"values":[[1,"1"],[2,"1"]]}]}}`), "2 values"},
		"an instant of another":    {say(200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1.001,"1"]}]}}`), "has a value at 1.001, and was asked for one at "},
		"times that go back":       {say(200, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[2,"1"],[1,"1"]]}]}}`), "from 2 back to 1"},
	} {
		t.Run(name, func(t *testing.T) {
			sh, reg := oneShard(t, c.serve)
			series, _, err := sh.Query(t.Context(), instant, 0, 0, NewBudget(100))
			assert.Nil(t, series)
			var unavailable *UnavailableError
			require.ErrorAs(t, err, &unavailable)
			assert.Equal(t, sh.Servers[0].URL(), unavailable.Server)
			assert.Contains(t, err.Error(), c.says)
			assert.Contains(t, err.Error(), "shard 0: http://127.0.0.1")
			assert.NotContains(t, err.Error(), "\n")
			assert.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP hubquery_shard_requests_total Queries asked of shards, by outcome: ok, refused (the shard's own error), unavailable, canceled (given up here).
# TYPE hubquery_shard_requests_total counter
hubquery_shard_requests_total{outcome="unavailable",shard="0"} 1
`), "hubquery_shard_requests_total"))
		})
	}
}

// Steps that were not asked for would be merged with other shards' steps as if they were.
func TestStepsThatWereNotAskedFor(t *testing.T) {
	q := Query{Expr: "up", Start: 1000, End: 3500, Step: 500}
	for at, fits := range map[string]bool{"1": true, "3.5": true, "0.5": false, "4": false, "1.25": false, "1.001": false} {
		sh, _ := oneShard(t, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[%s,"1"]]}]}}`, at)
		})
		_, _, err := sh.Query(t.Context(), q, 0, 0, NewBudget(100))
		if fits {
			assert.NoError(t, err)
			continue
		}
		var unavailable *UnavailableError
		if assert.ErrorAs(t, err, &unavailable) {
			assert.Contains(t, err.Error(), "the answer has a value at "+at)
		}
	}
}

// What is about the query itself is told as the server says it, and no other server is asked.
func TestRefusals(t *testing.T) {
	for code, kind := range map[int]string{400: "bad_data", 422: "execution"} {
		sh, reg := oneShard(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, `{"status":"error","errorType":"422","error":"unknown function"}`)
		})
		_, _, err := sh.Query(t.Context(), instant, 0, 0, NewBudget(100))
		var refused *RefusedError
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, RefusedError{Server: sh.Servers[0].URL(), Type: kind, Message: "unknown function"}, *refused)
		n, err := testutil.GatherAndCount(reg, "hubquery_shard_requests_total")
		require.NoError(t, err)
		assert.Equal(t, 1, n)
	}
}

// Another version's server may say more than is known here.
func TestFieldsOfAnotherVersion(t *testing.T) {
	sh, _ := oneShard(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"isPartial":false,"status":"success","future":{"a":[1,2,{"b":"c"}]},"data":{"analysis":[],"resultType":"vector","result":[{"id":7,"metric":{"a":"b"},"value":[1,"1"],"exemplar":{"x":1}}]},"infos":["PromQL info: x"],"warnings":["y"]}`)
	})
	series, warnings, err := sh.Query(t.Context(), instant, 0, 0, NewBudget(100))
	require.NoError(t, err)
	assert.Equal(t, []string{"PromQL info: x", "y"}, warnings)
	assert.Equal(t, []promql.Series{{Metric: labels.FromStrings("a", "b"), Floats: []promql.FPoint{{T: 1000, F: 1}}}}, series)
}

// Connections are used again; a query over many shards would else open as many at each panel.
func TestConnectionsAreUsedAgain(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[`)
		w.(http.Flusher).Flush() // so that it comes in chunks
		_, _ = io.WriteString(w, strings.Repeat(" ", 10_000)+"]}}")
		w.(http.Flusher).Flush()
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	set, _ := newSet(t, Config{Name: "0", Servers: []string{server.URL}, Kind: Prometheus})
	for range 20 {
		_, _, err := set.All()[0].Query(t.Context(), instant, 0, 0, NewBudget(100))
		require.NoError(t, err)
	}
	assert.Equal(t, int32(1), connections.Load())
}

// A server that hangs is left when the query ends, and hears of it.
func TestAServerThatHangs(t *testing.T) {
	asked, left := make(chan struct{}, 1), make(chan struct{}, 1)
	sh, reg := oneShard(t, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("query") == "half" {
			_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[`)
			w.(http.Flusher).Flush()
		}
		timeout, err := strconv.ParseFloat(r.FormValue("timeout"), 64)
		if !assert.NoError(t, err) || !assert.InDelta(t, 60, timeout, 10) {
			return
		}
		asked <- struct{}{}
		<-r.Context().Done()
		left <- struct{}{}
	})
	for _, expr := range []string{"nothing", "half"} {
		why := errors.New("who asked is gone")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		ctx, stop := context.WithCancelCause(ctx)
		go func() {
			<-asked
			stop(why)
		}()
		_, _, err := sh.Query(ctx, Query{Expr: expr, Start: 1}, 0, 0, NewBudget(100))
		assert.ErrorIs(t, err, why)
		<-left
		cancel()
	}
	assert.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP hubquery_shard_requests_total Queries asked of shards, by outcome: ok, refused (the shard's own error), unavailable, canceled (given up here).
# TYPE hubquery_shard_requests_total counter
hubquery_shard_requests_total{outcome="canceled",shard="0"} 2
`), "hubquery_shard_requests_total"))
}

// More than a shard works on is not asked of it at a time, and who waits can give up.
func TestOfOneShardNotAllAtOnce(t *testing.T) {
	in, out := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		in <- struct{}{}
		<-out
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[]}}`)
	}))
	defer server.Close()
	set, _ := newSet(t)
	set.MostRequests = 3
	require.NoError(t, set.Use([]Config{{Name: "0", Servers: []string{server.URL}, Kind: Prometheus}}))
	sh := set.All()[0]
	done := make(chan error, 10)
	for range 10 {
		go func() {
			_, _, err := sh.Query(context.Background(), instant, 0, 0, NewBudget(10))
			done <- err
		}()
	}
	for range 3 {
		<-in
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := sh.Query(ctx, instant, 0, 0, NewBudget(10))
	require.ErrorIs(t, err, context.Canceled)
	for range 7 {
		select {
		case <-in:
			t.Fatal("a fourth one")
		default:
		}
		out <- struct{}{}
		<-in
	}
	for range 3 {
		out <- struct{}{}
	}
	for range 10 {
		require.NoError(t, <-done)
	}
}

func scraped(s *servertest.Server, from, to int64) {
	var samples []servertest.Sample
	for at := from; at <= to; at += 15_000 {
		samples = append(samples, servertest.Sample{T: at, V: 100})
	}
	s.Add(samples, "__name__", "scrape_samples_scraped", "job", "edgehub")
}

// Of a pair the one that was complete answers, and the other one where it does not answer.
func TestPair(t *testing.T) {
	const hour = 3600_000
	a, b := servertest.New(t, nil), servertest.New(t, nil)
	scraped(a, 0, hour) // it was down for an hour
	scraped(a, 2*hour, 3*hour)
	scraped(b, 0, 3*hour-60_000) // it was down for a minute, later
	for at := int64(0); at <= 3*hour; at += 60_000 {
		a.Add([]servertest.Sample{{T: at, V: 1}}, "__name__", "which")
		b.Add([]servertest.Sample{{T: at, V: 2}}, "__name__", "which")
	}
	set, _ := newSet(t, Config{Name: "0", Servers: []string{a.URL, b.URL}, Kind: Prometheus})
	sh := set.All()[0]
	which := func(from, to int64) float64 {
		series, _, err := sh.Query(t.Context(), Query{Expr: "which", Start: to}, from, to, NewBudget(10))
		require.NoError(t, err)
		require.Len(t, series, 1)
		return series[0].Floats[0].F
	}
	assert.InDelta(t, 1, which(0, hour), 0, "both have all: the first")
	assert.InDelta(t, 2, which(hour, 2*hour), 0, "the first has a hole")
	assert.InDelta(t, 1, which(2*hour+1800_000, 3*hour), 0, "the second has a hole")

	down := func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "down", http.StatusBadGateway)
		return true
	}
	a.Intercept(down)
	assert.InDelta(t, 2, which(2*hour+1800_000, 3*hour), 0, "the first does not answer")
	require.Error(t, set.Learn(t.Context()))
	for len(b.Asked) > 0 {
		<-b.Asked
	}
	assert.InDelta(t, 2, which(0, hour), 0)
	assert.Len(t, b.Asked, 1, "where one is known to be down, nobody asks which has more")
	b.Intercept(down)
	_, _, err := sh.Query(t.Context(), instant, 0, 0, NewBudget(10))
	require.ErrorContains(t, err, a.URL)
	require.ErrorContains(t, err, b.URL)
	assert.NotContains(t, err.Error(), "\n", "one sentence of both")
}

// A pair's question has rubbish for an answer, and nothing breaks.
func TestPairThatSaysNothing(t *testing.T) {
	serve := func(w http.ResponseWriter, r *http.Request) {
		result := `{"metric":{},"value":[1,"7"]}`
		if strings.Contains(r.FormValue("query"), "scrape_samples") {
			result = `{"metric":{}}`
		}
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[%s]}}`, result)
	}
	a, b := httptest.NewServer(http.HandlerFunc(serve)), httptest.NewServer(http.HandlerFunc(serve))
	defer a.Close()
	defer b.Close()
	set, _ := newSet(t, Config{Name: "0", Servers: []string{a.URL, b.URL}, Kind: Prometheus})
	series, _, err := set.All()[0].Query(t.Context(), instant, 0, 0, NewBudget(10))
	require.NoError(t, err)
	assert.InDelta(t, 7, series[0].Floats[0].F, 0)
}

func names(t *testing.T, set storage.SeriesSet) (all []string) {
	t.Helper()
	for set.Next() {
		it := set.At().Iterator(nil)
		n := 0
		for it.Next() != chunkenc.ValNone {
			n++
		}
		require.NoError(t, it.Err())
		all = append(all, set.At().Labels().String()+" "+strconv.Itoa(n))
	}
	require.NoError(t, set.Err())
	return all
}

// Remote read adds a server's external labels to each series. They are learnt before, also from a server that was down at the start.
func TestExternalLabels(t *testing.T) {
	s := servertest.New(t, map[string]string{"shard": "0", "prometheus_replica": "x"})
	s.Add([]servertest.Sample{{T: 1000, V: 1}, {T: 2000, V: servertest.Stale}}, "__name__", "up", "job", "a")
	s.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "starting", http.StatusServiceUnavailable)
		return true
	})
	set, _ := newSet(t, Config{Name: "0", Servers: []string{s.URL}, Kind: Prometheus})
	require.Error(t, set.Learn(t.Context()))
	assert.False(t, set.Answered())
	server := set.All()[0].Servers[0]
	up := labels.MustNewMatcher(labels.MatchEqual, "__name__", "up")
	_, err := server.Series(t.Context(), 0, 5000, nil, NewBudget(10), up)
	var unavailable *UnavailableError
	require.ErrorAs(t, err, &unavailable)
	s.Intercept(nil)
	got, err := server.Series(t.Context(), 0, 5000, nil, NewBudget(10), up)
	require.NoError(t, err)
	assert.Equal(t, []string{`{__name__="up", job="a"} 2`}, names(t, got), "with the stale marker, without the server's labels")
	require.NoError(t, set.Learn(t.Context()))
	assert.True(t, set.Answered())

	for _, body := range []string{"<html>", "{}", `{"status":"success","data":{"yaml":"global: ["}}`} {
		other, _ := oneShard(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		require.ErrorAs(t, other.Servers[0].learn(t.Context()), &unavailable, body)
	}
}

// All shards are asked by the same matchers at once: what one of them adds is not for the others.
func TestRawSeriesLeaveTheMatchersAlone(t *testing.T) {
	s := servertest.New(t, map[string]string{"shard": "0"})
	s.Add([]servertest.Sample{{T: 1000, V: 1}}, "__name__", "up")
	set, _ := newSet(t, Config{Name: "0", Servers: []string{s.URL}, Kind: Prometheus})
	matchers := append(make([]*labels.Matcher, 0, 4), labels.MustNewMatcher(labels.MatchEqual, "__name__", "up"))
	series, err := set.All()[0].Servers[0].Series(t.Context(), 0, 5000, nil, NewBudget(10), matchers...)
	require.NoError(t, err)
	require.True(t, series.Next())
	require.Equal(t, labels.FromStrings("__name__", "up"), series.At().Labels())
	require.Nil(t, matchers[:2][1])
}

// A remote read that breaks off says so, and which server it was.
func TestRawSeriesThatBreakOff(t *testing.T) {
	s := servertest.New(t, nil)
	var samples []servertest.Sample
	for i := range int64(3000) {
		samples = append(samples, servertest.Sample{T: i * 1000, V: math.Sqrt(float64(i))})
	}
	for i := range 50 {
		s.Add(samples, "__name__", "up", "n", strconv.Itoa(i))
	}
	cut := false
	s.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/v1/read" {
			return false
		}
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		req, err := http.NewRequestWithContext(r.Context(), r.Method, s.URL+"/api/v1/read?again", bytes.NewReader(body))
		assert.NoError(t, err)
		if r.URL.RawQuery == "again" {
			r.Body = io.NopCloser(bytes.NewReader(body))
			return false
		}
		req.Header = r.Header
		resp, err := http.DefaultClient.Do(req)
		assert.NoError(t, err)
		defer resp.Body.Close()
		whole, err := io.ReadAll(resp.Body)
		assert.NoError(t, err)
		w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
		if cut {
			whole = whole[:len(whole)/2]
		}
		_, _ = w.Write(whole)
		return true
	})
	set, _ := newSet(t, Config{Name: "0", Servers: []string{s.URL}, Kind: Prometheus})
	server := set.All()[0].Servers[0]
	read := func() (n int, err error) {
		series, err := server.Series(t.Context(), 0, 5_000_000, nil, NewBudget(10), labels.MustNewMatcher(labels.MatchEqual, "__name__", "up"))
		require.NoError(t, err)
		for series.Next() {
			n++
			it := series.At().Iterator(nil)
			for it.Next() != chunkenc.ValNone {
			}
			if it.Err() != nil {
				return n, it.Err()
			}
		}
		return n, series.Err()
	}
	n, err := read()
	require.NoError(t, err)
	assert.Equal(t, 50, n)
	cut = true
	_, err = read()
	var unavailable *UnavailableError
	require.ErrorAs(t, err, &unavailable)
	assert.Equal(t, s.URL, unavailable.Server)
}

// TestMatchersAreNotShared reads two servers at once with the same matchers, which have room behind them.
func TestMatchersAreNotShared(t *testing.T) {
	matchers := append(make([]*labels.Matcher, 0, 8), labels.MustNewMatcher(labels.MatchEqual, "__name__", "x"))
	var wg sync.WaitGroup
	found := make([]int, 2)
	for i := range found {
		s := servertest.New(t, map[string]string{"shard": strconv.Itoa(i)})
		s.Add([]servertest.Sample{{T: 1000, V: 1}}, "__name__", "x")
		set, err := New(config.DefaultHTTPClientConfig, prometheus.NewRegistry(), promslog.NewNopLogger())
		require.NoError(t, err)
		require.NoError(t, set.Use([]Config{{Name: "0", Servers: []string{s.URL}, Kind: Prometheus}}))
		server := set.All()[0].Servers[0]
		wg.Go(func() {
			for range 50 {
				series, err := server.Series(t.Context(), 0, 2000, nil, NewBudget(1000), matchers...)
				if !assert.NoError(t, err) {
					return
				}
				for series.Next() {
					found[i]++
				}
			}
		})
	}
	wg.Wait()
	assert.Equal(t, []int{50, 50}, found)
}

// TestSilentServer waits for a server that takes a request and says nothing, and less for one that is known to.
func TestSilentServer(t *testing.T) {
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer silent.Close()
	defer close(release)
	set, err := New(config.DefaultHTTPClientConfig, prometheus.NewRegistry(), promslog.NewNopLogger())
	require.NoError(t, err)
	set.Silence = 50 * time.Millisecond
	require.NoError(t, set.Use([]Config{{Name: "0", Servers: []string{silent.URL}, Kind: Prometheus}}))
	_, _, err = set.All()[0].Query(t.Context(), Query{Expr: "x"}, 0, 0, NewBudget(1))
	var unavailable *UnavailableError
	require.ErrorAs(t, err, &unavailable)
	require.ErrorIs(t, err, errSilent)
	require.NoError(t, t.Context().Err())
}

// A VictoriaMetrics without times has the names of today; a Prometheus has all.
func TestListsOfAVictoriaMetrics(t *testing.T) {
	asked := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		assert.NoError(t, r.ParseForm())
		asked <- r.Form.Get("start")
	}))
	defer server.Close()
	for kind, start := range map[string]string{Prometheus: "", VictoriaMetrics: "1"} {
		set, _ := newSet(t, Config{Name: "0", Servers: []string{server.URL}, Kind: kind})
		s := set.All()[0].Servers[0]
		for _, path := range []string{"/api/v1/labels", "/api/v1/label/a/values", "/api/v1/series"} {
			form := url.Values{"match[]": {"up"}}
			body, err := s.Get(t.Context(), path, form)
			require.NoError(t, err)
			body.Close()
			assert.Equal(t, start, <-asked, path)
			body, err = s.Post(t.Context(), path, form)
			require.NoError(t, err)
			body.Close()
			assert.Equal(t, start, <-asked, path)
			assert.Len(t, form, 1, "what is the caller's stays his")
			body, err = s.Get(t.Context(), path, url.Values{"start": {"7"}})
			require.NoError(t, err)
			body.Close()
			assert.Equal(t, "7", <-asked, path)
		}
		body, err := s.Get(t.Context(), "/api/v1/metadata", nil)
		require.NoError(t, err)
		body.Close()
		assert.Empty(t, <-asked)
	}
}
