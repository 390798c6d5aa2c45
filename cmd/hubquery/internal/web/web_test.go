package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/cmd/hubquery/internal/engine"
	"github.com/hubring/hubring/cmd/hubquery/internal/gate"
)

const (
	begin   = int64(1_795_996_800_000)
	samples = 41 // of a series, one each 15 s
	moved   = 20 // of them gw-0 has on shard 0, and the others on shard 1
)

var end = stamp(begin + (samples-1)*15_000)

// A long answer is compressed for whoever asks for it, and is the same.
func TestCompression(t *testing.T) {
	h := newHouse(t, 2, nil).fill()
	form := values("query", "load", "start", stamp(begin), "end", stamp(begin+600_000), "step", "1")
	plain := ask(t, http.MethodGet, h.url+"/api/v1/query_range", form, "Accept-Encoding", "identity")
	require.Greater(t, len(plain.body), 10_000)
	plain.requireZipped(t, false)
	for _, encoding := range []string{"gzip", "deflate, gzip;q=1.0", "zstd, gzip"} {
		zipped := ask(t, http.MethodGet, h.url+"/api/v1/query_range", form, "Accept-Encoding", encoding)
		zipped.requireZipped(t, true)
		assert.Equal(t, string(plain.body), string(zipped.body))
	}
}

// What one Prometheus with all samples answers to these, hubquery answers.
func TestAsOnePrometheus(t *testing.T) {
	h := newHouse(t, 2, nil).fill()
	start := stamp(begin)
	for _, c := range []struct {
		path   string
		params []string
	}{
		{"query", []string{"query", "sum(load)", "time", end}},
		{"query", []string{"query", "load", "time", stamp(begin + moved*15_000 - 1)}},
		{"query", []string{"query", "1+1", "time", end}},
		{"query", []string{"query", "stddev by (gatewayID) (plain)", "time", end}},
		{"query", []string{"query", `"a"`, "time", end}},
		{"query", []string{"query", "load[1m]", "time", end}},
		{"query", []string{"query", `odd{text=~".+"}`, "time", end}},
		{"query", []string{"query", `{"odd.name"}`, "time", end}},
		{"query", []string{"query", "nothing", "time", end}},
		{"query", []string{"query", "sum(load)", "time", "2026-11-30T00:05:00Z"}},
		{"query", []string{"query", "count(load)", "time", stamp(begin + 900_000), "lookback_delta", "20m"}},
		{"query_range", []string{"query", "sum by (networkID) (rate(requests_total[1m]))", "start", start, "end", end, "step", "15"}},
		{"query_range", []string{"query", "load", "start", start, "end", end, "step", "250ms"}},
		{"query_range", []string{"query", "load", "start", start, "end", end, "step", "7.777"}},
		{"query_range", []string{"query", "1", "start", start, "end", end, "step", "1m"}},
		{"labels", nil},
		{"labels", []string{"match[]", "odd"}},
		{"labels", []string{"match[]", "odd", "match[]", "load", "start", start, "end", end}},
		{"labels", []string{"start", "1", "end", "2"}},
		{"label/gatewayID/values", nil},
		{"label/gatewayID/values", []string{"match[]", `load{networkID="1"}`}},
		{"label/gatewayID/values", []string{"match[]", `load{networkID="1"}`, "match[]", "odd"}},
		{"label/gatewayID/values", []string{"start", start, "end", end}},
		{"label/gatewayID/values", []string{"limit", "6"}},
		{"label/__name__/values", nil},
		{"label/text/values", nil},
		{"label/nothing/values", nil},
		{"label/U__a_2e_b_2f_c/values", nil},
		{"label/U__U____x/values", nil},
		{"format_query", []string{"query", "sum  by(a)(rate(x[5m]))"}},
		{"parse_query", []string{"query", "sum(x)"}},
	} {
		t.Run(c.path+" "+strings.Join(c.params, " "), func(t *testing.T) {
			want := ask(t, http.MethodGet, h.one.URL+"/api/v1/"+c.path, values(c.params...))
			require.Equal(t, http.StatusOK, want.code, "%s", want.body)
			got := h.get("/api/v1/"+c.path, c.params...)
			assert.Equal(t, http.StatusOK, got.code, "%s", got.body)
			assert.Empty(t, got.header.Get("Hubring-Reason"))
			sameData(t, want.json.Data, got.json.Data)
			assert.ElementsMatch(t, want.json.Warnings, got.json.Warnings)
			assert.ElementsMatch(t, want.json.Infos, got.json.Infos)
			if !strings.HasPrefix(c.path, "label/") {
				again := ask(t, http.MethodPost, h.url+"/api/v1/"+c.path, values(c.params...))
				sameData(t, want.json.Data, again.json.Data)
			}
			// As rulers and queriers ask who know Thanos.
			again := h.get("/api/v1/"+c.path, append([]string{
				"dedup", "true", "partial_response", "false", "max_source_resolution", "0s", "engine", "thanos", "analyze", "false", "replicaLabels[]", "shard", "storeMatch[]", "{}", "shard_info", "{}",
			}, c.params...)...)
			sameData(t, want.json.Data, again.json.Data)
			zipped := ask(t, http.MethodGet, h.url+"/api/v1/"+c.path, values(c.params...), "Accept-Encoding", "gzip")
			zipped.requireZipped(t, true)
			sameData(t, want.json.Data, zipped.json.Data)
		})
	}
}

