package edgehub

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/exposition"
)

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
	f("x 1\n", http.StatusUnsupportedMediaType, `content encoding "deflate" is not supported; send gzip, zstd, snappy in frames, or none`, "Content-Encoding", "deflate")
	f("x 1\n", http.StatusUnsupportedMediaType, "that of remote write, which goes to /api/v1/write", "Content-Type", "application/x-protobuf")
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
		"malformed", "time_unit", "reserved_name", "body_too_large", "encoding", "content_type", "unreadable",
		"too_slow", "bodies_bytes", "too_many_connections", "too_many_pushes", "too_many_samples", "hub_full", "gateway_share",
		"series_limit", "gateway_series", "table_bytes", "stopping",
	} {
		s.rejected(reason, 0, 0)
	}
}

// The name of an encoding has no case, and gzip has two.
func TestPushTakesEncodingsAndSaysSo(t *testing.T) {
	for _, encoding := range []string{"gzip", "GZIP", "x-gzip", "X-GZip", " gzip "} {
		s := serve(t, Config{})
		answer, text := s.do("POST", "/metrics", zipped(t, at("x", 1, 0)), "Content-Encoding", encoding)
		require.Equal(t, http.StatusOK, answer.StatusCode, text)
		assert.Equal(t, "gzip, zstd", answer.Header.Get("Accept-Encoding"))
		assert.Equal(t, at("x", 1, 0), s.scrape())
	}
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

// Spellings that differ meet in one series.
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
		"bc 5 3", "c 3 1", "c 3 2", "c 3 3",
		"a 1 1", "a 1 2", "a 1 3", "a 1 4", "a 1 5",
		"b 2 1", "b 2 2", "b 2 4", "b 2 5", `b{x="y"} 4 3`,
	}, got)
}

// A word that is no type does not cost a report its samples.
func TestUnknownTypesAreCountedAndTaken(t *testing.T) {
	s := serve(t, Config{})
	s.push("# TYPE w Counter\n" + at("w", 1, 0) + "# TYPE x stateset\n" + at("x", 1, 0) + "# TYPE y\tGAUGE\n" + at("y", 1, 0) + "# TYPE z 7\n" + at("z", 1, 0))
	assert.Equal(t, "# TYPE w counter\n"+at("w", 1, 0)+at("x", 1, 0)+"# TYPE y gauge\n"+at("y", 1, 0)+at("z", 1, 0),
		strings.ReplaceAll(strings.ReplaceAll(s.scrape(), "# TYPE x untyped\n", ""), "# TYPE z untyped\n", ""))
	s.says("edgehub_unknown_types_total 2")
}

// Times in seconds are refused where their sender can be named; later they would be dropped
// as too old, and nobody knew whose they were.
func TestTimesInOtherUnitsAreRefused(t *testing.T) {
	s := serve(t, Config{})
	f := func(body, want string) {
		t.Helper()
		answer, text := s.do("POST", "/metrics", body)
		assert.Equal(t, http.StatusBadRequest, answer.StatusCode)
		assert.Equal(t, "time_unit", answer.Header.Get(exposition.ReasonHeader))
		assert.Equal(t, want+"\n", text)
	}
	f(at("y", 1, 0)+"x{gatewayID=\"gw7\"} 1 1764480000\n",
		`line 2: series "x{gatewayID=\"gw7\"}" of gateway "gw7" has the time 1764480000; times are in milliseconds, this one looks like seconds`)
	f("x 1 1000000000\n",
		`line 1: series "x" has the time 1000000000; times are in milliseconds, this one looks like seconds`)
	s.push("x{gatewayID=\"gw7\"} 1\n") // a known one as well
	f("x{gatewayID=\"gw7\"} 1 9999999999\n",
		`line 1: series "x{gatewayID=\"gw7\"}" of gateway "gw7" has the time 9999999999; times are in milliseconds, this one looks like seconds`)
	f("x 1 1764480000000000\n",
		`line 1: series "x" has the time 1764480000000000; times are in milliseconds, this one looks like microseconds or nanoseconds`)
	s.rejected("time_unit", 4, 5)
	for _, ms := range []string{"999999999", "10000000000", "0", "-1764480000", "5"} { // old, and no seconds
		s.push("x 1 " + ms + "\n")
	}
}

// The hub's own word in a response must not be somebody else's.
func TestReservedNameIsRefused(t *testing.T) {
	s := serve(t, Config{})
	for _, name := range []string{"edgehub_receipt", "edgehub_gateway_first_sample_timestamp_seconds"} {
		for _, body := range []string{name + " 1\n", "x 1\n" + name + "{cursor=\"a\"} 1\n", "{\"" + name + "\"} 1\n"} {
			answer, text := s.do("POST", "/metrics", body)
			assert.Equal(t, http.StatusBadRequest, answer.StatusCode)
			assert.Equal(t, "reserved_name", answer.Header.Get(exposition.ReasonHeader))
			assert.Contains(t, text, "the name "+name+" is the hub's own")
		}
		s.push(name + "s 1\n# HELP " + name + " Mine.\n# TYPE " + name + " counter\n")
	}
	s.rejected("reserved_name", 6, 8)
	assert.NotContains(t, s.scrape(), "Mine")
}

