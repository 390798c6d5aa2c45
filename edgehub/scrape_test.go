package edgehub

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/logtest"
)

func TestScrapeTakesOnce(t *testing.T) {
	s := serve(t, Config{})
	s.push("# HELP x Help.\n# TYPE x counter\n" + at(`x{a="1"}`, 1, 0))
	want := "# HELP x Help.\n# TYPE x counter\n" + at(`x{a="1"}`, 1, 0)
	assert.Equal(t, want, s.scrape())
	assert.Empty(t, s.scrape())
	s.push(at(`x{a="1"}`, 2, 1))
	assert.Equal(t, "# HELP x Help.\n# TYPE x counter\n"+at(`x{a="1"}`, 2, 1), s.get("/metrics?drain=1"))
	assert.Empty(t, s.get("/metrics?drain=1"))
	assert.Equal(t, Stats{Received: 2, Scraped: 2, Series: 1}, s.Stats())
}

// What was handed over is in no push's way, and known not to be settled.
func TestHandedOverIsNotPending(t *testing.T) {
	s := serve(t, Config{MaxSamples: 2})
	s.push(at("x", 1, 0) + at("x", 2, 1))
	s.says("edgehub_pending_samples 2", "edgehub_unsure_samples 0")
	s.scrape()
	assert.Equal(t, Stats{Received: 2, Unsure: 2, Behind: 2, Series: 1}, s.Stats())
	s.says("edgehub_pending_samples 0", "edgehub_unsure_samples 2", "edgehub_oldest_pending_seconds 0",
		`edgehub_cursor_lag_samples{cursor="",part=""} 2`)
	s.push(at("x", 3, 2) + at("x", 4, 3))
	s.says("edgehub_pending_samples 2", "edgehub_unsure_samples 2")
	assert.Equal(t, at("x", 3, 2)+at("x", 4, 3), s.scrape())
	assert.Equal(t, Stats{Received: 4, Scraped: 2, Unsure: 2, Behind: 2, Series: 1}, s.Stats())
}

func TestLookingTakesNothing(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	for _, path := range []string{"/metrics", "/metrics?drain=0", "/debug", "/debug?verbose"} {
		assert.NotEmpty(t, s.get(path))
	}
	assert.Equal(t, Stats{Received: 1, Pending: 1, Behind: 1, Series: 1}, s.Stats())
	assert.Equal(t, at("x", 1, 0), s.scrape())
}

// HEAD says what GET would, and takes nothing, whoever asks.
func TestHeadTakesNothing(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	for range 2 {
		for _, path := range []string{"/metrics", "/metrics?drain=1"} {
			answer, text := s.do("HEAD", path, "", scrapeTimeout, "10")
			assert.Equal(t, http.StatusOK, answer.StatusCode)
			assert.Equal(t, "text/plain; version=0.0.4; charset=utf-8", answer.Header.Get("Content-Type"))
			assert.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
			assert.Empty(t, text)
		}
	}
	answer, _ := s.do("HEAD", "/metrics?cursor=nobody", "")
	assert.Equal(t, http.StatusBadRequest, answer.StatusCode)
	assert.Equal(t, Stats{Received: 1, Pending: 1, Behind: 1, Series: 1}, s.Stats())
	s.says("edgehub_scrape_duration_seconds_count 0")
	assert.Equal(t, at("x", 1, 0), s.scrape())
	for _, path := range []string{"/-/healthy", "/-/ready"} {
		answer, _ := s.do("HEAD", path, "")
		assert.Equal(t, http.StatusOK, answer.StatusCode)
	}
}

// A cache must not keep what is taken once, nor give one client another's.
func TestNothingIsStoredOnTheWay(t *testing.T) {
	s := serve(t, Config{})
	s.push(at(`x{gatewayID="a"}`, 1, 0))
	for _, path := range []string{"/metrics", "/gateways", "/metrics?drain=1"} {
		answer, text := s.do("GET", path, "")
		assert.NotEmpty(t, text)
		assert.Equal(t, "no-store", answer.Header.Get("Cache-Control"), path)
		assert.Equal(t, []string{"Accept, Accept-Encoding"}, answer.Header.Values("Vary"), path)
	}
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
	assert.Zero(t, s.Stats().Dropped, "it is not known yet that the response arrived")
	assert.Empty(t, s.get("/metrics?drain=1"))
	assert.Equal(t, Stats{Received: 3, Scraped: 3, Dropped: 2, Series: 1}, s.Stats())
	s.says(`edgehub_samples_dropped_total{reason="too_old"} 1`, `edgehub_samples_dropped_total{reason="too_far_ahead"} 1`)
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
	s.says(`edgehub_reads_refused_total{reason="bad_request"} 2`)
}

