package edgehub

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestScrapeTakesOnce(t *testing.T) {
	s := serve(t, Config{})
	s.push("# HELP x Help.\n# TYPE x counter\n" + at(`x{a="1"}`, 1, 0))
	want := "# HELP x Help.\n# TYPE x counter\n" + at(`x{a="1"}`, 1, 0)
	assert.Equal(t, want, s.scrape())
	assert.Empty(t, s.scrape())
	s.push(at(`x{a="1"}`, 2, 1))
	assert.Equal(t, "# HELP x Help.\n# TYPE x counter\n"+at(`x{a="1"}`, 2, 1), s.get("/metrics?drain=1"))
	s.get("/-/healthy") // the hub has seen the end of the response before it reads this
	assert.Zero(t, s.Stats().Pending)
}

func TestLookingTakesNothing(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	for _, path := range []string{"/metrics", "/metrics?drain=0", "/debug", "/debug?verbose"} {
		assert.NotEmpty(t, s.get(path))
	}
	assert.Equal(t, at("x", 1, 0), s.scrape())
}

func TestSamplesLeaveInOrder(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("b", 1, 5) + at("a", 1, 9) + at("b", 2, 3))
	s.push(at("a", 7, 2) + at("b", 9, 3) + at("a", 8, 9))
	assert.Equal(t, at("a", 7, 2)+at("a", 8, 9)+at("b", 9, 3)+at("b", 1, 5), s.scrape(), "sorted, the last of equal times wins")
}

func TestSampleWithoutTimestampGetsTheArrivalTime(t *testing.T) {
	s := serve(t, Config{})
	before := time.Now().UnixMilli()
	s.push("x 1\nx 2\n") // the ancestor panicked here
	after := time.Now().UnixMilli()
	var stamp int64
	_, err := fmt.Sscanf(s.scrape(), "x 2 %d\n", &stamp)
	require.NoError(t, err)
	assert.True(t, before <= stamp && stamp <= after)
}

func TestSamplesOfTheWrongTimeAreDroppedAndCounted(t *testing.T) {
	const hour = int64(time.Hour / time.Millisecond)
	s := serve(t, Config{MaxAge: 2 * time.Hour, MaxAhead: 2 * time.Hour})
	s.push(at("x", 1, -3*hour) + at("x", 2, 0) + at("x", 3, 3*hour))
	assert.Equal(t, at("x", 2, 0), s.get("/metrics"))
	assert.Zero(t, s.Stats().Dropped, "looking dropped something")
	assert.Equal(t, at("x", 2, 0), s.get("/metrics?drain=1"))
	s.confirm()
	assert.Equal(t, Stats{Received: 3, Scraped: 3, Dropped: 2, Series: 1}, s.Stats())
	assert.Contains(t, s.get("/internal"), `edgehub_samples_dropped_total{reason="too_old"} 1`)
	assert.Contains(t, s.get("/internal"), `edgehub_samples_dropped_total{reason="too_far_ahead"} 1`)
}

func TestEachCursorGetsEverySample(t *testing.T) {
	s := serve(t, Config{Cursors: []string{"a", "b"}, MaxSamples: 2})
	s.push(at("x", 1, 0))
	assert.Equal(t, at("x", 1, 0), s.get("/metrics?cursor=a&drain=1"))
	s.push(at("x", 2, 1))
	assert.Equal(t, at("x", 2, 1), s.get("/metrics?cursor=a&drain=1"))
	assert.Equal(t, at("x", 1, 0)+at("x", 2, 1), s.get("/metrics?cursor=b&drain=1"))
	s.push(at("x", 3, 2))
	assert.Equal(t, at("x", 3, 2), s.get("/metrics?cursor=b&drain=1"))
	assert.Equal(t, at("x", 3, 2), s.get("/metrics?cursor=a&drain=1"))

	answer, text := s.do("GET", "/metrics?cursor=c&drain=1", "")
	assert.Equal(t, http.StatusBadRequest, answer.StatusCode)
	assert.Equal(t, "there is no cursor \"c\"; the hub was started with \"a\", \"b\"\n", text)
	answer, text = s.do("GET", "/metrics", "", scrapeTimeout, "10")
	assert.Equal(t, http.StatusBadRequest, answer.StatusCode)
	assert.Contains(t, text, "which scraper is it?")
	assert.Contains(t, s.get("/internal"), `edgehub_reads_refused_total{reason="bad_request"} 2`)
}

func TestScrapeIsCompressedOnRequest(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	f := func(accept string, compressed bool) {
		t.Helper()
		answer, body := s.do("GET", "/metrics", "", "Accept-Encoding", accept)
		assert.Equal(t, "Accept, Accept-Encoding", answer.Header.Get("Vary"))
		if assert.Equal(t, compressed, answer.Header.Get("Content-Encoding") == "gzip", accept) && compressed {
			z, err := gzip.NewReader(strings.NewReader(body))
			require.NoError(t, err)
			plain, err := io.ReadAll(z)
			require.NoError(t, err)
			body = string(plain)
		}
		assert.Equal(t, at("x", 1, 0), body)
	}
	f("gzip", true)
	f("deflate, GZIP;q=0.5", true)
	f("gzip;q=0", false)
	f("br", false)
	f("", false)
}

