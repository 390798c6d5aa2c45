package exportertest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/exportertest"
)

// served is a hub on a loopback port with a client of its own.
func served(t *testing.T, opts ...exportertest.Option) (*exportertest.Hub, *http.Client, string) {
	hub := exportertest.NewHub(opts...)
	server := httptest.NewServer(hub)
	t.Cleanup(server.Close)
	t.Cleanup(hub.Close)
	return hub, server.Client(), server.URL
}

func zipped(t *testing.T, text string) io.Reader {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return &b
}

func request(t *testing.T, method, url string, body io.Reader, headers ...string) *http.Request {
	r, err := http.NewRequest(method, url, body)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// What a hub says to texts and bodies, and that it takes in all of them or nothing.
func TestHubChecksPushes(t *testing.T) {
	hub, client, url := served(t, exportertest.LimitBody(1000))
	f := func(text string, status int, answer string, headers ...string) {
		t.Helper()
		hub.Reset()
		body := io.Reader(strings.NewReader(text))
		if strings.Contains(strings.Join(headers, " "), "Content-Encoding gzip") && text != "no gzip" {
			body = zipped(t, text)
		}
		resp, err := client.Do(request(t, http.MethodPost, url+"/metrics", body, headers...))
		require.NoError(t, err)
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, status, resp.StatusCode)
		assert.Contains(t, string(got), answer)
		push := hub.Pushes()[0]
		assert.Equal(t, status, push.Status)
		assert.Equal(t, status == 200, push.Taken)
		assert.Equal(t, status != 200, push.Reason != "")
		assert.True(t, push.Done)
		if status != 200 {
			assert.Empty(t, hub.Samples())
		}
	}
	f("", 200, "")
	f("a 1\n", 200, "")
	f("a 1\n", 200, "", "Content-Encoding", "gzip")
	f("# HELP a b\n# TYPE a gauge\na 1 2\nb{c=\"d\"} NaN\n", 200, "")
	f("# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\n# TYPE a_b gauge\na_count 1\na_sum 1\n", 200, "")
	f("# TYPE a summary\na{quantile=\"0.5\"} 1\na_count 1\na_sum 1\n# TYPE a_bucket gauge\na_bucket 1\n", 200, "")
	f("a 1\nb x\n", 400, "line 2:")
	f("a 1\nb", 400, "line 2: it has no end")
	f("a 1\nb 1\nc{d=\"e\",d=\"f\"} 1\n", 400, "line 3:")
	f("# TYPE a gauge\na 1\n# TYPE a gauge\n", 400, "line 3: a second TYPE line")
	f("a 1\n# TYPE a gauge\n", 400, "line 2: a TYPE line after samples")
	f("# TYPE a summary\na_count 1\n# TYPE a summary\n", 400, "line 3: a second TYPE")
	f("# HELP a b\n# HELP a b\n", 400, "line 2: a second HELP")
	f("# TYPE a wrong\n", 400, "line 1:")
	f("no gzip", 400, "decompress", "Content-Encoding", "gzip")
	f("a 1\n", 415, "snappy", "Content-Encoding", "snappy")
	f("a 1\n", 415, "openmetrics", "Content-Type", "application/openmetrics-text; version=1.0.0")
	f(strings.Repeat("a 1\n", 251), 413, "1000 bytes")
	f(strings.Repeat("a 1\n", 251), 413, "1000 bytes", "Content-Encoding", "gzip")
}

func TestHubRemembersSamples(t *testing.T) {
	hub, client, url := served(t)
	begin := time.Now()
	assert.Equal(t, "200 OK", post(client, url, "a{gatewayID=\"g\",b=\"\",a=\"x\"} 1.5 7\n"))
	assert.Equal(t, "400 Bad Request line 1: series \"b\" has no value", post(client, url, "b\n"))
	assert.Equal(t, "200 OK", post(client, url, "c 2\na{a=\"x\",gatewayID=\"g\"} 3 8\n"))
	assert.Equal(t, []exportertest.Sample{
		{Series: `a{a="x",gatewayID="g"}`, Gateway: "g", Value: 1.5, Timestamp: 7},
		{Series: "c", Value: 2, Push: 2},
		{Series: `a{a="x",gatewayID="g"}`, Gateway: "g", Value: 3, Timestamp: 8, Push: 2},
	}, hub.Samples())
	pushes := hub.Pushes()
	require.Len(t, pushes, 3)
	for i, p := range pushes {
		assert.Equal(t, i, p.Number)
		assert.False(t, p.At.Before(begin))
	}
	assert.Equal(t, 2, pushes[2].Samples)
	assert.Equal(t, len("c 2\na{a=\"x\",gatewayID=\"g\"} 3 8\n"), pushes[2].Bytes)
	hub.Reset()
	assert.Empty(t, hub.Samples())
	assert.Empty(t, hub.Pushes())
	assert.Empty(t, hub.Requests())
	assert.Equal(t, "200 OK", post(client, url, "c 2\n"))
	assert.Equal(t, 3, hub.Samples()[0].Push, "numbers go on")
}