// Which names are left out where there is a limit is nobody's business; that some are, is.
func TestNamesUpToALimit(t *testing.T) {
	h := newHouse(t, 2, nil).fill()
	for _, path := range []string{"labels", "label/gatewayID/values", "label/networkID/values"} {
		all := objects(t, h.get("/api/v1/"+path).json.Data)
		for limit := range len(all) + 1 {
			got := h.get("/api/v1/"+path, "limit", strconv.Itoa(limit))
			switch limit {
			case 0, len(all):
				assert.Equal(t, all, objects(t, got.json.Data))
				assert.Empty(t, got.json.Warnings)
			default:
				assert.Len(t, objects(t, got.json.Data), limit)
				assert.Equal(t, []string{truncated}, got.json.Warnings)
			}
		}
	}
}

func TestStats(t *testing.T) {
	h := newHouse(t, 2, nil).fill()
	for _, which := range []string{"true", "all"} {
		got := h.get("/api/v1/query_range", "query", "sum(rate(load[1m]))", "start", stamp(begin), "end", end, "step", "15", "stats", which)
		var data struct {
			Stats struct {
				Timings map[string]float64
				Samples struct{ TotalQueryableSamples, PeakSamples int }
			}
		}
		require.NoError(t, json.Unmarshal(got.json.Data, &data), "%s", got.body)
		assert.Positive(t, data.Stats.Samples.TotalQueryableSamples)
		assert.Contains(t, data.Stats.Timings, "evalTotalTime")
	}
}

