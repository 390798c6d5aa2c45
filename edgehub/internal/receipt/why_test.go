package receipt

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// complained is a line of testdata/complaints.txt.
type complained struct {
	name, kind, reason, metric, text string
}

func complaintsOf(t *testing.T) (all []complained) {
	t.Helper()
	content, err := os.ReadFile("testdata/complaints.txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(content)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		require.Len(t, f, 5, line)
		all = append(all, complained{f[0], f[1], f[2], f[3], strings.ReplaceAll(f[4], "ADDRESS", "hub:9091")})
	}
	require.NotEmpty(t, all)
	return all
}

var kindNames = map[Kind]string{Unknown: "Unknown", Size: "Size", Content: "Content", Lost: "Lost"}

// targetOf is a target in the list of Prometheus 3.15.
func targetOf(url, health, lastError string, lastScrape time.Time) string {
	quoted, _ := json.Marshal(lastError)
	return fmt.Sprintf(`{"discoveredLabels":{"__address__":"hub:9091","__metrics_path__":"/metrics","job":"x"},`+
		`"labels":{"instance":"hub:9091","job":"x"},"scrapePool":"x","scrapeUrl":%q,"globalUrl":%q,"lastError":%s,`+
		`"lastScrape":%q,"lastScrapeDuration":0.001412579,"health":%q,"scrapeInterval":"1s","scrapeTimeout":"1s"}`,
		url, url, quoted, lastScrape.Format(time.RFC3339Nano), health)
}

func listOf(targets ...string) string {
	return `{"status":"success","data":{"activeTargets":[` + strings.Join(targets, ",") + `],"droppedTargets":[],"droppedTargetCounts":null}}`
}

func TestWhatServersSay(t *testing.T) {
	var list string
	_, a := server(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/api/v1/targets?state=active", r.URL.RequestURI())
		says(http.StatusOK, list)(w, r)
	})
	for _, c := range complaintsOf(t) {
		health := "down"
		if c.text == "" {
			health = "up"
		}
		list = listOf(targetOf("http://hub:9091/metrics?cursor=a", health, c.text, time.Now()))
		why, err := a.Why(t.Context(), "hub:9091", "/metrics?cursor=a")
		require.NoError(t, err)
		assert.True(t, why.Found)
		assert.Equal(t, c.text == "", why.Healthy)
		assert.Equal(t, c.kind, kindNames[why.Kind], c.name)
		assert.Equal(t, c.reason, why.Reason, c.name)
		assert.Equal(t, c.metric, why.Metric, c.name)
		assert.Equal(t, c.text, why.Text, c.name)
	}
}

// VictoriaMetrics' words, from its source.
func TestWhatVictoriaMetricsSays(t *testing.T) {
	check := func(text string, kind Kind, reason string) {
		t.Helper()
		w := classify(text)
		assert.Equal(t, kind, w.Kind)
		assert.Equal(t, reason, w.Reason)
		assert.LessOrEqual(t, len(w.Text), 200)
	}
	check(`the response from "http://hub:9091/metrics" exceeds sample_limit=10; either reduce the sample count for the target or increase sample_limit`, Size, "sample_limit")
	check(`the response from "http://hub:9091/metrics" exceeds -promscrape.maxScrapeSize or max_scrape_size in the scrape config (16777216 bytes). Possible solutions are: …`, Size, "body_size_limit")
	check(`the uncompressed response from "http://hub:9091/metrics" exceeds -promscrape.maxScrapeSize or max_scrape_size in the scrape config (16777216 bytes). `, Size, "body_size_limit")
	check(`the response from "http://hub:9091/metrics" contains samples with a number of labels exceeding label_limit=2; either …`, Content, "label_limit")
	check(`label_limit exceeded`, Content, "label_limit")
	check(`unexpected status code returned when scraping "http://hub:9091/metrics": 503; expecting 200; response body: ""`, Lost, "status")
	check(`cannot read data from http://hub:9091/metrics: unexpected EOF`, Lost, "connection")
}

