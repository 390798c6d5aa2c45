package edgehub

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func zipped(t testing.TB, text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}

func TestPushAnswersWithTheReason(t *testing.T) {
	s := serve(t, Config{MaxBodyBytes: 300, MaxLabels: 2, MaxSeriesBytes: 60})
	f := func(body string, status int, reason string, headers ...string) {
		t.Helper()
		answer, text := s.do("POST", "/metrics", body, headers...)
		assert.Equal(t, status, answer.StatusCode, "%q", body)
		assert.Contains(t, text, reason, "%q", body)
	}
	const bad = http.StatusBadRequest
	f("x 1\ny{a=\"b\" 2\n", bad, "line 2: the labels have no closing brace")
	f("x 1\ny{a=\"b} 2\n", bad, "line 2: a label value has no closing quote")
	f("\nx{a=\"b\",a=\"c\"} 1\n", bad, `line 2: series "x{a=\"b\",a=\"c\"}": label "a" is there twice`)
	f("x{1a=\"b\"} 1\n", bad, "line 1: series")
	f("# TYPE x counter\n\nx one\n", bad, `line 3: value "one" of series "x" is not a number`)
	f("x 1 now\n", bad, "line 1: timestamp \"now\"")
	f("x{a=\"1\",b=\"2\",c=\"3\"} 1\n", bad, "more than 2 labels")
	f("x{a=\""+strings.Repeat("y", 60)+"\"} 1\n", bad, "the limit is 60")
	f("# HELP x "+strings.Repeat("y", 60)+"\nx 1\n", bad, `line 1: the HELP or TYPE line of "x" has 69 bytes, the limit is 60`)
	f(strings.Repeat("x", 301), http.StatusRequestEntityTooLarge, "larger than 300 bytes")
	f(zipped(t, strings.Repeat("x 1\n", 100)), http.StatusRequestEntityTooLarge, "larger than 300 bytes", "Content-Encoding", "gzip")
	f("no gzip at all", bad, "decompress the body", "Content-Encoding", "gzip")
	f(zipped(t, "x 1\n")[:20], bad, "read the body", "Content-Encoding", "gzip")
	f("x 1\n", http.StatusUnsupportedMediaType, `content encoding "zstd" is not supported`, "Content-Encoding", "zstd")
	f("x 1\n", http.StatusUnsupportedMediaType, "send text/plain", "Content-Type", "application/openmetrics-text; version=1.0.0")
	assert.Zero(t, s.Stats().Received, "something of a refused push was taken")
	assert.Empty(t, s.scrape())
	s.rejected("malformed", 9, 11)
	s.rejected("body_too_large", 2, 100) // of the one that was read
	s.rejected("encoding", 2, 0)
	s.rejected("unreadable", 1, 1)
	s.rejected("content_type", 1, 0)
}

// Every reason is there before its first push, so that its rate can be seen.
func TestReasonsAreThereFromTheStart(t *testing.T) {
	s := serve(t, Config{})
	for _, reason := range []string{
		"malformed", "body_too_large", "encoding", "content_type", "unreadable", "too_slow", "bodies_bytes",
		"too_many_connections", "too_many_pushes", "hub_full", "series_limit", "time_in_seconds", "reserved_name",
	} {
		s.rejected(reason, 0, 0)
	}
}

func TestPushTakesGzipAndSaysSo(t *testing.T) {
	s := serve(t, Config{})
	answer, text := s.do("POST", "/metrics", zipped(t, at("x", 1, 0)), "Content-Encoding", "gzip")
	require.Equal(t, http.StatusOK, answer.StatusCode, text)
	assert.Equal(t, "gzip", answer.Header.Get("Accept-Encoding"))
	assert.Equal(t, at("x", 1, 0), s.scrape())
}

func TestFullHubRefusesTheWholePush(t *testing.T) {
	s := serve(t, Config{MaxSamples: 3})
	s.push(at("x", 1, 0) + at("x", 2, 1))
	answer, text := s.do("POST", "/metrics", at("x", 3, 2)+at("x", 4, 3))
	assert.Equal(t, http.StatusTooManyRequests, answer.StatusCode)
	assert.Equal(t, "5", answer.Header.Get("Retry-After"))
	assert.Contains(t, text, "holds 2 samples that wait to be scraped, this push has 2, and the limit is 3")
	s.push(at("x", 3, 2))
	assert.Equal(t, at("x", 1, 0)+at("x", 2, 1)+at("x", 3, 2), s.scrape())
	s.push(at("x", 4, 3) + at("x", 5, 4) + at("x", 6, 5)) // the scrape made room
	s.rejected("hub_full", 1, 2)
}

func TestSeriesAreLimited(t *testing.T) {
	s := serve(t, Config{MaxSeries: 2})
	s.push("x 1\ny 1\n")
	answer, text := s.do("POST", "/metrics", "x 1\nz 1\n")
	assert.Equal(t, http.StatusTooManyRequests, answer.StatusCode)
	assert.Equal(t, "the hub knows 2 series, with this push it were 3, and the limit is 2\n", text)
	answer, _ = s.do("POST", "/metrics", "# TYPE a counter\n# TYPE b counter\n# TYPE c counter\n")
	assert.Equal(t, http.StatusTooManyRequests, answer.StatusCode)
	s.push("x 2\ny 2\n")
	assert.Equal(t, "5", answer.Header.Get("Retry-After"))
	s.rejected("series_limit", 2, 2)
}

// Spellings that differ meet in one series, and the spellings that a hub
// remembers of it are few.
func TestSpellingsMeet(t *testing.T) {
	s := serve(t, Config{})
	for i, spelling := range []string{
		`x{a="1",b="2"}`, `x{b="2",a="1"}`, `x {a="1",b="2"}`, `x{a="1",b="2",}`, `x{ a="1",b="2"}`, `x{a="1",b="2",c=""}`, `x{a="1", b="2"}`,
	} {
		for range 2 {
			s.push(at(spelling, i, int64(i)))
		}
	}
	assert.Equal(t, 1, s.Stats().Series)
	assert.Equal(t, 7, strings.Count(s.scrape(), `x{a="1",b="2"} `))
}

// A sender that changes what follows what is read right all the same.
func TestWrongGuessesChangeNothing(t *testing.T) {
	s := serve(t, Config{})
	s.push("a 1 1\nb 2 1\nc 3 1\n")
	s.push("a 1 2\nc 3 2\nb 2 2\n")
	s.push("a 1 3\nb{x=\"y\"} 4 3\nbc 5 3\nc 3 3\n")
	s.push("# TYPE a counter\na 1 4\n# TYPE b counter\nb 2 4\n")
	s.push("# TYPE a counter\n# TYPE b counter\na 1 5\nb 2 5\n")
	var got []string
	for series, p := range s.Pending() {
		got = append(got, strings.Join([]string{series, string('0' + rune(p.Value)), string('0' + rune(p.Time))}, " "))
	}
	assert.Equal(t, []string{
		"a 1 1", "a 1 2", "a 1 3", "a 1 4", "a 1 5",
		"b 2 1", "b 2 2", "b 2 4", "b 2 5", `b{x="y"} 4 3`,
		"bc 5 3", "c 3 1", "c 3 2", "c 3 3",
	}, got)
}