// Every refusal has a status, a reason, a sentence and a count; where it is Prometheus' own, its words are.
func TestRefusals(t *testing.T) {
	h := newHouse(t, 2, func(c *Config, e *engine.Config) { c.MaxSamples, e.MaxSamples, e.MaxSeries = 300, 300, 4 }).fill()
	start := stamp(begin)
	for _, c := range []struct {
		name, path string
		params     []string
		code       int
		reason     string
		says       string // empty: what one Prometheus says
	}{
		{"no query", "query", nil, 400, "bad_data", ""},
		{"no PromQL", "query", []string{"query", "sum("}, 400, "bad_data", ""},
		{"an unknown function", "query", []string{"query", "sum(nosuch(up))"}, 400, "bad_data", ""},
		{"no time", "query", []string{"query", "up", "time", "noon"}, 400, "bad_data", ""},
		{"no timeout", "query", []string{"query", "up", "timeout", "soon"}, 400, "bad_data", ""},
		{"no limit", "query", []string{"query", "up", "limit", "-1"}, 400, "bad_data", ""},
		{"no range", "query_range", []string{"query", "up"}, 400, "bad_data", ""},
		{"a range backwards", "query_range", []string{"query", "up", "start", end, "end", start, "step", "1"}, 400, "bad_data", ""},
		{"too many points", "query_range", []string{"query", "up", "start", "0", "end", "110011", "step", "10"}, 400, "bad_data", ""},
		{"no step", "query_range", []string{"query", "up", "start", start, "end", end, "step", "0"}, 400, "bad_data", ""},
		{"a step below a millisecond", "query_range", []string{"query", "up", "start", start, "end", start, "step", "0.0005"}, 400, "bad_data", "no whole number of milliseconds"},
		{"a step with a part of a millisecond", "query_range", []string{"query", "up", "start", start, "end", end, "step", "1.0005"}, 400, "bad_data", "no whole number of milliseconds"},
		{"a range of ranges", "query_range", []string{"query", "up[1m]", "start", start, "end", end, "step", "15"}, 400, "bad_data", ""},
		{"many on both sides", "query", []string{"query", "load * on (networkID) requests_total", "time", end}, 422, "execution", "many-to-many matching not allowed"},
		{"too many samples", "query_range", []string{"query", "load", "start", start, "end", end, "step", "1"}, 422, "too_many_samples", "query processing would load too many samples into memory in query execution"},
		{"too many raw series", "query", []string{"query", "stddev by (gatewayID) (plain)", "time", end}, 422, "too_many_series", "name fewer, or aggregate them"},
		{"an endless expression", "query", []string{"query", strings.Repeat("(", 20_000) + "1" + strings.Repeat(")", 20_000)}, 400, "bad_data", "bytes outside of quotes"},
		{"partial of what", "query", []string{"query", "up", "partial_response", "perhaps"}, 400, "bad_data", "partial_response is neither true nor false"},
		{"series of nothing", "series", nil, 400, "bad_data", ""},
		{"series of everything", "series", []string{"match[]", `{a=~".*"}`}, 400, "bad_data", ""},
		{"series of no selector", "series", []string{"match[]", "sum("}, 400, "bad_data", ""},
		{"series since noon", "series", []string{"match[]", "up", "start", "noon"}, 400, "bad_data", ""},
		{"series up to some", "series", []string{"match[]", "up", "limit", "some"}, 400, "bad_data", ""},
		{"fewer than no series", "series", []string{"match[]", "up", "limit", "-2"}, 400, "bad_data", ""},
		{"names of everything", "labels", []string{"match[]", `{a=~".*"}`}, 400, "bad_data", ""},
		{"values until noon", "label/a/values", []string{"end", "noon"}, 400, "bad_data", ""},
		{"exemplars of no PromQL", "query_exemplars", []string{"query", "sum("}, 400, "bad_data", ""},
		{"exemplars since noon", "query_exemplars", []string{"query", "up", "start", "noon"}, 400, "bad_data", ""},
		{"metadata up to some", "metadata", []string{"limit", "some"}, 400, "bad_data", "limit must be a number"},
		{"metadata up to some each", "metadata", []string{"limit_per_metric", "some"}, 400, "bad_data", "limit_per_metric must be a number"},
		{"few statistics", "status/tsdb", []string{"limit", "0"}, 400, "bad_data", "limit must be a number from 1"},
		{"no PromQL to format", "format_query", []string{"query", "sum("}, 400, "bad_data", ""},
		{"no such path", "nosuch", nil, 404, "not_found", `hubquery has no "/api/v1/nosuch"`},
		{"deletion", "admin/tsdb/delete_series", nil, 404, "not_found", "hubquery has no"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := h.refusals(c.reason)
			got := h.get("/api/v1/"+c.path, c.params...)
			assert.Equal(t, c.code, got.code, "%s", got.body)
			assert.Equal(t, c.reason, got.header.Get("Hubring-Reason"))
			assert.Equal(t, "error", got.json.Status)
			assert.InDelta(t, before+1, h.refusals(c.reason), 0)
			if c.says != "" {
				assert.Contains(t, got.json.Error, c.says)
				return
			}
			want := ask(t, http.MethodGet, h.one.URL+"/api/v1/"+c.path, values(c.params...))
			assert.Equal(t, want.code, got.code)
			assert.Equal(t, want.json.ErrorType, got.json.ErrorType)
			assert.Equal(t, want.json.Error, got.json.Error)
		})
	}
	_, err := h.reg.Gather()
	assert.NoError(t, err)
}

