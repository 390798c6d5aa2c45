package verdict

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/hubring/hubring/internal/exposition"
)

func TestJudge(t *testing.T) {
	none := http.Header{}
	gzip := http.Header{"Accept-Encoding": {"gzip"}}
	why := http.Header{exposition.ReasonHeader: {"malformed"}, "Accept-Encoding": {"gzip"}}
	is := func(status int, compressed bool, h http.Header, want Outcome) {
		t.Helper()
		ofHub := maps.Clone(h)
		ofHub[exposition.HubHeader] = []string{"edgehub/1 hub-0"}
		res := Judge(&Answer{Status: status, Header: ofHub}, compressed, time.Time{})
		assert.Equal(t, want, res.Outcome, "status %d", status)
		assert.True(t, res.Known)
		assert.Equal(t, "hub-0", res.Name)
		assert.Equal(t, status, res.Status)

		// Whatever somebody else says, it is nothing about the samples.
		res = Judge(&Answer{Status: status, Header: h}, compressed, time.Time{})
		assert.Equal(t, TryNext, res.Outcome, "status %d of somebody else", status)
		assert.False(t, res.Known)
	}
	for _, status := range []int{200, 202, 204} {
		is(status, false, none, Delivered)
	}
	for _, status := range []int{400, 413, 422} {
		is(status, false, why, Refused)
		is(status, true, why, Refused)
		is(status, false, none, TryNext)
		is(status, true, gzip, TryNext)
	}
	for _, status := range []int{301, 307, 401, 403, 404, 405, 406, 408, 415, 429, 500, 502, 503, 504} {
		is(status, false, none, TryNext)
		is(status, false, why, TryNext)
	}
	is(415, true, none, ResendPlain)
	is(415, true, gzip, ResendPlain)
	is(400, true, none, ResendPlain)
	is(413, true, why, Refused)
	is(429, false, http.Header{exposition.ReasonHeader: {"gateway_series"}}, Crowded)
	is(429, false, http.Header{exposition.ReasonHeader: {"hub_full"}}, TryNext)
}

// Samples that may have arrived although they are not delivered are in doubt.
func TestJudgeDoubts(t *testing.T) {
	doubt := func(status int, headers ...string) bool {
		h := http.Header{}
		for i := 0; i < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		return Judge(&Answer{Status: status, Header: h}, false, time.Time{}).Doubt
	}
	const hub, why = exposition.HubHeader, exposition.ReasonHeader
	assert.True(t, doubt(200), "of a hub that does not say so")
	assert.True(t, doubt(502))
	assert.False(t, doubt(400))
	assert.False(t, doubt(302))
	assert.False(t, doubt(200, hub, "edgehub/1"))
	assert.True(t, doubt(500, hub, "edgehub/1"))
	assert.False(t, doubt(503, hub, "edgehub/1", why, "stopping"))
	assert.False(t, doubt(429, hub, "edgehub/1"))
}

// A log line says what helps to find out who answered, within bounds.
func TestStrangersInWords(t *testing.T) {
	a := &Answer{Status: 200, Text: "<html>Log in", Header: http.Header{"Content-Type": {"text/html; charset=utf-8"}, "Server": {"nginx"}}}
	assert.Equal(t, `not a hub's answer: status 200, Content-Type "text/html; charset=utf-8", Server "nginx": <html>Log in`, a.Strange())
	assert.Equal(t, "not a hub's answer: status 204", (&Answer{Status: 204}).Strange())
	a.Header.Set("Server", strings.Repeat("x", 10_000))
	assert.Less(t, len(a.Strange()), 300)
}