// A hub that is to remember little does not grow, and counts all the same.
func TestHubKeepsTheLatestOnly(t *testing.T) {
	hub, client, url := served(t, exportertest.KeepSamples(3), exportertest.KeepPushes(2))
	none, _, noneURL := served(t, exportertest.KeepSamples(0), exportertest.KeepPushes(0))
	for i := range 20 {
		text := fmt.Sprintf("a 1 %d\nb 1 %d\n", i, i)
		assert.Equal(t, "200 OK", post(client, url, text))
		assert.Equal(t, "200 OK", post(client, noneURL, text))
	}
	var got []string
	for _, s := range hub.Samples() {
		got = append(got, fmt.Sprint(s.Series, s.Timestamp, " ", s.Push))
	}
	assert.Equal(t, []string{"b18 18", "a19 19", "b19 19"}, got)
	require.Len(t, hub.Pushes(), 2)
	assert.Equal(t, 18, hub.Pushes()[0].Number)
	assert.True(t, hub.Pushes()[1].Taken)
	assert.Len(t, hub.Requests(), 2)
	assert.Empty(t, none.Samples())
	assert.Empty(t, none.Pushes())
	require.NoError(t, hub.Wait(t.Context(), 40))
	require.NoError(t, none.Wait(t.Context(), 40))
}

func TestHubScript(t *testing.T) {
	hub, client, url := served(t)
	hub.Reply(exportertest.Reply{Status: 429, Header: http.Header{"Retry-After": {"7"}}}, exportertest.Reply{Status: 500, Kept: true})
	hub.Reply(exportertest.Reply{})
	hub.Always(exportertest.Reply{Status: 503, Body: "stopping"})
	resp, err := client.Post(url+"/metrics", "", strings.NewReader(line))
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, "7", resp.Header.Get("Retry-After"))
	assert.Equal(t, "gzip", resp.Header.Get("Accept-Encoding"))
	assert.Empty(t, hub.Samples())
	assert.Equal(t, "500 Internal Server Error", post(client, url, line))
	assert.Len(t, hub.Samples(), 1, "kept all the same")
	assert.Equal(t, "200 OK", post(client, url, line))
	for range 3 {
		assert.Equal(t, "503 Service Unavailable stopping", post(client, url, line))
	}
	hub.Recover()
	assert.Equal(t, "200 OK", post(client, url, line))
	assert.Len(t, hub.Samples(), 3)
}

func TestHubProbes(t *testing.T) {
	hub, client, url := served(t)
	get := func(path string) (int, http.Header) {
		resp, err := client.Get(url + path)
		require.NoError(t, err)
		resp.Body.Close()
		return resp.StatusCode, resp.Header
	}
	f := func(path string, want int) {
		t.Helper()
		status, header := get(path)
		assert.Equal(t, want, status)
		assert.Equal(t, "gzip", header.Get("Accept-Encoding"))
	}
	f("/-/ready", 200)
	f("/-/healthy", 200)
	f("/metrics", 405)
	f("/", 404)
	hub.Ready(exportertest.Reply{Status: 503})
	f("/-/ready", 503)
	f("/-/healthy", 200)
	hub.Ready(exportertest.Reply{Lost: true})
	_, err := client.Get(url + "/-/ready")
	require.Error(t, err)
	hub.Recover()
	f("/-/ready", 200)
	hub.Advertise(false)
	_, header := get("/-/ready")
	assert.Empty(t, header.Get("Accept-Encoding"))
	assert.Equal(t, "200 OK", post(client, url, line))
	last := hub.Requests()[len(hub.Requests())-1]
	assert.Equal(t, "POST /metrics", last.Method+" "+last.Path)
	assert.Empty(t, hub.Pushes()[0].Reason)
}

// Over TCP, too, a cut connection is reset. Each push has a connection of its own:
// net/http tries again, unseen, when one that was used before breaks.
func TestHubCuts(t *testing.T) {
	hub, client, url := served(t)
	client.Transport.(*http.Transport).DisableKeepAlives = true
	f := func(reply exportertest.Reply, taken bool) {
		t.Helper()
		hub.Reset()
		hub.Reply(reply)
		_, err := client.Post(url+"/metrics", "", strings.NewReader(line))
		require.Error(t, err)
		require.NotErrorIs(t, err, io.EOF, "a reset, not an end")
		require.NoError(t, hub.WaitPushes(t.Context(), 1))
		assert.Equal(t, taken, hub.Pushes()[0].Taken)
		assert.Zero(t, hub.Pushes()[0].Status)
		assert.Equal(t, taken, len(hub.Samples()) == 1)
	}
	f(exportertest.Reply{Lost: true}, true)
	f(exportertest.Reply{Lost: true, Status: 500}, false)
	f(exportertest.Reply{Lost: true, Status: 500, Kept: true}, true)
	f(exportertest.Reply{CutAfter: 5}, false)
	f(exportertest.Reply{CutAfter: -1}, false)
	f(exportertest.Reply{CutAfter: 1000, Delay: time.Nanosecond}, false)
	assert.Equal(t, "200 OK", post(client, url, line))
}

