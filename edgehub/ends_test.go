package edgehub

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/internal/exposition"
)

// ending is a hub whose log a test reads, at times that are said in milliseconds from base.
type ending struct {
	*server
}

func endHub(t *testing.T, cfg Config) *ending {
	t.Helper()
	return &ending{serveHub(t, newWholeHub(t, cfg))}
}

// log is what waits, a line each: series, value or "end", and the time from base. The hub's own
// family goes by the name of first, with its values as times from base, too.
func (s *ending) log() (all []string) {
	for text, p := range s.Pending() {
		name, value := strings.Replace(text, firstSample, "first", 1), fmt.Sprint(p.Value)
		switch {
		case samples.IsMarker(p.Value):
			value = "end"
		case name != text:
			value = strconv.FormatInt(int64(math.Round(p.Value*1000))-base, 10)
		}
		all = append(all, fmt.Sprintf("%s %s @%d", name, value, p.Time-base))
	}
	slices.Sort(all)
	return all
}

// took is what waits, which then waits no more.
func (s *ending) took() []string {
	all := s.log()
	passAll(s.Hub)
	return all
}

// end says that gateways went elsewhere: lines of a name and a time from base.
func (s *ending) end(gateways ...any) {
	s.t.Helper()
	var body strings.Builder
	for i := 0; i < len(gateways); i += 2 {
		fmt.Fprintf(&body, "%s %d\n", gateways[i], base+int64(gateways[i+1].(int)))
	}
	answer, text := s.do("POST", "/gateways/ended", body.String())
	require.Equal(s.t, http.StatusOK, answer.StatusCode, text)
}

// The time of the first sample is written beside it, once, and never taken back.
func TestFirstSamples(t *testing.T) {
	s := endHub(t, Config{})
	s.push(at(`x{gatewayID="a"}`, 1, 500) + at(`y{gatewayID="b"}`, 1, 900) + at(`y{gatewayID="a"}`, 1, 250) + at("z", 1, 7))
	assert.Equal(t, []string{
		"first 7 @7", `first{gatewayID="a"} 250 @250`, `first{gatewayID="b"} 900 @900`,
		`x{gatewayID="a"} 1 @500`, `y{gatewayID="a"} 1 @250`, `y{gatewayID="b"} 1 @900`, "z 1 @7",
	}, s.log())
	assert.Equal(t, Stats{Received: 4, FirstSamples: 3, Series: 4, Pending: 7, Behind: 7}, s.Stats())
	assert.Equal(t, 2, seriesOf(s.Hub, "a"))
	s.push(at(`x{gatewayID="a"}`, 2, 100) + at(`new{gatewayID="a"}`, 2, 50) + at(`x{gatewayID="b"}`, 2, 1000))
	assert.EqualValues(t, 3, s.Stats().FirstSamples)
	text := s.scrape()
	assert.Contains(t, text, "# TYPE "+firstSample+" gauge\n")
	assert.Contains(t, text, "# HELP "+firstSample+" Time of the first sample")
	assert.Contains(t, text, fmt.Sprintf("%s{gatewayID=\"a\"} %s %d\n", firstSample, strconv.FormatFloat(float64(base+250)/1000, 'f', -1, 64), base+250))
	assert.Contains(t, s.get("/internal"), "edgehub_first_samples_total 3\n")
}

// A push that is refused leaves no gateway behind, and the next one is the first.
func TestFirstSampleOfARefusedPush(t *testing.T) {
	s := endHub(t, Config{MaxSamples: 2})
	answer, _ := s.do("POST", "/metrics", at(`x{gatewayID="a"}`, 1, 1)+at(`x{gatewayID="a"}`, 1, 2)+at(`x{gatewayID="a"}`, 1, 3))
	assert.Equal(t, "too_many_samples", answer.Header.Get(exposition.ReasonHeader))
	assert.Zero(t, s.Stats().FirstSamples)
	s.push(at(`x{gatewayID="a"}`, 1, 2) + at(`x{gatewayID="b"}`, 1, 1)) // the hub's own find room beyond the limit
	assert.Equal(t, []string{`first{gatewayID="a"} 2 @2`, `first{gatewayID="b"} 1 @1`, `x{gatewayID="a"} 1 @2`, `x{gatewayID="b"} 1 @1`}, s.log())
	answer, _ = s.do("POST", "/metrics", at("x", 1, 1))
	assert.Equal(t, "hub_full", answer.Header.Get(exposition.ReasonHeader))
}

// The hub's own series count for no limit of series.
func TestFirstSamplesAndLimits(t *testing.T) {
	s := endHub(t, Config{MaxSeries: 2, MaxGatewaySeries: 1, GatewayLabel: "the gateway"})
	s.push(at(`x{"the gateway"="a"}`, 1, 1) + at(`x{"the gateway"="b"}`, 1, 1))
	s.refused(at(`y{"the gateway"="b"}`, 1, 2), "gateway_series")
	s.refused(at("x", 1, 1), "series_limit")
	assert.Contains(t, s.log(), `first{"the gateway"="a"} 1 @1`)
}