// Push is what a POST is, without one.
func TestPushOfAnEmbedder(t *testing.T) {
	s := serve(t, Config{MaxSamples: 2})
	n, err := s.Push(t.Context(), Text, []byte(at("x", 1, 0)+at("x", 2, 1)))
	require.NoError(t, err)
	assert.Equal(t, 2, n)

	f := func(want RefusedError, samples int, format Format, body string) {
		t.Helper()
		n, err := s.Push(t.Context(), format, []byte(body))
		var refused *RefusedError
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, want.Status, refused.Status)
		assert.Equal(t, want.Reason, refused.Reason)
		assert.ErrorContains(t, err, want.text)
		assert.Zero(t, n)
		if format == Text {
			s.rejected(want.Reason, 1, samples)
		}
	}
	f(RefusedError{http.StatusTooManyRequests, "hub_full", "the limit is 2"}, 1, Text, at("x", 3, 2))
	f(RefusedError{http.StatusBadRequest, "malformed", "line 2: value"}, 2, Text, "x 1\nx y\n")
	f(RefusedError{http.StatusBadRequest, "time_unit", "line 1"}, 1, Text, "x 1 1764480000\n")
	f(RefusedError{http.StatusUnsupportedMediaType, "content_type", "the format 7 is not supported"}, 1, 7, "x 1\n")

	_, err = s.Push(ended(), Text, []byte("x 1\n"))
	assert.ErrorIs(t, err, ended().Err())
	body := []byte(at("x", 3, 2))
	assert.Equal(t, at("x", 1, 0)+at("x", 2, 1), s.scrape())
	_, err = s.Push(t.Context(), Text, body)
	require.NoError(t, err)
	for i := range body {
		body[i] = '!' // it is not kept
	}
	assert.Equal(t, at("x", 3, 2), s.scrape())
	s.scrape()
	require.NoError(t, s.Drain(t.Context()))
	f(RefusedError{http.StatusServiceUnavailable, "stopping", "push to another one"}, 1, Text, "x 1\n")
}

// A hub that is full has no room for a push of nothing either: its sender would come back with samples. Once it has
// refused some it takes none before an eighth is free, or it had room for a moment at each scrape.
func TestPushOfNothingIntoAFullHub(t *testing.T) {
	s := serve(t, Config{MaxSamples: 80, MaxScrapeSamples: 9})
	names := 0
	nothing := func(want int) {
		t.Helper()
		names++
		for _, body := range []string{"", "\n", "# a comment\n", "# TYPE known counter\n", fmt.Sprintf("# TYPE new_%d counter\n", names)} {
			answer, text := s.do("POST", "/metrics", body)
			require.Equal(t, want, answer.StatusCode, "%q: %s", body, text)
			if want != http.StatusOK {
				assert.Equal(t, "hub_full", answer.Header.Get(exposition.ReasonHeader))
				assert.Equal(t, "5", answer.Header.Get("Retry-After"))
				assert.Contains(t, text, "samples that wait to be scraped, and the limit is 80")
			}
		}
		_, err := s.Push(t.Context(), Text, nil)
		assert.Equal(t, want == http.StatusOK, err == nil, "%v", err)
	}
	times := func(from, to int) string {
		var text strings.Builder
		for i := from; i < to; i++ {
			text.WriteString(at("x", i, int64(i)))
		}
		return text.String()
	}
	s.push("# TYPE known counter\n" + times(0, 79))
	nothing(http.StatusOK) // there is room for one, and nobody was refused
	answer, _ := s.do("POST", "/metrics", times(79, 81))
	require.Equal(t, http.StatusTooManyRequests, answer.StatusCode)
	nothing(http.StatusTooManyRequests)
	s.push(times(79, 80)) // what fits is taken all the same
	nothing(http.StatusTooManyRequests)
	s.rejected("hub_full", 13, 2)

	s.scrape()
	nothing(http.StatusTooManyRequests) // 9 of 80
	s.scrape()
	nothing(http.StatusOK)
	s.push(times(80, 97))
	nothing(http.StatusOK) // as at the beginning
	s.push(times(97, 98))
	nothing(http.StatusTooManyRequests) // nothing fits, though nobody was refused
	s.scrape()
	s.scrape()
	nothing(http.StatusOK)
}

// Where the oldest make room there is always some.
func TestPushOfNothingIntoAHubThatLetsGo(t *testing.T) {
	s := serve(t, Config{MaxSamples: 2, Policy: Newest})
	for i := range 3 {
		s.push(at("x", i, int64(i)) + at("y", i, int64(i)))
		s.push("")
	}
}

// A push of nothing is what an exporter tries a hub with that it had given up.
func TestPushOfNothing(t *testing.T) {
	s := serve(t, Config{})
	answer, text := s.do("POST", "/metrics", "")
	assert.Equal(t, http.StatusOK, answer.StatusCode, text)
	assert.Zero(t, s.Stats().Received)
	_ = s.Drain(ended())
	answer, _ = s.do("POST", "/metrics", "")
	assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode, "a push of something is refused as well")
}
