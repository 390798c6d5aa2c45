package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func parse(t *testing.T, body []byte) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	require.NoError(t, err, "%.2000s", body)
	return families
}

// flatten returns the time of each series in a body, by its name and labels.
func flatten(t *testing.T, body []byte) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	for name, family := range parse(t, body) {
		for _, m := range family.Metric {
			key := name + fmt.Sprint(m.Label)
			require.NotContains(t, out, key)
			out[key] = m.GetTimestampMs()
		}
	}
	return out
}

func TestPushesAreTheFleet(t *testing.T) {
	s := Shape{Gateways: 7, SeriesEach: 303, PerPush: 3}
	all := map[string]int64{}
	pushes := s.Pushes("localhost")
	require.Len(t, pushes, 3)
	names := map[string]bool{}
	for _, p := range pushes {
		p.Stamp(1_700_000_000_123)
		series := flatten(t, p.Body())
		require.Len(t, series, p.Samples)
		for key, at := range series {
			require.NotContains(t, all, key)
			all[key] = at
			assert.Equal(t, int64(1_700_000_000_123), at)
		}
		for name := range parse(t, p.Body()) {
			names[name] = true
		}
	}
	require.Len(t, all, s.Series())
	require.Len(t, s.Families(), len(names))
	for _, name := range s.Families() {
		require.Contains(t, names, name)
	}
}

func TestUnstampedHasNoTimes(t *testing.T) {
	p := Shape{Gateways: 1, SeriesEach: 20, PerPush: 1, Unstamped: true}.Pushes("localhost")[0]
	before := bytes.Clone(p.Body())
	p.Stamp(1_700_000_000_123)
	require.NotEqual(t, before, p.Body()) // the values move on
	for _, at := range flatten(t, p.Body()) {
		require.Zero(t, at)
	}
}

func TestRenumberChangesEverySeries(t *testing.T) {
	p := Shape{Gateways: 3, SeriesEach: 20, PerPush: 3}.Pushes("localhost")[0]
	before := flatten(t, p.Body())
	p.Renumber(1234567)
	after := flatten(t, p.Body())
	require.Len(t, after, len(before))
	for key := range after {
		require.NotContains(t, before, key)
		require.Contains(t, key, "gw123456")
	}
}

// recorder is a server that keeps what is pushed to it.
type recorder struct {
	mu     sync.Mutex
	bodies [][]byte
	status int
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies = append(r.bodies, body)
	w.WriteHeader(r.status)
}

func newLoad(t *testing.T, status int, shape Shape) (*Load, *recorder) {
	t.Helper()
	r := &recorder{status: status}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	l := New(strings.TrimPrefix(s.URL, "http://"), shape, 2)
	t.Cleanup(l.Close)
	return l, r
}

var small = Shape{Gateways: 5, SeriesEach: 20, PerPush: 2}

func TestRoundsReportEachSeriesWithAscendingTimes(t *testing.T) {
	l, r := newLoad(t, http.StatusOK, small)
	l.Track = true
	got, err := l.Rounds(t.Context(), 4, 0)
	require.NoError(t, err)
	require.Equal(t, 12, got.Pushes)
	require.Equal(t, 4*small.Series(), got.Samples)
	require.Equal(t, int64(got.Samples), l.Sent())

	last := map[string]int64{}
	count := map[string]int{}
	for _, body := range r.bodies {
		for key, at := range flatten(t, body) {
			require.Greater(t, at, last[key])
			last[key] = at
			count[key]++
		}
	}
	require.Len(t, count, small.Series())
	for key, n := range count {
		require.Equal(t, 4, n, key)
	}

	tracks := l.Tracks()
	require.Len(t, tracks, 3)
	pushed := map[string]bool{}
	for line := range strings.Lines(string(bytes.Join(r.bodies, nil))) {
		pushed[line] = true
	}
	for _, track := range tracks {
		require.Len(t, track.Points, 4)
		for _, p := range track.Points {
			line := fmt.Sprintf("%s %.3f %d\n", track.Series, p.Value, p.Time)
			require.True(t, pushed[line], line)
		}
	}
}