func TestRequestsThatAreTooLarge(t *testing.T) {
	h := newHouse(t, 1, nil)
	large := strings.Repeat("x", mostRequestBytes)
	for _, c := range []struct{ path, kind, body string }{
		{"query", "application/x-www-form-urlencoded", "query=" + large},
		{"series", "application/x-www-form-urlencoded", "match[]=" + large},
		{"format_query", "application/x-www-form-urlencoded", "query=" + large},
		{"read", "application/x-protobuf", large + "xxx"},
		{"query", "text/plain", large + "xxx"},
	} {
		resp, err := http.Post(h.url+"/api/v1/"+c.path, c.kind, strings.NewReader(c.body))
		require.NoError(t, err)
		assert.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode, c.path)
		assert.Equal(t, "body_too_large", resp.Header.Get("Hubring-Reason"))
		resp.Body.Close()
	}
	assert.InDelta(t, 5, h.refusals("body_too_large"), 0)

	resp, err := http.Post(h.url+"/api/v1/query", "application/x-www-form-urlencoded", strings.NewReader("query=%zz"))
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusBadRequest, resp.StatusCode)

	var form bytes.Buffer
	parts := multipart.NewWriter(&form)
	require.NoError(t, parts.WriteField("query", "1+1"))
	require.NoError(t, parts.Close())
	resp, err = http.Post(h.url+"/api/v1/query", parts.FormDataContentType(), &form)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusOK, resp.StatusCode, "a form of parts is one, too")

	got := ask(t, http.MethodPut, h.url+"/api/v1/query", nil)
	assert.Equal(t, http.StatusMethodNotAllowed, got.code)
	assert.Equal(t, "method_not_allowed", got.header.Get("Hubring-Reason"))
	assert.InDelta(t, 1, h.value("hubquery_queries_total", "405", "query"), 0)
}

// A shard that does not answer is an error, or a warning for who takes that.
func TestAShardIsMissing(t *testing.T) {
	h := newHouse(t, 2, nil).fill()
	for _, s := range h.shards {
		s.Intercept(canned)
	}
	paths := map[string][]string{
		"query":       {"query", "sum(requests_total)", "time", end},
		"query_range": {"query", "sum(requests_total)", "start", stamp(begin), "end", end, "step", "15"},
		"labels":      nil, "label/gatewayID/values": nil, "series": {"match[]", "load"}, "metadata": nil, "rules": nil, "alerts": nil, "targets": nil,
		"status/tsdb": nil, "query_exemplars": {"query", "load"},
	}
	for path, params := range paths {
		got := h.get("/api/v1/"+path, params...)
		require.Equal(t, http.StatusOK, got.code, "%s: %s", path, got.body)
		assert.Empty(t, got.json.Warnings, path)
		assert.Empty(t, got.header.Get("Cache-Control"), path)
	}
	h.shards[1].Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "<h1>bad gateway</h1>", http.StatusBadGateway)
		return true
	})
	for path, params := range paths {
		t.Run(path, func(t *testing.T) {
			before := h.refusals(shardUnavailable)
			got := h.get("/api/v1/"+path, params...)
			assert.Equal(t, http.StatusServiceUnavailable, got.code, "%s", got.body)
			assert.Equal(t, shardUnavailable, got.header.Get("Hubring-Reason"))
			assert.Contains(t, got.json.Error, "shard 1: "+h.shards[1].URL+": 502 Bad Gateway")
			assert.InDelta(t, before+1, h.refusals(shardUnavailable), 0)

			got = h.get("/api/v1/"+path, append([]string{"partial_response", "true"}, params...)...)
			assert.Equal(t, http.StatusOK, got.code, "%s", got.body)
			require.Len(t, got.json.Warnings, 1)
			assert.Contains(t, got.json.Warnings[0], "the answer is without shard 1: ")
			assert.NotContains(t, got.json.Warnings[0], "PromQL", "Thanos' ruler passes over those")
			if strings.HasPrefix(path, "query") && path != "query_exemplars" {
				assert.Equal(t, "no-store", got.header.Get("Cache-Control"), "a query frontend would keep it")
			}
			if path == "query" {
				var data struct {
					Result []struct{ Value [2]any }
				}
				require.NoError(t, json.Unmarshal(got.json.Data, &data))
				assert.Equal(t, "680", data.Result[0].Value[1], "gw-2 and gw-4")
			}
		})
	}
	assert.InDelta(t, 2, h.value("hubquery_partial_answers_total"), 0, "the lists have no counter of their own")
	got := h.get("/api/v1/query", "query", "sum(load)", "time", end, "partial_response", "perhaps")
	assert.Equal(t, http.StatusBadRequest, got.code)
}

