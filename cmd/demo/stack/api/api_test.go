package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/cmd/demo/stack/shard"
)

// shardOf opens a shard that scrapes a body again and again, and waits until it
// is stored.
func shardOf(t *testing.T, body string) *shard.Shard {
	scrapes := make(chan struct{}, 1000)
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		scrapes <- struct{}{}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(hub.Close)
	s, err := shard.Open(shard.Config{Target: hub.Listener.Addr().String(), Interval: 100 * time.Millisecond, Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	for range 2 {
		select {
		case <-scrapes:
		case <-time.After(10 * time.Second):
			require.FailNow(t, "the shard does not scrape")
		}
	}
	return s
}

// serve is the API over two shards: gateway g moved from the first to the
// second, h only ever was on the second.
func serve(t *testing.T) string {
	now := time.Now().UnixMilli()
	shards := []*shard.Shard{
		shardOf(t, fmt.Sprintf("# HELP a Help of a.\n# TYPE a gauge\na{gatewayID=\"g\"} 10 %d\n", now-2000)),
		shardOf(t, fmt.Sprintf("# TYPE a gauge\na{gatewayID=\"g\"} 20 %d\na{gatewayID=\"h\"} 5 %[1]d\n", now-1000)),
	}
	server := httptest.NewServer(Handler(shards, "127.0.0.1:1", nil))
	t.Cleanup(server.Close)
	return server.URL
}

func get(t *testing.T, address string) (int, string) {
	response, err := http.Get(address)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

// data returns the data of a successful answer.
func data(t *testing.T, address string) any {
	status, body := get(t, address)
	require.Equal(t, http.StatusOK, status, body)
	var answer struct {
		Status string
		Data   any
	}
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	require.Equal(t, "success", answer.Status, body)
	return answer.Data
}

func value(t *testing.T, base, query string) string {
	result := data(t, base+"/api/v1/query?query="+url.QueryEscape(query)).(map[string]any)["result"].([]any)
	require.Len(t, result, 1, query)
	return result[0].(map[string]any)["value"].([]any)[1].(string)
}

func TestASeriesInTwoShardsIsOneSeries(t *testing.T) {
	base := serve(t)
	require.Equal(t, "2", value(t, base, `count({gatewayID!=""})`))
	require.Equal(t, "25", value(t, base, `sum(a)`), "the newer of g's samples, and h's")
	require.Equal(t, "2", value(t, base, `count_over_time(a{gatewayID="g"}[1m])`), "one sample from each shard")
	require.Equal(t, "2", value(t, base, `count(up)`), "the shards' own targets stay apart")

	now := time.Now().Unix()
	matrix := data(t, fmt.Sprintf("%s/api/v1/query_range?query=a&start=%d&end=%d&step=1", base, now-5, now)).(map[string]any)
	require.Len(t, matrix["result"], 2)
	require.Len(t, data(t, base+"/api/v1/series?match[]=a"), 2)
	require.Equal(t, []any{"g", "h"}, data(t, base+"/api/v1/label/gatewayID/values"))
	require.Contains(t, data(t, base+"/api/v1/labels"), "gatewayID")
}

func TestTheAPIAnswersWhatClientsProbe(t *testing.T) {
	base := serve(t)
	require.Regexp(t, `^3\.\d+\.\d+$`, data(t, base+"/api/v1/status/buildinfo").(map[string]any)["version"])
	require.Contains(t, data(t, base+"/api/v1/metadata"), "a")
	require.Len(t, data(t, base+"/api/v1/targets").(map[string]any)["activeTargets"], 2)
	require.Contains(t, data(t, base+"/api/v1/status/config").(map[string]any)["yaml"], "honor_labels: true")
	for _, path := range []string{"alerts", "rules", "alertmanagers", "status/flags", "status/runtimeinfo", "scrape_pools", "query_exemplars?query=a&start=1&end=2"} {
		data(t, base+"/api/v1/"+path)
	}

	response, err := http.PostForm(base+"/api/v1/query", url.Values{"query": {"sum(a)"}})
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode, "promtool and Grafana post")

	status, body := get(t, base+"/")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "promtool query instant http://127.0.0.1:1")
	status, _ = get(t, base+"/-/ready")
	require.Equal(t, http.StatusOK, status)
}

func TestTheAPIRefuses(t *testing.T) {
	base := serve(t)
	for path, want := range map[string]int{
		"/api/v1/query?query=" + url.QueryEscape("sum("): http.StatusBadRequest,
		"/api/v1/status/tsdb":                            http.StatusInternalServerError, // there are two
		"/graph":                                         http.StatusNotFound,
	} {
		status, body := get(t, base+path)
		require.Equal(t, want, status, "%s: %s", path, body)
	}
	for _, path := range []string{"/api/v1/write", "/api/v1/admin/tsdb/snapshot", "/api/v1/otlp/v1/metrics"} {
		response, err := http.Post(base+path, "text/plain", strings.NewReader("x"))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.GreaterOrEqual(t, response.StatusCode, 400, path)
	}
}
