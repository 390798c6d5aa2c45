package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// complaints is what the hub takes for the words of real servers.
const complaints = "../edgehub/internal/receipt/testdata/complaints.txt"

// refusals are the scrape jobs that make a server complain, by the case in complaints.
var refusals = map[string]string{
	"sample_limit":             "sample_limit: 2",
	"body_size_limit":          "body_size_limit: 100B",
	"label_limit":              "label_limit: 4",
	"label_limit_long_name":    "label_limit: 4",
	"label_name_length_limit":  "label_name_length_limit: 12",
	"label_value_length_limit": "label_value_length_limit: 31",
	"no_name":                  "metric_relabel_configs: [{source_labels: [__name__], regex: some_metric, target_label: __name__, replacement: ''}]",
	"bad_name":                 "metric_name_validation_scheme: legacy",
	"too_old":                  "",
	"timeout":                  "scrape_timeout: 100ms",
	"status":                   "",
	"cut_off":                  "",
	"closed":                   "",
	"no_end":                   "",
	"no_end_of_line":           "",
	"no_text":                  "",
	"stored":                   "",
}

// What a server says of a scrape that it refuses is what the hub has learned to read; and
// where it names a metric, it is the one.
func TestWhatServersSayOfRefusedScrapes(t *testing.T) {
	t.Parallel()
	want := readComplaints(t)
	target := httptest.NewServer(http.HandlerFunc(refusable))
	t.Cleanup(target.Close)
	address := target.Listener.Addr().String()
	s := ownStack(t, stack.Config{})
	for _, program := range []string{realbin.Prometheus, realbin.Prometheus253} {
		var config strings.Builder
		config.WriteString("global: {scrape_interval: 1s}\nstorage: {tsdb: {out_of_order_time_window: 1h}}\nscrape_configs:\n")
		asked := 0
		for name, line := range refusals {
			if name == "bad_name" && program == realbin.Prometheus253 {
				continue // it takes this key for an error
			}
			asked++
			fmt.Fprintf(&config, "  - job_name: %s\n    params: {case: [%s]}\n    static_configs: [{targets: [%q]}]\n    %s\n", name, name, address, line)
		}
		server, err := s.StartServer(t.Context(), stack.ServerConfig{Name: program, Program: program, Config: config.String()})
		require.NoError(t, err)
		client := promapi.New(server.Address)
		eventually(t, patience, func(ctx context.Context) error {
			var list struct {
				ActiveTargets []struct{ ScrapePool, ScrapeURL, LastError, Health string }
			}
			if err := client.Get(ctx, "/api/v1/targets", url.Values{"state": {"active"}}, &list); err != nil {
				return err
			}
			if len(list.ActiveTargets) != asked {
				return fmt.Errorf("%d targets of %d", len(list.ActiveTargets), asked)
			}
			for _, got := range list.ActiveTargets {
				if got.Health == "unknown" {
					return fmt.Errorf("%s was not scraped yet", got.ScrapePool)
				}
				// It may have been too slow for another reason, this once.
				if said := strings.ReplaceAll(got.LastError, address, "ADDRESS"); said != want[got.ScrapePool] {
					return fmt.Errorf("%s says of %s: %q, not %q", program, got.ScrapePool, said, want[got.ScrapePool])
				}
				if u := "http://" + address + "/metrics?case=" + got.ScrapePool; got.ScrapeURL != u {
					return fmt.Errorf("%s scrapes %s, not %s", program, got.ScrapeURL, u)
				}
			}
			return nil
		})
	}
}

// readComplaints returns the words by case.
func readComplaints(t *testing.T) map[string]string {
	t.Helper()
	content, err := os.ReadFile(complaints)
	require.NoError(t, err)
	words := make(map[string]string)
	for line := range strings.Lines(string(content)) {
		if f := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); len(f) == 5 {
			words[f[0]] = f[4]
			assert.Contains(t, refusals, f[0])
		}
	}
	require.Len(t, words, len(refusals))
	return words
}

