package charttest

import (
	"encoding/json"
	"fmt"
	"net/url"
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

// What the query frontend answers is what the querier answers, whether a part will do or not, while a
// server is down and when it is back: a part is not kept. What is whole is.
func TestFrontendAnswersAsTheQuerier(t *testing.T) {
	t.Parallel()
	for _, partial := range []bool{true, false} {
		t.Run(fmt.Sprintf("partialResponse %t", partial), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, mustRender(t, fmt.Sprintf(`{prometheus_servers_count: 2, create_thanos: true, query: {mode: thanos}, thanos: {query: {partialResponse: %t}, queryFrontend: {enabled: true}}}`, partial)))
			name := c.r.name + "-hubring-"
			from := time.Now().Truncate(2 * time.Hour).Add(-8 * time.Hour)
			for server, gateway := range map[string]string{"prometheus-0": "gw-a", "prometheus-1": "gw-b"} {
				c.put(name+server, gateway, from, time.Minute)
				c.startReady(name+server, "prometheus")
			}
			c.startReady(name+"prometheus-0", "thanos-sidecar")
			c.runFirst(name+"thanos-rule-0", "rulekeeper-once")
			c.startReady(name+"thanos-rule-0", "thanos-rule")
			for _, part := range []string{"thanos-query", "thanos-query-frontend"} {
				c.startReady(name+part+"-0", part)
			}
			querier, frontend := c.address(name+"thanos-query-0", 10902), c.address(name+"thanos-query-frontend-0", 10902)
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

			c.startReady(name+"prometheus-1", "thanos-sidecar")
			await(t, "the querier has both servers", func() error { return whole(querier) })
			require.NoError(t, whole(frontend), "a part was kept")
			same()
			// The ruler asks the querier, too, now and then; but not each time.
			await(t, "what is whole is kept", func() error {
				before := c.calls(querier, "client", "Series")
				if err := whole(frontend); err != nil {
					return err
				}
				if after := c.calls(querier, "client", "Series"); after != before {
					return fmt.Errorf("the querier asked its servers %v times", after-before)
				}
				return nil
			})
		})
	}
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