// Waiting ends when the hub closes or the client goes away, and nothing is taken in.
func TestHubWaitingEnds(t *testing.T) {
	for _, reply := range []exportertest.Reply{{Hang: true}, {Delay: time.Hour}} {
		hub, client, url := served(t)
		hub.Always(reply)
		hub.Ready(reply)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			_, err := client.Do(request(t, http.MethodPost, url+"/metrics", strings.NewReader(line)).WithContext(ctx))
			ended <- err
		}()
		go func() { ended <- errors.New(post(client, url, line)) }()
		go func() {
			_, err := client.Get(url + "/-/ready")
			ended <- err
		}()
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		hub.Close()
		require.Error(t, <-ended)
		require.Error(t, <-ended)
		assert.Empty(t, hub.Samples())
	}
}

func TestHubWait(t *testing.T) {
	hub, client, url := served(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("had enough"))
	require.EqualError(t, hub.Wait(ctx, 1), "wait for 1 samples, of which 0 came: had enough")
	require.NoError(t, hub.Wait(ctx, 0))
	waited := make(chan error)
	go func() { waited <- hub.Wait(t.Context(), 3) }()
	for range 3 {
		assert.Equal(t, "200 OK", post(client, url, line))
	}
	require.NoError(t, <-waited)
}

// The hook sees each push once, one at a time, and may talk to the hub.
func TestHubHook(t *testing.T) {
	hub, client, url := served(t)
	var inside sync.Mutex
	seen := 0
	hub.OnPush(func(p exportertest.Push, body []byte) {
		require.True(t, inside.TryLock())
		defer inside.Unlock()
		samples, err := exportertest.Parse(body)
		assert.NoError(t, err)
		assert.Len(t, samples, p.Samples)
		assert.True(t, p.Taken)
		assert.Equal(t, 200, p.Status)
		hub.Advertise(false)
		hub.Samples()
		seen++
	})
	hub.Reply(exportertest.Reply{Status: 503})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() { post(client, url, report(strconv.Itoa(i), i)) })
	}
	all.Wait()
	assert.Equal(t, 7, seen)
	hub.OnPush(nil)
	post(client, url, line)
	assert.Equal(t, 7, seen)
}

func TestParseNamesTheLine(t *testing.T) {
	_, err := exportertest.Parse([]byte("a 1\nb{ 2\n"))
	require.ErrorContains(t, err, "line 2")
}

// A push of nothing, by which an exporter tries a hub that was down, takes no reply that is
// meant for samples.
func TestPushOfNothingTakesNoReply(t *testing.T) {
	hub, client, url := served(t)
	hub.Reply(exportertest.Reply{Status: 500})
	assert.Equal(t, "200 OK", post(client, url, ""))
	assert.Equal(t, "500 Internal Server Error", post(client, url, "a 1\n"))
	hub.Always(exportertest.Reply{Status: 503})
	assert.Equal(t, "503 Service Unavailable", post(client, url, ""))
}

// A hub's answers say that they are a hub's, and why samples are refused; a stranger's do not.
func TestWhoAnswers(t *testing.T) {
	hub, client, url := served(t)
	ask := func(method, path, body string) http.Header {
		t.Helper()
		resp, err := client.Do(request(t, method, url+path, strings.NewReader(body)))
		require.NoError(t, err)
		defer resp.Body.Close()
		return resp.Header
	}
	for _, path := range []string{"/-/ready", "/-/healthy", "/no/such/page", "/metrics"} {
		assert.Equal(t, "edgehub/exportertest", ask("GET", path, "").Get("Hubring-Hub"), path)
	}
	assert.Equal(t, "edgehub/exportertest", ask("POST", "/gateways/ended", "").Get("Hubring-Hub"))
	refused := ask("POST", "/metrics", "wrong\n")
	assert.Equal(t, "edgehub/exportertest", refused.Get("Hubring-Hub"))
	assert.Equal(t, "malformed", refused.Get("Hubring-Reason"))
	hub.Always(exportertest.Reply{Stranger: true, Header: http.Header{"Server": {"nginx"}}})
	strange := ask("POST", "/metrics", "a 1\n")
	assert.Empty(t, strange.Get("Hubring-Hub"))
	assert.Empty(t, strange.Get("Accept-Encoding"))
	assert.Equal(t, "nginx", strange.Get("Server"))
	assert.Empty(t, hub.Samples())
}
