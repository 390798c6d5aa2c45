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

// handed does what another hub does that hands over samples, or says since when gateways are not there any more.
func (s *ending) handed(path, body string) {
	s.t.Helper()
	answer, text := s.do("POST", path, body, exposition.HandoverHeader, "hub-1")
	require.Equal(s.t, http.StatusOK, answer.StatusCode, text)
}

// over says that a gateway had ended at the hub that hands over, right before a time from base.
func (s *ending) over(gateway string, first int64) {
	s.t.Helper()
	s.handed("/gateways/ended", fmt.Sprintf("%s %d\n", gateway, base+first))
}

// What another hub hands over of a gateway that is here already is from before it came. A query has to look for
// it from then on, so that is said, too, beside the samples.
func TestHandedOverSamplesAreFirstOnes(t *testing.T) {
	s := endHub(t, Config{})
	s.push(at(`x{gatewayID="here"}`, 1, 5000))
	s.took()
	s.handed("/metrics", at(`x{gatewayID="here"}`, 2, 1000)+at(`x{gatewayID="here"}`, 3, 2000)+at(`new{gatewayID="here"}`, 3, 900)+at(`x{gatewayID="new"}`, 4, 3000))
	assert.Equal(t, []string{
		`first{gatewayID="here"} 900 @900`, `first{gatewayID="new"} 3000 @3000`, `new{gatewayID="here"} 3 @900`,
		`x{gatewayID="here"} 2 @1000`, `x{gatewayID="here"} 3 @2000`, `x{gatewayID="new"} 4 @3000`,
	}, s.took())
	s.handed("/metrics", at(`x{gatewayID="here"}`, 5, 3000)+at(`x{gatewayID="new"}`, 6, 4000))
	assert.Len(t, s.took(), 2, "it is said once")
	s.push(at(`x{gatewayID="here"}`, 7, 800))
	assert.Len(t, s.took(), 1, "a late sample is none that was handed over")
	gateways := s.store.Gateways()
	require.Len(t, gateways, 1, "the other one has pushed nothing here")
	assert.Equal(t, "here", gateways[0].Name)
}

// A gateway that had ended at the other hub ends here, where it is not here by itself.
func TestHandedOverEnds(t *testing.T) {
	s := endHub(t, Config{})
	s.push(at(`x{gatewayID="here"}`, 1, 5000))
	s.handed("/metrics", at(`x{gatewayID="here"}`, 2, 1000)+at(`y{gatewayID="here"}`, 2, 1000)+at(`x{gatewayID="gone"}`, 3, 1000)+at(`y{gatewayID="gone"}`, 3, 900)+at("x", 4, 0))
	s.took()
	s.over("here", 5000)
	s.over("gone", 2000)
	s.over("", 2000)
	s.over("nobody", 2000)
	assert.Equal(t, []string{
		"first end @1999", `first{gatewayID="gone"} end @1999`, "x end @1999",
		`x{gatewayID="gone"} end @1999`, `y{gatewayID="gone"} end @1999`, `y{gatewayID="here"} end @4999`,
	}, s.took(), "x of the gateway that came here goes on")
	s.over("here", 5000)
	s.over("gone", 2000)
	s.over("here", 500)
	assert.Empty(t, s.took(), "said again, or of a time before its samples")
	s.handed("/metrics", at(`x{gatewayID="gone"}`, 5, 3000))
	assert.Equal(t, []string{`first{gatewayID="gone"} 3000 @3000`, `x{gatewayID="gone"} 5 @3000`}, s.took(), "it had come back there")
	s.end("here", 9000)
	assert.Contains(t, s.took(), `x{gatewayID="here"} end @8999`, "it was here until then")
}

// The same with a log on disk, which says it again after a start.
func TestHandedOverOnDisk(t *testing.T) {
	dir := t.TempDir()
	h := storing(t, dir, Config{})
	s := &ending{serveHub(t, h)}
	s.push(at(`x{gatewayID="here"}`, 1, 5000))
	s.handed("/metrics", at(`x{gatewayID="here"}`, 2, 1000)+at(`y{gatewayID="here"}`, 2, 1000)+at(`x{gatewayID="gone"}`, 3, 1000))
	s.over("here", 5000)
	s.over("gone", 2000)
	before := s.log()
	require.Len(t, before, 10)
	assert.Equal(t, 3, strings.Count(fmt.Sprint(before), "end"))
	h.Close(t.Context())
	again := &ending{serveHub(t, storing(t, dir, Config{}))}
	assert.Equal(t, before, again.log())
	numbers := again.store.Table().Numbers([]string{"here", "gone"})
	here := again.store.Log.Here(numbers)
	assert.NotZero(t, here[0])
	assert.Zero(t, here[1])
}

// A hub that handed over only some takes pushes again. Its gateways were at the other hub meanwhile, so they come anew.
func TestGatewaysComeBackAfterAHandoverThatFailed(t *testing.T) {
	far := &far{handler: newHub(t, Config{Name: "far"}).Handler()}
	far.before = func(_, body string) (int, string) {
		if strings.Contains(body, "bad") {
			return http.StatusBadRequest, "malformed"
		}
		return 0, ""
	}
	s := endHub(t, Config{Name: "near", HandoverClient: &http.Client{Transport: far}})
	s.push(at(`x{gatewayID="good"}`, 1, 1000) + at(`x{gatewayID="bad"}`, 1, 1000))
	_, err := s.Handover(t.Context(), "http://far", nil)
	require.Error(t, err)
	assert.Equal(t, []string{`first{gatewayID="bad"} 1000 @1000`, `x{gatewayID="bad"} 1 @1000`}, s.took())
	s.push(at(`x{gatewayID="good"}`, 2, 2000) + at(`x{gatewayID="bad"}`, 2, 1500))
	s.push(at(`x{gatewayID="good"}`, 3, 3000))
	assert.Equal(t, []string{
		`first{gatewayID="bad"} 1500 @1500`, `first{gatewayID="good"} 2000 @2000`,
		`x{gatewayID="bad"} 2 @1500`, `x{gatewayID="good"} 2 @2000`, `x{gatewayID="good"} 3 @3000`,
	}, s.took())
}
