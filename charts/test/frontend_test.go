package charttest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the query frontend keeps is older than any sample that may yet come late.
func TestFrontendKeepsWhatIsSettled(t *testing.T) {
	for _, window := range []string{"75m", "90m", "1d"} {
		r := mustRender(t, fiveShards, fmt.Sprintf(`{thanos: {queryFrontend: {enabled: true}}, prometheus: {outOfOrderTimeWindow: %s}}`, window))
		_, _, args := r.component("query-frontend")
		fresh, err := time.ParseDuration(flagValue(t, args, "query-range.response-cache-max-freshness", ""))
		require.NoError(t, err)
		want, _ := time.ParseDuration(strings.Replace(window, "1d", "24h", 1))
		assert.Equal(t, want, fresh)
	}
	_, _, args := mustRender(t, fiveShards, `{thanos: {queryFrontend: {enabled: true, cacheSize: ""}}}`).component("query-frontend")
	assert.NotContains(t, strings.Join(args, " "), "cache")
}

// What the query frontend answers is what is answered behind it, whether a part will do or not, while a server is down and when it
// is back: a part is not kept. What is whole is.
func TestFrontendAnswersAsTheQuerier(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]string{
		"shards": `{}`, "shards, all or nothing": `{query: {partialResponse: false}}`,
		"thanos": withQuerier, "thanos, all or nothing": join2(withQuerier, `{query: {partialResponse: false}}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assertFrontendAnswersAsTheQuerier(t, !strings.Contains(values, "partialResponse: false"), strings.Split(values, "\n---\n"))
		})
	}
}

func assertFrontendAnswersAsTheQuerier(t *testing.T, partial bool, values []string) {
	t.Helper()
	c := newCluster(t, mustRender(t, append([]string{`{prometheus_servers_count: 2, create_thanos: true, thanos: {queryFrontend: {enabled: true}}}`}, values...)...))
	name := c.r.name + "-hubring-"
	from := time.Now().Truncate(2 * time.Hour).Add(-8 * time.Hour)
	for server, gateway := range map[string]string{"prometheus-0": "gw-a", "prometheus-1": "gw-b"} {
		c.put(name+server, gateway, from, time.Minute)
	}
	// What is last started of a server is what makes it answer.
	start := func(server string) { c.startReady(name+server, "prometheus") }
	asked, port := "hubquery", 9099
	calls := func() int { return c.shardRequests(c.address(name+"query-0", 9099)) }
	if len(c.r.pods(asked)) == 0 {
		start("prometheus-0")
		start("prometheus-1")
		start = func(server string) { c.startReady(name+server, "thanos-sidecar") }
		asked, port = "thanos-query", 10902
		calls = func() int { return c.calls(c.address(name+"thanos-query-0", 10902), "client", "Series") }
	}
	start("prometheus-0")
	c.startReady(c.r.pods(asked)[0].name, asked)
	c.runFirst(name+"thanos-rule-0", "rulekeeper-once")
	c.startReady(name+"thanos-rule-0", "thanos-rule")
	c.startReady(name+"thanos-query-frontend-0", "thanos-query-frontend")
	querier, frontend := c.address(c.r.pods(asked)[0].name, port), c.address(name+"thanos-query-frontend-0", 10902)
	ask := func(address, path string) said { return hear(t, address, path, from.Add(time.Hour)) }
	same := func() {
		for _, path := range []string{"query", "query_range", "labels", "label/gatewayID/values", "series"} {
			want, got := ask(querier, path), ask(frontend, path)
			if !strings.HasPrefix(path, "query") {
				want.warned = got.warned // the query frontend leaves out warnings about labels
			}
			assert.Equal(t, want, got, path)
		}
	}
	whole := func(address string) error {
		if said := ask(address, "query_range"); !said.answered || said.warned || !strings.HasSuffix(said.data, `"2"]]}]`) {
			return fmt.Errorf("not of both servers: %+v", said)
		}
		return nil
	}
	assert.Equal(t, said{answered: partial, warned: partial, data: ask(querier, "query_range").data}, ask(frontend, "query_range"))
	same()

	start("prometheus-1")
	await(t, "both servers are asked", func() error { return whole(querier) })
	require.NoError(t, whole(frontend), "a part was kept")
	same()
	// The ruler asks, too, now and then; but not each time.
	await(t, "what is whole is kept", func() error {
		before := calls()
		if err := whole(frontend); err != nil {
			return err
		}
		if after := calls(); after != before {
			return fmt.Errorf("servers were asked %v times", after-before)
		}
		return nil
	})
}

// shardRequests returns how often a hubquery has asked shards.
func (c *cluster) shardRequests(address string) int {
	c.t.Helper()
	metrics, err := get(c.t.Context(), "http://"+address+"/metrics")
	require.NoError(c.t, err)
	sum := 0
	for _, match := range regexp.MustCompile(`(?m)^hubquery_shard_requests_total\{[^}]*\} (\d+)$`).FindAllStringSubmatch(metrics, -1) {
		n, err := strconv.Atoi(match[1])
		require.NoError(c.t, err)
		sum += n
	}
	return sum
}

// said is what an API answered.
type said struct {
	answered, warned bool
	data             string
}

// hear asks an API for the hour from a time on.
func hear(t *testing.T, address, path string, from time.Time) said {
	t.Helper()
	at := func(at time.Time) []string { return []string{strconv.FormatInt(at.Unix(), 10)} }
	window := url.Values{"start": at(from), "end": at(from.Add(time.Hour)), "time": at(from), "step": {"60"}, "query": {"count(put)"}, "match[]": {"put"}}
	body, err := get(t.Context(), "http://"+address+"/api/v1/"+path+"?"+window.Encode())
	if err != nil {
		return said{}
	}
	var answer struct {
		Warnings []string        `json:"warnings"`
		Data     json.RawMessage `json:"data"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	var queried struct {
		Result json.RawMessage `json:"result"`
	}
	if json.Unmarshal(answer.Data, &queried) == nil {
		answer.Data = queried.Result // beside it is how long it took
	}
	return said{true, len(answer.Warnings) > 0, string(answer.Data)}
}