func TestLists(t *testing.T) {
	h := newHouse(t, 2, nil)
	var ports []string
	for _, s := range h.shards {
		s.Intercept(canned)
		ports = append(ports, s.URL[strings.LastIndexByte(s.URL, ':')+1:])
	}
	fill := func(text string) string {
		return strings.NewReplacer("P0", ports[0], "P1", ports[1]).Replace(text)
	}
	for target, want := range map[string]string{
		"metadata":                    `{"load":[{"type":"gauge","help":"Load of 127.0.0.1:P0.","unit":""},{"type":"gauge","help":"Load.","unit":""},{"type":"gauge","help":"Load of 127.0.0.1:P1.","unit":""}],"only_P0":[{"type":"counter","help":"","unit":""}],"only_P1":[{"type":"counter","help":"","unit":""}]}`,
		"metadata?limit=1":            `{"load":[{"type":"gauge","help":"Load of 127.0.0.1:P0.","unit":""},{"type":"gauge","help":"Load.","unit":""},{"type":"gauge","help":"Load of 127.0.0.1:P1.","unit":""}]}`,
		"metadata?limit=0":            `{}`,
		"metadata?limit_per_metric=1": `{"load":[{"type":"gauge","help":"Load of 127.0.0.1:P0.","unit":""}],"only_P0":[{"type":"counter","help":"","unit":""}],"only_P1":[{"type":"counter","help":"","unit":""}]}`,
		"rules?group_limit=1":         `{"groups":[{"name":"g","file":"f-P0","rules":[]},{"name":"g","file":"f-P1","rules":[]}]}`,
		"alerts":                      `{"alerts":[{"labels":{"alertname":"A"},"state":"firing","value":"1e+00"},{"labels":{"alertname":"A"},"state":"firing","value":"1e+00"}]}`,
		"targets?state=any":           `{"activeTargets":[{"scrapeUrl":"http://127.0.0.1:P0/metrics"},{"scrapeUrl":"http://127.0.0.1:P1/metrics"}],"droppedTargets":[]}`,
	} {
		got := h.get("/api/v1/" + target)
		assert.Equal(t, http.StatusOK, got.code)
		assert.JSONEq(t, fill(want), string(got.json.Data), target)
		again := ask(t, http.MethodGet, h.url+"/api/v1/"+target, nil, "Accept-Encoding", "gzip")
		again.requireZipped(t, true)
		assert.JSONEq(t, string(got.body), string(again.body))
	}
	var sum struct {
		HeadStats struct {
			NumSeries        int
			MinTime, MaxTime int64
		}
		SeriesCountByMetricName []struct {
			Name  string
			Value int
		}
	}
	require.NoError(t, json.Unmarshal(h.get("/api/v1/status/tsdb", "limit", "2").json.Data, &sum))
	assert.Equal(t, 20, sum.HeadStats.NumSeries)
	low, _ := strconv.ParseInt(slices.MinFunc(ports, compareNumbers), 10, 64)
	assert.Equal(t, low, sum.HeadStats.MinTime)
	require.Len(t, sum.SeriesCountByMetricName, 2)
	assert.Equal(t, "load", sum.SeriesCountByMetricName[0].Name)
	assert.Equal(t, 8, sum.SeriesCountByMetricName[0].Value)

	var found []struct {
		SeriesLabels map[string]string
		Exemplars    []struct {
			Timestamp float64
			Value     string
		}
	}
	require.NoError(t, json.Unmarshal(h.get("/api/v1/query_exemplars", "query", "load").json.Data, &found))
	require.Len(t, found, 3, "the series of the gateway that moved is one")
	require.Len(t, found[0].Exemplars, 2)
	assert.Less(t, found[0].Exemplars[0].Timestamp, found[0].Exemplars[1].Timestamp)
	assert.Equal(t, "6", found[0].Exemplars[0].Value)
	assert.Equal(t, http.StatusNoContent, h.get("/api/v1/query_exemplars", "query", "1").code, "as Prometheus")
}