// A time that no server would take is no first one.
func TestFirstSampleThatNobodyTakes(t *testing.T) {
	s := endHub(t, Config{})
	hour := time.Hour.Milliseconds()
	s.push(at(`x{gatewayID="a"}`, 1, -hour-1) + at(`x{gatewayID="b"}`, 1, hour) + at(`y{gatewayID="b"}`, 1, 5))
	assert.Contains(t, s.log(), `first{gatewayID="b"} 5 @5`)
	assert.EqualValues(t, 1, s.Stats().FirstSamples)
	s.push(at(`x{gatewayID="a"}`, 1, 9))
	assert.Contains(t, s.log(), `first{gatewayID="a"} 9 @9`)
}

// A gateway that went elsewhere ends a millisecond before its first sample there, all of its series; others
// go on.
func TestEndOfAGatewayThatMoved(t *testing.T) {
	s := endHub(t, Config{})
	s.push(at(`x{gatewayID="a/1"}`, 1, 0) + at(`y{gatewayID="a/1"}`, 1, 10) + at(`x{gatewayID="b"}`, 1, 0) + at("x", 1, 0))
	s.took()
	s.end("a%2F1", 100, "unknown", 100)
	assert.Equal(t, []string{`first{gatewayID="a/1"} end @99`, `x{gatewayID="a/1"} end @99`, `y{gatewayID="a/1"} end @99`}, s.took())
	s.end("a%2F1", 100)
	s.end("a%2F1", 200)
	s.end()
	assert.Empty(t, s.log(), "it is ended twice")
	s.end("", 1)
	assert.Equal(t, []string{"first end @1", "x end @1"}, s.took())
	s.says(`edgehub_gateways_ended_total{reason="moved"} 2`, `edgehub_gateways_ended_total{reason="silent"} 0`, "edgehub_markers_total 5")
	assert.EqualValues(t, 4, s.Stats().Received)
}

// A marker is behind each series' own last sample, also of those that wait.
func TestMarkerIsBehindTheLastSample(t *testing.T) {
	s := endHub(t, Config{})
	s.push(at(`x{gatewayID="a"}`, 1, 50) + at(`y{gatewayID="a"}`, 1, 150) + at(`y{gatewayID="a"}`, 2, 120))
	s.end("a", 101)
	assert.Equal(t, []string{
		`first{gatewayID="a"} 50 @50`, `first{gatewayID="a"} end @151`,
		`x{gatewayID="a"} 1 @50`, `x{gatewayID="a"} end @100`,
		`y{gatewayID="a"} 1 @150`, `y{gatewayID="a"} 2 @120`, `y{gatewayID="a"} end @151`,
	}, s.took())
}

// What comes late stays late, and what is newer than its series' marker begins the gateway
// anew. What is said of an earlier life ends no later one.
func TestGatewayThatComesBack(t *testing.T) {
	s := endHub(t, Config{})
	s.push(at(`x{gatewayID="a"}`, 1, 0) + at(`y{gatewayID="a"}`, 1, 0))
	s.end("a", 100)
	s.took()
	s.push(at(`x{gatewayID="a"}`, 2, 50) + at(`x{gatewayID="a"}`, 3, 99) + at(`new{gatewayID="a"}`, 3, 99))
	assert.Equal(t, []string{`new{gatewayID="a"} 3 @99`, `x{gatewayID="a"} 2 @50`, `x{gatewayID="a"} 3 @99`}, s.took())
	s.end("a", 120)
	assert.Empty(t, s.took())
	s.push(at(`x{gatewayID="a"}`, 4, 80) + at(`x{gatewayID="a"}`, 5, 200) + at(`new{gatewayID="a"}`, 5, 150))
	assert.Equal(t, []string{`first{gatewayID="a"} 150 @150`, `new{gatewayID="a"} 5 @150`, `x{gatewayID="a"} 4 @80`, `x{gatewayID="a"} 5 @200`}, s.took())
	s.end("a", 149)
	assert.Empty(t, s.took(), "that was before it came")
	s.end("a", 300)
	assert.Equal(t, []string{`first{gatewayID="a"} end @299`, `new{gatewayID="a"} end @299`, `x{gatewayID="a"} end @299`}, s.took(), "y has ended long ago")
}

// What a sender writes for NaN is a number that is none, and ends nothing.
func TestPushedNaNIsNoMarker(t *testing.T) {
	s := endHub(t, Config{NoFirstSamples: true})
	for i, nan := range []string{"NaN", "nan", "-NaN", "+NaN", "0x7ff0000000000002"} {
		_, _ = s.do("POST", "/metrics", at("x", nan, int64(i)))
	}
	require.NotZero(t, s.Stats().Received)
	for _, p := range s.Pending() {
		assert.False(t, samples.IsMarker(p.Value))
	}
}