// A sender's words do not choose what a complaint means.
func TestSendersWordsInComplaints(t *testing.T) {
	w := classify(`label_value_length_limit exceeded (metric: sample limit exceeded, label name: x, value: "body size limit exceeded", length: 99, limit: 9)`)
	assert.Equal(t, "label_value_length_limit", w.Reason)
	assert.Equal(t, "sample limit exceeded", w.Metric)
	w = classify(`invalid metric name or label names: {__name__="context deadline exceeded", "a.b"="EOF"}`)
	assert.Equal(t, "bad_name", w.Reason)
	w = classify(`expected label name, got "EOF" while parsing: "sample limit exceeded"`)
	assert.Equal(t, Unknown, w.Kind)
	w = classify(`expected label name, got "\" (\"EOF\") while parsing: " ("INVALID") while parsing: "data does not end with # EOF"`)
	assert.Equal(t, Unknown, w.Kind)
}

func TestWhichTarget(t *testing.T) {
	now := time.Now()
	list := listOf(
		targetOf("http://hub:9091/internal", "up", "", now),
		targetOf("http://hub:9091/metrics?cursor=a&part=1&parts=2", "down", "one of two", now),
		targetOf("http://hub:9091/metrics?a=x+y&cursor=b", "down", "older", now.Add(-time.Minute)),
		targetOf("http://hub:9091/metrics?a=x+y&cursor=b", "down", "newer", now),
		targetOf("http://other:9091/metrics", "down", "other", now),
		targetOf("http://hub:9091/metrics", "down", "plain", now),
	)
	_, a := server(t, says(http.StatusOK, list))
	check := func(host, uri, want string) {
		t.Helper()
		why, err := a.Why(t.Context(), host, uri)
		require.NoError(t, err)
		assert.Equal(t, want, why.Text)
		assert.Equal(t, want != "", why.Found)
	}
	check("hub:9091", "/metrics", "plain")
	check("HUB:9091", "/metrics", "plain")
	check("other:9091", "/metrics", "other")
	check("hub:9091", "/metrics?parts=2&part=1&cursor=a", "one of two")
	check("hub:9091", "/metrics?cursor=b&a=x%20y", "newer")
	check("hub:9091", "/metrics?cursor=c", "")
	check("third:9091", "/metrics", "")
	_, err := a.Why(t.Context(), "hub:9091", "metrics")
	assert.Error(t, err)
}

// A server's clock may be wrong; what counts is how long ago the scrape was.
func TestWhenTheScrapeBegan(t *testing.T) {
	ahead := 3 * time.Hour
	_, a := server(t, func(w http.ResponseWriter, r *http.Request) {
		there := time.Now().Add(ahead)
		w.Header().Set("Date", there.UTC().Format(http.TimeFormat))
		says(http.StatusOK, listOf(targetOf("http://hub:9091/metrics", "down", "x", there.Add(-30*time.Second))))(w, r)
	})
	why, err := a.Why(t.Context(), "hub:9091", "/metrics")
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(-30*time.Second), why.Started, 2*time.Second)
}

// A list of many targets is longer than an answer to a query may be.
func TestManyTargets(t *testing.T) {
	other := targetOf("http://node:9100/metrics", "up", "", time.Now())
	list := listOf(strings.Repeat(other+",", 20_000) + targetOf("http://hub:9091/metrics", "down", "too old sample", time.Now()))
	require.Greater(t, len(list), 4*maxAnswer)
	_, a := server(t, says(http.StatusOK, list))
	a.timeout = time.Minute // the race detector takes its time
	why, err := a.Why(t.Context(), "hub:9091", "/metrics")
	require.NoError(t, err)
	assert.Equal(t, "too_old", why.Reason)
}

func TestListsThatAreNone(t *testing.T) {
	for _, list := range []string{
		"", "[]", "{", `{"status":"success"}`, `{"data":[]}`, `{"data":{"droppedTargets":[]}}`,
		`{"data":{"activeTargets":{}}}`, `{"data":{"activeTargets":[{]}}`, `{"data":{"activeTargets":[{"lastScrape":5}]}}`, "<html>",
	} {
		_, a := server(t, says(http.StatusOK, list))
		_, err := a.Why(t.Context(), "hub:9091", "/metrics")
		assert.Error(t, err, list)
	}
	_, a := server(t, says(http.StatusNotFound, ""))
	_, err := a.Why(t.Context(), "hub:9091", "/metrics")
	assert.ErrorIs(t, err, ErrNoQueries)
}

func FuzzClassify(f *testing.F) {
	for _, c := range []string{"", "sample limit exceeded", "label_limit exceeded (metric: \xff, number of labels: 1, limit: 2)"} {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if w := classify(text); len(w.Text) > maxWords || strings.ContainsRune(w.Text, '\n') {
			t.Fatalf("%q", w.Text)
		}
	})
}