// A list that is none is a shard's fault, and no shorter list.
func TestListsThatAreNone(t *testing.T) {
	h := newHouse(t, 2, nil)
	for _, body := range []string{"", "<html>", `{"status":"error","error":"x"}`, `{"status":"success","data":`, `[]`, `{"status":"success","data":7}`} {
		h.shards[0].Intercept(canned)
		h.shards[1].Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = io.WriteString(w, body)
			return true
		})
		for _, path := range []string{"metadata", "rules", "labels", "status/tsdb"} {
			got := h.get("/api/v1/" + path)
			assert.Equal(t, http.StatusServiceUnavailable, got.code, "%s of %q: %s", path, body, got.body)
			assert.Equal(t, shardUnavailable, got.header.Get("Hubring-Reason"))
			assert.Contains(t, got.json.Error, h.shards[1].URL)
		}
	}
}

// What Grafana asks a Prometheus when it is told of it.
func TestGrafana(t *testing.T) {
	h := newHouse(t, 2, nil).fill()
	for _, s := range h.shards {
		s.Intercept(canned)
	}
	var info struct{ Version string }
	require.NoError(t, json.Unmarshal(h.get("/api/v1/status/buildinfo").json.Data, &info))
	assert.Equal(t, "3.15.0", info.Version)
	for _, path := range []string{"metadata", "rules", "rules?type=alert", "alerts", "status/flags", "status/config", "status/runtimeinfo", "features", "labels", "label/__name__/values", "query?query=1%2B1&time=4"} {
		got := h.get("/api/v1/" + path)
		assert.Equal(t, http.StatusOK, got.code, "%s: %s", path, got.body)
		assert.Equal(t, "success", got.json.Status, path)
	}
	assert.Contains(t, string(h.get("/api/v1/status/flags").body), `"query.timeout":"1m"`)
	assert.Contains(t, string(h.get("/api/v1/status/config").body), `"yaml"`)
}

func TestPages(t *testing.T) {
	h := newHouse(t, 2, nil)
	assert.Equal(t, http.StatusOK, h.get("/-/healthy").code)
	assert.Equal(t, http.StatusServiceUnavailable, h.get("/-/ready").code)
	require.NoError(t, h.set.Learn(t.Context()))
	assert.Equal(t, http.StatusOK, h.get("/-/ready").code)
	page := h.get("/")
	assert.Equal(t, http.StatusOK, page.code)
	assert.Equal(t, "text/html; charset=utf-8", page.header.Get("Content-Type"))
	assert.Contains(t, string(page.body), h.shards[1].URL)
	assert.Contains(t, string(page.body), "<td>yes")
	assert.Equal(t, http.StatusNotFound, h.get("/nosuch").code)
	metrics := h.get("/metrics")
	for _, name := range []string{"hubquery_shard_up{shard=\"1\"} 1", "hubquery_running_queries 0", "hubquery_waiting_queries 0"} {
		assert.Contains(t, string(metrics.body), name)
	}
	problems, err := testutil.GatherAndLint(h.reg)
	require.NoError(t, err)
	assert.Empty(t, problems)
}