// Where there is no room for markers the sender is told, and may say it again.
func TestEndsNeedRoom(t *testing.T) {
	s := endHub(t, Config{MaxSamples: 20, NoFirstSamples: true})
	s.push(gatewayBody("a", 6, 1) + gatewayBody("b", 6, 1))
	answer, text := s.do("POST", "/gateways/ended", fmt.Sprintf("a %d\nb %[1]d\n", base+1000))
	assert.Equal(t, http.StatusTooManyRequests, answer.StatusCode)
	assert.NotEmpty(t, answer.Header.Get("Retry-After"))
	assert.Contains(t, []string{"hub_full", "gateway_share"}, answer.Header.Get(exposition.ReasonHeader), text)
	assert.Equal(t, 18, s.Stats().Pending, "one of them has ended")
	passAll(s.Hub)
	s.end("a", 1000, "b", 1000)
	assert.Equal(t, 6, s.Stats().Pending)
	s.says(`edgehub_gateways_ended_total{reason="moved"} 2`, "edgehub_markers_total 12")
}

func TestEndsThatAreRefused(t *testing.T) {
	s := endHub(t, Config{MaxPushes: 1})
	f := func(status int, reason, text, body string, headers ...string) {
		t.Helper()
		answer, got := s.do("POST", "/gateways/ended", body, headers...)
		assert.Equal(t, status, answer.StatusCode)
		assert.Equal(t, reason, answer.Header.Get(exposition.ReasonHeader))
		assert.Contains(t, got, text)
	}
	now := strconv.FormatInt(base, 10)
	f(400, "malformed", "line 2: \"gw\\n\" is not a gateway's name", "a "+now+"\ngw\n")
	f(400, "malformed", "line 1: ", "a%zz "+now+"\n")
	f(400, "malformed", "line 1: ", "a b "+now+"\n")
	f(400, "malformed", "line 1: ", "a -1\n")
	f(400, "malformed", "line 1: ", "\n")
	f(400, "malformed", "does not end with a line feed", "a "+now)
	f(400, "time_unit", "looks like seconds", "a 1764480000\n")
	f(413, "body_too_large", "the body has 10001 lines, and the limit is 10000", strings.Repeat("a "+now+"\n", 10_001))
	f(413, "body_too_large", "larger than 1048576 bytes", strings.Repeat("a", 1<<20)+" "+now+"\n")
	f(415, "content_type", "application/vnd.google.protobuf", "a", "Content-Type", "application/vnd.google.protobuf")
	f(415, "encoding", "deflate", "a", "Content-Encoding", "deflate")
	f(400, "encoding", "decompress", "no gzip at all, really none", "Content-Encoding", "gzip")
	f(200, "", "", strings.Repeat("a "+now+"\n", 10_000))
	s.says(`edgehub_ends_rejected_total{reason="malformed"} 6`, `edgehub_ends_rejected_total{reason="body_too_large"} 2`, `edgehub_pushes_rejected_total{reason="malformed"} 0`)
}

// The way out has a door with the way in.
func TestDoorOfEnds(t *testing.T) {
	h := newWholeHub(t, Config{})
	ask := func(handler http.Handler, method string) int {
		w := &recorder{header: http.Header{}}
		r, err := http.NewRequestWithContext(t.Context(), method, "/gateways/ended", strings.NewReader("a 5\n"))
		require.NoError(t, err)
		handler.ServeHTTP(w, r)
		return w.status
	}
	assert.Equal(t, 200, ask(h.PushServer().Handler, "POST"))
	assert.Equal(t, 404, ask(h.ScrapeServer().Handler, "POST"))
	assert.Equal(t, 200, ask(h.HTTPServer().Handler, "POST"))
	assert.Equal(t, 405, ask(h.HTTPServer().Handler, "GET"))
}

type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }

// An embedder says what a POST says.
func TestEndOfAnEmbedder(t *testing.T) {
	s := endHub(t, Config{})
	s.push(at(`x{gatewayID="a b"}`, 1, 0))
	require.NoError(t, s.End(t.Context(), []GatewayEnd{{"a b", base + 10}, {"c", base + 10}}))
	assert.Equal(t, []string{`first{gatewayID="a b"} 0 @0`, `first{gatewayID="a b"} end @9`, `x{gatewayID="a b"} 1 @0`, `x{gatewayID="a b"} end @9`}, s.took())
	assert.ErrorIs(t, s.End(ended(), nil), ended().Err())
	require.NoError(t, s.Drain(t.Context()))
	err := s.End(t.Context(), nil)
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, "stopping", refused.Reason)
}

func isMarker(p Point) bool { return samples.IsMarker(p.Value) }
