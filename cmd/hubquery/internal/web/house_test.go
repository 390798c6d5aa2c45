package web

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/cmd/hubquery/internal/bounded"
	"github.com/hubring/hubring/cmd/hubquery/internal/engine"
	"github.com/hubring/hubring/cmd/hubquery/internal/gate"
	"github.com/hubring/hubring/cmd/hubquery/internal/moves"
	"github.com/hubring/hubring/cmd/hubquery/internal/servertest"
	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

// house is hubquery's doors before some shards, and one server that has the samples of all of them.
type house struct {
	t      *testing.T
	one    *servertest.Server
	shards []*servertest.Server
	url    string
	set    *shard.Set
	reg    *prometheus.Registry
	gate   *gate.Gate
}

func newHouse(t *testing.T, n int, change func(*Config, *engine.Config)) *house {
	t.Helper()
	h := &house{t: t, one: servertest.New(t, nil), reg: prometheus.NewRegistry()}
	var configs []shard.Config
	for i := range n {
		s := servertest.New(t, map[string]string{"shard": strconv.Itoa(i)})
		h.shards = append(h.shards, s)
		configs = append(configs, shard.Config{Name: strconv.Itoa(i), Servers: []string{s.URL}, Kind: shard.Prometheus})
	}
	h.serve(configs, change)
	return h
}

func (h *house) serve(configs []shard.Config, change func(*Config, *engine.Config)) {
	set, err := shard.New(config.DefaultHTTPClientConfig, h.reg, promslog.NewNopLogger())
	require.NoError(h.t, err)
	require.NoError(h.t, set.Use(configs))
	h.set, h.gate = set, gate.New(20, 10, h.reg)
	promql := bounded.Parser{Parser: parser.NewParser(parser.Options{})}
	inner := engine.Config{
		Shards: set, GatewayLabel: "gatewayID", Timeout: time.Minute, Lookback: 5 * time.Minute, DefaultStep: time.Minute,
		MaxSamples: 1_000_000, MaxSeries: 1000, MaxMoved: 100, Parser: promql, Registerer: h.reg, Logger: promslog.NewNopLogger(), Now: time.Now,
	}
	cfg := Config{
		Shards: set, Gate: h.gate, Parser: promql, Timeout: time.Minute, Lookback: 5 * time.Minute, MaxSamples: 1_000_000, MaxSeries: 1000,
		Label: "gatewayID", Flags: map[string]string{"query.timeout": "1m"}, CORSOrigin: regexp.MustCompile("^(?:.*)$"),
		Ready: set.Answered, Registry: h.reg, Logger: promslog.NewNopLogger(),
	}
	if change != nil {
		change(&cfg, &inner)
	}
	cfg.Engine = engine.New(inner)
	server := httptest.NewServer(New(cfg))
	h.t.Cleanup(server.Close)
	h.url = server.URL
}

func (h *house) add(on int, s []servertest.Sample, series ...string) {
	h.one.Add(s, series...)
	h.shards[on].Add(s, series...)
}

// fill gives two shards six gateways, of which gw-0 moves, and some series with odd labels.
func (h *house) fill() *house {
	run := func(from, to int, of float64) (all []servertest.Sample) {
		for i := from; i < to; i++ {
			all = append(all, servertest.Sample{T: begin + int64(i)*15_000, V: of + float64(i)})
		}
		return all
	}
	for i := 1; i < 6; i++ {
		for _, name := range []string{"load", "requests_total"} {
			h.add(i%2, run(0, samples, float64(i*100)), "__name__", name, "gatewayID", fmt.Sprintf("gw-%d", i), "networkID", strconv.Itoa(i%2))
		}
	}
	at := begin + moved*15_000
	load := []string{"__name__", "load", "gatewayID", "gw-0", "networkID", "0"}
	h.add(0, run(0, moved, 7), load...)
	h.shards[0].Add([]servertest.Sample{{T: at - 1, V: servertest.Stale}}, load...)
	h.add(1, run(moved, samples, 7), load...)
	for on, t := range []int64{begin, at} {
		h.add(on, []servertest.Sample{{T: t, V: float64(t) / 1000}}, "__name__", moves.Series, "gatewayID", "gw-0")
	}
	h.add(0, run(0, samples, 0), "__name__", "odd", "gatewayID", "gw-1", "text", "a\"b\\c}{,[]\n\t é \u2028 <&> \\")
	h.add(1, run(0, samples, 0), "__name__", "odd", "gatewayID", "gw-2", "a.b/c", "dotted", "U__x", "escaped")
	h.add(1, run(0, samples, 0), "__name__", "odd.name", "gatewayID", "gw-3")
	for i := range 6 { // of no gateway
		h.add(i%2, run(0, samples, float64(i)), "__name__", "plain", "n", strconv.Itoa(i))
	}
	return h
}