func TestOtherOrigins(t *testing.T) {
	h := newHouse(t, 1, func(c *Config, _ *engine.Config) { c.CORSOrigin = regexp.MustCompile("^(?:https://grafana.example)$") })
	h.shards[0].Intercept(canned)
	for _, path := range []string{"query?query=1", "series", "metadata", "nosuch", "status/buildinfo"} {
		for _, method := range []string{http.MethodGet, http.MethodOptions} {
			got := ask(t, method, h.url+"/api/v1/"+path, nil, "Origin", "https://grafana.example")
			assert.Equal(t, "https://grafana.example", got.header.Get("Access-Control-Allow-Origin"), path)
			if method == http.MethodOptions {
				assert.Equal(t, http.StatusNoContent, got.code)
			}
			got = ask(t, method, h.url+"/api/v1/"+path, nil, "Origin", "https://evil.example")
			assert.Empty(t, got.header.Get("Access-Control-Allow-Origin"), path)
		}
	}
	h = newHouse(t, 1, func(c *Config, _ *engine.Config) { c.CORSOrigin = nil })
	got := ask(t, http.MethodGet, h.url+"/api/v1/query?query=1", nil, "Origin", "https://grafana.example")
	assert.Equal(t, http.StatusOK, got.code)
	assert.Empty(t, got.header.Get("Access-Control-Allow-Origin"))
}

// One who has too much waiting is told to come again; others are let in.
func TestFlood(t *testing.T) {
	h := newHouse(t, 1, func(c *Config, _ *engine.Config) {
		c.Users = true
		c.Gate = gate.New(2, 2, prometheus.NewRegistry())
	})
	asked, answer := make(chan struct{}), make(chan struct{})
	h.shards[0].Intercept(func(http.ResponseWriter, *http.Request) bool {
		asked <- struct{}{}
		<-answer
		return false
	})
	flood := func(ctx context.Context) int {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+"/api/v1/query?query=up", nil)
		assert.NoError(t, err)
		req.SetBasicAuth("flood", "x")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusTooManyRequests {
			assert.Equal(t, "1", resp.Header.Get("Retry-After"))
			assert.Equal(t, "too_many_queries", resp.Header.Get("Hubring-Reason"))
		}
		return resp.StatusCode
	}
	codes := make(chan int, 10)
	ctx, giveUp := context.WithCancel(t.Context())
	for range 2 {
		go func() { codes <- flood(t.Context()) }()
		<-asked
	}
	for range 2 {
		go func() { codes <- flood(ctx) }()
	}
	assert.Equal(t, http.StatusTooManyRequests, <-codes, "half of the queue is for one")
	done := make(chan said)
	go func() { done <- h.get("/api/v1/query", "query", "up") }()
	giveUp()
	assert.Zero(t, <-codes)
	close(answer)
	assert.Equal(t, http.StatusOK, <-codes)
	assert.Equal(t, http.StatusOK, <-codes)
	<-asked
	assert.Equal(t, http.StatusOK, (<-done).code)
	assert.InDelta(t, 1, h.refusals("too_many_queries"), 0)
}

// Who goes away takes his query along, to the shards; and whose time is over is told so.
func TestQueriesThatEnd(t *testing.T) {
	h := newHouse(t, 2, nil)
	asked, left := make(chan struct{}, 10), make(chan struct{}, 10)
	for _, s := range h.shards {
		s.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
			assert.NoError(t, r.ParseForm())
			asked <- struct{}{}
			<-r.Context().Done()
			left <- struct{}{}
			return true
		})
	}
	for _, path := range []string{"query?query=sum(up)", "series?match[]=up", "labels", "metadata"} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-asked
			<-asked
			cancel()
		}()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+"/api/v1/"+path, nil)
		require.NoError(t, err)
		_, err = http.DefaultClient.Do(req)
		require.ErrorIs(t, err, context.Canceled)
		<-left
		<-left
	}
	got := h.get("/api/v1/query", "query", "sum(up)", "timeout", "50ms")
	assert.Equal(t, http.StatusServiceUnavailable, got.code)
	assert.Equal(t, "timeout", got.header.Get("Hubring-Reason"))
	assert.Equal(t, "timeout", got.json.ErrorType)
	assert.Equal(t, "query timed out in query execution", got.json.Error)
}