func TestScrapeIsCompressedOnRequest(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	f := func(accept string, compressed bool) {
		t.Helper()
		answer, body := s.do("GET", "/metrics", "", "Accept-Encoding", accept)
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

// A scraper gets names as it asks for them, in the version that has a word for that.
func TestScrapeIsWrittenInTheVersionThatIsAskedFor(t *testing.T) {
	const v0 = "text/plain; version=0.0.4; charset=utf-8"
	f := func(accept, contentType, want string) {
		t.Helper()
		s := serve(t, Config{})
		s.push(at(`{"x.y","a.b"="c"}`, 1, 0))
		answer, text := s.do("GET", "/metrics", "", scrapeTimeout, "10", "Accept", accept)
		assert.Equal(t, contentType, answer.Header.Get("Content-Type"), accept)
		assert.Equal(t, at(want, 1, 0), text, accept)
	}
	for escaping, want := range map[string]string{
		"allow-utf-8": `{"x.y","a.b"="c"}`,
		"underscores": `x_y{a_b="c"}`,
		"dots":        `x_dot_y{a_dot_b="c"}`,
		"values":      `U__x_2e_y{U__a_2e_b="c"}`,
	} {
		// As Prometheus 3 asks.
		f("application/openmetrics-text;version=1.0.0;escaping="+escaping+";q=0.5,text/plain;version=1.0.0;escaping="+escaping+
			";q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1", "text/plain; version=1.0.0; charset=utf-8; escaping="+escaping, want)
	}
	f("text/plain;version=0.0.4;q=1,*/*;q=0.1", v0, `U__x_2e_y{U__a_2e_b="c"}`)
	f("text/plain;version=0.0.4;escaping=allow-utf-8", v0, `{"x.y","a.b"="c"}`)
	f("", v0, `U__x_2e_y{U__a_2e_b="c"}`)
}

// A response is bounded in bytes by the hub, by the scraper's URL and by what is known of
// VictoriaMetrics, which refuses more than 16 MiB.
func TestScrapesAreBoundedInBytes(t *testing.T) {
	f := func(cfg Config, path, userAgent string, most int) {
		t.Helper()
		s := serve(t, cfg)
		samples := 100_000 // 8 MB
		if most == 0 || most > 8<<20 {
			samples = 300_000
		}
		for i := range samples / 10_000 {
			s.push(string(fleet(1000, 10, base+int64(i))))
		}
		got := 0
		for n := -1; n != 0; {
			answer, text := s.do("GET", path, "", scrapeTimeout, "10", "User-Agent", userAgent)
			require.Equal(t, http.StatusOK, answer.StatusCode, text)
			if most == 0 {
				assert.Greater(t, len(text), 20<<20)
				return
			}
			assert.LessOrEqual(t, len(text), most, userAgent)
			n = strings.Count(text, "gateway_metric_") - 2*strings.Count(text, "# HELP")
			if got == 0 {
				assert.Greater(t, len(text), most/2, "far less than there may be")
			}
			got += n
		}
		assert.Equal(t, samples, got)
	}
	f(Config{MaxScrapeBytes: 6 << 20}, "/metrics", "Prometheus/3.15.0", 6<<20)
	f(Config{}, "/metrics?max-bytes=6000000", "Prometheus/3.15.0", 6_000_000)
	f(Config{MaxScrapeBytes: 6 << 20}, "/metrics?max-bytes=8000000", "vm_promscrape", 6<<20)
	f(Config{}, "/metrics", "vm_promscrape", 15<<20)
	f(Config{MaxScrapeBytes: 100 << 20}, "/metrics", "vm_promscrape", 15<<20)
	f(Config{}, "/metrics", "Prometheus/3.15.0", 0)
}

func TestMaxBytesOfAURL(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0) + at("x", 2, 1))
	for _, n := range []string{"0", "-1", "much", "", "1e6"} {
		answer, text := s.do("GET", "/metrics?max-bytes="+n, "", scrapeTimeout, "10")
		assert.Equal(t, http.StatusBadRequest, answer.StatusCode)
		assert.Equal(t, fmt.Sprintf("max-bytes=%q must be a number of bytes, at least 1\n", n), text)
	}
	// One sample there is, or nothing would ever come.
	assert.Equal(t, at("x", 1, 0), s.get("/metrics?drain=1&max-bytes=1"))
	assert.Equal(t, at("x", 2, 1), s.get("/metrics?drain=1&max-bytes=1"))
}