type said struct {
	code   int
	header http.Header
	body   []byte
	json   struct {
		Status, ErrorType, Error string
		Data                     json.RawMessage
		Warnings, Infos          []string
	}
}

// requireZipped requires that an answer came compressed if that was asked for and it was worth it.
func (s said) requireZipped(t *testing.T, asked bool) {
	t.Helper()
	require.Equal(t, asked && len(s.body) >= leastCompressed, s.header.Get("Content-Encoding") == "gzip", "%d bytes", len(s.body))
	require.Contains(t, s.header.Values("Vary"), "Accept-Encoding")
}

func ask(t *testing.T, method, target string, form url.Values, header ...string) said {
	t.Helper()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(form.Encode())
	} else if len(form) > 0 {
		target += "?" + form.Encode()
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, body)
	require.NoError(t, err)
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	s := said{code: resp.StatusCode, header: resp.Header}
	in := io.Reader(resp.Body)
	if resp.Header.Get("Content-Encoding") == "gzip" && s.code != http.StatusNoContent {
		in, err = gzip.NewReader(resp.Body)
		require.NoError(t, err)
	}
	s.body, err = io.ReadAll(in)
	require.NoError(t, err)
	_ = json.Unmarshal(s.body, &s.json)
	return s
}

func (h *house) get(path string, params ...string) said {
	h.t.Helper()
	return ask(h.t, http.MethodGet, h.url+path, values(params...))
}

func values(params ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(params); i += 2 {
		v.Add(params[i], params[i+1])
	}
	return v
}

func stamp(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64) }

// sameData compares answers, series in any order.
func sameData(t *testing.T, want, got json.RawMessage) {
	t.Helper()
	sorted := func(text json.RawMessage) string {
		var data map[string]json.RawMessage
		var list []json.RawMessage
		if json.Unmarshal(text, &data) == nil && json.Unmarshal(data["result"], &list) == nil && len(list) > 0 && list[0][0] == '{' {
			slices.SortFunc(list, func(a, b json.RawMessage) int { return strings.Compare(string(a), string(b)) })
			b, _ := json.Marshal(list)
			return string(b)
		}
		return string(text)
	}
	assert.JSONEq(t, sorted(want), sorted(got))
}

func (h *house) refusals(reason string) float64 {
	return h.value("hubquery_refused_queries_total", reason)
}

// value is a counter's whose labels have these values.
func (h *house) value(name string, of ...string) float64 {
	families, err := h.reg.Gather()
	require.NoError(h.t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var has []string
			for _, l := range m.GetLabel() {
				has = append(has, l.GetValue())
			}
			if f.GetName() == name && slices.Equal(has, of) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

// canned answers what a server in a test does not.
func canned(w http.ResponseWriter, r *http.Request) bool {
	answers := map[string]string{
		"/api/v1/metadata":    `{"status":"success","data":{"load":[{"type":"gauge","help":"Load of %[1]s.","unit":""},{"type":"gauge","help":"Load.","unit":""}],"only_%[2]s":[{"type":"counter","help":"","unit":""}]}}`,
		"/api/v1/rules":       `{"status":"success","data":{"groups":[{"name":"g","file":"f-%[2]s","rules":[]}],"groupNextToken":"x"}}`,
		"/api/v1/alerts":      `{"status":"success","data":{"alerts":[{"labels":{"alertname":"A"},"state":"firing","value":"1e+00"}]}}`,
		"/api/v1/targets":     `{"status":"success","data":{"activeTargets":[{"scrapeUrl":"http://%[1]s/metrics"}],"droppedTargets":[],"droppedTargetCounts":null}}`,
		"/api/v1/status/tsdb": `{"status":"success","data":{"headStats":{"numSeries":10,"numLabelPairs":5,"chunkCount":20,"minTime":%[2]s,"maxTime":2%[2]s},"seriesCountByMetricName":[{"name":"load","value":4},{"name":"m%[2]s","value":3}],"labelValueCountByLabelName":[],"memoryInBytesByLabelName":[],"seriesCountByLabelValuePair":[]}}`,
		"/api/v1/query_exemplars": `{"status":"success","data":[{"seriesLabels":{"__name__":"load","gatewayID":"gw-0"},"exemplars":[{"labels":{"trace":"%[2]s"},"value":"6","timestamp":1795996800.%[2]s}]},` +
			`{"seriesLabels":{"__name__":"load","port":"%[2]s"},"exemplars":[]}]}`,
	}
	text, ok := answers[r.URL.Path]
	if !ok {
		return false
	}
	_, port, _ := strings.Cut(r.Host, ":")
	fmt.Fprintf(w, text, r.Host, port)
	return true
}

func compareNumbers(a, b string) int {
	x, _ := strconv.Atoi(a)
	y, _ := strconv.Atoi(b)
	return x - y
}