// A shard that hangs, of which that is not known yet, does not eat up all the time of a query that may be partial.
func TestTimeIsLeftForAPartialAnswer(t *testing.T) {
	h := newHouse(t, 2, nil).fill()
	h.shards[1].Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		assert.NoError(t, r.ParseForm())
		<-r.Context().Done()
		return true
	})
	for _, path := range []string{"query", "query_range"} {
		got := h.get("/api/v1/"+path, "query", "count(load)", "start", "0", "end", "1", "step", "1", "timeout", "1s", "partial_response", "true")
		assert.Equal(t, http.StatusOK, got.code)
		require.Len(t, got.json.Warnings, 1)
		assert.Contains(t, got.json.Warnings[0], "it takes requests and does not answer")
	}
	got := h.get("/api/v1/query", "query", "count(load)", "timeout", "50ms")
	assert.Equal(t, "timeout", got.header.Get("Hubring-Reason"), "without that the query is out of time")
}

// Whoever reads hubquery remotely gets the series of one Prometheus, also those of gateways that moved.
func TestRemoteRead(t *testing.T) {
	h := newHouse(t, 2, nil).fill()
	all := func(from string, types ...prompb.ReadRequest_ResponseType) (string, error) {
		u, err := url.Parse(from + "/api/v1/read")
		require.NoError(t, err)
		client, err := remote.NewReadClient("test", &remote.ClientConfig{
			URL: &config.URL{URL: u}, Timeout: model.Duration(time.Minute), HTTPClientConfig: config.DefaultHTTPClientConfig, ChunkedReadLimit: 1 << 20, AcceptedResponseTypes: types,
		})
		require.NoError(t, err)
		query, err := remote.ToQuery(begin, begin+samples*15_000, []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", "load|odd.*")}, &storage.SelectHints{Start: begin, End: begin + samples*15_000})
		require.NoError(t, err)
		set, err := client.Read(t.Context(), query, true)
		if err != nil {
			return "", err
		}
		var b strings.Builder
		for set.Next() {
			fmt.Fprintln(&b, set.At().Labels())
			it := set.At().Iterator(nil)
			for it.Next() != chunkenc.ValNone {
				at, v := it.At()
				fmt.Fprintln(&b, at, v)
			}
			require.NoError(t, it.Err())
		}
		return b.String(), set.Err()
	}
	for _, kind := range []prompb.ReadRequest_ResponseType{prompb.ReadRequest_SAMPLES, prompb.ReadRequest_STREAMED_XOR_CHUNKS} {
		want, err := all(h.one.URL, kind)
		require.NoError(t, err)
		require.Contains(t, want, "gw-0")
		got, err := all(h.url, kind)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	for _, s := range h.shards {
		s.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/api/v1/read" {
				return false
			}
			http.Error(w, "no", http.StatusInternalServerError)
			return true
		})
		_, err := all(h.url+"/api/v1/read?partial_response=true#", prompb.ReadRequest_STREAMED_XOR_CHUNKS)
		require.Error(t, err)
		_, err = all(h.url, prompb.ReadRequest_STREAMED_XOR_CHUNKS)
		require.ErrorContains(t, err, "503")
		s.Intercept(nil)
	}
	assert.Positive(t, h.refusals(shardUnavailable))
	resp, err := http.Post(h.url+"/api/v1/read", "application/x-protobuf", strings.NewReader("rubbish"))
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
	assert.Equal(t, "bad_data", resp.Header.Get("Hubring-Reason"))
}