// Some receivers keep one sample of a series in a scrape, and of some it is known.
func TestOneSampleOfASeriesAtATime(t *testing.T) {
	f := func(one bool, path, userAgent string) {
		t.Helper()
		j := &logtest.Buffer{}
		s := serve(t, Config{Logger: j.Logger()})
		s.push(at("x", 1, 0) + at("x", 2, 1) + at("y", 1, 0) + at("x", 3, 2))
		scrape := func() string {
			_, text := s.do("GET", path, "", scrapeTimeout, "10", "User-Agent", userAgent)
			return text
		}
		if !one {
			assert.Equal(t, at("x", 1, 0)+at("x", 2, 1)+at("x", 3, 2)+at("y", 1, 0), scrape(), userAgent)
			assert.Empty(t, scrape())
			s.says("edgehub_scrapes_one_at_a_time_total 0")
			return
		}
		assert.Equal(t, at("x", 1, 0), scrape(), userAgent)
		assert.Equal(t, at("x", 2, 1)+at("y", 1, 0), scrape())
		assert.Equal(t, at("x", 3, 2), scrape())
		assert.Empty(t, scrape())
		assert.Equal(t, Stats{Received: 4, Scraped: 4, Series: 2}, s.Stats())
		s.says("edgehub_scrapes_one_at_a_time_total 4")
		said := j.Count("keeps only the first of several samples")
		if path == "/metrics" {
			assert.Equal(t, 1, said, j.String())
		} else {
			assert.Zero(t, said, "it was asked for")
		}
	}
	f(true, "/metrics?one=1", "Prometheus/3.15.0")
	f(true, "/metrics", "Prometheus/2.52.0")
	f(true, "/metrics", "Prometheus/2.53.2")
	f(true, "/metrics", "Prometheus/2.54.0")
	f(true, "/metrics", "Prometheus/2.54.0-rc.1")
	f(true, "/metrics", "otelcol-contrib/0.165.0 (linux/amd64)")
	f(false, "/metrics", "Prometheus/2.51.2")
	f(false, "/metrics", "Prometheus/2.53.3")
	f(false, "/metrics", "Prometheus/2.54.1")
	f(false, "/metrics", "Prometheus/3.15.0")
	f(false, "/metrics?one=0", "vm_promscrape")
}

// A histogram's buckets, sum and count are of one time, in every response.
func TestOneTimeOfAHistogram(t *testing.T) {
	s := serve(t, Config{})
	histogram := func(n int, ms int64) string {
		return at(`h_bucket{le="1"}`, n, ms) + at(`h_bucket{le="+Inf"}`, n, ms) + at("h_sum", n, ms) + at("h_count", n, ms)
	}
	s.push("# TYPE h histogram\n" + histogram(1, 0) + histogram(2, 1))
	for ms := range int64(2) {
		text := s.get("/metrics?drain=1&one=1")
		assert.Equal(t, 4, strings.Count(text, fmt.Sprintf(" %d\n", base+ms)), text)
		assert.Equal(t, 5, strings.Count(text, "\n"), text)
	}
	assert.Empty(t, s.get("/metrics?drain=1&one=1"))
}