// A scraper that goes away in the middle gets everything again.
func TestBrokenScrapeMovesNothing(t *testing.T) {
	s := serve(t, Config{})
	for i := range int64(20) {
		s.push(string(fleet(1000, 10, base+i)))
	}
	conn, r := rawScrape(t, s, 10, "")
	_, err := io.CopyN(io.Discard, r, 1000)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.Eventually(t, func() bool {
		return strings.Contains(s.get("/internal"), "edgehub_scrapes_aborted_total 1\n")
	}, 10*time.Second, 10*time.Millisecond)
	assert.Equal(t, 200_000, s.Stats().Pending)
	// They come again, half as many at once.
	assert.Equal(t, 100_000, strings.Count(s.scrape(), "\n")-20)
	assert.Equal(t, 100_000, strings.Count(s.scrape(), "\n")-20)
	assert.Empty(t, s.scrape(), "the next request over the same connection confirms the last")
	assert.Zero(t, s.Stats().Pending)
}

// A scraper that stops reading is cut off at its own timeout, and the body it got
// does not end as a whole one would.
func TestSlowScraperIsCutOff(t *testing.T) {
	s := serve(t, Config{})
	for i := range int64(100) { // more than the sockets hold
		s.push(string(fleet(1000, 10, base+i)))
	}
	_, r := rawScrape(t, s, 1, "")
	require.Eventually(t, func() bool {
		return strings.Contains(s.get("/internal"), "edgehub_scrapes_aborted_total 1\n")
	}, 20*time.Second, 20*time.Millisecond)
	answer, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, answer.Body)
	assert.Error(t, err, "a cut body was ended cleanly")
	assert.Equal(t, 1_000_000, s.Stats().Pending)
}

// failing is a response that takes so many bytes and then fails, although its
// connection is well.
type failing struct {
	http.ResponseWriter
	left int
}

func (f *failing) Unwrap() http.ResponseWriter { return f.ResponseWriter }

func (f *failing) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errors.New("out of something")
	}
	return f.ResponseWriter.Write(b)
}

// Whatever goes wrong while a body is written, it must not end as a whole one
// does.
func TestFailedBodyIsNotEndedCleanly(t *testing.T) {
	s := serve(t, Config{})
	s.push(string(fleet(100, 100, base)))
	routes := s.http.Handler
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w = &failing{w, 600_000}
		}
		routes.ServeHTTP(w, r)
	})
	for _, path := range []string{"/metrics?drain=1", "/metrics"} {
		answer, err := s.client.Get(s.url + path)
		require.NoError(t, err)
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		assert.Error(t, err, "%d bytes of a cut body looked whole", len(body))
	}
	assert.Equal(t, 10_000, s.Stats().Pending)
}

// Whatever senders disagree about, the body parses, also by the stricter parser
// of promtool.
func TestScrapeAlwaysParses(t *testing.T) {
	f := func(pushes ...string) string {
		t.Helper()
		s := serve(t, Config{})
		for _, p := range pushes {
			s.push(p)
		}
		body := s.scrape()
		parser := expfmt.NewTextParser(model.LegacyValidation)
		_, err := parser.TextToMetricFamilies(strings.NewReader(body))
		assert.NoError(t, err, "%s", body)
		return body
	}
	histogram := "# TYPE x histogram\nx_bucket{le=\"1\"} 1\nx_bucket{le=\"+Inf\"} 2\nx_sum 3\nx_count 2\n"
	assert.Contains(t, f(histogram, histogram), "# TYPE x histogram\nx_bucket{le=\"1\"} 1 ")
	assert.Contains(t, f(histogram, "# TYPE x gauge\nx 5\n"), "# TYPE x histogram")
	f("# TYPE x gauge\nx 5\n", histogram)
	f("# TYPE x_count counter\nx_count 1\n", histogram)
	f(histogram, "# TYPE x_count counter\n# HELP x_sum Sum.\nx_count{a=\"b\"} 1\nx_sum{a=\"b\"} 1\n")
	f("x_bucket{le=\"small\"} 1\n", histogram)
	f(histogram, "x_bucket{le=\"small\"} 1\nx_bucket{a=\"b\"} 1\n")
	f("# TYPE x summary\nx{quantile=\"0.5\"} 1\nx_sum 1\nx_count 1\n", "x{quantile=\"p99\"} 1\n", "x 3\n")
	f("# TYPE x summary\nx 3\nx_bucket 4\n")
	f("# HELP x a\\qb\\\\n \\n c\n# HELP x second\nx 1\n# TYPE x counter\nx 2 5\n")
	f("# TYPE x counter\n# TYPE x gauge\nx 1\n")
	f("x{a=\"\\q\\\\\\\"\\n\"} 1\n")
}

func TestTypeConflictIsCounted(t *testing.T) {
	s := serve(t, Config{})
	s.push("# TYPE x counter\n" + at("x", 1, 0))
	s.push("# TYPE x gauge\n" + at("x", 2, 1))
	assert.Equal(t, "# TYPE x counter\n"+at("x", 1, 0)+at("x", 2, 1), s.scrape())
	assert.Contains(t, s.get("/internal"), "edgehub_type_conflicts_total 1\n")
}