// What is prepared is sent first, with its times, and then requests are written anew.
func TestPrepare(t *testing.T) {
	shape := small
	shape.Format = OpenMetrics.At("/")
	l, r := newLoad(t, http.StatusOK, shape)
	l.Prepare(2)
	before := time.Now().UnixMilli()
	l.Prepare(2) // it is there already
	_, err := l.Rounds(t.Context(), 3, 0)
	require.NoError(t, err)
	require.Len(t, r.bodies, 9)
	bodies := map[string]bool{}
	for _, body := range r.bodies {
		bodies[string(body)] = true
	}
	require.Len(t, bodies, 9, "each has times of its own")
	for _, lane := range l.lanes {
		require.Greater(t, lane.last, before)
		for _, p := range lane.pushes {
			require.Empty(t, p.ahead)
		}
	}
}

func TestRefusedIsCountedApart(t *testing.T) {
	l, _ := newLoad(t, http.StatusTooManyRequests, small)
	got, err := l.Rounds(t.Context(), 1, 0)
	require.NoError(t, err)
	require.Zero(t, got.Samples)
	require.Zero(t, l.Sent())
	require.Equal(t, small.Series(), got.Refused)
	require.Contains(t, got.Why, "429")
}

func TestFreshIsNeverSeen(t *testing.T) {
	l, r := newLoad(t, http.StatusOK, small)
	got, err := l.Fresh(t.Context(), 300)
	require.NoError(t, err)
	require.GreaterOrEqual(t, got.Samples, 300)
	_, err = l.Rounds(t.Context(), 1, 0)
	require.NoError(t, err)
	require.Len(t, flattenAll(t, r.bodies[:got.Pushes]), got.Samples)
}

func flattenAll(t *testing.T, bodies [][]byte) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	for _, body := range bodies {
		for key, at := range flatten(t, body) {
			require.NotContains(t, all, key)
			all[key] = at
		}
	}
	return all
}

func TestPaceGoesOnUntilTheContextEnds(t *testing.T) {
	l, _ := newLoad(t, http.StatusNoContent, small)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	got, err := l.Pace(ctx, 1e6, func(Latency) {
		if seen++; seen == 50 {
			cancel()
		}
	})
	require.NoError(t, err)
	require.GreaterOrEqual(t, got.Pushes, 50)
	require.Equal(t, got.Pushes, seen)
}

// A push is not sent before its time.
func TestPaceKeepsTheRate(t *testing.T) {
	l, _ := newLoad(t, http.StatusOK, small)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	const rate = 2000 // 100 samples in three pushes, so a push each 17 ms
	got, err := l.Pace(ctx, rate, nil)
	require.NoError(t, err)
	require.LessOrEqual(t, got.Samples, int(got.Wall.Seconds()*rate)+2*40)
}

func TestPaceFailsOnARefusal(t *testing.T) {
	l, _ := newLoad(t, http.StatusBadRequest, small)
	_, err := l.Pace(t.Context(), 1e6, nil)
	require.ErrorContains(t, err, "400")
}

func TestScrapeCountsSamples(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "identity", r.Header.Get("Accept-Encoding"))
		assert.NotEmpty(t, r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds"))
		fmt.Fprint(w, "# TYPE a gauge\na 1\na 2\n# HELP b #\nb 3\n")
	}))
	defer s.Close()
	scraper := NewScraper(s.URL)
	defer scraper.Close()
	got, err := scraper.Scrape(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, got.Samples)
	require.Positive(t, got.FirstByte)
}

// However a body is cut into parts, the count is the same.
func TestCountSamplesInParts(t *testing.T) {
	body := []byte("# TYPE a gauge\na 1\na 2\n# HELP b #\nb 3\n")
	for size := 1; size <= len(body); size++ {
		got, last := 0, byte('\n')
		for rest := body; len(rest) > 0; {
			part := rest[:min(size, len(rest))]
			got += countSamples(last, part)
			last = part[len(part)-1]
			rest = rest[len(part):]
		}
		require.Equal(t, 3, got, "in parts of %d", size)
	}
}

func TestScrapeReportsARefusal(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	scraper := NewScraper(s.URL)
	defer scraper.Close()
	_, err := scraper.Scrape(t.Context())
	require.ErrorContains(t, err, "404")
}