// A scraper that goes away in the middle gets everything again.
func TestBrokenScrapeMovesNothing(t *testing.T) {
	s := serve(t, Config{})
	for i := range int64(20) {
		s.push(string(fleet(1000, 10, base+i)))
	}
	c := s.dial()
	c.ask(10)
	_, err := io.CopyN(io.Discard, c.in, 1000)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	s.awaitAborted(1)
	assert.Equal(t, 200_000, s.Stats().Pending)
	s.says(`edgehub_handovers_unconfirmed_total{cursor=""} 0`) // it was not written whole
	// They come again, half as many at once.
	assert.Equal(t, 100_000, strings.Count(s.scrape(), "\n")-20)
	assert.Equal(t, 100_000, strings.Count(s.scrape(), "\n")-20)
	assert.Empty(t, s.scrape(), "the next scrape over the same connection confirms the last")
	assert.Zero(t, s.Stats().Behind)
}

// A scraper that stops reading is cut off at its own timeout, and the body it got
// does not end as a whole one would.
func TestSlowScraperIsCutOff(t *testing.T) {
	s := serve(t, Config{})
	for i := range int64(100) { // more than the sockets hold
		s.push(string(fleet(1000, 10, base+i)))
	}
	c := s.dial()
	c.ask(1)
	s.awaitAborted(1)
	if answer, err := http.ReadResponse(c.in, nil); err == nil { // the reset may have come first
		_, err = io.Copy(io.Discard, answer.Body)
		assert.Error(t, err, "a cut body was ended cleanly")
	}
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
		if r.Method == http.MethodGet && r.URL.Path == "/metrics" {
			w = &failing{w, 600_000}
		}
		routes.ServeHTTP(w, r)
	})
	for _, path := range []string{"/metrics?drain=1", "/metrics"} {
		answer, err := s.client.Get(s.url + path)
		if err != nil {
			continue // cut off before anything was read
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		assert.Error(t, err, "%d bytes of a cut body looked whole", len(body))
	}
	assert.Equal(t, 10_000, s.Stats().Pending)
	s.says("edgehub_scrapes_aborted_total 1")
}

// writer can do nothing but write.
type writer struct {
	header http.Header
	status int
	text   strings.Builder
}

func (w *writer) Header() http.Header         { return w.header }
func (w *writer) Write(b []byte) (int, error) { return w.text.Write(b) }
func (w *writer) WriteHeader(status int)      { w.status = status }

// A writer that cannot flush, nor bound its time, is served all the same.
func TestHandlerWhoseWriterCannotFlush(t *testing.T) {
	for _, gzipped := range []bool{false, true} {
		h := newHub(t, Config{})
		do := func(method, path, body string) *writer {
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			if gzipped {
				r.Header.Set("Accept-Encoding", "gzip")
			}
			w := &writer{header: http.Header{}}
			h.Handler().ServeHTTP(w, r)
			return w
		}
		assert.Equal(t, http.StatusOK, do("POST", "/metrics", at(`x{gatewayID="a"}`, 1, 0)).status)
		assert.Equal(t, http.StatusBadRequest, do("POST", "/metrics", "x y\n").status)
		for _, path := range []string{"/", "/metrics", "/gateways", "/debug", "/debug?verbose", "/internal", "/-/ready", "/metrics?drain=1"} {
			w := do("GET", path, "")
			assert.Equal(t, http.StatusOK, w.status, path)
			assert.NotEmpty(t, w.text.String(), path)
			if path == "/metrics" && !gzipped {
				assert.Equal(t, at(`x{gatewayID="a"}`, 1, 0), w.text.String())
			}
		}
		assert.Equal(t, Stats{Received: 1, Scraped: 1, Series: 1}, h.Stats())
	}
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
	f("# TYPE x sort\nx 1\n# TYPE x COUNTER\n")
	f("x{a=\"\\q\\\\\\\"\\n\"} 1\n")
}

func TestTypeConflictIsCounted(t *testing.T) {
	s := serve(t, Config{})
	s.push("# TYPE x counter\n" + at("x", 1, 0))
	s.push("# TYPE x gauge\n" + at("x", 2, 1))
	assert.Equal(t, "# TYPE x counter\n"+at("x", 1, 0)+at("x", 2, 1), s.scrape())
	s.says("edgehub_type_conflicts_total 1")
}
