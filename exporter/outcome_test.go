package exporter

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
	is := func(status int, compressed bool, h http.Header, want outcome) {
		t.Helper()
		ofHub := maps.Clone(h)
		ofHub[exposition.HubHeader] = []string{"edgehub/1 hub-0"}
		res := judge(&answer{status: status, header: ofHub}, compressed, time.Time{})
		assert.Equal(t, want, res.outcome, "status %d", status)
		assert.True(t, res.known)
		assert.Equal(t, "hub-0", res.name)
		assert.Equal(t, status, res.status)

		// Whatever somebody else says, it is nothing about the samples.
		res = judge(&answer{status: status, header: h}, compressed, time.Time{})
		assert.Equal(t, tryNext, res.outcome, "status %d of somebody else", status)
		assert.False(t, res.known)
	}
	for _, status := range []int{200, 202, 204} {
		is(status, false, none, delivered)
	}
	for _, status := range []int{400, 413, 422} {
		is(status, false, why, refused)
		is(status, true, why, refused)
		is(status, false, none, tryNext)
		is(status, true, gzip, tryNext)
	}
	for _, status := range []int{301, 307, 401, 403, 404, 405, 406, 408, 415, 429, 500, 502, 503, 504} {
		is(status, false, none, tryNext)
		is(status, false, why, tryNext)
	}
	is(415, true, none, resendPlain)
	is(415, true, gzip, resendPlain)
	is(400, true, none, resendPlain)
	is(413, true, why, refused)
	is(429, false, http.Header{exposition.ReasonHeader: {"gateway_series"}}, crowded)
	is(429, false, http.Header{exposition.ReasonHeader: {"hub_full"}}, tryNext)
}

// Samples that may have arrived although they are not delivered are in doubt.
func TestJudgeDoubts(t *testing.T) {
	doubt := func(status int, headers ...string) bool {
		h := http.Header{}
		for i := 0; i < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		return judge(&answer{status: status, header: h}, false, time.Time{}).doubt
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
	a := &answer{status: 200, text: "<html>Log in", header: http.Header{"Content-Type": {"text/html; charset=utf-8"}, "Server": {"nginx"}}}
	assert.Equal(t, `not a hub's answer: status 200, Content-Type "text/html; charset=utf-8", Server "nginx": <html>Log in`, a.strange())
	assert.Equal(t, "not a hub's answer: status 204", (&answer{status: 204}).strange())
	a.header.Set("Server", strings.Repeat("x", 10_000))
	assert.Less(t, len(a.strange()), 300)
}
