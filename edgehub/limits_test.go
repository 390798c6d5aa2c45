package edgehub

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// refused pushes what must be refused with 429, and returns the reason.
func (s *server) refused(body, reason string) string {
	s.t.Helper()
	before := s.Stats()
	answer, text := s.do("POST", "/metrics", body)
	require.Equal(s.t, http.StatusTooManyRequests, answer.StatusCode, text)
	assert.Equal(s.t, "5", answer.Header.Get("Retry-After"))
	assert.Contains(s.t, s.get("/internal"), fmt.Sprintf("edgehub_pushes_rejected_total{reason=%q} 1\n", reason))
	assert.Equal(s.t, before, s.Stats(), "something of a refused push stayed")
	return text
}

func gatewayBody(gateway string, series, samples int) string {
	var b strings.Builder
	for i := range samples {
		for n := range series {
			b.WriteString(at(fmt.Sprintf("x{gatewayID=%q,n=\"%d\"}", gateway, n), i, int64(i)))
		}
	}
	return b.String()
}

// A push that is refused leaves nothing behind, not even names, whatever the
// reason is and on whichever line.
func TestRefusedPushLeavesNoNames(t *testing.T) {
	s := serve(t, Config{MaxSeries: 100, MaxGatewaySeries: 50, MaxSamples: 1000})
	s.push(gatewayBody("a", 10, 1))
	answer, _ := s.do("POST", "/metrics", gatewayBody("b", 40, 1)+"broken{ 1\n")
	assert.Equal(t, http.StatusBadRequest, answer.StatusCode)
	assert.Equal(t, 10, s.Stats().Series)
	s.refused(gatewayBody("b", 49, 1)+gatewayBody("c", 42, 1), "series_limit")
	s.refused(gatewayBody("a", 51, 1), "gateway_series")
	assert.Len(t, s.store.Gateways(), 1)
	s.push(gatewayBody("a", 50, 1) + gatewayBody("b", 50, 1))
	assert.Equal(t, 50, seriesOf(s.Hub, "b"))
}

func TestGatewaySeriesAreLimited(t *testing.T) {
	s := serve(t, Config{MaxGatewaySeries: 3, GatewayLabel: "site"})
	s.push(`x{site="a",n="1"} 1` + "\n" + `x{site="a",n="2"} 1` + "\n" + `x{n="3",site="a"} 1` + "\n")
	text := s.refused(`y{site="b"} 1`+"\n"+`x{site="a",n="4"} 1`+"\n", "gateway_series")
	assert.Equal(t, "gateway \"a\" has 3 series, with this push it were 4, and the limit is 3\n", text)
	s.push(`x{site="a",n="3"} 2` + "\n" + `x{site="b",n="4"} 1` + "\n") // another spelling of a known one, and another gateway
	s.push("a 1\nb 1\nc 1\nd 1\n")                                      // those of no gateway
}

// A name that is twice in a push, or known in another spelling, is no second one.
func TestLimitsCountEachSeriesOnce(t *testing.T) {
	s := serve(t, Config{MaxSeries: 3, MaxGatewaySeries: 2})
	s.push(`x{gatewayID="a",n="1"} 1` + "\n" + `x{n="1",gatewayID="a"} 1` + "\n" + `x{n="2",gatewayID="a"} 1` + "\n" + `x{ n="2",gatewayID="a"} 1` + "\n")
	s.push(`x{n="1",gatewayID="a",} 1` + "\n" + `x{n="2",gatewayID="a",} 1` + "\n" + "y 1\ny 2\ny 3\n")
	assert.Equal(t, 3, s.Stats().Series)
}

func TestTableBytesAreLimited(t *testing.T) {
	s := serve(t, Config{MaxTableBytes: 1000})
	s.push(gatewayBody("a", 30, 1))
	text := s.refused("# HELP x "+strings.Repeat("long ", 100)+"\nx 1\n", "table_bytes")
	assert.Contains(t, text, "and the limit is 1000")
	s.push("x 1\n")
}

func TestFamiliesAreLimited(t *testing.T) {
	s := serve(t, Config{MaxSeries: 10})
	var help strings.Builder
	for i := range 10 {
		fmt.Fprintf(&help, "# HELP f%d Text.\n", i)
	}
	s.push(help.String())
	s.refused("# HELP f10 Text.\n", "series_limit")
	s.push(strings.Repeat(help.String(), 3))
}