// refusable serves what a server refuses, as the request's case says.
func refusable(w http.ResponseWriter, r *http.Request) {
	now := time.Now().UnixMilli()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	body := fmt.Sprintf("some_metric{long_label_name=%q,b=\"c\"} 1 %d\nother 1 %d\nthird 1 %d\n", "a value of thirty-one characters", now, now, now)
	switch r.FormValue("case") {
	case "label_limit_long_name":
		body = strings.Replace(body, "some_metric", "a_metric_with_a_name_of_more_than_fifty_characters_in_it", 1)
	case "bad_name":
		body = "some_metric{\"a.label\"=\"v\"} 1\n"
	case "too_old":
		body = fmt.Sprintf("some_metric{a=\"b\"} 1 %d\nsome_metric{a=\"b\"} 1 %d\n", now-7_200_000, now)
	case "timeout":
		<-r.Context().Done()
		return
	case "status":
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case "cut_off":
		w.Header().Set("Content-Length", "100000")
	case "closed":
		panic(http.ErrAbortHandler)
	case "no_end", "no_end_of_line":
		w.Header().Set("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
		body = map[string]string{"no_end": "a 1\n", "no_end_of_line": "a 1\na"}[r.FormValue("case")]
	case "no_text":
		body = "a{ 1\n"
	}
	fmt.Fprint(w, body)
}

// A receipt is there as soon as a scrape is stored, and a query for a range finds it also when the
// next scrape fails; a query for now does not. A scrape that is refused leaves none.
func TestReceiptsAreFoundByRange(t *testing.T) {
	t.Parallel()
	s := ownStack(t, stack.Config{})
	for _, program := range []string{realbin.Prometheus, realbin.Prometheus253} {
		var stored, refused atomic.Int64
		target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			n := time.Now().UnixMicro()
			switch {
			case r.FormValue("case") == "limited":
				fmt.Fprintf(w, "a 1\nb 1\n")
				refused.Add(1)
			case !stored.CompareAndSwap(0, n):
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			fmt.Fprintf(w, "edgehub_receipt{cursor=\"a\",part=\"2/10\"} %d\n", n)
		}))
		t.Cleanup(target.Close)
		client := startJobs(t, s, program, target, "stored:", "limited: sample_limit: 2")
		const receipts = `edgehub_receipt{cursor="a",part="2/10",job="stored"}`
		eventually(t, patience, func(ctx context.Context) error {
			failed, err := client.Vector(ctx, `min_over_time(up{job="stored"}[1m]) == 0 and max_over_time(up{job="stored"}[1m]) == 1`)
			if err == nil && len(failed) == 0 {
				err = errors.New("no scrape has failed yet after the one that was stored")
			}
			if err == nil && refused.Load() < 3 {
				err = errors.New("not yet refused")
			}
			return err
		})
		found, err := client.Matrix(t.Context(), receipts+"[5m]")
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.Len(t, found[0].Values, 1)
		assert.Equal(t, stored.Load(), int64(found[0].Values[0].Value), "exactly")
		now, err := client.Vector(t.Context(), receipts)
		require.NoError(t, err)
		assert.Empty(t, now, "a stale marker is behind it")
		if program == realbin.Prometheus { // for the other see TestOldPrometheusDropsAfterARefusal
			found, err = client.Matrix(t.Context(), `edgehub_receipt{job="limited"}[5m]`)
			require.NoError(t, err)
			assert.Empty(t, found)
		}
	}
}

// startJobs starts a server that scrapes the target each second by some jobs, NAME: LIMIT.
func startJobs(t *testing.T, s *stack.Stack, program string, target *httptest.Server, jobs ...string) *promapi.Client {
	t.Helper()
	var config strings.Builder
	config.WriteString("global: {scrape_interval: 1s}\nscrape_configs:\n")
	for _, job := range jobs {
		name, limit, _ := strings.Cut(job, ":")
		fmt.Fprintf(&config, "  - job_name: %s\n    params: {case: [%s]}\n    static_configs: [{targets: [%q]}]\n    %s\n",
			name, name, target.Listener.Addr(), strings.TrimSpace(limit))
	}
	server, err := s.StartServer(t.Context(), stack.ServerConfig{Name: program, Program: program, Config: config.String()})
	require.NoError(t, err)
	return promapi.New(server.Address)
}