// A gateway that floods leaves room for the others, whatever the policy. What is kept is
// for whoever holds little.
func TestFloodLeavesRoomForOthers(t *testing.T) {
	const limit, gateways = 400_000, 9
	for _, policy := range []Policy{Refuse, Newest} {
		h := newHub(t, Config{MaxSamples: limit, Policy: policy})
		push := func(gateway string, samples int) error {
			_, err := h.Push(t.Context(), Text, []byte(gatewayBody(gateway, 10, samples/10)))
			return err
		}
		for g := range gateways {
			require.NoError(t, push(strconv.Itoa(g), 1000))
		}
		var err error
		flooded := 0
		for ; err == nil && flooded < 3*limit; flooded += 10_000 {
			err = push("flood", 10_000)
		}
		require.ErrorContains(t, err, `gateway "flood" holds `, string(policy))
		assert.LessOrEqual(t, flooded, limit)
		assert.Zero(t, h.Stats().LetGo)
		for g := range gateways {
			assert.NoError(t, push(strconv.Itoa(g), 4000), "%s: gateway %d", policy, g)
		}
		assert.Error(t, push("flood", 10_000), string(policy))
	}
}

// Without a flood all of the room is there for everybody: for one gateway alone, and for
// many alike.
func TestFullHubOfLikeGateways(t *testing.T) {
	for _, gateways := range []int{1, 2, 50} {
		h := newHub(t, Config{MaxSamples: 100_000})
		var err error
		for i := 0; err == nil; i++ {
			_, err = h.Push(t.Context(), Text, []byte(gatewayBody(strconv.Itoa(i%gateways), 10, 10)))
		}
		assert.ErrorContains(t, err, "the hub holds 100000 samples", "%d gateways", gateways)
		assert.Equal(t, 100_000, h.Stats().Pending)
	}
}

// Under the policy Newest a full hub lets the oldest go and says how many.
func TestNewestAreKept(t *testing.T) {
	s := serve(t, Config{MaxSamples: 10, Policy: Newest, Cursors: []string{"a", "b"}})
	for i := range int64(5) {
		s.push(at("x", i, i) + at("y", i, i))
	}
	s.push(at("x", 5, 5) + at("y", 5, 5) + at("y", 6, 6))
	assert.Equal(t, 10, s.Stats().Pending)
	assert.EqualValues(t, 3, s.Stats().LetGo)
	want := at("x", 2, 2) + at("x", 3, 3) + at("x", 4, 4) + at("x", 5, 5) + at("y", 1, 1) + at("y", 2, 2) + at("y", 3, 3) + at("y", 4, 4) + at("y", 5, 5) + at("y", 6, 6)
	assert.Equal(t, want, s.get("/metrics?cursor=b&drain=1"))
	assert.Equal(t, want, s.get("/metrics?cursor=a&drain=1"))
	assert.Contains(t, s.get("/internal"), `edgehub_samples_dropped_total{reason="let_go"} 3`)
	assert.Zero(t, s.Stats().LeftBehind)
	assert.Zero(t, s.Stats().Pending)
	answer, text := s.do("POST", "/metrics", string(bytes.Repeat([]byte("z 1\n"), 11)))
	assert.Equal(t, http.StatusRequestEntityTooLarge, answer.StatusCode, "it would never have room")
	assert.Contains(t, text, "the push has more than 10 samples, which is the limit; send it in parts")
	s.rejected("too_many_samples", 1, 11)
}

// Behind many new series known ones are taken for new until the table says so:
// they count as what they are, also at the limit.
func TestKnownSeriesBehindManyNewOnes(t *testing.T) {
	s := serve(t, Config{MaxSeries: 150, MaxGatewaySeries: 150})
	s.push(gatewayBody("a", 100, 1))
	var body strings.Builder
	body.WriteString(gatewayBody("b", 50, 1))
	for i := range 100 {
		body.WriteString(at(fmt.Sprintf("x{gatewayID=\"a\",n=\"%d\"}", i), 1, 1))
	}
	s.push(body.String())
	assert.Equal(t, 150, s.Stats().Series)
	assert.Equal(t, 100, seriesOf(s.Hub, "a"))
	s.refused("y 1\n"+body.String(), "series_limit")
	assert.Equal(t, 100, strings.Count(s.scrape(), fmt.Sprintf(" %d\n", base+1)))
}