// Prometheus 2.53.1 drops in a scrape what it had taken of the refused one before, and says
// nothing: a receipt that stands behind what was refused is stored then, though what stands before
// it is not. One that stands in front is dropped with the rest. 3.15 stores all.
func TestOldPrometheusDropsAfterARefusal(t *testing.T) {
	t.Parallel()
	s := ownStack(t, stack.Config{})
	for _, program := range []string{realbin.Prometheus, realbin.Prometheus253} {
		var scrapes atomic.Int64
		target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			if r.FormValue("case") == "first" {
				fmt.Fprint(w, "receipt{is=\"first\"} 1\n")
			} else {
				defer fmt.Fprint(w, "receipt{is=\"last\"} 1\n")
			}
			at := time.Now().UnixMilli()
			switch n := scrapes.Add(1); {
			case n <= 2: // of each job one
				fmt.Fprintf(w, "good 1 %d\nbad{a=\"b\",c=\"d\",e=\"f\"} 1 %d\n", at, at)
			case n <= 4:
				fmt.Fprintf(w, "good 2 %d\n", at)
			}
		}))
		t.Cleanup(target.Close)
		client := startJobs(t, s, program, target, "first: label_limit: 4", "last: label_limit: 4")
		eventually(t, patience, func(ctx context.Context) error {
			up, err := client.Vector(ctx, `min by (job) (min_over_time(up[1m])) == 0 and min by (job) (count_over_time(up[1m])) > 3`)
			if err == nil && len(up) < 2 {
				err = errors.New("not yet scraped four times")
			}
			return err
		})
		count := func(query string) float64 {
			v, err := client.Vector(t.Context(), query)
			require.NoError(t, err)
			if len(v) == 0 {
				return 0
			}
			return float64(v[0].Value)
		}
		second := func(job, is string) (good, receipt bool) {
			// The second scrape is the first that was up.
			return count(fmt.Sprintf(`count_over_time(good{job=%q}[1m])`, job)) > 0,
				count(fmt.Sprintf(`count_over_time(receipt{is=%q}[1m])`, is)) == count(fmt.Sprintf(`sum_over_time(up{job=%q}[1m])`, job))
		}
		good, receipt := second("last", "last")
		assert.True(t, receipt, program)
		assert.Equal(t, program == realbin.Prometheus, good, program)
		good, receipt = second("first", "first")
		assert.Equal(t, program == realbin.Prometheus, receipt, program)
		assert.Equal(t, program == realbin.Prometheus, good, program)
	}
}

// An agent says in a certain way that it answers no queries, but lists its targets.
func TestAgentAnswersNoQueries(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "agent.yml")
	require.NoError(t, os.WriteFile(config, []byte("remote_write: [{url: \"http://127.0.0.1:1/\"}]\n"), 0o600))
	agent, err := process.Start(process.Spec{
		Name: "agent", Path: filepath.Join(built(t).programs, realbin.Prometheus), LogDir: dir,
		Args: []string{"--agent", "--config.file=" + config, "--storage.agent.path=" + filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0"},
	})
	require.NoError(t, err)
	t.Cleanup(agent.Kill)
	address, err := agent.WaitListening(t.Context())
	require.NoError(t, err)
	require.NoError(t, agent.WaitHTTP(t.Context(), "http://"+address+"/-/ready"))
	client := promapi.New(address)
	_, err = client.Matrix(t.Context(), "up[1m]")
	require.ErrorContains(t, err, "answered 422 Unprocessable Entity: unavailable with Prometheus Agent")
	var list struct{ ActiveTargets []any }
	require.NoError(t, client.Get(t.Context(), "/api/v1/targets", url.Values{"state": {"active"}}, &list))
	assert.Empty(t, list.ActiveTargets)
}
